"""What test runners print: pytest, go test, cargo test, jest, each for the same suite before and after a fix."""

import random
from collections.abc import Sequence

from msgspec import Struct

from cca.bench.tokens.transcripts.words import Words, fill


class Failure(Struct):
    """A test that fails, and how it says so in the output of its runner."""

    test: str
    place: str
    assertion: str
    block: list[str]


class Suite(Struct):
    """Tests of a repository in their order, by file, and those that fail at first."""

    tests: list[tuple[str, str]]
    failures: list[Failure]

    @property
    def count(self) -> int:
        return len(self.tests)


NAMES = (
    "a_$thing_that_is_$adj_is_skipped",
    "$verb_keeps_the_$field",
    "$verb_twice_changes_nothing",
    "empty_$things_are_refused",
    "$field_is_rounded_half_even",
    "the_newest_$thing_wins",
    "$things_come_in_order_of_$field",
    "an_unknown_$field_$verbs",
    "$verb_$thing_without_$field",
    "$thing_moves_to_another_$thing2",
    "$adj_$things_are_listed_last",
    "$verb_of_$adj_$thing_fails",
    "limit_of_$small_$things",
    "$field_defaults_to_$field2",
    "round_trip_of_$thing",
    "$verb_is_retried_on_timeout",
    "parses_$field_with_unit",
    "$thing_survives_restart",
    "cursor_ends_after_last_$thing",
    "$verb_needs_permission",
)


def suite(rng: random.Random, runner: str, count: int, failing: int) -> Suite:
    """So many tests in files of 6 to 20, of which a few fail."""
    tests: list[tuple[str, str]] = []
    while len(tests) < count:
        words = Words(rng)
        file = {
            "pytest": fill("tests/$package/test_$part.py", words),
            "go": fill("github.com/$part2works/$package/internal/$part", words),
            "cargo": fill("$package::$part::tests", words),
            "jest": fill("src/$package/__tests__/$part.test.ts", words),
        }[runner]
        taken = set()
        for _ in range(rng.randint(6, 20)):
            name = fill(rng.choice(NAMES), Words(rng, thing=words["thing"]))
            if name not in taken:
                taken.add(name)
                tests.append((file, name))
    chosen = sorted(rng.sample(range(len(tests)), failing))
    make = {"pytest": _pytest_failure, "go": _go_failure, "cargo": _cargo_failure, "jest": _jest_failure}[runner]
    return Suite(tests, [make(rng, *tests[each]) for each in chosen])


def _numbers(rng: random.Random) -> tuple[str, str]:
    left = rng.choice((rng.randint(2, 400), rng.randint(1_000, 99_999), round(rng.uniform(1, 900), 2)))
    right = left + rng.choice((1, -1, 2, 10, 0.01 if isinstance(left, float) else 3))
    return f"{left:.2f}" if isinstance(left, float) else str(left), f"{right:.2f}" if isinstance(right, float) else str(
        right
    )


def _pytest_failure(rng: random.Random, file: str, name: str) -> Failure:
    words = Words(rng)
    left, right = _numbers(rng)
    line = rng.randint(20, 260)
    assertion = fill(f"assert {left} == {right}", words)
    test = f"{file}::test_{name}"
    block = [
        f"{'_' * 24} test_{name} {'_' * 24}",
        "",
        fill("    def test_" + name + "(store: $ThingStore) -> None:", words),
        fill('        $thing = store.$verb("$thing-$small", $field=$large)', words),
        fill("        store.$verb2($thing.id, $field2=$thing.$field2)", words),
        fill(">       assert store.get($thing.id).$field == $thing.expected", words),
        f"E       {assertion}",
        fill(f"E        +  where {left} = $Thing(id='$thing-$small', $field={left}, $field2='$adj').$field", words),
        "",
        f"{file}:{line}: AssertionError",
        fill("------------------------------ Captured log call -------------------------------", words),
        fill("WARNING  $package.$part:$part2.py:$small $thing $thing-$small $phrase", words),
    ]
    return Failure(test, f"{file}:{line}", assertion, block)


