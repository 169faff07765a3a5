"""What holds for every fold of text, whatever it is given."""

import random

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Fold, Section
from cca.tokens.strategies import build, log, noise, tests, trace

CALM = settings(deadline=None, max_examples=40)
FOLDS = (*log.FOLDS, *tests.FOLDS, *build.FOLDS, *trace.FOLDS, *noise.FOLDS)
each = pytest.mark.parametrize("fold", FOLDS, ids=[fold.name for fold in FOLDS])

LINE = (
    st.text(max_size=40)
    | st.text(st.sampled_from("a1 .:=|\t\r\x1b\x08\0[]#'\"é…✓\ud800"), max_size=40)
    | st.sampled_from(
        [
            "",
            "2024-01-01T10:00:00Z INFO a b=1",
            "2024-01-01T10:00:01Z INFO a b=2",
            "2024-01-01T10:00:02Z ERROR x",
            "Traceback (most recent call last):",
            '  File "/a/b.py", line 3, in f',
            "    x()",
            "ValueError: 1",
            "Caused by: java.lang.X: y",
            "\tat java.lang.A.b(A.java:1)",
            "goroutine 1 [running]:",
            "   0: core::panic",
            "             at /rustc/a/b.rs:1:1",
            "a.py::b PASSED [ 1%]",
            "=== RUN   TestA",
            "--- PASS: TestA (0.00s)",
            "ok 1 - a",
            "  ---",
            "  ...",
            "test a::b ... ok",
            "  ✓ does (3 ms)",
            "  suite",
            "PASS a.ts",
            "= FAILURES =",
            "=== FAILURES ===",
            "___ t ___",
            "E   assert",
            "a.c:1:2: warning: unused 'x' [-Wunused]",
            "warning: unused `x`",
            " --> a.rs:1:2",
            "  | ^",
            "   Compiling a v1.0",
            "Collecting a",
            "#1 0.5 Setting up a (1.0) ...",
            "gcc -c a.c -o a.o " + "-I/include " * 9,
        ]
    )
)
LINES = st.lists(LINE, max_size=60) | st.lists(LINE, min_size=1, max_size=6).map(lambda lines: lines * 12)


def size(lines: list[str]) -> int:
    return sum(map(len, lines)) + len(lines)


@each
@CALM
@forall(LINES)
def test_whatever_it_is_given_a_fold_gives_fewer_characters_or_nothing(fold: Fold, lines: list[str]) -> None:
    lines = [line.replace("\n", " ") for line in lines]
    for kind in sorted(fold.kinds):
        section = Section(tuple(lines), kind)
        out = fold.fold(section)
        assert out == fold.fold(section)
        if out is not None:
            assert all("\n" not in line for line in out)
            assert size(list(out)) < size(lines)


@each
def test_nothing_is_left_alone(fold: Fold) -> None:
    for lines in ((), ("",), ("one line",)):
        assert fold.fold(Section(lines, next(iter(sorted(fold.kinds))))) is None


def nasty() -> dict[str, list[str]]:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(2_000)]
    half = 150_000
    return {
        "one line": ["a" * half],
        "one line of blanks": [" " * half],
        "one line of digits": ["1" * half],
        "one line of numbers": ["12 " * (half // 3)],
        "one line of hex": ["af0" * (half // 3)],
        "one line of dots": ["1." * (half // 2)],
        "one line of slashes": ["/a" * (half // 2)],
        "one line of escapes": ["\x1b[" * (half // 2)],
        "one line of returns": ["ab\r" * (half // 3)],
        "random words": [" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(6_000)],
        "random words with times": [f"2024-01-01T00:00:00Z {' '.join(rng.choices(words, k=4))}" for _ in range(3_500)],
        "short lines": ["a"] * (half // 4),
        "distinct errors": [f"ERROR {number} {' '.join(rng.choices(words, k=2))}" for number in range(8_000)],
        "frames": [f" from x{number % 7}" for number in range(half // 9)],
        "results": ["a.py::" * 80 + " x"] * 300,
        "dots": ["a ... " * 80] * 300,
        "percents": ["1% 2 " * 100] * 300,
        "brackets": ["Requirement already satisfied: " + "a (" * 150] * 300,
        "flags": ["/bin/sh libtool " + "--mode " * 150] * 150,
        "quotes": ["a:1: warning: " + "'" * 400] * 300,
        "surrogates": ["\ud800 \x00 é 1"] * 15_000,
    }


@each
def test_nasty_input_comes_to_an_end(fold: Fold) -> None:
    # Whatever were quadratic here would take hours.
    kind: ContentKind = "log" if "log" in fold.kinds else sorted(fold.kinds)[0]
    for name, lines in nasty().items():
        out = fold.fold(Section(tuple(lines), kind))
        assert out is None or size(list(out)) < size(lines), name
