"""Long lists in JSON: what stands out is whole, the others are known by little, and it is one line of JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.tokens import Folding, Turn
from cca.tokens.compress import compress
from cca.tokens.folds import Section
from cca.tokens.markers import expand
from cca.tokens.strategies.json_decode import decode
from cca.tokens.strategies.rows import FOLDS, fold

CALM = settings(deadline=None, max_examples=40)
SAFE = Folding(level="safe", model="gpt-4o")
Rows = list[dict[str, Any]]


def uuid(n: int) -> str:
    return f"{n * 2654435761 % 2**32:08x}-1b2c-4d5e-8f90-{n * 40503 % 2**48:012x}"


def digest(n: int) -> str:
    return f"{n * 2654435761 % 2**32:08x}" * 8


def mail(n: int) -> str:
    return f"{'abcdefgh'[n % 8]}.{uuid(n)[:8]}@mail.example.com"


def folded(text: str) -> str | None:
    lines = fold(Section(lines=tuple(text.split("\n")), kind="json"))
    if lines is None:
        return None
    (line,) = lines
    assert "\n" not in line
    json.loads(line)
    return line


def read(line: str) -> Any:
    """What the line says, with Python's own numbers and its tables as lists of objects."""
    return msgspec.json.decode(msgspec.json.encode(decode(line)))


def brief(rows: Any, **dump: Any) -> Any:
    """`$of`, `$whole`, `$brief` and `$rest` of a list."""
    line = folded(json.dumps(rows, **dump))
    assert line is not None
    return read(line)


# ------------------------------------------------------------------------------------------ lists of an API


def orders(count: int = 60) -> Rows:
    return [
        {
            "id": 1000 + n,
            "customer": {"name": ("Ann Lee", "Bob Ray", "Cléo Fox", "Dan Wu")[n % 4], "email": mail(n)},
            "total": 10.5 + n * 7 % 83,
            "currency": "EUR",
            "status": ("paid", "open", "shipped")[n % 3],
            "token": uuid(n),
            "url": f"https://api.shop.example/v1/orders/{1000 + n}?signature={digest(n)[:24]}",
            "created_at": f"2026-03-{n % 28 + 1:02d}T{n % 24:02d}:{n * 7 % 60:02d}:00Z",
        }
        for n in range(count)
    ]


def users(count: int = 80) -> Rows:
    return [
        {
            "login": f"dev{n}",
            "id": 7000 + n * 13,
            "node_id": f"MDQ6VXNlcj{n * 7919 % 10_007:05d}aZ09qW",
            "avatar_url": f"https://avatars.example.com/u/{7000 + n * 13}?v=4",
            "url": f"https://api.example.com/users/dev{n}",
            "repos_url": f"https://api.example.com/users/dev{n}/repos",
            "type": "Bot" if n == 41 else "User",
            "site_admin": n in (3, 60),
        }
        for n in range(count)
    ]


def jobs(count: int = 50) -> Rows:
    return [
        {
            "id": 90_000 + n,
            "name": f"test ({'abc'[n % 3]}, 3.{n % 4 + 10})",
            "status": "completed",
            "conclusion": "failure" if n == 23 else "success",
            "duration": 100 + n * 7 % 40,
            "runner": {"id": n % 5, "labels": ["linux", "x64"]},
            "html_url": f"https://example.com/acme/shop/actions/runs/7/job/{90_000 + n}",
            "steps": [
                {"name": "checkout", "number": 1},
                {"name": "error: exit 2" if n == 31 else "pytest", "number": 2},
            ],
        }
        for n in range(count)
    ]


def events(count: int = 60) -> list[dict[str, Any]]:
    return [
        {
            "kind": "Event",
            "metadata": {
                "name": f"checkout-api-7d9f8b6c5-x{n:03d}.17c{n:05x}",
                "namespace": "shop",
                "uid": uuid(n),
                "creationTimestamp": f"2026-03-01T08:{n:02d}:00Z",
            },
            "reason": "FailedMount" if n == 44 else ("Pulled", "Created", "Started")[n % 3],
            "note": "MountVolume failed: secret tls-shop not found"
            if n == 44
            else f"all is well with container {uuid(n)}",
            "type": "Warning" if n == 44 else "Normal",
            "count": 1,
            "source": {"component": "kubelet", "host": f"node-{n % 4}"},
        }
        for n in range(count)
    ]


