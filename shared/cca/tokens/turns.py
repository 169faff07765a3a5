"""One turn after another is folded: what stood before first, then its sections, until there is nothing left to fold."""

import json
import re
from collections.abc import Iterator, Sequence

from msgspec import structs

from cca.tokens import delta
from cca.tokens.counting import recalled
from cca.tokens.dedup import Run, Seen, Units
from cca.tokens.draft import WORDS, Change, Draft, changed, marked, marked_json
from cca.tokens.folds import Section
from cca.tokens.frame import Part, frame
from cca.tokens.kinds import classify
from cca.tokens.level import Chosen
from cca.tokens.markers import LEGEND
from cca.tokens.numbered import bare, number_of
from cca.tokens.reading import Reading
from cca.tokens.sections import Placed, is_code, sections_of
from cca.tokens.similar import Index

LEAST, SHARE = 10, 0.05
"""A cut saves at least so many tokens, and this share of what it replaces."""
_MARKER = 28
"""Tokens of a marker, about. A constant, so that whether a run is cut does not hang on the digits in its marker."""
_PASSES = 12
"""Each pass but the last makes the turn shorter; two are nearly always enough."""
_SHORT = 80
"""Sections of fewer characters cannot save more than their marker costs."""
_ALIKE = 0.5
_ALIKE_SIZE = 400
_FIRST = ("noise", "digests", "comments")
"""Strategies that only take something away: the others go on with what they leave."""

_TIMED = re.compile(r'"(?:@?timestamp|time|ts|date|datetime|asctime)"\s*:', re.IGNORECASE)
_SAID = re.compile(r'"(?:level|lvl|severity|log\.level|levelname|msg|message|event)"\s*:', re.IGNORECASE)


