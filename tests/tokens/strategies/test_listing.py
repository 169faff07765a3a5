"""Listings by directory: names and sizes stay, and what is unusual about an entry."""

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.folds import Section
from cca.tokens.strategies.listing import FOLDS, fold

CALM = settings(deadline=None, max_examples=80)

LS = """\
total 116
drwxr-xr-x 17 ann  staff  4096 Nov 22 14:00 .
drwxr-xr-x  6 ann  staff  4096 Nov 22 14:28 ..
drwxr-xr-x  2 ann  staff  4096 Nov 22 09:14 docs
-rw-r--r--  1 ann  staff   114 Nov 22 08:36 .gitignore
-rw-r--r--  1 ann  staff 11358 Nov 22 09:12 LICENSE
-rwxr-xr-x  1 root root   2220 Nov 22 09:22 run.sh
-rw-r--r--  1 ann  staff   500 Mar  3  2023 old notes.txt
lrwxrwxrwx  1 ann  staff     7 Nov 22 09:22 python -> python3"""
TREE = """\
shop
├── README.md
├── src
│   ├── api
│   │   ├── __init__.py
│   │   └── users.py
│   ├── empty
│   └── main.py
└── tests
    ├── test_api.py
    └── test_main.py

3 directories, 6 files"""


def folded(text: str) -> list[str] | None:
    return fold(Section(lines=tuple(text.split("\n")), kind="listing"))


def long(name: str, size: int) -> str:
    return f"-rw-r--r-- 1 ann ann {size:>8} Nov 22 14:00 {name}"


def test_of_a_long_listing_names_and_sizes_stay_and_what_is_unusual() -> None:
    assert folded(LS) == [
        "total 116",
        "name size, else -rw-r--r-- drwxr-xr-x lrwxrwxrwx ann:staff Nov 22",
        "./",
        "../",
        "docs/",
        ".gitignore 114",
        "LICENSE 11358",
        "run.sh 2220 -rwxr-xr-x root",
        "old notes.txt 500 Mar 3 2023",
        "python -> python3 7",
    ]


@pytest.mark.parametrize("day", ["2026-11-22 14:00", "2026-11-22 14:00:09.123456789 +0000", "22 Nov 14:00"])
def test_days_are_known_in_the_forms_that_ls_prints(day: str) -> None:
    lines = folded("\n".join(f"-rw-r--r--@ 1 ann ann 1.2K {day} file{n}.txt" for n in range(4)))
    assert lines is not None and lines[0] == f"name size, else -rw-r--r--@ ann {day[: day.index('14:00') - 1]}"
    assert lines[1] == "file0.txt 1.2K"


def test_paths_are_said_by_directory() -> None:
    paths = [
        "README.md",
        "src/webshop/api",
        "src/webshop/api/users.py",
        "src/webshop/api/orders.py",
        "src/webshop/main.py",
    ]
    assert folded("\n".join([*paths, "./src/webshop/api/my file.py", "src/webshop/api/empty/"])) == [
        "README.md",
        "src/webshop/api/: users.py orders.py empty/",
        "src/webshop/: main.py",
        "./src/webshop/api/: 'my file.py'",
    ]


def test_what_a_tree_was_drawn_of_is_said_by_directory() -> None:
    expected = ["shop/: README.md", "shop/src/api/: __init__.py users.py", "shop/src/: empty main.py"]
    expected += ["shop/tests/: test_api.py test_main.py", "", "3 directories, 6 files"]
    assert folded(TREE) == expected
    ascii_tree = TREE.replace("│", "|").replace("├──", "|--").replace("└──", "`--")
    assert folded(ascii_tree) == expected
    assert folded(TREE.replace("│   ", "│\xa0\xa0 ")) == expected


def test_numbered_names_are_a_range_with_their_count() -> None:
    paths = [f"data/img_{n:04}.png" for n in range(1, 421)]
    paths[100:100] = ["data/labels.csv"]
    assert folded("\n".join(paths)) == [
        "data/: img_0001.png … img_0100.png (100) labels.csv img_0101.png … img_0420.png (320)"
    ]


