"""Transcripts in the forms that agents and providers keep them in, as turns, and turns put back into the same form.

Understood are lists of messages as OpenAI and Anthropic take them, alone or in a request (`messages`, `system`,
`tools`), as one JSON document or one a line, and the session files of Claude Code. All else is a text of one turn.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cca.contracts.tokens import Turn
from cca.tokens.messages import NAME, Messages, Slot
from cca.tokens.splice import Path, splice

Form = Literal["text", "json", "jsonl"]
BOM = "\ufeff"

_SURROGATE = re.compile("[\ud800-\udfff]")


class Transcript:
    """A document, taken apart into turns. Make it with `read`.

    Attributes:
        form: `text` is one turn; `json` one document, `jsonl` one a line.
        turns: what is said, in order: each text or part of one, each call of a tool and each answer.
        tools: the tools that a request in it offers, as the provider takes them.
    """

    def __init__(self, document: str, form: Form, found: Messages) -> None:
        self.form: Form = form
        self.turns: tuple[Turn, ...] = tuple(turn for _, turn in found.said)
        self.tools: tuple[dict[str, Any], ...] = tuple(found.tools)
        self._slots = [slot for slot, _ in found.said]
        self._fixed = found.fixed
        self._bom = BOM if form != "text" and document.startswith(BOM) else ""
        document = document.removeprefix(self._bom)
        self._lines = document.split("\n") if form == "jsonl" else [document]
        self._ascii = document.isascii()

    def write(self, texts: Sequence[str | None]) -> str:
        """The document with other texts in it; everything else in it stays character for character.

        Args:
            texts: one for each turn, in the same order. None drops it: its part of a message, or the message when
                there is nothing else in it; where neither may go, the text is empty. The arguments of a tool are
                changed only into another JSON object.

        Raises:
            ValueError: there are more or fewer texts than turns.
        """
        if len(texts) != len(self.turns):
            raise ValueError(f"{len(texts)} texts for {len(self.turns)} turns")
        if self.form == "text":
            return texts[0] or ""
        messages: dict[tuple[int, Path], list[int]] = {}
        for index, slot in enumerate(self._slots):
            messages.setdefault((slot.line, slot.message), []).append(index)
        edits: dict[int, dict[Path, str | None]] = {}
        for (line, path), indexes in messages.items():
            if all(texts[index] == self.turns[index].text for index in indexes):
                continue
            if self._removable(line, path) and all(texts[index] is None for index in indexes):
                edits.setdefault(line, {})[() if self._whole(path) else path] = None
            else:
                edits.setdefault(line, {}).update(self._changed(indexes, texts))
        return self._bom + "\n".join(
            splice(text, edits[line]) if line in edits else text
            for line, text in enumerate(self._lines)
            if edits.get(line, {}).get((), "") is not None
        )

    def _whole(self, path: Path) -> bool:
        """Whether a message is all that its line is there for."""
        return self.form == "jsonl" and path in ((), ("message",))

    def _removable(self, line: int, path: Path) -> bool:
        in_list = bool(path) and isinstance(path[-1], int)
        return (line, path) not in self._fixed and (in_list or self._whole(path))

    def _changed(self, indexes: Sequence[int], texts: Sequence[str | None]) -> Mapping[Path, str | None]:
        """What changes inside of a message that stays."""
        parts = [(self._slots[index].part, texts[index]) for index in indexes]
        left = {part[:-1] for part, text in parts if part is not None and text is not None}
        found: dict[Path, str | None] = {}
        for index in indexes:
            slot, new = self._slots[index], texts[index]
            if new == self.turns[index].text:
                continue
            if new is None and slot.part is not None and slot.part[:-1] in left:
                found[slot.part] = None
            elif slot.form == "text":
                found[slot.path] = self._string(new or "")
            elif _is_object(value := "{}" if new is None else new):
                found[slot.path] = value if slot.form == "value" else self._string(value)
        return found

    def _string(self, text: str) -> str:
        body = json.dumps(text, ensure_ascii=self._ascii)
        # A lone surrogate has no UTF-8; as an escape it may stand in JSON.
        return body if self._ascii else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", body)


def read(document: bytes | str, name: str | None = None) -> Transcript:
    """Take a document apart.

    Args:
        name: of the file; that of the turn when the document is a text.

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.
    """
    text = document.decode() if isinstance(document, bytes) else document
    body = text.removeprefix(BOM)
    first = body.lstrip(" \t\r\n")[:1]
    if first in ("{", "[") and (found := _messages([body])):
        return Transcript(text, "json", found)
    if first == "{" and (found := _messages(body.split("\n"))):
        return Transcript(text, "jsonl", found)
    plain = Messages()
    plain.said.append((Slot(0, (), ()), Turn(text, name=name[:NAME] if name else None)))
    return Transcript(text, "text", plain)


def _messages(documents: Sequence[str]) -> Messages | None:
    """What is said in JSON documents; None when it is nothing, or when one is no JSON: but the last may be cut off."""
    found = Messages()
    lines = [(line, text) for line, text in enumerate(documents) if text.strip()]
    for line, text in lines:
        try:
            found.document(line, json.loads(text))
        except (ValueError, RecursionError):
            if (line, text) == lines[0] or (line, text) != lines[-1]:
                return None
    return found if found.said else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
