"""Output of test runs, as the real runners print it: what passed is counted, what failed stays with its details."""

from cca.tokens.folds import Section
from cca.tokens.strategies.tests import runs


def folded(text: str) -> list[str]:
    out = runs(Section(tuple(text.split("\n")), "tests"))
    assert out is not None
    return list(out)


PYTEST_HEAD = """\
============================= test session starts ==============================
platform linux -- Python 3.11.7, pytest-8.3.2, pluggy-1.5.0
rootdir: /home/u/shop
collected 63 items
"""
PYTEST_FAILURES = """
=================================== FAILURES ===================================
_________________________________ test_bad[1] __________________________________

x = 1

    @pytest.mark.parametrize("x", [1, 2, 3])
    def test_bad(x):
>       helper(3)

tests/test_cart.py:134:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

x = 3

    def helper(x):
        a = 1
        b = 2
        c = 3
        d = 4
        e = 5
        f = 6
        g = 7
>       assert x == 4
E       assert 3 == 4

tests/test_cart.py:131: AssertionError
_________________________________ test_bad[2] __________________________________

x = 2

    @pytest.mark.parametrize("x", [1, 2, 3])
    def test_bad(x):
>       helper(3)

tests/test_cart.py:134:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

x = 3

    def helper(x):
        a = 1
        b = 2
        c = 3
        d = 4
        e = 5
        f = 6
        g = 7
>       assert x == 4
E       assert 3 == 4

tests/test_cart.py:131: AssertionError
"""
PYTEST_TAIL = """\
=============================== warnings summary ===============================
tests/test_cart.py::test_a
tests/test_cart.py::test_b
tests/test_cart.py::test_c
tests/test_cart.py::test_d
tests/test_user.py: 12 warnings
  /home/u/shop/db.py:142: DeprecationWarning: utcnow() is deprecated
    now = datetime.utcnow()

-- Docs: https://docs.pytest.org/en/stable/how-to/capture-warnings.html
============================= slowest 2 durations ==============================
4.02s call     tests/test_user.py::test_sync
0.91s setup    tests/test_user.py::test_login
=========================== short test summary info ============================
FAILED tests/test_cart.py::test_bad[1] - assert 3 == 4
FAILED tests/test_cart.py::test_bad[2] - assert 3 == 4
============= 2 failed, 58 passed, 2 skipped, 1 xfailed in 5.56s =============="""


def pytest_verbose() -> str:
    lines = [f"tests/test_cart.py::test_add[{number}] PASSED{' ' * 30}[ {number:2}%]" for number in range(30)]
    lines += ["tests/test_cart.py::test_bad[1] FAILED [ 50%]", "tests/test_cart.py::test_bad[2] FAILED [ 51%]"]
    lines += [f"tests/test_user.py::TestLogin::test_{number} PASSED [ 60%]" for number in range(28)]
    lines += [
        "tests/test_user.py::test_redis SKIPPED (needs redis) [ 98%]",
        "tests/test_user.py::test_later XFAIL [ 99%]",
    ]
    lines += ["tests/test_user.py::test_net RERUN [ 99%]", "tests/test_user.py::test_s3 SKIPPED (needs redis) [100%]"]
    return PYTEST_HEAD + "\n" + "\n".join(lines) + "\n" + PYTEST_FAILURES + PYTEST_TAIL


def test_passing_tests_of_pytest_are_counted_by_file() -> None:
    out = folded(pytest_verbose())
    assert "… 58 passed: tests/test_cart.py 30, tests/test_user.py 28" in out
    assert "… 1 failed as expected" in out
    assert "… 2 skipped: 'needs redis' x2" in out
    assert not any(" PASSED" in line for line in out)


def test_failures_of_pytest_stay_with_their_assertion_and_place() -> None:
    out = folded(pytest_verbose())
    for line in (
        "tests/test_cart.py::test_bad[1] FAILED [ 50%]",
        "tests/test_user.py::test_net RERUN [ 99%]",
        "x = 1",
        ">       helper(3)",
        ">       assert x == 4",
        "E       assert 3 == 4",
        "tests/test_cart.py:131: AssertionError",
        "  /home/u/shop/db.py:142: DeprecationWarning: utcnow() is deprecated",
        "4.02s call     tests/test_user.py::test_sync",
        "FAILED tests/test_cart.py::test_bad[2] - assert 3 == 4",
        PYTEST_TAIL.split("\n")[-1],
    ):
        assert line in out
    assert "    … 5 lines" in out and "        a = 1" not in out
    assert "… and 4 more places" in out


