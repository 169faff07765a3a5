"""Tables without frames: every cell is still there, and what all rows share is said once."""

import re

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.folds import Section
from cca.tokens.strategies.table import FOLDS, fold

CALM = settings(deadline=None, max_examples=80)

PSQL = """\
 id |   name   |        email         | country | active |  amount
----+----------+----------------------+---------+--------+----------
  1 | Ann Lee  | ann@example.com      | DE      | t      |    12.50
  2 | Bob      | bob@example.com      | DE      | t      |     7.00
  3 | Cleo     |                      | DE      | f      |  1200.99
(3 rows)
"""
MYSQL = """\
+----+-------+---------+
| id | name  | status  |
+----+-------+---------+
|  1 | ann   | active  |
|  2 | bob   | active  |
|  3 | cleo  | blocked |
|  4 | dan   | active  |
|  5 | eve   | active  |
+----+-------+---------+
5 rows in set (0.00 sec)"""
MARKDOWN = """\
| Package      | Version  | License              |
|:-------------|---------:|----------------------|
| numpy        | 2.0.1    | BSD                  |
| a\\|b        | 3.11.0   | Apache               |
| pip          | 24       | MIT                  |"""
DRAWN = """\
┏━━━━━━┳━━━━━━━┓
┃ name ┃ value ┃
┡━━━━━━╇━━━━━━━┩
│ a    │ 1     │
│ b    │ 2     │
└──────┴───────┘"""
SIMPLE = """\
=====  ========  =======
Name   Version   License
=====  ========  =======
numpy  2.0       BSD
pip    24        MIT
wheel  0.4       MIT
=====  ========  ======="""
DOCKER = """\
CONTAINER ID   IMAGE          CREATED          STATUS         PORTS                    NAMES
a1b2c3d4e5f6   postgres:16    2 hours ago      Up 2 hours     0.0.0.0:5432->5432/tcp   db
b1b2c3d4e5f6   redis:7        2 hours ago      Up 2 hours                              cache
c1b2c3d4e5f6   web:1.4.2      3 minutes ago    Up 3 minutes   0.0.0.0:8080->80/tcp     web"""
RECORDS = """\
-[ RECORD 1 ]------
id     | 1
name   | ann lee
status | active
-[ RECORD 2 ]------
id     | 2
name   | bob
status | active"""
CSV = "id,name,country,currency,amount\n" + "\n".join(f'{n},"Lee, {n}",Germany,EUR,{n}.50' for n in range(9))


def folded(text: str) -> list[str] | None:
    return fold(Section(lines=tuple(text.split("\n")), kind="table"))


def test_a_table_of_psql_keeps_its_cells_and_says_once_what_all_rows_share() -> None:
    assert folded(PSQL) == [
        "same in all rows: country=DE",
        "id|name|email|active|amount",
        "1|Ann Lee|ann@example.com|t|12.50",
        "2|Bob|bob@example.com|t|7.00",
        "3|Cleo||f|1200.99",
        "(3 rows)",
        "",
    ]


def test_a_usual_value_is_said_once_and_left_out_where_it_stands() -> None:
    assert folded(MYSQL) == [
        "where empty: status=active",
        "id|name|status",
        "1|ann|",
        "2|bob|",
        "3|cleo|blocked",
        "4|dan|",
        "5|eve|",
        "5 rows in set (0.00 sec)",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (MARKDOWN, ["Package|Version|License", "numpy|2.0.1|BSD", "a\\|b|3.11.0|Apache", "pip|24|MIT"]),
        (DRAWN, ["name|value", "a|1", "b|2"]),
        (SIMPLE, ["Name Version License", "numpy 2.0 BSD", "pip 24 MIT", "wheel 0.4 MIT"]),
        (RECORDS, ["id|name|status", "1|ann lee|active", "2|bob|active"]),
    ],
    ids=["markdown", "drawn", "simple", "records"],
)
def test_tables_of_other_tools(text: str, lines: list[str]) -> None:
    assert folded(text) == lines


def test_cells_that_are_empty_keep_their_place_in_aligned_columns() -> None:
    lines = folded(DOCKER)
    assert lines is not None
    assert lines[0] == "CONTAINER ID|IMAGE|CREATED|STATUS|PORTS|NAMES"
    assert lines[2] == "b1b2c3d4e5f6|redis:7|2 hours ago|Up 2 hours||cache"


def test_a_row_that_is_out_of_line_stays_and_the_columns_of_others_are_found() -> None:
    rows = [f"web-{n:<10}  Running  {n}d    10.0.0.{n:<4}  node-{n}" for n in range(30)]
    rows[9] = "web-9           CrashLoopBackOff  9d    10.0.0.9     node-9"
    lines = folded("\n".join(["NAME            STATUS   AGE   IP           NODE  ", *rows]))
    assert lines is not None and lines[:3] == [
        "where empty: STATUS=Running",
        "NAME|STATUS|AGE|IP|NODE",
        "web-0||0d|10.0.0.0|node-0",
    ]
    assert rows[9] in lines


