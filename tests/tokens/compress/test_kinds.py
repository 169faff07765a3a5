"""What kind of text some lines are."""

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.compress import pieces

from cca.contracts.tokens import ContentKind
from cca.tokens.kinds import classify
from cca.tokens.languages import language_of

GO_TEST = (
    "=== RUN   TestTotal\n--- PASS: TestTotal (0.00s)\n=== RUN   TestTax\n--- FAIL: TestTax (0.01s)\n"
    "FAIL\tshop/basket\t0.02s"
)
CARGO_TEST = (
    "running 2 tests\ntest basket::total ... ok\ntest basket::tax ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed"
)
JEST = "PASS src/basket.test.ts\n  ✓ adds up (3 ms)\n  ✕ rounds (1 ms)\n\nTests:       1 failed, 1 passed, 2 total"
TAP = "TAP version 13\n1..3\nok 1 - adds up\nnot ok 2 - rounds\nok 3 - is empty"
UNITTEST = (
    "test_total (shop.Basket) ... ok\ntest_tax (shop.Basket) ... FAIL\n\nRan 2 tests in 0.003s\n\nFAILED (failures=1)"
)
SYSLOG = "\n".join(
    f"Nov 22 14:48:{at:02d} host sshd[{at}]: Accepted publickey for root from 10.0.0.{at}" for at in range(9)
)
ACCESS = "\n".join(f'10.0.0.{at} - - [22/Nov/2026:14:48:{at:02d} +0000] "GET / HTTP/1.1" 200 {at}' for at in range(9))
KLOG = "\n".join(f"I1122 14:48:{at:02d}.123456       1 leader.go:{at}] renewed lease" for at in range(9))
JAVA = (
    'Exception in thread "main" java.lang.IllegalStateException: no tax\n'
    "\tat shop.Basket.total(Basket.java:18)\n\tat shop.Order.place(Order.java:44)\n\t... 12 more\n"
    "Caused by: java.io.IOException: closed\n\tat shop.Rates.read(Rates.java:7)"
)
PSQL = " id | name  | total\n----+-------+-------\n  1 | one   |     7\n  2 | two   |    14\n(2 rows)"
CSV = "id,name,total\n1,one,7\n2,two,14\n3,three,21"
PS = "PID   USER   CPU   COMMAND\n1     root   0.0   init\n42    www    1.2   nginx\n57    db     9.9   postgres"
FIND = "\n".join(f"./shop/module_{at}/basket.py" for at in range(8))
TREE = ".\n├── README.md\n├── shop\n│   ├── basket.py\n│   └── order.py\n└── tests\n\n2 directories, 3 files"
RG = "shop/basket.py\n12:    def total(self):\n18:        return total\n\nshop/order.py\n4:    total = basket.total()"
DOCKER = "\n".join(
    ["#5 [2/7] RUN apt-get update", *(f"#5 {at}.12 Get:{at} http://deb.debian.org" for at in range(6)), "#5 DONE 9s"]
)
NPM = "npm warn deprecated glob@7.2.3: old\nnpm warn deprecated rimraf@3.0.2: old\n\nadded 412 packages in 9s"
PIP = (
    "Collecting requests\n  Using cached requests-2.32.3.whl\n"
    "Requirement already satisfied: idna in /usr/lib\nSuccessfully installed requests-2.32.3"
)
MAKE = (
    "make[1]: Entering directory '/src'\ngcc -O2 -c -o basket.o basket.c\n"
    "basket.c:7:9: warning: unused variable\nmake[1]: Leaving directory '/src'"
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (pieces.PROSE, "prose"), (pieces.CODE, "code"), (pieces.log(20), "log"), (pieces.document(5), "json"),
        (pieces.rows(5), "json"), (pieces.TESTS, "tests"), (pieces.DIFF, "diff"), (pieces.SEARCH, "search"),
        (pieces.TRACE, "trace"), (pieces.TABLE, "table"), (pieces.LISTING, "listing"), (pieces.BUILD, "build"),
        (GO_TEST, "tests"), (CARGO_TEST, "tests"), (JEST, "tests"), (TAP, "tests"), (UNITTEST, "tests"),
        (SYSLOG, "log"), (ACCESS, "log"), (KLOG, "log"), (JAVA, "trace"), (PSQL, "table"), (CSV, "table"),
        (PS, "table"), (FIND, "listing"), (TREE, "listing"), (RG, "search"), (DOCKER, "build"), (NPM, "build"),
        (PIP, "build"), (MAKE, "build"), ("", "prose"), (f"[ctx:{'a2' * 10} 12 log lines]", "folded"),
    ],
)  # fmt: skip
def test_a_kind_is_told_by_its_look(text: str, kind: ContentKind) -> None:
    assert classify(text.split("\n")) == kind


def test_colours_do_not_hide_a_log() -> None:
    assert classify([f"\x1b[32m{line}\x1b[0m" for line in pieces.log(20).split("\n")]) == "log"


@pytest.mark.parametrize(
    ("code", "language"),
    [
        (pieces.CODE, "python"),
        ("use std::fmt;\n\npub fn total(prices: &[f64]) -> f64 {\n    let mut sum = 0.0;\n    sum\n}", "rust"),
        ("package shop\n\nfunc Total(prices []float64) float64 {\n\tsum := 0.0\n\treturn sum\n}", "go"),
        ("export function total(prices) {\n  const sum = prices.reduce((a, b) => a + b);\n  return sum;\n"
         "}", "javascript"),
        ("interface Basket {\n  prices: number[];\n}\nexport const total = (b: Basket): number => 1;", "typescript"),
        ("package shop;\n\npublic class Basket {\n    private double total;\n"
         "    public double total() { return total; }\n}", "java"),
        ("#include <stdio.h>\n\nint main(void) {\n    printf(\"%d\", 1);\n    return 0;\n}", "c"),
        ("#include <vector>\n#include <string>\n\nnamespace shop {\nclass Basket {\npublic:\n"
         "  std::string name;\n};\n}", "cpp"),
    ],
)  # fmt: skip
def test_a_language_is_told_by_its_look(code: str, language: str) -> None:
    assert language_of(code.split("\n")) == language


@pytest.mark.parametrize(
    ("hint", "language"),
    [
        ("py", "python"),
        ("Rust", "rust"),
        ("read_file src/a.tsx", "typescript"),
        ("cat x/Makefile", "make"),
        ("bash", "shell"),
    ],
)
def test_a_hint_decides(hint: str, language: str) -> None:
    assert language_of(["???"], hint) == language


def test_nothing_tells_the_language_of_nothing() -> None:
    assert language_of([]) is None and language_of(["Hello there"], "no idea") is None


@settings(deadline=None, max_examples=100)
@forall(st.lists(pieces.ARBITRARY | st.sampled_from(pieces.FRAGMENTS)))
def test_anything_has_a_kind(lines: list[str]) -> None:
    assert classify(lines) == classify(list(lines))
