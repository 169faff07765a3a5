"""Recorded messages, kept for ever: whatever was written once must stay readable."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from cca.codec import KINDS, decode, encode, tag_of
from cca.errors import Refused, Unknown, Unreadable
from cca.message import Message


class Sample(Struct, frozen=True, forbid_unknown_fields=True):
    """A message as it stood on the wire. `ce-type` in the headers, or `type` in the body, is its tag."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def tag(self) -> str:
        return self.headers.get("ce-type") or str(self.body.get("type", ""))

    def decoded(self) -> Message:
        """The message in today's version. Raises `Unknown` or `Unreadable`."""
        return decode(self.tag, msgspec.json.encode(self.body))


def folder(root: Path) -> Path:
    """Where the samples are: `<tag>.json`, and `<tag>.<name>.json` for further ones."""
    return root / "samples"


def load(root: Path) -> Iterator[tuple[str, Sample]]:
    """Every sample with the name of its file. Raises `Unreadable` for a file that is none."""
    for file in sorted(folder(root).glob("*.json")):
        try:
            yield file.name, msgspec.json.decode(file.read_bytes(), type=Sample)
        except msgspec.DecodeError as error:
            raise Unreadable(f"samples/{file.name} is not a sample: {error}") from None


def histories(root: Path) -> Iterator[tuple[str, list[Sample]]]:
    """Every recorded history of an aggregate, oldest event first, with the name of its file."""
    for file in sorted((folder(root) / "histories").glob("*.json")):
        try:
            yield file.name, msgspec.json.decode(file.read_bytes(), type=list[Sample])
        except msgspec.DecodeError as error:
            raise Unreadable(f"samples/histories/{file.name} is not a history: {error}") from None


def fault(sample: Sample) -> str | None:
    """Why a sample is not readable, or not what the codec would write; None when all is well."""
    try:
        message = sample.decoded()
    except (Unknown, Unreadable) as error:
        return str(error)
    # An old version comes back as today's, so only today's can be compared.
    if tag_of(type(message)) == sample.tag and json.loads(encode(message)) != sample.body:
        return "reads and writes differently: a field is lost, or a default is spelt out"
    return None


def problems(root: Path) -> list[str]:
    """What is wrong with the samples, a sentence each."""
    try:
        files = list(load(root))
        stories = list(histories(root))
    except Unreadable as error:
        return [str(error)]
    found = [f"samples/{name}: {why}" for name, sample in files if (why := fault(sample))]
    found += [
        f"samples/{name} holds a {sample.tag!r}" for name, sample in files if not name.startswith(f"{sample.tag}.")
    ]
    found += [
        f"samples/histories/{name}, message {number}: {why}"
        for name, story in stories
        for number, sample in enumerate(story, 1)
        if (why := fault(sample))
    ]
    missing = KINDS.keys() - {sample.tag for _, sample in files}
    return found + [f"{tag} has no sample: see `cca schemas record --help`" for tag in sorted(missing)]


def record(root: Path, sample: Sample, name: str | None = None) -> Path:
    """Add a sample; returns its file. Raises `Refused` when there is one already or when it is not readable."""
    if why := fault(sample):
        raise Refused("bad-sample", f"{sample.tag or 'a message without a type'}: {why}")
    file = folder(root) / (f"{sample.tag}.{name}.json" if name else f"{sample.tag}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(msgspec.to_builtins(sample), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(content)
    except FileExistsError:
        raise Refused("recorded", f"{file.name} is recorded already; it is never written again") from None
    return file