def test_a_range_of_entries_tells_their_sizes_and_an_outlier_stands_by_itself() -> None:
    lines = folded("\n".join(long(f"part-{n}.bin", 9 if n == 7 else 1000 + n) for n in range(20)))
    assert lines == [
        "name size, else -rw-r--r-- ann Nov 22",
        "part-0.bin … part-19.bin (20) 1000…1019 each",
        "part-7.bin 9",
    ]


def test_caches_and_installed_packages_are_counted() -> None:
    paths = [f"./node_modules/lib{n}/index.js" for n in range(50)] + [
        "./src/a.py",
        "./src/__pycache__/a.pyc",
        "./target.txt",
    ]
    paths += [f"./target/debug/deps/x-{n}.o" for n in range(9)]
    assert folded("\n".join(paths)) == [
        "./node_modules/: 50 files",
        "./src/: a.py",
        "./src/__pycache__/: 1 files",
        "./: target.txt",
        "./target/debug/: 9 files",
    ]


@pytest.mark.parametrize("text", ["", "a/b", "one\ntwo\nthree", "a/b c\nd/e f\ng/h i", "x" * 2_000 + "/y"])
def test_what_is_no_listing_or_gains_nothing_stays(text: str) -> None:
    assert folded(text) is None


PARTS = st.sampled_from(["src", "api", "web-app", "v2", "users.py", "index.ts", "img_1.png", "img_2.png", "README"])
PATHS = st.lists(st.lists(PARTS, min_size=2, max_size=5).map("/".join), min_size=3, max_size=40)


@CALM
@forall(PATHS)
def test_every_path_can_be_put_together_again(paths: list[str]) -> None:
    lines = folded("\n".join(paths))
    if lines is None:
        return
    again: set[str] = set()
    for line in lines:
        parent, _, names = line.partition(": ")
        again |= {parent + name for name in names.split(" ")}
    folders = {path for path in paths if any(other.startswith(path + "/") for other in paths)}
    assert again | folders == set(paths)


@CALM
@forall(st.lists(st.integers(0, 10**6), min_size=3, max_size=30))
def test_every_entry_stays_or_is_in_a_range(sizes: list[int]) -> None:
    lines = folded("\n".join(long(f"part{n:03}", size) for n, size in enumerate(sizes)))
    assert lines is not None
    said = {line.split()[0]: line for line in lines[1:]}
    for n, size in enumerate(sizes):
        line = said.get(f"part{n:03}")
        if line is None or "…" in line:
            low, _, high = (
                next(x for x in lines if x.endswith("each")).split(") ")[1].removesuffix(" each").partition("…")
            )
            assert int(low) <= size <= int(high or low)
        else:
            assert line.endswith(f" {size}")


@CALM
@forall(st.text() | st.text(alphabet="ab/. 019\n│├└─ "))
def test_whatever_it_is_it_never_fails_and_never_grows(text: str) -> None:
    lines = folded(text)
    assert lines == folded(text)
    if lines is not None:
        assert len("\n".join(lines)) < len(text) and not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"src/d{n % 100}/f{n}.py" for n in range(100_000)),
        "\n".join("/".join(["d"] * 300) + f"/{n}" for n in range(1_000)),
        "\n".join([" " * 900 + "x", "│" * 900 + "x"] * 2_000),
        "\n".join("│   " * (n % 200) + f"├── f{n}" for n in range(20_000)),
        "a/" * 500_000,
        "\n".join(["a/" + "9" * 900] * 5_000),
        "\n".join(long(f"part-{n}", n) for n in range(20_000)),
        "a/\x00b\n" * 10_000,
    ],
    ids=range(8),
)
def test_nasty_listings_are_read_in_time(text: str) -> None:
    lines = folded(text)
    assert lines is None or len("\n".join(lines)) < len(text)


def test_the_strategy_is_safe() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("listing", "safe", ["listing"])
