"""What a provider puts around the messages of a chat, and how it tells a model of its tools."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.tokens import Turn
from cca.tokens.counting import Counter, counter
from cca.tokens.models import claude_version, way_of

_DEEP = 20
"""Levels of a schema that are looked at."""


class Frame(Struct, frozen=True):
    """Tokens around the texts of a request.

    Attributes:
        once: for the request; `message`: for each message, its role included; `name`: for the name of a speaker.
        tools: once, when there are any; `each`: for each tool; `described`: for a tool's description.
        properties: once for an object that has any; `key`: for each.
        explained: for a property's description; `enum`: for a list of choices; `choice`: for each of them.
        joined: name, type and description are one text with colons between them, and no full stop at its end.
    """

    once: int
    message: int
    name: int
    tools: int
    each: int
    described: int
    properties: int
    key: int
    explained: int
    enum: int
    choice: int
    joined: bool = False


# By OpenAI's cookbook ("How to count tokens with tiktoken"), whose sums are those that the API answered.
O200K = Frame(
    once=3,
    message=4,
    name=1,
    tools=12,
    each=7,
    described=0,
    properties=3,
    key=3,
    explained=0,
    enum=-3,
    choice=3,
    joined=True,
)
CL100K = replace(O200K, each=10)
# `ctok` measured 7 tokens around a single message, and 6 since 4.8; `ai-tokenizer` 3 for every further one. What it
# measured of tools is taken as it is: with the first comes a prompt of the provider's own, longer since 4.5.
CLAUDE = Frame(
    once=4,
    message=3,
    name=0,
    tools=313,
    each=53,
    described=5,
    properties=1,
    key=12,
    explained=5,
    enum=9,
    choice=0,
)
CLAUDE_4_5 = replace(CLAUDE, tools=496)
CLAUDE_4_8 = replace(CLAUDE_4_5, once=3)


def overhead(turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]], model: str) -> int:
    """Tokens that a request has beside the texts of its turns.

    They are an estimate, except for plain messages to OpenAI: nobody publishes how tools are written out.

    Args:
        tools: JSON Schemas in the shape of OpenAI (`{"type": "function", "function": {…}}`, or that function alone) or
            of Anthropic (`{"name": …, "input_schema": {…}}`). What is in neither shape counts as an empty tool.
    """
    frame, count = frame_of(model), counter(model)
    total = frame.once + frame.message * len(turns)
    total += sum(frame.name + count.count(turn.name) for turn in turns if turn.name and frame.name)
    if tools:
        total += frame.tools + sum(_tool(tool, frame, count) for tool in tools)
    return total


def frame_of(model: str) -> Frame:
    """What is around the texts of a request to a model; of one that we do not know, as OpenAI does it."""
    way = way_of(model)
    if way.family != "claude":
        return O200K if way.vocabulary == "o200k_base" else CL100K
    version = claude_version(model)
    if version is None or version >= (4, 8):
        return CLAUDE_4_8
    return CLAUDE_4_5 if version >= (4, 5) else CLAUDE


def _tool(tool: Mapping[str, Any], frame: Frame, count: Counter) -> int:
    function = _mapping(tool.get("function")) or tool
    name, description = _text(function.get("name")), _text(function.get("description"))
    total = frame.each
    if frame.joined:
        total += count.count(f"{name}:{description.removesuffix('.')}")
    else:
        total += count.count(name) + (frame.described + count.count(description) if description else 0)
    for schema in _objects(_mapping(function.get("parameters")) or _mapping(function.get("input_schema"))):
        total += frame.properties
        for key, value in _mapping(schema.get("properties")).items():
            total += _property(key, _mapping(value), frame, count)
    return total


def _property(key: str, schema: Mapping[str, Any], frame: Frame, count: Counter) -> int:
    description = _text(schema.get("description"))
    total = frame.key
    if frame.joined:
        total += count.count(f"{key}:{_text(schema.get('type'))}:{description.removesuffix('.')}")
    else:
        total += count.count(key) + (frame.explained + count.count(description) if description else 0)
    choices = schema.get("enum")
    if isinstance(choices, list):
        total += frame.enum + sum(frame.choice + count.count(_text(choice)) for choice in choices)
    return max(total, 0)


def _objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema and those within it, as far as they have properties."""
    level = [schema]
    for _ in range(_DEEP):
        below: list[Mapping[str, Any]] = []
        for one in level:
            properties = _mapping(one.get("properties"))
            if properties:
                yield one
            inner = [*properties.values(), one.get("items"), *_list(one.get("anyOf")), *_list(one.get("oneOf"))]
            below += [found for value in inner if (found := _mapping(value))]
        level = below


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """A text as it is, a number as it is written; nothing for what is neither."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and abs(value) < 1e300 else ""
