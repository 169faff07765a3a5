"""Which route a path means, and what may stand where a route has a name in braces."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct

from cca.contracts.context import ContextKey, Scope
from cca.contracts.ledger import EVERYONE
from cca.contracts.task import Word
from cca.ids import task_id, word
from cca_gateway.problems import Problem

T = TypeVar("T")

Identity = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]


class Parameter(Struct, frozen=True):
    """What a name in a path may be.

    Attributes:
        read: the name in its one form. Raises `Refused` or `Problem` when it breaks the rule.
        schema: the rule as JSON Schema, for the documentation.
        description: a sentence on it.
    """

    read: Callable[[str], str]
    schema: dict[str, Any]
    description: str


def _role(text: str) -> str:
    return text if text == EVERYONE else word(text, "a role")


def _of(name: str, kind: Any, description: str = "") -> Parameter:
    """What a type of text admits; it may describe itself."""

    def read(text: str) -> str:
        try:
            found: str = msgspec.convert(text, kind)
        except msgspec.ValidationError as error:
            raise Problem("invalid", f"{error} - at `{{{name}}}` in the path") from None
        return found

    schema = msgspec.json.schema(kind)
    own = schema.pop("description", "")
    return Parameter(read, schema, description or own)


PARAMETERS: dict[str, Parameter] = {
    "task": Parameter(task_id, {"type": "string", "format": "uuid"}, "A task id."),
    "role": Parameter(
        _role,
        {"type": "string", "pattern": r"^(\*|[a-z0-9][a-z0-9_-]{0,62})$"},
        "A role, or `*` for all that have no policy of their own.",
    ),
    "scope": _of("scope", Scope),
    "key": _of("key", ContextKey),
    "memory": _of("memory", Identity, "The id of a memory."),
    "job": _of("job", Identity, "The id of a job."),
    "project": _of("project", Word, "The name of a project."),
}
"""Every name that a path may have, by what stands in the braces."""


class _Node(Generic[T]):
    """A place between two slashes: what may follow, and what is there."""

    __slots__ = ("name", "named", "there", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node[T]] = {}
        self.name = ""
        self.named: _Node[T] | None = None
        self.there: T | None = None


class Paths(Generic[T]):
    """Things by path. A word goes before a name: what `/memory/{memory}` has may not be called `search`."""

    def __init__(self) -> None:
        self._whole: dict[str, T] = {}
        self._root: _Node[T] = _Node()

    def at(self, path: str, new: T) -> T:
        """What is at a path (`/tasks/{task}/events`): `new`, unless there was something already."""
        if "{" not in path:
            return self._whole.setdefault(path, new)
        node = self._root
        for part in path.split("/"):
            if not part.startswith("{"):
                node = node.words.setdefault(part, _Node())
                continue
            name = part[1:-1]
            if node.named is None:
                node.name, node.named = name, _Node()
            if node.name != name or name not in PARAMETERS:
                raise ValueError(f"{path}: {name} cannot stand here")
            node = node.named
        if node.there is None:
            node.there = new
        return node.there

    def find(self, path: str) -> tuple[T | None, dict[str, str]]:
        """What is at a path that somebody asks for, and the names in it, decoded and not looked at yet."""
        there = self._whole.get(path)
        if there is not None:
            return there, {}
        node, names = self._root, dict[str, str]()
        for part in path.split("/"):
            following = node.words.get(part)
            if following is None:
                following = node.named
                if following is None or not part:
                    return None, {}
                names[node.name] = unquote(part)
            node = following
        return node.there, names


def read(names: dict[str, str]) -> dict[str, str]:
    """The names of a path, each in its one form. Raises `Refused` or `Problem`."""
    return {name: PARAMETERS[name].read(text) for name, text in names.items()}
