"""Text that looks like what agents read, and text that is out to break what takes it apart."""

import json

from hypothesis import strategies as st

from cca.contracts.tokens import Folding, Level, Speaker, Turn
from cca.tokens.counting import o200k
from cca.tokens.markers import LEGEND

GPT = "gpt-4o"


def folding(level: Level = "safe", **rest: object) -> Folding:
    return Folding(level=level, model=GPT, **rest)  # type: ignore[arg-type]  # any of its fields


def log(n: int, seed: int = 0) -> str:
    lines = []
    for at in range(n):
        second = at + 60 * seed
        lines.append(
            f"2026-11-22T14:{second // 60 % 60:02d}:{second % 60:02d}.{at * 37 % 1000:03d}Z INFO  [worker-{at % 7}] "
            f"GET /api/items/{at * 13 % 400} 200 in {at * 7 % 90}ms"
        )
        if at % 40 == 39:
            lines.append(
                f"2026-11-22T14:{second // 60 % 60:02d}:{second % 60:02d}.999Z ERROR [worker-1] db-{at} refused"
            )
    return "\n".join(lines)


def records(n: int, seed: int = 0) -> list[dict[str, object]]:
    return [
        {
            "id": at,
            "name": f"user{at}",
            "status": "active" if (at + seed) % 9 else "idle",
            "city": "Oslo",
            "score": at * 3,
        }
        for at in range(n)
    ]


def document(n: int, seed: int = 0, indent: int | None = 2) -> str:
    return json.dumps(records(n, seed), indent=indent)


def rows(n: int, seed: int = 0) -> str:
    return "\n".join(json.dumps(each) for each in records(n, seed))


