"""Agents that make a test suite green: run, read, change, run again."""

from cca.bench.tokens.transcripts.briefs import CODER, onwards, opening
from cca.bench.tokens.transcripts.edits import edit
from cca.bench.tokens.transcripts.project import numbered, project
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.test_output import (
    Failure,
    Suite,
    cargo_output,
    go_output,
    jest_output,
    pytest_output,
    suite,
)
from cca.bench.tokens.transcripts.words import Words, fill, hexadecimal


def _told(script: Script, failure: Failure) -> None:
    """The facts of a failing test: which, where, and what it found."""
    script.fact("name", failure.test)
    script.fact("number", failure.assertion)
    script.fact("path", failure.place)


def pytest(seed: str) -> Transcript:
    """Python: three runs of a suite of some 160 tests."""
    script = Script(seed)
    rng = script.rng
    repository = project(rng, "python", modules=6)
    tests = suite(rng, "pytest", 150, 4)
    first, second, third, last = tests.failures
    where = rng.choice(repository.sources)
    warnings = [
        f"tests/conftest.py:{rng.randint(8, 40)}",
        fill(
            "  DeprecationWarning: $Thing.$verb() is deprecated since 4.$small; call $Thing.$verb2() instead",
            Words(rng),
        ),
    ]
    script.system(CODER)
    script.user("The suite is red on main since this morning. Make it green again, without touching the tests.")
    script.bash("pytest -v", pytest_output(rng, tests, tests.failures, warnings), opening(rng))
    for failure in (first, second, third, last):
        _told(script, failure)
    script.fact("error", warnings[1].strip())
    script.call("Read", numbered(repository.files[where]), onwards(rng), file_path=f"{repository.root}/{where}")
    old, new, text = edit(rng, repository.files[where], "python")
    script.call(
        "Edit",
        f"The file {repository.root}/{where} has been updated.",
        file_path=f"{repository.root}/{where}",
        old_string=old,
        new_string=new,
    )
    again = Suite(tests.tests, [last])
    output = pytest_output(rng, again, [last], warnings)
    script.bash("pytest -v", output, "One place explains three of the four. Running all again.")
    script.fact("number", output.rsplit("\n", 1)[1].strip("= "))
    script.call(
        "Read",
        numbered(text),
        "The last one is in the same file, as it is now.",
        file_path=f"{repository.root}/{where}",
    )
    old, new, text = edit(rng, text, "python")
    script.call(
        "Edit",
        f"The file {repository.root}/{where} has been updated.",
        file_path=f"{repository.root}/{where}",
        old_string=old,
        new_string=new,
    )
    output = pytest_output(rng, tests, [], warnings)
    script.bash("pytest -v", output)
    script.fact("number", output.rsplit("\n", 1)[1].strip("= "))
    script.say("All green. Two lines were changed in one file; both are covered by the tests that failed.")
    script.user("Good. Leave the deprecation for the next release, we have a ticket for it.")
    script.fact("decision", "Leave the deprecation for the next release")
    return script.end("tests-pytest", "tests")


def go_and_cargo(seed: str) -> Transcript:
    """A repository with a Go server and a Rust worker: both suites, twice each."""
    script = Script(seed)
    rng = script.rng
    golang, rust = suite(rng, "go", 120, 2), suite(rng, "cargo", 110, 2)
    repository = project(rng, "go", modules=4)
    where = rng.choice(repository.sources)
    script.system(CODER)
    script.user("Please upgrade the shared protocol to version 9 in the Go server and the Rust worker; tests first.")
    script.bash("go test -v ./...", go_output(rng, golang, golang.failures), opening(rng))
    for failure in golang.failures:
        script.fact("name", failure.test)
        script.fact("number", failure.assertion)
    script.bash("cargo test --workspace", cargo_output(rng, rust, rust.failures), "And the worker.")
    for failure in rust.failures:
        _told(script, failure)
    script.call("Read", numbered(repository.files[where]), onwards(rng), file_path=where)
    old, new, text = edit(rng, repository.files[where], "go")
    script.call("Edit", f"The file {where} has been updated.", file_path=where, old_string=old, new_string=new)
    output = go_output(rng, golang, golang.failures[1:])
    script.bash("go test -v ./...", output, onwards(rng))
    script.call("Read", numbered(text), "One left. The file again.", file_path=where)
    old, new, _ = edit(rng, text, "go")
    script.call("Edit", f"The file {where} has been updated.", file_path=where, old_string=old, new_string=new)
    race = f"Write at 0x00c000{hexadecimal(rng, 6)} by goroutine {rng.randint(20, 400)}:"
    where = (
        f"      /src/{repository.name}/{rng.choice(repository.sources)}:{rng.randint(10, 200)} +0x{hexadecimal(rng, 3)}"
    )
    told = f"==================\nWARNING: DATA RACE\n{race}\n  main.main.func1()\n{where}\n==================\n"
    output = go_output(rng, golang, []).replace("\n--- PASS", f"\n{told}--- PASS", 1)
    script.bash("go test -race -v ./...", output, "With the race detector this time.")
    script.fact("error", race)
    script.fact("path", where.strip().split(" ")[0])
    output = cargo_output(rng, rust, [])
    script.bash("cargo test --workspace", output)
    script.fact("number", output.rsplit("\n", 1)[1].split("; finished")[0])
    script.say("Both suites pass. The race detector has one complaint, which is older than this change.")
    script.user("The race must be fixed before we release 9.0, but in its own change.")
    script.fact("decision", "The race must be fixed before we release 9.0")
    return script.end("tests-go-cargo", "tests")


def jest(seed: str) -> Transcript:
    """TypeScript: a small suite, run until it passes."""
    script = Script(seed)
    rng = script.rng
    tests = suite(rng, "jest", 60, 3)
    repository = project(rng, "typescript", modules=4)
    where = rng.choice(repository.sources)
    script.system(CODER)
    script.user(f"npm test fails on the branch `fix/{hexadecimal(rng, 6)}`. Have a look?")
    note = (
        f"  console.warn\n    Not implemented: navigation to /checkout?step={rng.randint(3, 9)} "
        f"(retry {rng.randint(2, 6)})\n"
    )
    output = jest_output(rng, tests, tests.failures).replace("\nPASS ", f"\n{note}\nPASS ", 1)
    script.bash("npx jest --verbose", output, opening(rng))
    script.fact("error", note.split("\n")[1].strip())
    for failure in tests.failures:
        _told(script, failure)
    script.call("Read", numbered(repository.files[where]), file_path=where)
    old, new, _ = edit(rng, repository.files[where], "typescript")
    script.call("Edit", f"The file {where} has been updated.", file_path=where, old_string=old, new_string=new)
    output = jest_output(rng, tests, tests.failures[2:])
    script.bash("npx jest --verbose", output)
    script.fact("number", next(line for line in output.split("\n") if line.startswith("Tests:")))
    script.call("Edit", f"The file {where} has been updated.", file_path=where, old_string=new, new_string=old)
    output = jest_output(rng, tests, [])
    script.bash("npx jest --verbose", output)
    script.fact("number", next(line for line in output.split("\n") if line.startswith("Test Suites:")))
    script.say("Green now.")
    return script.end("tests-jest", "tests")
