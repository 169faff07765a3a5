"""Tables whose routine is said in brief: what stands out is whole, of the rest one knows which row is which."""

import csv
import io

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.folds import Section
from cca.tokens.strategies.brief import FOLDS, fold

CALM = settings(deadline=None, max_examples=50)
HEAD = ["id", "name", "email", "status", "total", "created_at", "token"]


def order(n: int) -> list[str]:
    return [
        str(1000 + n),
        f"Customer {n}",
        f"someone-{n * 7919 % 10_007}@mail.example.com",
        ("paid", "open", "shipped")[n % 3],
        f"{10 + n * 7 % 83}.50",
        f"2026-03-{n % 28 + 1:02d} 08:{n % 60:02d}:00",
        f"{n * 2654435761 % 2**32:08x}-1b2c-4d5e-8f90-0123456789ab",
    ]


def orders(count: int = 60) -> list[list[str]]:
    rows = [order(n) for n in range(count)]
    if count > 40:
        rows[21][3] = "chargeback"
        rows[33][4] = "98765.50"
        rows[37][1] = "error: no such customer"
    return rows


def as_csv(rows: list[list[str]], head: list[str] = HEAD) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    return out.getvalue().rstrip("\n")


def as_psql(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    lines = [" " + " | ".join(map(str.ljust, row, widths)) for row in (HEAD, *rows)]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:], f"({len(rows)} rows)"])


def folded(text: str) -> list[str] | None:
    return fold(Section(lines=tuple(text.split("\n")), kind="table"))


@pytest.mark.parametrize(("text", "joint"), [(as_csv(orders()), ","), (as_psql(orders()), "|")], ids=["csv", "psql"])
def test_a_table_of_orders(text: str, joint: str) -> None:
    lines = folded(text)
    assert lines is not None
    said = "\n".join(lines)
    assert lines[0].startswith("60 rows; these ") and len(said) < 0.6 * len(text)
    for n in (0, 21, 33, 37):  # the first, a rare state, a far total, an error
        assert joint.join(orders()[n]) in lines or all(cell in said for cell in orders()[n])
    for n in (5, 40, 58):  # of the others: which it is, how it is, how much
        assert any(line.startswith(f"{1000 + n}{joint}") for line in lines)
        assert order(n)[2] not in said and order(n)[6] not in said
    at = next(at for at, line in enumerate(lines) if line.endswith(" in brief"))
    names = lines[at + 1].split(joint)
    assert {"id", "name", "status", "total"} <= {*names} and not {"email", "token"} & {*names}
    rows = {line.split(joint)[0]: dict(zip(names, line.split(joint), strict=True)) for line in lines[at + 2 :][:50]}
    assert rows["1005"] == {"id": "1005", "name": "Customer 5", "status": "shipped", "total": "45.50"}
    if joint == "|":
        assert "(60 rows)" in lines


def test_whole_and_brief_rows_together_are_all_rows() -> None:
    lines = folded(as_csv(orders()))
    assert lines is not None
    ids = [line[:4] for line in lines if line[:4].isdecimal() and line[4:5] == ","]
    assert sorted(ids) == [str(1000 + n) for n in range(60)]
    whole = int(lines[0].removeprefix("60 rows; these ").split(" ")[0])
    assert f"{60 - whole} in brief" in lines


def test_what_goes_is_summed_up() -> None:
    lines = folded(as_csv(orders()))
    assert lines is not None and lines[-1].startswith("and of these: ")
    assert "created_at 2026-03-<01…28> <08:01:00…08:59:00>" in lines[-1]


def test_lines_around_the_table_stay() -> None:
    lines = folded(f"shop=# select * from orders;\n\n{as_psql(orders())}\n\nTime: 4.2 ms")
    assert lines is not None and lines[0] == "shop=# select * from orders;" and lines[-1] == "Time: 4.2 ms"


def test_cells_with_commas_and_quotes_are_written_as_csv() -> None:
    rows = orders()
    for n, row in enumerate(rows):
        row[1] = f'Lee, "Ann" {n}'
    lines = folded(as_csv(rows))
    assert lines is not None
    assert any(line.startswith('1005,"Lee, ""Ann"" 5",') for line in lines)


