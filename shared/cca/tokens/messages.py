"""Find what is said in messages, as OpenAI, Anthropic and Claude Code write them, and where in them it stands."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.tokens import Speaker, Turn
from cca.tokens.splice import Path

NAME = 200
"""Characters of a name at most."""

_SPEAKERS: dict[Any, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXTS = ("text", "input_text", "output_text")


class Slot(Struct, frozen=True):
    """Where the text of a turn stands.

    Attributes:
        line: the number of the document; there are several in a file that holds one a line.
        path: of the value in its document.
        message: the path of the message that it belongs to.
        form: `text` is a string; `arguments` is a string that holds JSON; `value` is JSON itself.
        part: the path of the element that goes when the turn is dropped, while others remain beside it.
    """

    line: int
    path: Path
    message: Path
    form: Literal["text", "arguments", "value"] = "text"
    part: Path | None = None


Said = tuple[Slot, Turn]


class Messages:
    """Collects what is said in documents, one after another.

    Attributes:
        said: each text and where it stands, in order.
        fixed: messages (by document and path) in which there is more than texts, so that they must stay.
        tools: the tools that requests offer.
    """

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.fixed: set[tuple[int, Path]] = set()
        self.tools: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}

    def document(self, line: int, data: Any) -> None:
        """Read one document: a list of messages, a request that holds one, a message, or a line of a session."""
        if isinstance(data, list):
            self._several(line, (), data)
        elif not isinstance(data, dict):
            return
        elif is_message(data.get("message")):
            side = data.get("isSidechain") is True
            self._one(line, ("message",), data["message"], str(data.get("agentId") or "sidechain") if side else None)
        elif is_message(data):
            self._one(line, (), data)
        else:
            self._request(line, data)

    def _request(self, line: int, data: dict[str, Any]) -> None:
        lists = [key for key in ("messages", "input") if isinstance(data.get(key), list)]
        if not any(is_message(each) for key in lists for each in data[key]):
            return
        if isinstance(data.get("system"), str | list):
            self.fixed.add((line, ("system",)))
            self.said += self._content(data["system"], Slot(line, ("system",), ("system",)), Turn("", "system"))
        for key in lists:
            self._several(line, (key,), data[key])
        if isinstance(data.get("tools"), list):
            self.tools += [tool for tool in data["tools"] if isinstance(tool, dict)]

    def _several(self, line: int, path: Path, messages: list[Any]) -> None:
        for index, message in enumerate(messages):
            if is_message(message):
                self._one(line, (*path, index), message)

    def _one(self, line: int, path: Path, data: dict[str, Any], agent: str | None = None) -> None:
        role = _SPEAKERS.get(data.get("role"), "user")
        name = self._called(data.get("tool_call_id")) or _name(data.get("name"))
        if role == "tool":
            self.fixed.add((line, path))
        slot = Slot(line, (*path, "content"), path)
        found = [*self._content(data.get("content"), slot, Turn("", role, name)), *self._calls(data, line, path)]
        if agent is not None:
            found = [(slot, replace(turn, agent=agent[:NAME])) for slot, turn in found]
        self.said += found

    def _content(self, content: Any, slot: Slot, like: Turn) -> Iterator[Said]:
        """The texts of a content: a string, or a list of parts."""
        if isinstance(content, str):
            if content:
                yield slot, replace(like, text=content)
            return
        for index, part in enumerate(content if isinstance(content, list) else ()):
            path = (*slot.path, index)
            if isinstance(part, str):
                yield replace(slot, path=path, part=path), replace(like, text=part)
            elif isinstance(part, dict):
                yield from self._part(part, replace(slot, path=path), like)

    def _part(self, part: dict[str, Any], slot: Slot, like: Turn) -> Iterator[Said]:
        kind = part.get("type")
        if kind in _TEXTS and isinstance(part.get("text"), str):
            yield replace(slot, path=(*slot.path, "text"), part=slot.path), replace(like, text=part["text"])
            return
        self.fixed.add((slot.line, slot.message))  # a picture, a call, an answer
        if kind == "thinking" and isinstance(part.get("thinking"), str):
            # The provider has signed it, and takes it back only as it is.
            yield replace(slot, path=(*slot.path, "thinking")), replace(like, text=part["thinking"], pinned=True)
        elif kind == "tool_use" and part.get("input"):
            text = json.dumps(part["input"], ensure_ascii=False, separators=(",", ":"))
            name = self._calling(part.get("id"), part.get("name"))
            yield replace(slot, path=(*slot.path, "input"), form="value"), Turn(text, "assistant", name)
        elif kind == "tool_use":
            self._calling(part.get("id"), part.get("name"))
        elif kind == "tool_result":
            answer = Turn("", "tool", self._called(part.get("tool_use_id")))
            yield from self._content(part.get("content"), replace(slot, path=(*slot.path, "content")), answer)

    def _calls(self, data: dict[str, Any], line: int, path: Path) -> Iterator[Said]:
        """The calls of tools of OpenAI's messages; in its newer form calls and their answers are items themselves."""
        calls = data.get("tool_calls")
        found: list[tuple[Path, Any, Any]] = [
            ((*path, "tool_calls", index, "function"), call.get("function"), call.get("id"))
            for index, call in enumerate(calls if isinstance(calls, list) else ())
            if isinstance(call, dict)
        ]
        found.append(((*path, "function_call"), data.get("function_call"), None))
        if data.get("type") == "function_call":
            found.append((path, data, data.get("call_id")))
        for where, function, identity in found:
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                self.fixed.add((line, path))
                name = self._calling(identity, function.get("name"))
                slot = Slot(line, (*where, "arguments"), path, form="arguments")
                yield slot, Turn(function["arguments"], "assistant", name)
        if data.get("type") == "function_call_output" and isinstance(data.get("output"), str):
            self.fixed.add((line, path))
            name = self._called(data.get("call_id"))
            yield Slot(line, (*path, "output"), path), Turn(data["output"], "tool", name)

    def _calling(self, identity: Any, name: Any) -> str | None:
        """The name of a tool, which is remembered for its answer; that one says only which call it belongs to."""
        short = _name(name)
        if isinstance(identity, str) and short:
            self._names[identity] = short
        return short

    def _called(self, identity: Any) -> str | None:
        return self._names.get(identity) if isinstance(identity, str) else None


def is_message(data: Any) -> bool:
    """Whether a value is a message, or an item that stands for one."""
    if not isinstance(data, dict):
        return False
    if data.get("type") in ("function_call", "function_call_output"):
        return True
    role = data.get("role")
    return isinstance(role, str) and role in _SPEAKERS and ("content" in data or "tool_calls" in data)


def _name(value: Any) -> str | None:
    return value[:NAME] if isinstance(value, str) and value else None