def images(count: int) -> Rows:
    return [
        {"name": f"ghcr.io/acme/app-{n}", "digest": f"sha256:{digest(n + 1)}", "layers": [f"sha256:{digest(n + 9)}"]}
        for n in range(count)
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_orders(indent: int | None) -> None:
    rows = orders()
    rows[21]["status"] = "chargeback"
    rows[33]["total"] = 98765.5
    rows[40]["note"] = "call before delivery"
    rows[47]["customer"]["email"] = "error: lookup timed out"
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    line = folded(text)
    assert line is not None and len(line) < 0.35 * len(text)
    said = read(line)
    assert said["$of"] == 60 == len(said["$whole"]) + len(said["$brief"])
    for n in (0, 21, 33, 40, 47):
        assert rows[n] in said["$whole"]
    for row in said["$brief"]:
        rows_own = rows[row["id"] - 1000]
        assert {name: rows_own[name] for name in ("id", "total", "status")} == {
            name: row[name] for name in ("id", "total", "status")
        }
        assert row["customer"]["name"] == rows_own["customer"]["name"]
    everything = json.dumps(said["$brief"])
    assert "@mail" not in everything and "https:" not in everything and "-1b2c-" not in everything
    assert said["$rest"]["created_at"].startswith("<2026-03-0") and "…2026-03-28T" in said["$rest"]["created_at"]


def test_a_list_of_users() -> None:
    rows = users()
    said = brief(rows)
    for n in (0, 3, 41, 60):  # the first, the only bot, the two admins
        assert rows[n] in said["$whole"]
    logins = [row["login"] for row in said["$whole"] + said["$brief"]]
    assert sorted(logins) == sorted(row["login"] for row in rows)
    assert not any(name.endswith("url") for row in said["$brief"] for name in row)


def test_a_list_of_jobs_keeps_what_failed_even_within_a_list() -> None:
    rows = jobs()
    said = brief({"total_count": 50, "jobs": rows}, indent=2)
    assert said["total_count"] == 50
    assert rows[23] in said["jobs"]["$whole"] and rows[31] in said["jobs"]["$whole"]
    assert {row["name"] for row in said["jobs"]["$brief"]} <= {row["name"] for row in rows}
    assert not any("steps" in row for row in said["jobs"]["$brief"])


def test_events_of_kubernetes_keep_the_warning() -> None:
    items = events()
    said = brief({"apiVersion": "v1", "kind": "List", "items": items}, indent=4)
    assert items[44] in said["items"]["$whole"] and len(said["items"]["$whole"]) < 6
    assert "checkout-api-7d9f8b6c5-x017" in json.dumps(said["items"]["$brief"])


@pytest.mark.parametrize("count", [4, 30])
def test_digests_of_images_are_cut_however_many_there_are(count: int) -> None:
    line = folded(json.dumps(images(count), indent=2))
    assert line is not None
    assert "ghcr.io/acme/app-3" in line and f"sha256:{digest(1)[:12]}…" in line and digest(1)[:13] not in line


def test_lines_of_json_are_a_list_too() -> None:
    rows = orders()
    line = folded("\n".join(map(json.dumps, rows)) + "\n")
    assert line is not None and line.startswith('{"$lines":{"$of":60,')


def test_lists_within_lists_are_each_said_in_brief() -> None:
    said = brief({"shops": [{"city": "Oslo", "orders": orders(30)}, {"city": "Bergen", "orders": orders(40)}]})
    assert [shop["orders"]["$of"] for shop in said["shops"]] == [30, 40]
    assert [shop["city"] for shop in said["shops"]] == ["Oslo", "Bergen"]


def test_rows_of_several_sorts_keep_the_seldom_one() -> None:
    rows: Rows = [
        {"id": n, "type": "click", "url": f"https://shop.example/{uuid(n)}", "button": f"b{n % 3}"}
        if n % 2
        else {"id": n, "type": "view", "url": f"https://shop.example/{uuid(n)}", "seconds": n}
        for n in range(60)
    ]
    rows[35] = {"id": 35, "type": "refund", "amount": 12.5, "reason": {"code": 7, "text": "broken"}}
    said = brief(rows)
    assert rows[35] in said["$whole"] and len(said["$whole"]) < 6
    assert {row["type"] for row in said["$brief"]} == {"click", "view"}


@pytest.mark.parametrize(
    "number", ["1.10", "1e5", "1E+05", "-0.0", "-0", "123456789012345678901234567890", "0.1e-400", "1e0" + "0" * 40]
)
def test_numbers_keep_the_text_they_were_written_with(number: str) -> None:
    rows = [f'{{"id": {n}, "rate": {number if n in (0, 9) else n}, "mail": "{mail(n)} {uuid(n)}"}}' for n in range(20)]
    line = folded("[" + ",\n".join(rows) + "]")
    if line is None:
        assert len(number) > 40  # it looks like a digest
        return
    assert f",{number}," in line or f":{number}" in line or f",{number}]" in line


@pytest.mark.parametrize("name", ['say "hi"', "two\nlines", "tab\tand \\ too", "Zoë \N{FIRE} 東京", "\x00\x1f\u2028"])
def test_strings_of_any_signs_are_written_as_json(name: str) -> None:
    rows = [{"id": n, "name": f"{name} {n}", "mail": mail(n) + uuid(n)} for n in range(30)]
    for ascii_only in (True, False):
        said = brief(rows, ensure_ascii=ascii_only)
        assert [row["name"] for row in said["$whole"] + said["$brief"] if row["id"] == 17] == [f"{name} 17"]


def test_fields_with_names_of_ours_are_escaped() -> None:
    rows = [{"$of": n, "$brief": f"name {n % 3}", "$whole": mail(n) + uuid(n), "a.b": n % 2} for n in range(30)]
    said = brief({"$rest": rows})
    assert said["$rest"]["$of"] == 30
    first = said["$rest"]["$whole"][0]
    assert first == rows[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"a":1}\nnot json',
        json.dumps(orders(4)),
        json.dumps([{f"field {n} {at}": uuid(n * 9 + at) for at in range(5)} for n in range(30)]),
        json.dumps([{"id": n, "n": n * n} for n in range(50)], separators=(",", ":")),
        json.dumps([*orders(), "a stray text"]),
        json.dumps(["one", "two"] * 30),
        json.dumps([{**row, "x": "\ud800"} for row in orders()]),
        json.dumps([{**row, "x": "\ud800"} for row in orders()], ensure_ascii=False),
        '[{"a": 1, "a": 2}' + ', {"a": 3, "b": "some text"}' * 40 + "]",
        "[" * 200 + json.dumps(orders()) + "]" * 200,
        "[" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
    ],
    ids=lambda text: text[:14],
)
def test_what_has_no_routine_or_would_lose_something_stays(text: str) -> None:
    line = folded(text)
    assert line is None or "$brief" not in line