def test_pods_keep_their_names_and_the_one_that_is_ill_is_whole() -> None:
    rows = [
        f"shop       checkout-api-7d9f8b6c5-x{n:03d}   1/1     Running            0          3d{n % 24:<2}h   "
        f"10.42.{n % 5}.{n + 10:<5}  ip-10-0-{n % 7}-{n % 11}.eu-central-1.compute.internal   <none>"
        for n in range(40)
    ]
    rows[17] = (
        rows[17].replace("1/1     Running         ", "0/1     CrashLoopBackOff").replace(" 0          ", " 57         ")
    )
    head = (
        "NAMESPACE  NAME                          READY   STATUS             RESTARTS   AGE     IP           "
        "  NODE                                          NOMINATED"
    )
    lines = folded("\n".join([head, *rows]))
    assert lines is not None
    said = "\n".join(lines)
    assert all(f"checkout-api-7d9f8b6c5-x{n:03d}" in said for n in range(40))
    (ill,) = [line for line in lines if "CrashLoopBackOff" in line]
    assert "57" in ill and "10.42.2.27" in ill and "x017" in ill


def test_images_are_known_by_their_names() -> None:
    digests = [f"sha256:{n * 2654435761 % 2**32:08x}{'0123456789abcdef' * 3}01234567" for n in range(1, 31)]
    rows = [
        f"registry.example.com/acme/app-{n:02d},1.{n}.0,{digest},{digest[7:19]},2026-03-{n % 28 + 1:02d}T08:00:00Z"
        for n, digest in enumerate(digests)
    ]
    lines = folded("\n".join(["repository,tag,digest,image id,created", *rows]))
    assert lines is not None
    said = "\n".join(lines)
    assert all(f"app-{n:02d}" in said or digests[n][7:19] in said for n in range(30))
    assert digests[9] not in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one\ntwo\nthree",
        as_csv(orders(5)),
        as_csv([[str(n), str(n * n)] for n in range(50)], ["n", "square"]),
        as_csv(orders()) + "\na,row,that,does,not,fit",
        "\n".join(line for line in as_psql(orders()).split("\n") if not line.startswith((" id", "--"))),
    ],
    ids=["empty", "none", "few", "short", "stray", "no names"],
)
def test_what_is_no_long_table_stays(text: str) -> None:
    assert folded(text) is None


WORDS = st.text(st.sampled_from("abcxyz 0123456789.-:/é\N{FIRE}\"'_"), min_size=1, max_size=12).map(str.strip)


@CALM
@forall(st.data(), st.integers(2, 6), st.integers(8, 50))
def test_any_table_gets_shorter_or_stays_and_rare_errors_are_whole(data: st.DataObject, width: int, count: int) -> None:
    few = [data.draw(st.lists(WORDS, min_size=1, max_size=6)) for _ in range(width)]
    rows = [
        [str(n), *(one[(n * 7 + n // 3) % len(one)] for one in few), f"{n * 7919 % 10_007:x}" * 6] for n in range(count)
    ]
    ill = data.draw(st.integers(0, count - 1))
    rows[ill][-1] = "error: the disk is gone"
    head = ["id", *(f"field {at}" for at in range(width)), "payload"]
    text = as_csv(rows, head)
    lines = folded(text)
    assert lines == folded(text)
    if lines is not None:
        assert len("\n".join(lines)) < len(text) and not any("\n" in line for line in lines)
        at = next(at for at, line in enumerate(lines) if line.endswith(" in brief"))
        whole = [line for line in lines[:at] if "the disk is gone" in line]
        assert len(whole) == 1 and whole[0].startswith(f"{ill},")


@CALM
@forall(st.text() | st.text(alphabet="|+-= ab,1\t│─\n"))
def test_whatever_it_is_it_never_fails_and_never_grows(text: str) -> None:
    lines = folded(text * 9)
    assert lines is None or len("\n".join(lines)) < len(text * 9)


@pytest.mark.parametrize(
    "text",
    [
        "id,x,y\n" + "\n".join(f"{n},{n % 3},{n * 7919}" for n in range(30_000)),
        "\n".join(
            [",".join(f"c{n}" for n in range(3_000))] + [",".join(str(n * r) for n in range(3_000)) for r in range(12)]
        ),
        "a,b,c\n" + "\n".join(f"{n},{'x' * 1_900},{n}" for n in range(200)),
    ],
    ids=["many rows", "many columns", "long cells"],
)
def test_nasty_tables_are_read_in_time(text: str) -> None:
    lines = folded(text)
    assert lines is None or len("\n".join(lines)) < len(text)


def test_the_strategy_is_safe() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("brief", "safe", ["table"])
