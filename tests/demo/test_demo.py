"""The demo as a person runs it: on a real stack, with a real fleet, and with a worker that is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "cca.cli.main", "demo"]


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with a folder of the test's own for temporary files, so that it is seen what is left there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")}
    return {**kept, "TMPDIR": str(folder)}


def _demo(folder: Path, *words: str) -> tuple[dict[str, Any], str]:
    done = subprocess.run(
        [*COMMAND, "--json", *words], capture_output=True, text=True, timeout=180, env=_environment(folder), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.covers("H6")
def test_a_fleet_audits_real_code_and_loses_nothing_with_a_killed_worker(tmp_path: Path) -> None:
    found, told = _demo(tmp_path, "--tasks", "64")
    assert (found["tasks"], found["completed"], found["failed"], found["twice"]) == (64, 64, 0, 0)
    assert found["findings"] > 100
    assert {role["role"] for role in found["roles"]} == {"security", "backend", "docs", "performance"}
    assert found["top"][0]["severity"] == "high"
    assert found["killed"]["held"] >= 1
    assert found["redelivered"] >= found["killed"]["held"]
    assert found["attempts"] == 64 + found["redelivered"] + found["retried"]
    assert "was killed (SIGKILL)" in told
    assert list(tmp_path.iterdir()) == []


def test_another_code_base_may_hold_files_that_nobody_can_parse(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    (repo / "sub folder").mkdir(parents=True)
    (repo / "fine.py").write_text("def f():\n    return 1\n")
    (repo / "sub folder" / "--version.py").write_text("import os\n")
    (repo / "broken.py").write_text("def broken(:\n")
    folder = tmp_path / "work"
    folder.mkdir()
    found, _ = _demo(folder, "--repo", str(repo))
    assert (found["tasks"], found["completed"], found["twice"]) == (12, 12, 0)
    unreadable = [top for top in found["top"] if top["rule"] == "unreadable"]
    assert {Path(top["path"]).name for top in unreadable} == {"broken.py"}


def test_ctrl_c_stops_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        COMMAND, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(tmp_path), cwd=tmp_path
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "are published" in line:
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
    assert _processes_in(tmp_path) == []


def _processes_in(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes() + os.fsencode(os.readlink(entry / "cwd")):
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    "words, said",
    [(("--repo", "/no/such/folder"), "/no/such/folder"), (("--tasks", "0"), "--tasks"), (("--what",), "--what")],
)
def test_bad_options_are_refused_in_a_sentence(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, env=_environment(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
