"""`cca schemas` says in one sentence what is wrong, and never writes a sample twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cca.cli.schemas import schemas
from cca.schemas import files

JOINED = {"type": "cca.agent.joined.v1", "agent": "a", "role": "r", "lane": "l", "concurrency": 1, "session": "s"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files.write(tmp_path / "schemas")
    return tmp_path / "schemas"


def call(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(schemas, arguments, input=given)


def line(body: object, **headers: str) -> str:
    return json.dumps({"headers": headers, "body": body}) + "\n"


def test_write_names_what_it_wrote(tmp_path: Path) -> None:
    done = call("write", "--dir", str(tmp_path))
    assert done.exit_code == 0
    assert "wrote events/cca.task.submitted.v1.json" in done.stdout.splitlines()
    assert call("write", "--dir", str(tmp_path)).stdout == ""


def test_check_names_a_file_that_was_edited_by_hand(root: Path) -> None:
    (root / "events" / "cca.task.held.v1.json").write_text("{}\n", encoding="utf-8")
    (root / "events" / "cca.task.invented.v1.json").write_text("{}\n", encoding="utf-8")
    (root / "replies" / "cca.task.view.v1.json").unlink()
    done = call("check", "--dir", str(root))
    assert done.exit_code == 1
    said = done.stderr.splitlines()
    assert "events/cca.task.held.v1.json is out of date: run `make schemas`" in said
    assert "events/cca.task.invented.v1.json belongs to nothing in the code" in said
    assert "replies/cca.task.view.v1.json is missing: run `make schemas`" in said


def test_check_demands_a_sample_of_every_type(root: Path) -> None:
    done = call("check", "--dir", str(root))
    assert done.exit_code == 1
    assert "cca.agent.joined.v1 has no sample: see `cca schemas record --help`" in done.stderr.splitlines()


def test_check_without_a_folder_is_misuse(tmp_path: Path) -> None:
    done = call("check", "--dir", str(tmp_path / "none"))
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_check_against_an_unknown_revision_is_misuse(root: Path) -> None:
    done = call("check", "--dir", str(root), "--against", "no-such-revision")
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_a_message_is_recorded_once(root: Path) -> None:
    assert call("record", "--dir", str(root), given=line(JOINED)).exit_code == 0
    file = root / "samples" / "cca.agent.joined.v1.json"
    before = file.read_bytes()
    again = call("record", "--dir", str(root), given=line(JOINED | {"agent": "b"}))
    assert again.exit_code == 0
    assert "recorded already" in again.stderr
    assert file.read_bytes() == before


def test_a_second_sample_gets_a_name(root: Path) -> None:
    call("record", "--dir", str(root), given=line(JOINED))
    assert call("record", "--dir", str(root), "--name", "second", given=line(JOINED)).exit_code == 0
    assert (root / "samples" / "cca.agent.joined.v1.second.json").exists()


@pytest.mark.parametrize(
    "given, said",
    [
        ("{", "line 1"),
        (line(JOINED | {"concurrency": "many"}), "line 1"),
        (line(JOINED | {"host": ""}), "a default is spelt out"),
        (line(JOINED | {"mood": "good"}), "a field is lost"),
        (line({"type": "cca.agent.invented.v1"}), "unknown message type"),
        (line({}), "without a type"),
        ('{"headers": {}, "body": {}, "more": 1}', "line 1"),
    ],
)
def test_what_cannot_be_read_back_is_not_recorded(root: Path, given: str, said: str) -> None:
    done = call("record", "--dir", str(root), given=given)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert not list((root / "samples").glob("*.json"))


def test_a_sample_under_another_name_is_found_out(root: Path) -> None:
    call("record", "--dir", str(root), given=line(JOINED))
    (root / "samples" / "cca.agent.joined.v1.json").rename(root / "samples" / "cca.agent.left.v1.json")
    assert "holds a 'cca.agent.joined.v1'" in call("check", "--dir", str(root)).stderr


def test_the_module_is_the_same_command(root: Path) -> None:
    command = [sys.executable, "-m", "cca.schemas", "check", "--dir", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cca.agent.joined.v1 has no sample: see `cca schemas record --help`" in done.stderr.splitlines()
