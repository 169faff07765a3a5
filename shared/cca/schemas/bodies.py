"""One JSON Schema (2020-12) per message type, made from its Struct."""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from cca.codec import KINDS, tag_of
from cca.message import Command, Event, Message, Reply

JsonSchema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDERS: dict[type[Message], str] = {Event: "events", Command: "commands", Reply: "replies"}


def folder(kind: type[Message]) -> str:
    """`events`, `commands` or `replies`. Raises `TypeError` for a message that is none of them."""
    for base, name in FOLDERS.items():
        if issubclass(kind, base):
            return name
    raise TypeError(f"{kind.__qualname__} is neither an Event nor a Command nor a Reply")


def path(kind: type[Message]) -> str:
    """Where the schema of a message type is kept, below `schemas/`."""
    return f"{folder(kind)}/{tag_of(kind)}.json"


def urn(kind: type[Message]) -> str:
    """The identifier of a schema: `urn:cca:task.routed.v1` for the tag `cca.task.routed.v1`."""
    return "urn:" + tag_of(kind).replace(".", ":", 1)


def body(kind: type[Message]) -> JsonSchema:
    """What the body of a message must look like; other Structs that it holds are in `$defs`."""
    (root,), definitions = components([kind], "#/$defs/{name}")
    schema = definitions.pop(root["$ref"].rpartition("/")[2])
    found: JsonSchema = {"$schema": DIALECT, "$id": urn(kind), **schema}
    if definitions:
        found["$defs"] = definitions
    return found


def components(kinds: Iterable[Any], template: str) -> tuple[list[JsonSchema], dict[str, JsonSchema]]:
    """As `msgspec.json.schema_components`: a schema per type, and the named ones they refer to; fit to publish.

    What belongs to Python is translated, and commands may leave their `type` out.
    """
    roots, definitions = msgspec.json.schema_components(kinds, ref_template=template)
    for definition in definitions.values():
        if _is_command(definition):
            # The subject, the path or a header names a command already; people need not repeat it in the body.
            definition["required"].remove("type")
    return list(map(_portable, roots)), {name: _portable(each) for name, each in definitions.items()}


def _is_command(definition: JsonSchema) -> bool:
    (tag, *_) = definition.get("properties", {}).get("type", {}).get("enum", [None])
    return tag in KINDS and issubclass(KINDS[tag], Command)


def bodies() -> dict[str, JsonSchema]:
    """Every schema by its path."""
    return {path(kind): body(kind) for kind in KINDS.values()}


def _portable(value: Any, key: str = "") -> Any:
    """Without what belongs to Python: the indentation of docstrings, and `$(?!\\n)`, elsewhere plain `$`."""
    if isinstance(value, dict):
        return {inner: _portable(item, inner) for inner, item in value.items()}
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if key == "description" and isinstance(value, str):
        return inspect.cleandoc(value)
    if key == "pattern" and isinstance(value, str):
        return value.replace(r"$(?!\n)", "$")
    return value