def _go_failure(rng: random.Random, file: str, name: str) -> Failure:
    left, right = _numbers(rng)
    part = file.rsplit("/", 1)[1]
    line = rng.randint(20, 260)
    assertion = f"{part}_test.go:{line}: got {left}, want {right}"
    return Failure(f"Test{_camel(name)}", f"{part}_test.go:{line}", assertion, [f"    {assertion}"])


def _cargo_failure(rng: random.Random, file: str, name: str) -> Failure:
    left, right = _numbers(rng)
    crate, part, _ = file.split("::")
    place = f"crates/{crate}/src/{part}.rs:{rng.randint(60, 300)}:9"
    assertion = f"  left: {left}\n right: {right}"
    block = [
        f"---- {crate}::{part}::tests::{name} stdout ----",
        "",
        f"thread '{crate}::{part}::tests::{name}' panicked at {place}:",
        "assertion `left == right` failed",
        f"  left: {left}",
        f" right: {right}",
        "",
    ]
    return Failure(f"{file}::{name}", place, assertion, block)


def _jest_failure(rng: random.Random, file: str, name: str) -> Failure:
    left, right = _numbers(rng)
    words = Words(rng)
    line = rng.randint(20, 260)
    said = name.replace("_", " ")
    assertion = f"    Expected: {left}\n    Received: {right}"
    block = [
        fill(f"  ● $thing store › {said}", words),
        "",
        "    expect(received).toBe(expected) // Object.is equality",
        "",
        f"    Expected: {left}",
        f"    Received: {right}",
        "",
        fill(f"      {line - 2} |     const $thing = await store.$verb('$thing-$small');", words),
        fill(f"      {line - 1} |     await store.$verb2($thing.id, {{ $fieldc: $large }});", words),
        fill(f"    > {line} |     expect((await store.get($thing.id)).$fieldc).toBe({left});", words),
        "         |                                                  ^",
        f"      {line + 1} |   }});",
        "",
        f"      at Object.<anonymous> ({file}:{line}:50)",
        "",
    ]
    return Failure(said, f"{file}:{line}", assertion, block)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def pytest_output(rng: random.Random, tests: Suite, failing: list[Failure], warnings: Sequence[str] = ()) -> str:
    """`pytest -v`."""
    wrong = {failure.test for failure in failing}
    lines = [
        "============================= test session starts ==============================",
        "platform linux -- Python 3.12.4, pytest-8.3.2, pluggy-1.5.0 -- /app/.venv/bin/python",
        "cachedir: .pytest_cache",
        (
            f"rootdir: /app\nconfigfile: pyproject.toml\nplugins: anyio-4.4.0, cov-5.0.0, xdist-"
            f"3.6.1\ncollecting ... collected {tests.count} items"
        ),
        "",
    ]
    for number, (file, name) in enumerate(tests.tests, start=1):
        test = f"{file}::test_{name}"
        outcome = "FAILED" if test in wrong else "PASSED"
        lines.append(f"{test} {outcome} ".ljust(74) + f"[{number * 100 // tests.count:3d}%]")
    if failing:
        lines += ["", "=================================== FAILURES ==================================="]
        lines += [line for failure in failing for line in failure.block]
    if warnings:
        lines += ["", "=============================== warnings summary ===============================", *warnings]
        lines += ["-- Docs: https://docs.pytest.org/en/stable/how-to/capture-warnings.html"]
    if failing:
        lines.append("=========================== short test summary info ============================")
        lines += [f"FAILED {failure.test} - {failure.assertion}" for failure in failing]
    return "\n".join([*lines, pytest_summary(rng, tests, failing, len(warnings) // 2)])


def pytest_summary(rng: random.Random, tests: Suite, failing: list[Failure], warnings: int) -> str:
    """The last line."""
    parts = [f"{len(failing)} failed"] * bool(failing) + [f"{tests.count - len(failing)} passed"]
    parts += [f"{warnings} warnings"] * bool(warnings)
    return f"================== {', '.join(parts)} in {rng.randint(4, 90)}.{rng.randint(10, 99)}s =================="


def go_output(rng: random.Random, tests: Suite, failing: list[Failure]) -> str:
    """`go test -v ./...`."""
    wrong = {failure.test: failure for failure in failing}
    lines: list[str] = []
    files = list(dict.fromkeys(file for file, _ in tests.tests))
    for file in files:
        bad = False
        for name in (f"Test{_camel(name)}" for each, name in tests.tests if each == file):
            took = f"({rng.choice((0.0, 0.0, 0.0, rng.random() / 5)):.2f}s)"
            lines.append(f"=== RUN   {name}")
            if name in wrong:
                bad = True
                lines += [*wrong[name].block, f"--- FAIL: {name} {took}"]
            else:
                lines.append(f"--- PASS: {name} {took}")
        took = f"{rng.randint(0, 3)}.{rng.randint(100, 999)}s"
        lines += ["FAIL", f"FAIL\t{file}\t{took}"] if bad else ["PASS", f"ok  \t{file}\t{took}"]
    return "\n".join([*lines, "FAIL"] if failing else lines)


def cargo_output(rng: random.Random, tests: Suite, failing: list[Failure]) -> str:
    """`cargo test`."""
    wrong = {failure.test for failure in failing}
    lines = [
        (
            f"    Finished `test` profile [unoptimized + debuginfo] target(s) in "
            f"{rng.randint(1, 60)}.{rng.randint(10, 99)}s"
        ),
        (
            f"     Running unittests src/lib.rs (target/debug/deps/{tests.tests[0][0].split('::')[0]}-"
            f"{rng.getrandbits(64):016x})"
        ),
        "",
        f"running {tests.count} tests",
    ]
    lines += [
        f"test {file}::{name} ... {'FAILED' if f'{file}::{name}' in wrong else 'ok'}" for file, name in tests.tests
    ]
    if failing:
        lines += ["", "failures:", ""] + [line for failure in failing for line in failure.block]
        lines += ["note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace", "", "failures:"]
        lines += [f"    {failure.test}" for failure in failing]
    result = "FAILED" if failing else "ok"
    took = f"{rng.randint(0, 20)}.{rng.randint(10, 99)}s"
    lines.append(
        f"\ntest result: {result}. {tests.count - len(failing)} passed; {len(failing)} failed; 0 ignored; 0 measured; "
        f"0 filtered out; finished in {took}"
    )
    return "\n".join(lines)


def jest_output(rng: random.Random, tests: Suite, failing: list[Failure]) -> str:
    """`npx jest --verbose`."""
    wrong = {(failure.place.rsplit(":", 1)[0], failure.test): failure for failure in failing}
    lines: list[str] = []
    files = list(dict.fromkeys(file for file, _ in tests.tests))
    red = 0
    for file in files:
        own = [name.replace("_", " ") for each, name in tests.tests if each == file]
        bad = [wrong[file, name] for name in own if (file, name) in wrong]
        red += bool(bad)
        lines.append(f"{'FAIL' if bad else 'PASS'} {file} ({rng.randint(1, 20)}.{rng.randint(100, 999)} s)")
        lines.append(f"  {file.split('/')[1]} {file.split('/')[-1].split('.')[0]}")
        lines += [f"    {'✕' if (file, name) in wrong else '✓'} {name} ({rng.randint(1, 90)} ms)" for name in own]
        lines += ["", *(line for failure in bad for line in failure.block)]
    passed = tests.count - len(failing)
    suites = f"{red} failed, " if red else ""
    single = f"{len(failing)} failed, " if failing else ""
    lines += [
        f"Test Suites: {suites}{len(files) - red} passed, {len(files)} total",
        f"Tests:       {single}{passed} passed, {tests.count} total",
        "Snapshots:   0 total",
        f"Time:        {rng.randint(5, 60)}.{rng.randint(100, 999)} s",
    ]
    return "\n".join(lines)