# ------------------------------------------------------------------------------------------ numbers


def matrix(pods: int, points: int) -> dict[str, Any]:
    series = [
        {
            "metric": {"__name__": "latency", "pod": f"api-{pod}"},
            "values": [
                [1_700_000_000 + 15 * at, "900.5" if (pod, at) == (1, 30) else f"{10 + at * 7 % 13}.5"]
                for at in range(points)
            ],
        }
        for pod in range(pods)
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": series}}


@pytest.mark.parametrize("pods", [3, 12])
def test_a_matrix_of_prometheus_keeps_ends_ranges_and_what_is_far_off(pods: int) -> None:
    said = brief(matrix(pods, 60))["data"]["result"]
    values = said[1]["values"]
    assert said[1]["metric"] == {"__name__": "latency", "pod": "api-1"}
    assert values["$of"] == 60 and values["$values"] == "<10.5…900.5>" and values["$far"] == [[1_700_000_450, "900.5"]]
    assert values["$first"][0] == [1_700_000_000, "10.5"] and values["$last"][-1][0] == 1_700_000_000 + 15 * 59
    assert said[2]["values"]["$values"] == "<10.5…22.5>" and "$far" not in said[2]["values"]


def test_a_list_of_numbers_is_a_series_and_a_short_one_stays() -> None:
    said = brief({"cpu": [n * 37 % 101 for n in range(500)], "few": [3, 1, 4, 1, 5]})
    assert said["few"] == [3, 1, 4, 1, 5]
    assert said["cpu"]["$of"] == 500 and said["cpu"]["$values"] == "<0…100>"
    assert said["cpu"]["$first"][:2] == [0, 37] and said["cpu"]["$last"][-1] == 499 * 37 % 101


@pytest.mark.parametrize(
    "number", [lambda n: n - 50, lambda n: n * 1e-7, lambda n: -n, lambda n: n**40, lambda n: 1e300 * n], ids=range(5)
)
def test_numbers_of_any_form_keep_their_ends_or_stay(number: Callable[[int], float]) -> None:
    values = [number(n * 37 % 101) for n in range(100)]
    line = folded(json.dumps({"series": values}))
    said: Any = values if line is None else read(line)["series"]
    assert said == values or (said["$of"] == 100 and said["$first"][0] == values[0] and said["$last"][-1] == values[-1])


@pytest.mark.parametrize(
    "second",
    [
        lambda n: {"id": n, "name": f"name {n}"},
        lambda n: [n, f"step {n}"],
        lambda n: "open" if n % 3 else "closed",
        lambda n: uuid(n),
        lambda n: None,
        lambda n: n * 1.37e-9,
    ],
    ids=["objects", "lists", "states", "ids", "null", "tiny"],
)
def test_pairs_of_which_each_counts_all_stay(second: Callable[[int], Any]) -> None:
    pairs = [[n, second(n)] for n in range(50)]
    line = folded(json.dumps({"pairs": pairs}, indent=2))
    assert line is None or read(line)["pairs"] == pairs


def test_places_on_a_map_are_no_series() -> None:
    places = [[13.1 + n * 7 % 10 / 8, 52.5 + n / 8] for n in range(50)]
    line = folded(json.dumps({"coordinates": places}, indent=2))
    assert line is None or read(line)["coordinates"] == places


# ------------------------------------------------------------------------------------------ whatever it is

NAMES = st.sampled_from(["id", "name", "user", "a", "a.b", "$rest", "", "error"]) | st.text(max_size=3)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "open", "https://a.b/c/1", "2024-05-01T10:00:00Z", "x" * 50, digest(5), uuid(5), "\0\n"])
    | st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=15
)


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Long lists of objects that are somewhat alike."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    few = {name: draw(st.lists(VALUES, min_size=1, max_size=4)) for name in names}
    count, skip = draw(st.integers(2, 45)), draw(st.integers(2, 9))
    return [
        {
            **{name: few[name][n * (at + 2) % len(few[name])] for at, name in enumerate(names) if (n + at) % skip},
            "number": n,
            "mail": mail(n),
        }
        for n in range(count)
    ]