class Folder:
    """Folds the turns of a transcript, which come in their order."""

    def __init__(self, chosen: Chosen, recent: int) -> None:
        self._chosen, self._recent = chosen, recent
        self._seen = Seen()
        self._alike = Index()
        self._lines: dict[int, Sequence[str]] = {}
        # What folds nothing but code has to know its language; to the others it is nothing.
        self._languages = any(strategy.kinds == {"code"} for strategy in chosen.folds)
        self._tried: dict[Section, Change | None] = {}
        """What became of the sections of a turn: a pass comes upon most of those that the one before it left."""

    def fold(self, number: int, reading: Reading, age: int) -> Draft:
        """The turn folded, and remembered for those that follow.

        Args:
            number: of the turn, counted from 0.
            age: how many turns come after it, where that may make a difference.
        """
        current = Draft(reading.lines, [])
        units = self._units(reading.lines, reading.parts)
        whole = self._whole(reading)
        if whole is not None and whole.strategy == "duplicates":
            folded = changed(current, [whole])
        else:
            folded = self._parts(reading, current, units, age)
            if whole is not None and whole.before - whole.after > folded.saved:
                folded = changed(current, [whole])
        self._remember(number, reading, units)
        return folded

    def remember(self, number: int, reading: Reading) -> None:
        """Remember a turn that stays as it is."""
        self._remember(number, reading, self._units(reading.lines, reading.parts))

    def _remember(self, number: int, reading: Reading, units: Units | None) -> None:
        if units is not None:
            self._seen.add(number, reading.turn.text, units)
        if "delta" in self._chosen and _may_resemble(reading) and reading.signature is not None:
            self._alike.add(number, reading.signature)
            self._lines[number] = reading.lines

    def _units(self, lines: Sequence[str], parts: Sequence[Part]) -> Units | None:
        """What repeats are looked for by, when they are."""
        return self._seen.units(lines, parts) if "duplicates" in self._chosen else None

    # ---------------------------------------------------------------------------- the turn as a whole

    def _whole(self, reading: Reading) -> Change | None:
        """What says the whole turn by an earlier one."""
        text, lines, parts = reading.turn.text, reading.lines, reading.parts
        if text.startswith(LEGEND) or len(text) < _SHORT or all(part.what == "folded" for part in parts):
            return None
        of_json = _is_json(lines, parts)
        if "duplicates" in self._chosen and (same := self._seen.same(text)) is not None:
            called = f"same as message {same + 1}"
            put = marked_json(text, f'"{called}"') if of_json else marked(text, f"{_lines(text)}, {called}")
            return self._worth(Change(0, len(lines), text, put, "duplicates", classify(lines)))
        if "delta" not in self._chosen or not _may_resemble(reading) or reading.signature is None:
            return None
        near = self._alike.nearest(reading.signature, _ALIKE)
        if near is None:
            return None
        called = f"message {near[0] + 1}"
        if of_json:
            value = delta.of_json("\n".join(self._lines[near[0]]), text, called)
            if value is None:
                return None
            put = marked_json(text, value)
        else:
            put = marked(text, f"{_lines(text)}, as {called} but", delta.of_lines(self._lines[near[0]], lines))
        return self._worth(Change(0, len(lines), text, put, "delta", classify(lines)))

    # ---------------------------------------------------------------------------- parts of it

    def _parts(self, reading: Reading, current: Draft, units: Units | None, age: int) -> Draft:
        """The turn with its repeated runs and its sections folded, until nothing changes."""
        self._tried.clear()
        name = reading.turn.name
        parts: Sequence[Part] = reading.parts
        plain = not age and not self._languages
        placed = reading.placed if plain else self._placed(current, parts, name, age)
        for turn_pass in range(_PASSES):
            changes = self._runs(current, parts, units) if units is not None else []
            if changes:
                following = changed(current, changes)
                framed = frame(following.lines, is_code(name))
                following = self._pass(following, self._placed(following, framed, name, age))
                if turn_pass == 0 and not _covers(changes, current):
                    # In a log, say, the runs may stand in the way of what sums up all of it.
                    other = self._pass(current, placed)
                    following = max(following, other, key=lambda one: one.saved)
            else:
                following = self._pass(current, placed)
            if following is current:
                break
            current = following
            parts = frame(current.lines, is_code(name))
            if all(part.what == "folded" for part in parts):
                break  # as most turns are when something was done
            placed = self._placed(current, parts, name, age)
            units = self._units(current.lines, parts)
        return current

    def _placed(self, current: Draft, parts: Sequence[Part], name: str | None, age: int) -> list[Placed]:
        return list(sections_of(current.lines, parts, name, age, languages=self._languages))

    def _pass(self, current: Draft, placed: Sequence[Placed]) -> Draft:
        if not self._chosen.folds:
            return current
        changes = [change for each in placed if (change := self._section(each)) is not None]
        return changed(current, changes) if changes else current

    def _runs(self, current: Draft, parts: Sequence[Part], units: Units) -> list[Change]:
        lines = current.lines
        if _is_json(lines, parts):
            return []

        def worth(start: int, end: int) -> bool:
            tokens = recalled("\n".join(lines[start:end]))
            return tokens - _MARKER >= max(LEAST, SHARE * tokens)

        return [self._run(lines, run) for run in self._seen.runs(units, worth)]

    def _run(self, lines: Sequence[str], run: Run) -> Change:
        text = "\n".join(lines[run.start : run.end])
        called = "as above" if run.turn is None else f"as in message {run.turn + 1}"
        first, last = number_of(lines[run.start]), number_of(lines[run.end - 1])
        which = _lines(text) if first is None or last is None else f"lines {first}-{last}"
        put = marked_json(text, f'"{called}"') if run.json else marked(text, f"{which}, {called}")
        return self._counted(Change(run.start, run.end, text, put, "duplicates", classify(lines[run.start : run.end])))

    def _section(self, placed: Placed) -> Change | None:
        """What is to stand for a section, if anything."""
        section = placed.section
        if section.kind == "folded":
            return None
        if section not in self._tried:
            self._tried[section] = self._best(section)
        best = self._tried[section]
        return None if best is None else structs.replace(best, start=placed.start, end=placed.end)

    def _best(self, section: Section) -> Change | None:
        """The section as the strategy says it that saves most, when that is enough."""
        text = "\n".join(section.lines)
        if len(text) < _SHORT:
            return None
        best: Change | None = None
        numbers = number_of(section.lines[0])
        for name, lines in self._folded(section):
            if section.kind == "json" and name != "logs":
                put = marked_json(text, _as_json(lines))
            elif numbers is not None:
                put = marked(text, f"{len(section.lines)} {WORDS[section.kind]} from {numbers}", lines)
            else:
                put = marked(text, f"{len(section.lines)} {WORDS[section.kind]}", lines)
            change = self._worth(Change(0, len(section.lines), text, put, name, section.kind))
            if change is not None and (best is None or change.after < best.after):
                best = change
        return best

    def _folded(self, section: Section) -> Iterator[tuple[str, Sequence[str]]]:
        """What each strategy makes of a section."""
        if (unnumbered := bare(section.lines)) is not None:
            section = structs.replace(section, lines=tuple(unnumbered))
            if "noise" in self._chosen and not any(map(_is_fence, unnumbered)):
                yield "noise", unnumbered
        is_log: bool | None = None
        for strategy in self._chosen.folds:
            if section.kind not in strategy.kinds or (strategy.old_only and section.age < self._recent):
                continue
            if section.kind == "json" and strategy.name in ("logs", "rows"):
                # Logs are summed up by what they say; as rows, they would be by the fields that they happen to have.
                is_log = _is_log(section.lines) if is_log is None else is_log
                if is_log != (strategy.name == "logs"):
                    continue
            lines = strategy.fold(section)
            if lines is None:
                continue
            text = "\n".join(lines)
            lines = text.split("\n") if lines else []
            if section.kind != "json" and ("```" in text or "~~~" in text) and any(map(_is_fence, lines)):
                continue  # it would open or close a code block
            yield strategy.name, lines
            if strategy.name in _FIRST and lines:
                section = structs.replace(section, lines=tuple(lines))

    # ---------------------------------------------------------------------------- counting

    def _worth(self, change: Change) -> Change | None:
        """The change with its tokens, when it saves enough."""
        if sum(map(len, change.put)) > 1.5 * len(change.original):
            return None
        change = self._counted(change)
        return change if change.before - change.after >= max(LEAST, SHARE * change.before) else None

    def _counted(self, change: Change) -> Change:
        before, after = recalled(change.original), recalled("\n".join(change.put))
        return structs.replace(change, before=before, after=after)