def test_a_failure_like_an_earlier_one_is_named() -> None:
    out = folded(pytest_verbose())
    assert out.count(">       assert x == 4") == 1
    at = out.index("… fails like test_bad[1]:")
    assert out[at + 1] == "E       assert 3 == 4"


def test_dots_of_pytest_are_counted_by_file() -> None:
    lines = [f"tests/test_{number}.py {'.' * 20}ss          [ {number}%]" for number in range(10, 40)]
    lines.insert(10, "tests/test_bad.py ....F.....")
    out = folded(PYTEST_HEAD + "\n".join(lines) + "\n=== 1 failed, 600 passed in 3.1s ===")
    assert any(line.startswith("… 660 ran without a failure: ") for line in out)
    assert "tests/test_bad.py ....F....." in out
    assert out[-1] == "=== 1 failed, 600 passed in 3.1s ==="


def test_slow_tests_that_passed_stay() -> None:
    lines = [f"--- PASS: TestA{number} (0.01s)" for number in range(40)]
    lines[7] = "--- PASS: TestSync (12.40s)"
    assert "--- PASS: TestSync (12.40s)" in folded("\n".join(lines))


def test_go_tests_are_counted_by_package() -> None:
    lines = []
    for number in range(30):
        name = f"TestCart{number}"
        lines += [
            f"=== RUN   {name}",
            f"=== RUN   {name}/sub",
            f"--- PASS: {name} (0.00s)",
            f"    --- PASS: {name}/sub (0.00s)",
        ]
    lines += ["=== RUN   TestBad", "    cart_test.go:34: got 3, want 4", "--- FAIL: TestBad (0.00s)"]
    lines += ["=== RUN   TestSkip", "    cart_test.go:35: needs redis", "--- SKIP: TestSkip (0.00s)", "FAIL"]
    lines += ["FAIL\tacme.io/shop/cart\t0.203s"]
    for number in range(9):
        lines += [f"=== RUN   TestP{number}", f"--- PASS: TestP{number} (0.00s)"]
    lines += ["PASS", "ok  \tacme.io/shop/price\t0.004s", "?   \tacme.io/shop/api\t[no test files]", "FAIL"]
    assert folded("\n".join(lines)) == [
        "… 69 passed: acme.io/shop/cart 60, acme.io/shop/price 9",
        "… 2 skipped: 'no test files' x1",
        "    cart_test.go:34: got 3, want 4",
        "--- FAIL: TestBad (0.00s)",
        "    cart_test.go:35: needs redis",
        "FAIL",
        "FAIL\tacme.io/shop/cart\t0.203s",
        "FAIL",
    ]


def test_cargo_tests_are_counted_by_module_and_the_panic_stays() -> None:
    lines = ["     Running unittests src/lib.rs (target/debug/deps/shop-9a41)", "", "running 33 tests"]
    lines += [f"test cart::adds_{number} ... ok" for number in range(30)]
    lines += ["test cart::later ... ignored, slow", "test cart::bad ... FAILED", "", "failures:", ""]
    lines += ["---- cart::bad stdout ----", "thread 'cart::bad' panicked at src/lib.rs:35:37:"]
    lines += [
        "assertion `left == right` failed: price",
        "  left: 3",
        " right: 4",
        "",
        "",
        "failures:",
        "    cart::bad",
        "",
    ]
    lines += ["test result: FAILED. 30 passed; 1 failed; 1 ignored; finished in 0.11s"]
    out = folded("\n".join(lines))
    assert out[2:5] == ["… 30 passed: cart 30", "… 1 skipped: 'slow' x1", "test cart::bad ... FAILED"]
    for line in lines[-12:]:
        assert line in out


