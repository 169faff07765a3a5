"""Each audit finds what is there; a file that cannot be parsed is a finding."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cca.codec import read
from cca.contracts.task import SubmitTask
from cca.demo import audit, handlers, modules, trees
from cca.demo.findings import KEPT, Audit, Finding, of_ruff, path_of
from cca.demo.findings import audit as result_of
from cca.errors import Misconfigured

# bandit's own, about the library by which it finds its plugins
pytestmark = pytest.mark.filterwarnings("ignore:The verify_requirements argument:DeprecationWarning")

CODE = '''"""A module."""
import subprocess
import os


def run(command):
    return subprocess.call(command, shell=True)


class Undocumented:
    def method(self):
        """It has one."""
'''


def _rules(found: Audit) -> list[tuple[str, str, int]]:
    return [(one.rule, one.severity, one.line) for one in found.findings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "code.py"
    path.write_text(CODE)
    return path


def test_security_finds_what_bandit_finds(file: Path) -> None:
    found = handlers.bandit(str(file))
    assert ("B602", "high", 7) in _rules(found)
    assert found.measures["lines"] > 5


def test_backend_finds_what_ruff_finds(file: Path) -> None:
    found = audit.backend(str(file))
    assert _rules(found) == [("F401", "low", 3)]


def test_docs_finds_what_has_no_docstring(file: Path) -> None:
    found = trees.docs(str(file))
    assert _rules(found) == [("no-docstring-function", "medium", 6), ("no-docstring-class", "medium", 10)]
    assert found.measures == {"public": 4, "coverage": 0.5}


def test_performance_finds_functions_that_are_too_complex(tmp_path: Path) -> None:
    file = tmp_path / "complex.py"
    file.write_text("def f(x):\n" + "".join(f"    if x == {n}: return {n}\n" for n in range(30)))
    assert _rules(trees.performance(str(file))) == [("complex-function", "medium", 1)]


@pytest.mark.parametrize(
    "code, expected",
    [
        ("def f(): pass", 1),
        ("def f(a, b):\n if a and b or a: return 1", 4),
        ("def f(x):\n for y in x:\n  while y: y -= 1\n return [z for z in x if z]", 4),
        ("def f(x):\n try: x()\n except ValueError: pass\n except TypeError: pass", 3),
        ("def f(x):\n def g(y):\n  if y: return 1\n return g", 1),
        ("def f(x):\n match x:\n  case 1: return 1\n  case _: return 2", 3),
    ],
)
def test_complexity_is_mccabes(code: str, expected: int) -> None:
    function = ast.parse(code).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert trees.complexity(function) == expected


@pytest.mark.parametrize("content", [b"def broken(:\n", b"\xff\xfe\x00bad", b"# coding: no-such-codec\n", None])
def test_a_file_that_cannot_be_parsed_is_a_finding(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.py"
    if content is not None:
        path.write_bytes(content)
    found = (
        handlers.bandit(str(path)),
        audit.backend(str(path)),
        trees.docs(str(path)),
        trees.performance(str(path)),
    )
    for one in found[2:]:
        assert [finding.rule for finding in one.findings] == ["unreadable"]
    if content is None or b"broken" in content:
        assert [finding.rule for one in found[:2] for finding in one.findings] == ["unreadable"] * 2


def test_the_command_reads_a_task_and_writes_an_audit(file: Path) -> None:
    given = json.dumps({"description": "--version", "input": {"path": str(file)}, "attempt": 1})
    done = subprocess.run(
        [sys.executable, "-m", "cca.demo.audit", "backend"], input=given.encode(), capture_output=True
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["findings"][0]["rule"] == "F401"


@pytest.mark.parametrize("role, given", [("backend", b"no task"), ("nonsense", b"{}"), ("performance", b"[1]")])
def test_the_command_refuses_what_is_no_task_in_a_sentence(role: str, given: bytes) -> None:
    done = subprocess.run([sys.executable, "-m", "cca.demo.audit", role], input=given, capture_output=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_the_worst_findings_of_a_file_are_kept_and_all_are_counted() -> None:
    many = [Finding("x", "low", line, "") for line in range(KEPT + 10)]
    found = result_of("p", "t", [*many, Finding("y", "high", 99, "")])
    assert (found.count, len(found.findings), found.findings[0].rule) == (KEPT + 11, KEPT, "y")


def test_ruffs_words_are_understood_whatever_is_missing() -> None:
    assert of_ruff("p", '[{"code": null, "message": "bad"}]').findings == (Finding("unreadable", "high", 1, "bad"),)
    assert of_ruff("p", "[]").count == 0


def test_the_path_of_a_task_comes_from_its_input_or_its_text() -> None:
    assert path_of("x", {"path": "/a b"}) == "/a b"
    assert path_of("Check the docstrings of /a of b.py", None) == "b.py"
    assert path_of("Check the docstrings of /a/b.py", {}) == "/a/b.py"


def test_modules_are_the_largest_without_tests_and_foreign_code(tmp_path: Path) -> None:
    for name, size in (("a.py", 10), ("big.py", 50), ("pkg/c.py", 30), ("tests/t.py", 90), (".venv/v.py", 90)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("#" * size)
    (tmp_path / "data.py").write_text("#" * (modules.LARGEST + 1))
    (tmp_path / "notes.txt").write_text("not Python")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path.resolve())) for path in modules.choose(tmp_path, 10)]
    assert found == ["big.py", "pkg/c.py", "a.py"]
    assert len(modules.choose(tmp_path, 2)) == 2


def test_a_folder_without_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no Python files"):
        modules.choose(tmp_path, 10)
    with pytest.raises(Misconfigured, match="not a folder"):
        modules.choose(tmp_path / "gone", 10)


def test_the_standard_library_has_enough_for_300_tasks() -> None:
    assert len(modules.choose(modules.standard_library(), 80)) * len(modules.ROLES) >= 300


def test_every_published_task_can_be_read_by_the_router(file: Path) -> None:
    published = modules.tasks(file.parent, [file])
    assert [task.role for task in published] == list(modules.ROLES)
    assert len({task.id for task in published}) == len(modules.ROLES)
    for task in published:
        if task.role == "docs":
            assert task.body.decode() == f"Check the docstrings of {file.resolve()}"
        else:
            read_back = read(task.body, SubmitTask)
            assert (read_back.id, read_back.input) == (task.id, {"path": str(file)})
