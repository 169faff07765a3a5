"""The lock files hold everything that is needed, once, with hashes and nothing about where it came from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("run.txt", "dev.txt")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {plain(re.split(r"[\s<>=;\[]", line)[0]) for line in lines}


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {plain(found[1]): found[2] for found in re.finditer(r"^([\w.-]+)==(\S+)", text, re.M)}


def test_the_locks_hold_what_the_project_needs() -> None:
    assert wanted("embedded", "demo", "plot") | {"hatchling", "editables"} <= locked("run.txt").keys()
    assert wanted("embedded", "demo", "plot", "rl", "dev") <= locked("dev.txt").keys()


def test_what_runs_is_tested_in_the_same_versions_and_needs_no_tools_of_developers() -> None:
    run, dev = locked("run.txt"), locked("dev.txt")
    assert run.items() <= dev.items()
    assert not {"pytest", "mypy", "hypothesis"} & run.keys()


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_a_hash_and_no_place(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert "://" not in text and "index" not in text.lower()
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " "))
    pinned = [entry for entry in entries if not entry.startswith("#")]
    assert pinned and all("==" in entry and "--hash=sha256:" in entry for entry in pinned)
