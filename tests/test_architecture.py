"""What the layout promises, held by a test: who may import what, how large a module is, and that exceptions say why."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cca import __version__
from cca.testing import covers

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads(PYPROJECT)
SERVICES = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")}

SOURCES = sorted(file for folder in ("shared", "services") for file in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LINES = 400
LONG: dict[str, str] = {}
"""Modules that are longer, each with the reason."""

BANNED = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc"}
"""Names that say nothing of what is inside."""


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------------------------- imports


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_contracts_know_every_service() -> None:
    settings = PROJECT["tool"]["importlinter"]
    assert set(settings["root_packages"]) == SERVICES | {"cca"}
    apart, ignorant, pure = settings["contracts"]
    assert set(apart["modules"]) == SERVICES
    assert set(ignorant["forbidden_modules"]) == SERVICES
    deciding = {f"{service}.decide" for service in SERVICES if (ROOT / "services" / service / "decide.py").exists()}
    assert deciding <= set(pure["source_modules"]) or "*.decide" in pure["source_modules"]


def imports(file: Path) -> Iterator[str]:
    """What a file imports when it runs; imports for type checkers alone do not count."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        waiting.extend(ast.iter_child_nodes(node))


DRIVERS: dict[str, dict[str, str]] = {
    "nats": {
        "shared/cca/nats/": "home",
        "shared/cca/bench/raw.py": "the raw loop that our own is measured against",
    },
    "asyncpg": {"shared/cca/postgres/": "home"},
}
"""Who may import a driver, and why."""


@pytest.mark.parametrize("library", DRIVERS)
def test_one_package_alone_imports_a_driver(library: str) -> None:
    outside = [file for file in SOURCES if not name(file).startswith(tuple(DRIVERS[library]))]
    assert [name(file) for file in outside if library in {each.split(".")[0] for each in imports(file)}] == []


def test_nobody_imports_the_folder_instead_of_the_package() -> None:
    # It would be a second copy of the module, whose classes are not the same classes.
    found = [
        name(file)
        for file in SOURCES + TESTS
        if {"shared", "services"} & {each.split(".")[0] for each in imports(file)}
    ]
    assert found == []


def test_the_readme_begins_with_the_import_rule() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "drop the first folder" in readme.lower()
    assert "shared/cca/log.py" in readme and "cca_router.decide" in readme


# ------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_a_module_is_short_and_says_what_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= LINES or name(file) in LONG, f"{lines} lines; split it, or say in LONG why not"
    assert ast.get_docstring(ast.parse(text)), "no docstring"


def test_every_listed_exception_is_still_one() -> None:
    for file, reason in LONG.items():
        assert reason and (ROOT / file).read_text(encoding="utf-8").count("\n") > LINES


@pytest.mark.parametrize("file", SOURCES + TESTS, ids=name)
def test_a_module_has_a_name_that_says_something(file: Path) -> None:
    assert not BANNED & set(file.relative_to(ROOT).with_suffix("").parts)


def test_a_service_is_a_package_below_services() -> None:
    folders = {path.name for path in (ROOT / "services").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == SERVICES
    assert all(service.startswith("cca_") for service in SERVICES)


# ---------------------------------------------------------------------------------------- exceptions

EXCEPTION = re.compile(r"#\s*(type:\s*ignore|noqa|pyright:\s*ignore|pragma:\s*no cover|ruff:|mypy:|nosec)")
REASONED = re.compile(
    r"#\s*(?:type:\s*ignore\[[\w, -]+\]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|pragma:\s*no cover|nosec\s+B\d+)"
    r"\s*(?:#|:|-|–|—|;)?\s+\S.{7,}"
)


def comments(file: Path) -> Iterator[tuple[int, str]]:
    with tokenize.open(file) as source:
        for token in tokenize.generate_tokens(io.StringIO(source.read()).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


@pytest.mark.covers("NEW-QUAL-002", "NEW-QUAL-005")
@pytest.mark.parametrize("file", SOURCES + TESTS, ids=name)
def test_an_exception_from_a_rule_names_the_rule_and_the_reason(file: Path) -> None:
    bare = [
        f"line {line}: {comment}"
        for line, comment in comments(file)
        if EXCEPTION.match(comment) and not REASONED.match(comment)
    ]
    assert bare == []


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# noqa: B008",
        "# noqa: B008, E501",
        "# type: ignore",
        "# type: ignore[arg-type]",
        "# type: ignore[arg-type]  #",
        "# ruff: noqa",
        "# ruff: noqa: E501  because it is long",
        "# mypy: ignore-errors",
        "# mypy: disable-error-code=arg-type",
        "# pragma: no cover",
        "# nosec",
    ],
)
def test_an_exception_without_a_reason_would_be_found(comment: str) -> None:
    assert EXCEPTION.match(comment) and not REASONED.match(comment)


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: B008  a constant, and never changed",
        "# noqa: B008, E501 - the table reads better in one line",
        "# type: ignore[arg-type]  # the stub has forgotten None",
    ],
)
def test_an_exception_with_a_reason_is_fine(comment: str) -> None:
    assert EXCEPTION.match(comment) and REASONED.match(comment)


@pytest.mark.covers("NEW-QUAL-002", "NEW-QUAL-005")
def test_a_switched_off_rule_in_the_settings_says_why() -> None:
    switches = re.compile(
        r'^\s*(?:"[A-Z]{1,4}\d{2,4}"'  # a rule in a list
        r"|ignore_missing_imports|ignore_errors|disable_error_code|disallow_\w+\s*=\s*false|follow_imports"
        r'|"[^"]*\*[^"]*"\s*=\s*\[)'  # rules for some files
    )
    lines = PYPROJECT.splitlines()
    bare = [
        f"line {number}: {line.strip()}"
        for number, line in enumerate(lines, 1)
        if switches.match(line) and "#" not in line and not lines[number - 2].lstrip().startswith("#")
    ]
    assert bare == []


def test_strictness_is_not_taken_back() -> None:
    assert PROJECT["tool"]["mypy"]["strict"] is True
    assert PROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"


# ---------------------------------------------------------------------------------------- acceptance

ACCEPTANCE = covers.read(ROOT / "tests" / "acceptance.txt")


def covered() -> dict[str, set[str]]:
    """Every acceptance id that a test is marked with, and the files in which it stands."""
    found: dict[str, set[str]] = {}
    for file in TESTS:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "covers":
                for argument in node.args:
                    found.setdefault(ast.literal_eval(argument), set()).add(name(file))
    return found


def test_a_test_covers_only_what_is_listed() -> None:
    assert {id: files for id, files in covered().items() if id not in ACCEPTANCE} == {}


def release(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_what_this_release_must_show_is_shown_by_a_test() -> None:
    due = {entry.id for entry in ACCEPTANCE.values() if entry.since and release(entry.since) <= release(__version__)}
    assert {f"{id} {ACCEPTANCE[id].title}" for id in due - covered().keys()} == set()


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_pattern_repeats_a_group_possessively(file: Path) -> None:
    """Python before 3.11.5 matches `(?:…)*+` and its likes wrongly (python/cpython issue 106052)."""
    text = file.read_text("utf-8")
    assert not re.search(r"\)[?*+]\+(?! )|\(\?>", text), "a group that is repeated possessively, or an atomic one"