def _may_resemble(reading: Reading) -> bool:
    return len(reading.turn.text) >= _ALIKE_SIZE and not any(part.what == "folded" for part in reading.parts)


def _is_json(lines: Sequence[str], parts: Sequence[Part]) -> bool:
    """Whether a text is one JSON document and nothing else."""
    documents = [part for part in parts if part.what == "json"]
    return len(documents) == 1 and not any(
        part.what != "text" or any(map(str.strip, lines[part.start : part.end]))
        for part in parts
        if part.what != "json"
    )


def _is_fence(line: str) -> bool:
    return line.lstrip()[:3] in ("```", "~~~")


def _is_log(lines: Sequence[str]) -> bool:
    """Whether lines of JSON are what a program logged."""
    sample = lines[:: max(1, len(lines) // 20)]
    return len(lines) > 4 and all(_TIMED.search(line) and _SAID.search(line) for line in sample)


def _lines(text: str) -> str:
    count = text.count("\n") + 1
    return f"{count} lines" if count > 1 else "a line"


def _covers(changes: Sequence[Change], current: Draft) -> bool:
    return sum(change.end - change.start for change in changes) >= 0.9 * len(current.lines)


def _as_json(lines: Sequence[str]) -> str:
    """What stands for JSON as JSON: a strategy for text may have made lines of it."""
    if len(lines) == 1:
        try:
            json.loads(lines[0])
            return lines[0]
        except (ValueError, RecursionError):
            pass
    return json.dumps(list(lines), ensure_ascii=False, separators=(",", ":"))
