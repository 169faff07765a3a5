"""What is committed in `schemas/` is what the code says, valid, and complete."""

import json
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cca.codec import KINDS, tag_of
from cca.message import Message
from cca.schemas import bodies, files, samples

ROOT = Path(__file__).parents[2] / "schemas"

EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(tag_of(kind)))


def test_the_committed_files_are_what_the_code_says() -> None:
    assert files.problems(ROOT, None) == []


def test_nothing_that_was_committed_is_broken() -> None:
    known = subprocess.run(["git", "rev-parse", "--verify", "HEAD"], cwd=ROOT, capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip("there is no commit to compare with")
    assert files.problems(ROOT, "HEAD") == []


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert files.write(tmp_path) != []
    assert files.write(tmp_path) == []


@EVERY
def test_a_schema_is_valid_and_bears_its_name(kind: type[Message]) -> None:
    schema = bodies.body(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:cca:" + tag_of(kind).removeprefix("cca.")
    assert schema["title"] == kind.__name__
    assert schema["description"].strip()
    assert schema["properties"]["type"]["enum"] == [tag_of(kind)]


@EVERY
def test_every_reference_inside_a_schema_leads_somewhere(kind: type[Message]) -> None:
    schema = bodies.body(kind)
    written = json.dumps(schema)
    for name in schema.get("$defs", {}):
        assert f'"#/$defs/{name}"' in written
    assert written.count('"$ref"') == written.count('"#/$defs/')


@EVERY
def test_every_type_has_a_recorded_sample_that_follows_its_schema(kind: type[Message]) -> None:
    found = [sample for _, sample in samples.load(ROOT) if sample.tag == tag_of(kind)]
    assert found
    for sample in found:
        Draft202012Validator(bodies.body(kind)).validate(sample.body)


@pytest.mark.parametrize("name, sample", list(samples.load(ROOT)), ids=lambda each: str(each))
def test_a_recorded_message_is_read_for_ever(name: str, sample: samples.Sample) -> None:
    assert samples.fault(sample) is None


def test_the_samples_hold_more_than_ascii() -> None:
    # Emoji, CJK and combining characters: what a byte-wise cut would break.
    written = "".join(file.read_text(encoding="utf-8") for file in samples.folder(ROOT).rglob("*.json"))
    assert any(ord(letter) > 0xFFFF for letter in written)
    assert any(0x4E00 <= ord(letter) < 0x9FFF for letter in written)
    assert any(0x0300 <= ord(letter) < 0x036F for letter in written)