@CALM
@forall(VALUES | tables() | st.lists(tables(), max_size=2) | st.dictionaries(NAMES, tables(), max_size=2))
def test_any_json_gets_shorter_and_stays_json_or_is_left(value: Any) -> None:
    for indent in (None, 2):
        text = json.dumps(value, indent=indent)
        line = folded(text)
        assert line == folded(text)
        assert line is None or (len(line) < len(text) and decode(line) is not None)


@CALM
@forall(st.text() | st.text(alphabet='{}[]",:0-1.eE\\ntru \n'))
def test_whatever_it_is_it_never_fails(text: str) -> None:
    line = folded(text)
    assert line is None or len(line) < len(text)


@CALM
@forall(
    st.data(),
    st.integers(40, 70),
    st.sampled_from(["error", "disk error on sda1", "java.io.IOException: no route", "errors: 3 of 4 lost an error"]),
)
def test_rare_errors_are_whole_wherever_they_stand(data: st.DataObject, count: int, text: str) -> None:
    rows = orders(count)
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=count // 20))
    where = data.draw(st.sampled_from(["status", "url", "customer", "last_error", "steps"]))
    for n in bad:
        if where == "customer":
            rows[n]["customer"]["email"] = text
        else:
            rows[n][where] = text
    if where == "steps":
        for n, row in enumerate(rows):
            row["steps"] = ["build", {"name": text if n in bad else "deploy"}]
    said = brief(rows)
    assert all(rows[n] in said["$whole"] for n in bad)