CODE = '''"""What a basket costs."""

import math
from dataclasses import dataclass


@dataclass
class Basket:
    """Things and their prices."""

    prices: list[float]

    def total(self, tax: float = 0.25) -> float:
        """With tax."""
        # Rounded up: the shop never loses.
        net = sum(self.prices)
        if net < 0:
            raise ValueError("prices are not negative")
        return math.ceil(net * (1 + tax) * 100) / 100


def cheapest(baskets: list[Basket]) -> Basket:
    best = baskets[0]
    for basket in baskets:
        if basket.total() < best.total():
            best = basket
    return best
'''
TESTS = "\n".join(
    [
        "============================= test session starts ==============================",
        "platform linux -- Python 3.11.2, pytest-8.3.3, pluggy-1.5.0",
        "rootdir: /repo",
        "collected 60 items",
        "",
        *(f"tests/test_basket_{at % 5}.py::test_case_{at} PASSED{' ' * 20}[{100 * at // 59:3d}%]" for at in range(59)),
        "tests/test_basket_3.py::test_total FAILED                                [100%]",
        "",
        "=================================== FAILURES ===================================",
        "__________________________________ test_total __________________________________",
        "",
        "    def test_total():",
        ">       assert Basket([1.0]).total() == 1.24",
        "E       assert 1.25 == 1.24",
        "",
        "tests/test_basket_3.py:33: AssertionError",
        "=========================== short test summary info ============================",
        "FAILED tests/test_basket_3.py::test_total - assert 1.25 == 1.24",
        "========================= 1 failed, 59 passed in 3.21s =========================",
    ]
)
DIFF = """diff --git a/shop/basket.py b/shop/basket.py
index 83db48f..bf2a1c3 100644
--- a/shop/basket.py
+++ b/shop/basket.py
@@ -14,6 +14,6 @@ class Basket:
     def total(self, tax: float = 0.25) -> float:
         net = sum(self.prices)
-        return net * (1 + tax)
+        return math.ceil(net * (1 + tax) * 100) / 100

 def cheapest(baskets):
     best = baskets[0]
"""
SEARCH = "\n".join(
    f"shop/{name}.py:{line}:    return basket.total() * {line}"
    for name in ("basket", "order", "invoice")
    for line in range(10, 90, 9)
)
TRACE = """Traceback (most recent call last):
  File "/repo/shop/app.py", line 41, in main
    order = place(basket)
  File "/repo/shop/order.py", line 17, in place
    total = basket.total()
  File "/repo/shop/basket.py", line 18, in total
    raise ValueError("prices are not negative")
ValueError: prices are not negative"""
TABLE = "\n".join(
    ["| id | name | total |", "|----|------|-------|", *(f"| {at} | order {at} | {at * 7} |" for at in range(30))]
)
LISTING = "\n".join(
    ["total 120", *(f"-rw-r--r-- 1 root root {at * 31:5d} Nov 22 14:{at:02d} module_{at}.py" for at in range(30))]
)
BUILD = "\n".join(
    [
        *(f"   Compiling crate-{at} v1.{at}.0" for at in range(40)),
        "warning: unused variable: `x`",
        "  --> src/main.rs:3:9",
        "error[E0308]: mismatched types",
        "    Finished dev [unoptimized + debuginfo] target(s) in 12.3s",
    ]
)
PROSE = (
    "We decided to round up, because the shop never loses.\n\n"
    "The basket is counted when the order is placed; what happens after that is none of its business.\n"
    "Please look at shop/basket.py and tell me whether the tax of order 4711 is right?"
)
NUMBERED = "\n".join(f"{at:6d}\t{line}" for at, line in enumerate(CODE.split("\n"), 1))
FRAGMENTS = (
    NUMBERED, NUMBERED.replace("\t", "→")[7:],
    log(60), log(90, 1), document(30), document(30, 2), document(12, 1, None), rows(25), CODE, TESTS, DIFF, SEARCH,
    TRACE, TABLE, LISTING, BUILD, PROSE, "```python\n" + CODE + "```", "```json\n" + document(20) + "\n```",
    "~~~~\n" + log(40) + "\n~~~~", "```", "````", "$ pytest -q\n" + TESTS, "}\n}\n\n}\n", "=" * 80, "", " ",
    f"[ctx:{'a2' * 10} 40 lines; next 3]\none\ntwo\nthree", f"[ctx:{'b3' * 10} 4 lines; next 9999999]",
    f'{{"$ctx":"{"c4" * 10}","$v":[1,2,3]}}', f"[ctx:{'d5' * 10} 12 log lines]", "[ctx:not a marker]", "null", "[1, 2",
    "a\rb\r\nc", "\x00\x1b[31mred\x1b[0m", "\ud800 alone", "\N{FIRE}" * 50, "x" * 3000,
)  # fmt: skip
"""Pieces of transcripts, and of what is not one."""

ARBITRARY = st.text(st.characters() | st.sampled_from('\n\r\t `~{}[]:,"0\x00\x85\u2028\ud800'), max_size=80)
PIECES = st.sampled_from(FRAGMENTS) | ARBITRARY
TEXTS = st.lists(PIECES, min_size=1, max_size=5).map("\n".join) | st.sampled_from(FRAGMENTS)
NAMES = st.sampled_from([None, "bash", "read_file shop/basket.py", "grep", "http", "pytest -q", "a.json", "x.csv"])
ROLES: st.SearchStrategy[Speaker] = st.sampled_from(["tool", "tool", "user", "assistant", "system"])
TURNS = st.lists(
    st.builds(Turn, text=TEXTS, role=ROLES, name=NAMES, pinned=st.sampled_from([False] * 7 + [True])),
    min_size=1,
    max_size=7,
)
LEVELS: st.SearchStrategy[Level] = st.sampled_from(["lossless", "safe", "strong"])

__all__ = ["LEGEND", "o200k"]


def fences(text: str) -> tuple[int, bool]:
    """How many fences a text has that open or close a block, and whether one is open at its end."""
    opened = ""
    count = 0
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        if len(line) - len(bare) > 3 or bare[:3] not in ("```", "~~~"):
            continue
        run = len(bare) - len(bare.lstrip(bare[0]))
        rest = bare[run:]
        if not opened:
            if bare[0] == "`" and "`" in rest:
                continue
            opened = bare[:run]
        elif bare[0] == opened[0] and run >= len(opened) and not rest.strip():
            opened = ""
        else:
            continue
        count += 1
    return count, bool(opened)
