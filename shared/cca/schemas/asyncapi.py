"""`asyncapi.json`: the channels and their messages as AsyncAPI 3.0."""

import re
from collections.abc import Iterable
from typing import Any

from cca import __version__, dead
from cca.codec import KINDS, tag_of
from cca.message import Message
from cca.schemas import bodies
from cca.schemas.channel import PARAMETERS, PARTIES, Channel
from cca.schemas.channels import CHANNELS

Json = dict[str, Any]

REPLIES = "replies"
TEXT = "text"
BYTES = "bytes"


def _header(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


TRACE = {"traceparent": _header("W3C trace context.")}
ATTRIBUTES: Json = {
    "ce-specversion": _header("CloudEvents version.", enum=["1.0"]),
    "ce-id": _header("Unique for the message."),
    "ce-type": _header("The tag: what it is, and in which version.", pattern=r"^cca\.[a-z]+(\.[a-z-]+)+\.v\d+$"),
    "ce-source": _header("Who wrote it: a service or an agent."),
    "ce-time": _header("When it was written, UTC.", format="date-time"),
    "ce-subject": _header("Key of the aggregate, such as the task id."),
    "ce-causationid": _header("Id of the message that led to it."),
    "ce-correlationid": _header("Id of the first message of the chain."),
}
REQUEST: Json = {
    "Nats-Msg-Id": _header("On the intake: the task id if it is a UUID, else an idempotency key."),
    "Cca-Task-Id": _header("On the intake: the task id, for plain text."),
}
FAILURE: Json = {
    "Nats-Service-Error-Code": _header(
        "400 unreadable, 404 not found, 409 conflict, 422 refused, 503 busy; absent when the request was done.",
        enum=["400", "404", "409", "422", "503"],
    ),
    "Nats-Service-Error": _header("`<code>: <text>`; the code is stable, the text a sentence."),
}
LETTER: Json = {
    "Cca-Attempt": _header("On `cca.output`: the attempt that printed it."),
    "Cca-Stream": _header("On `cca.output`: where it was printed.", enum=["stdout", "stderr"]),
    dead.REASON: _header("On `cca.dead`: why it is here, a sentence."),
    dead.STREAM: _header("On `cca.dead`: the stream of the original."),
    dead.SEQ: _header("On `cca.dead`: the position of the original in its stream."),
    dead.SUBJECT: _header("On `cca.dead`: the subject of the original."),
    dead.TIME: _header("On `cca.dead`: when it was given up.", format="date-time"),
    dead.SIZE: _header("On `cca.dead`: bytes of the original's body, when not all of it is here."),
    dead.TASK: _header("On `cca.dead`: the task id, when it is known."),
    dead.REDRIVEN: _header("On a note that a dead letter was sent back: its position in the stream."),
}


def _headers(title: str, description: str, *properties: Json) -> Json:
    merged: Json = {}
    for each in properties:
        merged |= each
    return {"type": "object", "title": title, "description": description, "properties": merged}


HEADERS: dict[str, Json] = {
    "events": _headers(
        "EventHeaders", "CloudEvents attributes in binary mode. On `cca.live` there are none.", ATTRIBUTES, TRACE
    ),
    "commands": _headers(
        "CommandHeaders",
        "Trace context; stored commands (work and timers) carry CloudEvents attributes too.",
        TRACE,
        REQUEST,
        ATTRIBUTES,
    ),
    "replies": _headers("ReplyHeaders", "An error comes back in these headers, with an empty body.", FAILURE),
    BYTES: _headers("ByteHeaders", "What is known about bytes.", LETTER)
    | {"patternProperties": {f"^{dead.ORIGINAL}": _header("On `cca.dead`: a header of the original.")}},
}


def document() -> Json:
    """The AsyncAPI document of the whole system."""
    kinds = sorted(KINDS.values(), key=tag_of)
    replies = sorted({tag_of(kind) for channel in CHANNELS for kind in channel.replies})
    channels = {channel.name: _channel(channel) for channel in CHANNELS}
    channels[REPLIES] = {
        "address": None,
        "title": REPLIES,
        "description": "The private inbox of whoever asked, named in the request.",
        "messages": {tag: _ref("components/messages", tag) for tag in replies},
    }
    messages: Json = {tag_of(kind): _message(kind) for kind in kinds}
    messages[TEXT] = {
        "name": TEXT,
        "contentType": "text/plain",
        "summary": "The description of a task, and nothing else.",
        "headers": _ref("components/schemas", "commands"),
        "payload": {"type": "string", "minLength": 1, "maxLength": 100_000},
    }
    messages[BYTES] = {
        "name": BYTES,
        "contentType": "application/octet-stream",
        "summary": "Bytes as they came.",
        "headers": _ref("components/schemas", BYTES),
        "payload": {},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "CCA",
            "version": __version__,
            "description": "Event-sourced control plane for fleets of AI coding agents, on NATS JetStream.",
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name, "description": text} for name, text in PARTIES.items()],
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "Where the embedded stack listens unless it is told otherwise.",
                "security": [{"$ref": "#/components/securitySchemes/password"}],
            }
        },
        "channels": channels,
        "operations": {key: value for channel in CHANNELS for key, value in _operations(channel)},
        "components": {
            "messages": messages,
            "schemas": HEADERS,
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "User `admin`; the password is an API key."}
            },
        },
    }


def _ref(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}


def _says(channel: Channel) -> list[str]:
    """Keys of the messages of a channel."""
    return [tag_of(kind) for kind in channel.messages] + [TEXT] * channel.text or [BYTES]


def _message(kind: type[Message]) -> Json:
    folder = bodies.folder(kind)
    return {
        "name": tag_of(kind),
        "title": kind.__name__,
        "summary": (kind.__doc__ or "").split("\n")[0],
        "tags": [{"name": folder}],
        "headers": _ref("components/schemas", folder),
        "payload": {"$ref": f"./{bodies.path(kind)}"},
    }


def _channel(channel: Channel) -> Json:
    found: Json = {
        "address": channel.address,
        "title": channel.name,
        "description": channel.description,
        "messages": {tag: _ref("components/messages", tag) for tag in _says(channel)},
        "x-kind": channel.kind,
    }
    if names := re.findall(r"{(\w+)}", channel.address):
        found["parameters"] = {name: {"description": PARAMETERS[name]} for name in names}
    if channel.stream:
        found["x-stream"] = channel.stream
    return found


def _operations(channel: Channel) -> Iterable[tuple[str, Json]]:
    for action, parties in (("send", channel.senders), ("receive", channel.receivers)):
        for party in parties:
            found: Json = {
                "action": action,
                "channel": _ref("channels", channel.name),
                "messages": [_ref("channels", channel.name, "messages", tag) for tag in _says(channel)],
                "summary": channel.description,
                "tags": [{"name": party}],
            }
            if channel.replies:
                tags = [tag_of(kind) for kind in channel.replies]
                found["reply"] = {
                    "channel": _ref("channels", REPLIES),
                    "messages": [_ref("channels", REPLIES, "messages", tag) for tag in tags],
                }
            yield f"{party}.{action}.{channel.name}", found
