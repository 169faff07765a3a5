"""`asyncapi.json` holds every subject and every message, and all its references lead somewhere."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cca.codec import KINDS
from cca.nats import streams, subjects
from cca.schemas import asyncapi
from cca.schemas.channel import PARTIES, Channel
from cca.schemas.channels import CHANNELS

ROOT = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = asyncapi.document()

NOT_SUBJECTS = {"work_consumer"}
"""Functions of `cca.nats.subjects` that name something else: a durable consumer."""


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def resolved(pointer: str) -> Any:
    found: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part]
    return found


def matches(pattern: str, address: str) -> bool:
    """Whether a subject pattern (`*`, `>`, or `{parameter}` for any token) takes in an address."""
    these, those = pattern.split("."), address.split(".")
    for index, token in enumerate(these):
        if token == ">":
            return len(those) > index
        if index >= len(those) or (token != "*" and not token.startswith("{") and token != those[index]):
            return False
    return len(these) == len(those)


def constants() -> dict[str, str]:
    return {name: value for name, value in vars(subjects).items() if name.isupper() and isinstance(value, str)}


def functions() -> dict[str, list[str]]:
    """What each function of `cca.nats.subjects` makes of parameters, with and without the optional ones."""
    made: dict[str, list[str]] = {}
    for name, function in inspect.getmembers(subjects, inspect.isfunction):
        if function.__module__ != subjects.__name__ or name.startswith("_") or name in NOT_SUBJECTS:
            continue
        parameters = inspect.signature(function).parameters.values()
        named = [f"{{{parameter.name}}}" for parameter in parameters]
        least = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
        made[name] = [function(*named[:count]) for count in range(least, len(named) + 1)]
    return made


PATTERNS = list(constants().values()) + [pattern for made in functions().values() for pattern in made]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_subject_has_a_channel(pattern: str) -> None:
    assert [channel.name for channel in CHANNELS if matches(pattern, channel.address)], pattern


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: str(channel.name))
def test_every_channel_is_a_subject_of_the_code(channel: Channel) -> None:
    assert [pattern for pattern in PATTERNS if matches(pattern, channel.address)], channel.address


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: str(channel.name))
def test_a_channel_is_in_the_stream_that_stores_its_subject(channel: Channel) -> None:
    storing = [
        config.name
        for config in streams.declared()
        if any(matches(pattern, channel.address) for pattern in config.subjects or [])
    ]
    assert storing == ([channel.stream] if channel.stream else [])
    assert (channel.kind == "stream") == (channel.stream is not None)
    assert (channel.kind == "request") == bool(channel.replies)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: str(channel.name))
def test_a_channel_has_parties_that_are_described(channel: Channel) -> None:
    assert channel.senders and channel.receivers
    assert {*channel.senders, *channel.receivers} <= PARTIES.keys()


def test_channels_have_names_and_addresses_of_their_own() -> None:
    assert len({channel.name for channel in CHANNELS}) == len(CHANNELS)
    assert len({channel.address for channel in CHANNELS}) == len(CHANNELS)


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    if reference.startswith("#/"):
        assert isinstance(resolved(reference), dict)
    else:
        Draft202012Validator.check_schema(json.loads((ROOT / reference).read_text(encoding="utf-8")))


def test_every_message_is_in_the_document_once_and_without_unions() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert messages.keys() - {asyncapi.TEXT, asyncapi.BYTES} == KINDS.keys()
    payloads = [messages[tag]["payload"] for tag in KINDS]
    assert len({payload["$ref"] for payload in payloads}) == len(KINDS)
    assert all(payload.keys() == {"$ref"} for payload in payloads)


def test_an_operation_says_only_what_its_channel_holds() -> None:
    for name, operation in DOCUMENT["operations"].items():
        party, action, _ = name.split(".", 2)
        assert operation["action"] == action
        assert operation["tags"] == [{"name": party}]
        for side in (operation, *([operation["reply"]] if "reply" in operation else [])):
            channel = side["channel"]["$ref"]
            assert side["messages"]
            assert all(message["$ref"].startswith(f"{channel}/messages/") for message in side["messages"])


def test_an_address_has_a_parameter_for_every_brace() -> None:
    for channel in DOCUMENT["channels"].values():
        braces = {token.strip("{}") for token in (channel["address"] or "").split(".") if token.startswith("{")}
        assert channel.get("parameters", {}).keys() == braces


def test_the_headers_are_schemas() -> None:
    for schema in asyncapi.HEADERS.values():
        Draft202012Validator.check_schema(schema)
