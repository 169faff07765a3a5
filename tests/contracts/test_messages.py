"""Every message has a name for ever, says what it is, and somebody who says it."""

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

import cca.contracts
from cca.codec import KINDS, tag_of
from cca.contracts.agent import AgentEvent
from cca.contracts.task import TaskEvent
from cca.message import Command, Event, Message, Reply
from cca.schemas.channels import AGENT_EVENTS, CHANNELS, TASK_EVENTS

TAG = re.compile(r"cca\.[a-z]+(\.[a-z-]+)+\.v\d+")


def structs() -> Iterator[type[msgspec.Struct]]:
    """Every Struct that is defined in `cca.contracts`."""
    for module in pkgutil.walk_packages(cca.contracts.__path__, "cca.contracts."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.name:
                yield value


STRUCTS = sorted(structs(), key=lambda kind: kind.__qualname__)
MESSAGES = [kind for kind in STRUCTS if issubclass(kind, Message)]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: str(kind.__name__))
def test_a_message_has_a_versioned_tag_of_its_own(kind: type[Message]) -> None:
    # Without a tag msgspec takes the name of the class, and that would be stored for ever.
    assert TAG.fullmatch(str(tag_of(kind))), tag_of(kind)


def test_no_two_messages_share_a_tag() -> None:
    assert [tag for tag, often in Counter(map(tag_of, MESSAGES)).items() if often > 1] == []


def test_the_codec_knows_every_message() -> None:
    assert {tag_of(kind): kind for kind in MESSAGES} == KINDS


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: str(kind.__name__))
def test_a_message_is_an_event_or_a_command_or_a_reply(kind: type[Message]) -> None:
    assert sum(issubclass(kind, base) for base in (Event, Command, Reply)) == 1


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: str(kind.__name__))
def test_a_struct_says_what_it_is(kind: type[msgspec.Struct]) -> None:
    # msgspec gives no docstring of its own; without one, the base class's would be published.
    own = kind.__dict__.get("__doc__")
    assert own, f"{kind.__qualname__} has no docstring"
    assert own.split("\n")[0].rstrip().endswith((".", ":")), own


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: str(kind.__name__))
def test_a_struct_is_frozen(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: str(kind.__name__))
def test_a_message_is_said_somewhere(kind: type[Message]) -> None:
    said = {each for channel in CHANNELS for each in (*channel.messages, *channel.replies)}
    old = {each for each in said if each in cca.codec.UPCASTS}
    assert kind in said or kind in cca.codec.UPCASTS, f"{tag_of(kind)} is in no channel"
    assert not old, f"{old} are only read, and no longer said"


def test_the_events_of_an_aggregate_are_all_in_its_channel() -> None:
    assert set(TASK_EVENTS) == set(TaskEvent.__args__)
    assert set(AGENT_EVENTS) == set(AgentEvent.__args__)