def test_columns_without_names_are_called_by_their_number() -> None:
    lines = folded("\n".join(f"java    {n:>5}  ci  REG  259,1   /var/log/service-{n}.log" for n in range(10, 20)))
    assert lines == [
        "same in all rows: column 1=java, column 3=ci, column 4=REG, column 5=259,1",
        *(f"{n} /var/log/service-{n}.log" for n in range(10, 20)),
    ]


def test_times_of_one_day_say_once_which() -> None:
    lines = folded("\n".join(["id | at", "---+----", *(f"{n}  |  2024-05-01 10:00:0{n}" for n in range(4))]))
    assert lines is not None and lines[:3] == ["all begin with: at=2024-05-01 ", "id|at", "0|10:00:00"]


def test_columns_of_csv_that_say_nothing_are_said_once() -> None:
    lines = folded(CSV)
    assert lines is not None
    assert lines[:3] == ["same in all rows: country=Germany, currency=EUR", "id,name,amount", '0,"Lee, 0",0.50']


def test_what_stands_around_tables_stays_and_so_does_a_row_that_does_not_fit() -> None:
    lines = folded(f"Before.\n\n{MYSQL.replace('|  3 | cleo  | blocked |', '|  3 | a | b | c |')}\n\nAfter.")
    assert lines is not None
    assert lines[0] == "Before." and lines[-1] == "After." and "|  3 | a | b | c |" in lines


@pytest.mark.parametrize(
    "text", ["", "a|b", "one\ntwo\nthree\nfour", "a,b\n1,2\n3,4\n5,6", "|" * 5000, "-" * 100_000 + "a"]
)
def test_what_is_no_table_or_gains_nothing_stays(text: str) -> None:
    assert folded(text) is None


WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "C"], exclude_characters="|\\\"'"), min_size=1, max_size=8)


@CALM
@forall(st.data(), st.integers(2, 6), st.integers(3, 12))
def test_every_cell_of_any_table_is_still_to_be_read(data: st.DataObject, width: int, count: int) -> None:
    names = data.draw(
        st.lists(st.from_regex("[a-z]{3,9}", fullmatch=True), min_size=width, max_size=width, unique=True)
    )
    rows = data.draw(st.lists(st.lists(WORDS, min_size=width, max_size=width), min_size=count, max_size=count))
    pads = [max(len(row[at]) for row in (names, *rows)) + 8 for at in range(width)]
    text = "\n".join(
        [
            " | ".join(name.ljust(pad) for name, pad in zip(names, pads, strict=True)),
            "-+-".join("-" * pad for pad in pads),
            *(" | ".join(cell.ljust(pad) for cell, pad in zip(row, pads, strict=True)) for row in rows),
        ]
    )
    lines = folded(text)
    if lines is None:
        return  # rows of signs alone may look like rules
    shared: dict[str, str] = {}
    usual: dict[str, str] = {}
    while ": " in lines[0]:
        kept = usual if lines[0].startswith("where") else shared
        said = lines.pop(0).partition(": ")[2]
        found = re.findall(rf"({'|'.join(names)})=(.*?)(?=, (?:{'|'.join(names)})=|$)", said)
        kept.update(found)
    head = lines.pop(0).split("|")
    again = []
    for line in lines:
        cells = dict(zip(head, line.split("|"), strict=True))
        again.append([shared.get(name) or cells[name] or usual[name] for name in names])
    assert (
        again == [row for row in rows if any(sign not in "-=:+─━═" for cell in row for sign in cell)]
        or len(again) < count
    )


@CALM
@forall(st.text() | st.text(alphabet="|+-= ab,\t│─\n"))
def test_whatever_it_is_it_never_fails_and_never_grows(text: str) -> None:
    lines = folded(text)
    assert lines == folded(text)
    if lines is not None:
        assert len("\n".join(lines)) < len(text) and not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["| a | b |"] * 100_000),
        "\n".join(f"{'x' * (n % 50)}  {n}   y" for n in range(50_000)),
        "a|" * 500_000,
        "a" + "\x00|\x00" * 1_000 + "\n-|-\n" * 1_000,
        "\n".join(["-" * 1_500 + "a"] * 500),
        "\n".join(["a  b" + " " * 1_500 + "c"] * 500),
    ],
    ids=range(6),
)
def test_nasty_tables_are_read_in_time(text: str) -> None:
    lines = folded(text)
    assert lines is None or len(lines) <= text.count("\n") + 2


def test_the_strategy_is_lossless() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("table", "lossless", ["table"])