def nasty() -> Sequence[str]:
    deep: Any = {"end": 1}
    for _ in range(30):
        deep = {"a": deep, "b": [1, 2], "c": {}}
    nested: Any = [{"i": n, "s": f"text number {n}"} for n in range(100)]
    for _ in range(45):
        nested = [{"a": nested, "i": 1}]
    return [
        "[" + ",".join(f'{{"a":{n}}}' for n in range(60_000)) + "]",
        json.dumps([{f"k{n}": n for n in range(30_000)}]),
        json.dumps([{f"k{n}": n * r for n in range(2_000)} for r in range(9)]),
        json.dumps([{f"k{n}": {"x": n}} for n in range(10_000)]),
        json.dumps([deep] * 40),
        json.dumps([{"a": {f"k{n}": {f"l{n}": n}}} for n in range(5_000)]),
        json.dumps([{"id": n, "text": f"{n} " + "x7 y" * 5_000} for n in range(20)]),
        json.dumps(["1" * 400] * 5 + [[10**400 + n for n in range(40)]]),
        json.dumps([{"n": n, "x": nested} for n in range(20)]),
        "\n".join(["{}"] * 50_000),
    ]


@pytest.mark.parametrize("text", nasty(), ids=range(10))
def test_nasty_documents_are_read_in_time(text: str) -> None:
    line = folded(text)
    assert line is None or len(line) < len(text)


# ------------------------------------------------------------------------------------------ in the pipeline


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(orders()),
        json.dumps(users(), indent=2),
        json.dumps({"items": events()}, indent=4),
        json.dumps(matrix(4, 90)),
        json.dumps(images(6), indent=2),
        "\n".join(map(json.dumps, orders(40))),
        "The jobs of that run:\n\n```json\n" + json.dumps({"jobs": jobs()}, indent=2) + "\n```\n\nWhich failed?",
    ],
    ids=["orders", "users", "events", "matrix", "images", "lines", "fenced"],
)
def test_what_is_said_in_brief_expands_to_the_same_bytes(text: str) -> None:
    turn = Turn(text=text, role="tool", name="http")
    once = compress([turn], SAFE)
    (short,) = once.texts
    assert short is not None and {cut.strategy for cut in once.cuts} == {"rows"} and once.after < 0.6 * once.before
    assert expand(short, once.blobs.get) == text
    if "```" not in text:
        json.loads(short)
    else:
        assert short.startswith("The jobs of that run:\n\n```json\n{") and short.endswith("}\n```\n\nWhich failed?")
        json.loads(short.split("\n")[3])
    twice = compress([Turn(text=short, role="tool", name="http")], SAFE)
    assert twice.texts == (short,) and not twice.cuts


def test_without_loss_nothing_is_said_in_brief() -> None:
    once = compress([Turn(text=json.dumps(orders()), role="tool")], Folding(level="lossless", model="gpt-4o"))
    assert {cut.strategy for cut in once.cuts} == {"json"}
    assert all(row["token"] in (once.texts[0] or "") for row in orders())


@pytest.mark.parametrize(
    ("time", "level", "said"), [("time", "level", "msg"), ("ts", "severity", "event"), ("@timestamp", "lvl", "message")]
)
def test_what_a_program_logged_goes_to_the_logs(time: str, level: str, said: str) -> None:
    lines = [
        json.dumps(
            {
                time: f"2026-03-01T08:{n // 60:02d}:{n % 60:02d}.{n * 37 % 1000:03d}Z",
                level: "error" if n == 70 else "info",
                said: "could not charge order 4711" if n == 70 else f"order {1000 + n} was placed by worker-{n % 4}",
            }
        )
        for n in range(120)
    ]
    once = compress([Turn(text="\n".join(lines), role="tool", name="bash")], SAFE)
    assert {cut.strategy for cut in once.cuts} == {"logs"}
    assert "could not charge order 4711" in (once.texts[0] or "")


def test_the_strategy_is_safe() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("rows", "safe", ["json"])
