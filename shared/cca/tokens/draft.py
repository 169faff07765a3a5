"""A turn while it is compressed: its lines, and what stands among them for what was cut."""

from collections.abc import Sequence

from msgspec import Struct, structs

from cca.contracts.tokens import ContentKind
from cca.tokens.markers import json_marker, marker, ref_of

WORDS: dict[ContentKind, str] = {
    "prose": "lines",
    "code": "lines of code",
    "json": "lines of JSON",
    "log": "log lines",
    "table": "table lines",
    "diff": "diff lines",
    "search": "lines found",
    "tests": "lines of tests",
    "listing": "lines listed",
    "build": "build lines",
    "trace": "trace lines",
    "folded": "lines",
}
"""What a marker calls the lines that it stands for."""


class Change(Struct, frozen=True):
    """Lines `start` up to, not including, `end` are to be replaced.

    Attributes:
        original: their text; its reference is in the marker.
        put: the lines that take their place, the marker first.
        before, after: tokens, as the strategies are compared by.
    """

    start: int
    end: int
    original: str
    put: tuple[str, ...]
    strategy: str
    kind: ContentKind
    before: int = 0
    after: int = 0

    @property
    def lines(self) -> int:
        """How many lines the original has."""
        return self.original.count("\n") + 1


class Draft(Struct):
    """What a turn has become so far. `cuts` are in order, and where they start and end is counted in `lines`."""

    lines: list[str]
    cuts: list[Change]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def saved(self) -> int:
        """Tokens, as the strategies are compared by."""
        return sum(cut.before - cut.after for cut in self.cuts)


def draft(text: str) -> Draft:
    """A turn as it comes."""
    return Draft(text.split("\n"), [])


def changed(old: Draft, changes: Sequence[Change]) -> Draft:
    """A draft with some of its lines replaced. The changes are in order, and apart from each other and earlier cuts."""
    lines: list[str] = []
    cuts: list[Change] = []
    done = 0
    waiting = list(old.cuts)[::-1]

    def keep(end: int) -> None:
        nonlocal done
        shift = len(lines) - done
        lines.extend(old.lines[done:end])
        while waiting and waiting[-1].start < end:
            cuts.append(_moved(waiting.pop(), shift))
        done = end

    for change in changes:
        keep(change.start)
        at = len(lines)
        lines.extend(change.put)
        cuts.append(_moved(change, at - change.start, at + len(change.put)))
        done = change.end
    keep(len(old.lines))
    return Draft(lines, cuts)


def _moved(cut: Change, by: int, end: int | None = None) -> Change:
    return structs.replace(cut, start=cut.start + by, end=cut.end + by if end is None else end)


def marked(original: str, what: str, lines: Sequence[str] = ()) -> tuple[str, ...]:
    """A marker, and the lines that stand for the original."""
    return (marker(ref_of(original), what, len(lines)), *lines)


def marked_json(original: str, value: str) -> tuple[str, ...]:
    """The line that stands for JSON; `value` is JSON on one line."""
    return (json_marker(ref_of(original), value),)