def test_jest_titles_stay_above_what_failed() -> None:
    lines = ["PASS src/user.test.ts (5.1 s)", "  login", "    with a password"]
    lines += [f"      ✓ accepts {number} ({number} ms)" for number in range(20)]
    lines += ["    with a key", "      ○ skipped rotates", "FAIL src/cart.test.ts", "  cart", "    when empty"]
    lines += [f"      ✓ has {number} items" for number in range(20)] + ["      ✕ has a total (14 ms)", ""]
    lines += ["  ● cart › when empty › has a total", "", "    expect(received).toBe(expected)", "    Expected: 4"]
    lines += ["    Received: 3", "", "      at Object.<anonymous> (src/cart.test.ts:14:21)"]
    lines += ["      at Promise.then.completed (node_modules/jest-circus/build/utils.js:298:28)"] * 1
    lines += [
        "      at new Promise (<anonymous>)",
        "      at callAsync (node_modules/jest-circus/build/utils.js:231:10)",
    ]
    lines += [
        "      at run (node_modules/jest-circus/build/run.js:3:1)",
        "",
        "Tests:       1 failed, 40 passed, 41 total",
    ]
    out = folded("\n".join(lines))
    assert out[1] == "… 40 passed: src/user.test.ts 20, src/cart.test.ts 20"
    at = out.index("FAIL src/cart.test.ts")
    assert out[at : at + 4] == ["FAIL src/cart.test.ts", "  cart", "    when empty", "      ✕ has a total (14 ms)"]
    assert "  login" not in out
    assert "PASS src/user.test.ts (5.1 s)" in out, "it was slow"
    assert "    Expected: 4" in out and "    Received: 3" in out
    assert out[-1] == "Tests:       1 failed, 40 passed, 41 total"


def test_files_of_jest_without_their_tests_are_counted() -> None:
    lines = [f"PASS src/m{number}.test.ts" for number in range(20)]
    out = folded("\n".join([*lines, "FAIL src/x.test.ts", "Tests: 1 failed"]))
    assert out[0].startswith("… 20 files passed: src/… m0.test.ts, m1.test.ts, ")


def test_vitest_unittest_and_tap_are_understood() -> None:
    vitest = [f" ✓ src/m{number}.test.ts (12 tests) {number}ms" for number in range(20)]
    vitest += [" ❯ src/bad.test.ts (3 tests | 1 failed) 5ms", "   × adds 3ms", " Test Files  1 failed | 20 passed (21)"]
    out = folded("\n".join(vitest))
    assert out[0].startswith("… 240 passed: src/") and out[1:] == vitest[20:]
    unittest = [f"test_{number} (tests.test_a.TestA.test_{number}) ... ok" for number in range(20)]
    unittest += ["test_doc (tests.test_a.TestA.test_doc)", "Says what it does. ... ok"]
    unittest += [
        "test_x (tests.test_a.TestA.test_x) ... FAIL",
        "test_y (tests.test_a.TestA.test_y) ... skipped 'later'",
    ]
    out = folded("\n".join(unittest))
    assert out == ["… 21 passed: tests.test_a.TestA 21", "… 1 skipped: 'later' x1", unittest[-2]]
    tap = ["TAP version 13"]
    for number in range(1, 20):
        tap += [f"# Subtest: adds {number}", f"ok {number} - adds {number}", "  ---", "  duration_ms: 0.5", "  ..."]
    tap += ["# Subtest: bad", "not ok 20 - bad", "  ---", "  error: 3 !== 4", "  ...", "1..20", "# pass 19", "# fail 1"]
    assert folded("\n".join(tap)) == ["TAP version 13", "… 19 passed", *tap[-7:]]


def test_surefire_and_ctest_are_understood() -> None:
    maven = []
    for number in range(20):
        maven += [f"[INFO] Running com.acme.A{number}Test"]
        maven += [
            f"[INFO] Tests run: 4, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s -- in com.acme.A{number}Test"
        ]
    bad = "[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.2 s <<< FAILURE! -- in a.BTest"
    out = folded("\n".join([*maven, bad]))
    assert out[0].startswith("… 80 passed: com.acme.… A0Test 4, ") and out[-1] == bad
    ctest = [f"{number:3}/30 Test #{number}: net.case{number} ........   Passed    0.01 sec" for number in range(1, 30)]
    ctest += ["30/30 Test #30: net.last .........***Failed    0.52 sec", "97% tests passed, 1 tests failed out of 30"]
    assert folded("\n".join(ctest)) == ["… 29 passed: net 29", *ctest[-2:]]


def test_rows_of_complete_coverage_are_counted() -> None:
    lines = [f"src/module_{number}.py      120      0   100%" for number in range(30)]
    out = folded("\n".join(["Name Stmts Miss Cover", *lines, "src/bad.py      80      9    89%   4-8, 12"]))
    assert "… 30 files are covered completely" in out and "src/bad.py      80      9    89%   4-8, 12" in out


def test_output_without_routine_is_left_alone() -> None:
    assert runs(Section(("1 failed", "assert 3 == 4"), "tests")) is None
