"""Tasks that were published to `cca.tasks.<role>`: JSON by schema, or plain text as the description."""

import uuid
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from cca import codec, ids
from cca.contracts.task import SubmitTask
from cca.errors import Refused, Unreadable
from cca.ids import TaskId
from cca.message import Command


class Intake(Struct, frozen=True):
    """One submission: what is asked of whom, under which id."""

    task: TaskId
    role: str
    command: SubmitTask


def named(command: SubmitTask) -> TaskId | None:
    """The id that a submission states, by itself or by an idempotency key; the key is its requester's own.

    Raises `Refused` (`bad-id`).
    """
    if command.id is not None:
        return ids.task_id(command.id)
    if command.idempotency_key is not None:
        return TaskId(ids.uuid8_of(command.requester or "", command.idempotency_key))
    return None


def read_submission(subject: str, headers: Mapping[str, str], body: bytes, seq: int, time_ns: int) -> Intake:
    """An intake message as a submission. Raises `Unreadable` or `Refused`.

    The id is, in this order: the JSON's own, its idempotency key, header `Cca-Task-Id`, header `Nats-Msg-Id` (a
    UUID is an id, anything else a key), or else made of the message's position, the same each time it is read.
    """
    role = ids.word(subject.rpartition(".")[2], "a role")
    command = _command(body)
    if command.role is not None and command.role != role:
        raise Refused("wrong-role", f"published for role {role}, but the body says {command.role}")
    task = named(command) or from_headers(headers)
    if task is None:
        task = TaskId(ids.uuid7_of(f"CCA_TASKS:{seq}:{time_ns}", time_ns // 1_000_000))
    return Intake(task, role, replace(command, role=role))


def from_headers(headers: Mapping[str, str]) -> TaskId | None:
    """The id that the headers of an intake message state. Raises `Refused` for a `Cca-Task-Id` that is none."""
    if (stated := headers.get("Cca-Task-Id")) is not None:
        return ids.task_id(stated)
    if (message_id := headers.get("Nats-Msg-Id")) is not None:
        try:
            return TaskId(str(uuid.UUID(message_id)))
        except ValueError:
            return TaskId(ids.uuid8_of("", message_id))
    return None


def stated(headers: Mapping[str, str], body: bytes) -> TaskId | None:
    """The id that an unusable intake message states, if it can be made out: its rejection is noted under it."""
    try:
        return from_headers(headers) or ids.task_id(codec.read(body, _Id).id)
    except (Refused, Unreadable):
        return None


class _Id(Command, frozen=True, tag=codec.tag_of(SubmitTask)):
    id: str


def _command(body: bytes) -> SubmitTask:
    text = body.lstrip()
    if text.startswith(b"{"):
        return codec.read(body, SubmitTask)
    try:
        description = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"neither JSON nor UTF-8 text: {error}") from None
    if not description.strip():
        raise Unreadable("the message is empty; its text would be the task's description")
    # through the schema, for its limits
    return codec.read(codec.encode(_Text(description)), SubmitTask)


class _Text(Command, frozen=True, tag=codec.tag_of(SubmitTask)):
    description: str
