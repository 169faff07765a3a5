"""Logs: what recurs is summed up by template, what is rare, went wrong or changed something stays, in its order."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import Struct

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.drain import Template, masked, templates
from cca.tokens.strategies.fragments import in_brief, named, shared_members, without
from cca.tokens.strategies.noise import plain, worthwhile
from cca.tokens.strategies.salient import weight
from cca.tokens.strategies.spread import spread
from cca.tokens.strategies.trace import Traces

_KINDS: frozenset[ContentKind] = frozenset({"log", "json"})
_STAY: dict[str, int] = {"plain": 3, "change": 6, "warning": 6, "error": 10}
"""Templates of so many lines, by what they say, are not routine: their lines stay."""
_ENDS = 1
"""So many lines at the beginning and at the end stay whatever they are."""
_STRETCH = 30
"""So many lines in a row, in what is not a log, may be one all the same."""
_LINKED = 3
"""So many lines that share an id with a rare error stay with it."""

# A time at the beginning of a line as `masked` left it, with what may stand around it.
_HEAD = re.compile(
    r"[^\s#]{0,24}[\[(\"]?(?:#[-/.]#(?:[-/.]#)?(?:T|[ T:]#)?|(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {1,2}#(?: #)?"
    r"|#/[A-Z][a-z]{2}/#|[IWEFD]?#)?"
    r"[ :]?(?:#:)?#:#(?:[.,]#)?Z?(?: ?[+-]#(?::#)?| UTC)?[\])\",]?(?: |$)"
)
_CLOCK = re.compile(
    r"(?:\d{4}[-/.]\d\d[-/.]\d\d[T ]|[A-Z][a-z]{2} {1,2}\d{1,2} |\d\d/[A-Z][a-z]{2}/\d{4}:)?"
    r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?Z?"
)
_STAMP = re.compile(r"[\"'\[({]*(?:#-#-#|#/[A-Z][a-z]{2}/#)[T:]?[#:.,]*Z?(?:[+-]#(?::#)?)?[\"'\])},]*$|[+-]#[\"\])]+$")
_CALLED_TIME = re.compile(r"\{?\"(?:ts|t|time|timestamp|@timestamp|date|datetime|asctime)\":", re.IGNORECASE)
_FAILED = re.compile(r"\" 5[0-9][0-9] |\bstatus(?:_code)?[\"']?[=:] ?[\"']?5[0-9][0-9]\b")
_BELONGS = re.compile(r"\s+\S|Caused by:|Traceback \(|\s*\.\.\. #|[)}\]]+[,;]?$|--- End|During handling|The above exc")
_TRACED = re.compile(r"\s+(?:at |File \"|#: |\.\.\. #|from )|Caused by:|Traceback \(|goroutine #")
_ID = re.compile(r"(?<![\w.:-])(?=[\w-]{0,40}[0-9])(?=[\w-]{0,40}[A-Za-z-]|[0-9]{4})[\w-]{4,40}(?![\w:.])")


class _Read(Struct):
    """What a line is, as far as its words say."""

    head: int
    belongs: bool
    traced: bool


class _Entry(Struct):
    """The lines `start` up to, not including, `end`, which were written at once."""

    start: int
    end: int


def logs(section: Section) -> list[str] | None:
    """The log, with its routine summed up."""
    log = _Log(plain(section.lines))
    out = log.folded()
    return None if out is None else worthwhile(section.lines, out)


def routine_summed(lines: Sequence[str]) -> list[str]:
    """The lines of any output, with its longer stretches without a gap folded as logs, where that helps."""
    out: list[str] = []
    start = 0
    for end in range(len(lines) + 1):
        if end < len(lines) and lines[end] and not lines[end].startswith("…"):
            continue
        run = tuple(lines[start:end])
        folded = logs(Section(run, "log")) if len(run) >= _STRETCH else None
        out += run if folded is None else folded
        out += lines[end : end + 1]
        start = end + 1
    return out


class _Log:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.known: dict[str, _Read] = {}
        text = "\n".join(lines)
        self.json = text.lstrip().startswith("{")
        if self.json:
            text = text.replace(',"', ', "')
        self.words = text.split("\n") if self.json else lines
        self.keys = masked(text).split("\n")
        self.entries = self.whole_entries()

    def read(self, key: str) -> _Read:
        known = self.known.get(key)
        if known is None:
            found = _HEAD.match(key)
            head = len(found[0].split()) if found else 0
            belongs = not head and _BELONGS.match(key) is not None
            known = _Read(head, belongs, belongs and _TRACED.match(key) is not None)
            self.known[key] = known
        return known

    def whole_entries(self) -> list[_Entry]:
        """The lines that begin an entry, with those that belong to it."""
        reads = [self.read(key) for key in self.keys]
        timed = 2 * sum(1 for one in reads if one.head) > len(reads)
        entries: list[_Entry] = []
        in_trace = False
        for at, one in enumerate(reads):
            key = self.keys[at]
            inside = (one.belongs and (timed or one.traced or in_trace)) or not key
            if not inside and in_trace and not one.head:
                inside, in_trace = True, False  # the line that names the exception
            elif one.head or not inside:
                in_trace = False
            if "Traceback (most" in key:
                in_trace = True
            if inside and entries:
                entries[-1].end = at + 1
            else:
                entries.append(_Entry(at, at + 1))
        return entries

    def folded(self) -> list[str] | None:
        found = templates([self.key(entry) for entry in self.entries], self.sort)
        if 10 * len(found) > 9 * len(self.entries):
            return None
        stays = {*range(_ENDS), *range(max(0, len(self.entries) - _ENDS), len(self.entries))}
        rare: list[int] = []
        summed: list[Template] = []
        for template in found:
            members = template.members
            if len(members) <= _STAY[template.sort]:
                stays.update(members)
                if template.sort == "error":
                    rare += members
                continue
            if template.sort == "error":
                stays.update((members[0], members[-1]))
            summed.append(template)
        stays |= self.refused()
        texts = [(len(template.members), self.said(template, stays)) for template in summed]
        stays |= self.linked(rare)
        texts.sort(key=lambda one: -one[0])
        return self.written(texts, stays)

    def key(self, entry: _Entry) -> str:
        if entry.end == entry.start + 1:
            return self.keys[entry.start]
        return " ⏎ ".join(key for key in self.keys[entry.start : entry.end] if key)

    def sort(self, key: str) -> tuple[str, int]:
        first, _, rest = key.partition(" ⏎ ")
        return weight(key if rest else first), self.read(first).head

    def said(self, template: Template, stays: set[int]) -> str:
        """The template with its values. Lines with a value that is unlike the others are added to those that stay."""
        rows = [self.row(number)[template.skip :] for number in template.members]
        columns = list(zip(*rows, strict=True))
        texts: list[str] = []
        odd: set[int] = set()
        for word, values in zip(template.words, columns, strict=True):
            if word is not None and "#" in word and _STAMP.match(word):
                # From when to when is said of the whole.
                if texts and _CALLED_TIME.fullmatch(texts[-1]):
                    texts[-1] = ""
                texts.append("")
                continue
            if word is not None and "#" not in word:
                texts.append(word)
                continue
            found = spread(values)
            texts.append(found.text)
            if found.odd:
                odd.update(at for at, value in enumerate(values) if value in found.odd)
        if odd and len(odd) < len(rows):
            stays.update(template.members[at] for at in odd)
            usual = [at for at in range(len(rows)) if at not in odd]
            for place, word in enumerate(template.words):
                if word is None or "#" in word:
                    column = columns[place]
                    if texts[place]:
                        texts[place] = spread([column[at] for at in usual]).text
        return " ".join(filter(None, texts))

    def row(self, number: int) -> list[str]:
        entry = self.entries[number]
        if entry.end == entry.start + 1:
            return self.words[entry.start].split()
        return " ⏎ ".join(line for line in self.words[entry.start : entry.end] if line).split()

    def refused(self) -> set[int]:
        """The entries that tell of a status of 500 or above, while they are few."""
        first = (self.lines[entry.start] for entry in self.entries)
        found = {at for at, line in enumerate(first) if ('" 5' in line or "status" in line) and _FAILED.search(line)}
        return found if len(found) <= _STAY["error"] else set()

    def linked(self, errors: Iterable[int]) -> set[int]:
        """The entries before and after rare errors that speak of the same id: what led there."""
        near: set[int] = set()
        for number in islice(errors, 20):
            text = self.lines[self.entries[number].start][:2000]
            clock = _CLOCK.search(text)
            ids = [one for one in dict.fromkeys(_ID.findall(text[clock.end() if clock else 0 :]))][:5]
            around = range(max(0, number - 60), min(len(self.entries), number + 20))
            for one in ids:
                hits = [at for at in around if at != number and one in self.lines[self.entries[at].start]]
                if len(hits) <= _LINKED:
                    near.update(hits)
        return near

    def written(self, texts: Sequence[tuple[int, str]], stays: set[int]) -> list[str]:
        routine = len(self.entries) - len(stays)
        out = [f"{len(self.lines)} lines{self.span()}, by template:"]
        out += [f"{count}x {text}" for count, text in texts]
        out.append(f"{len(stays)} kept whole, in order (… n: n of the above):")
        traces = Traces()
        usual: list[int] = []  # where lines stand that are there for being rare alone
        last = -1
        for number in sorted(stays):
            if number > last + 1:
                out.append(f"… {number - last - 1}")
            entry = self.entries[number]
            lines = self.lines[entry.start : entry.end]
            if len(lines) > 1:
                out += traces.short([line for line in lines if line])
            else:
                if self.json and weight(self.keys[entry.start]) == "plain":
                    usual.append(len(out))
                out.append(lines[0])
            last = number
        if last + 1 < len(self.entries):
            out.append(f"… {len(self.entries) - last - 1}")
        if not routine:
            return self.lines
        for at, line in zip(usual, in_brief([out[at] for at in usual]), strict=True):
            out[at] = line
        shared = shared_members([line for line in self.lines if line]) if self.json else []
        if shared:
            # Templates are of words with a blank after each comma, whatever the lines have.
            spaced = [*shared, *(f"{member.rstrip(', ')}, " for member in shared)]
            out = [out[0], "in all: " + "".join(shared).rstrip(", "), *(without(line, spaced) for line in out[1:])]
        return [out[0], *named(out[1:])]

    def span(self) -> str:
        """From when to when the log is."""
        times = [found[0] for line in (*self.lines[:50],) if (found := _CLOCK.search(line[:200]))][:1]
        times += [found[0] for line in reversed(self.lines[-50:]) if (found := _CLOCK.search(line[:200]))][:1]
        if len(times) < 2 or times[0] == times[1]:
            return ""
        return f" {times[0]}…{times[1]}"


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="logs",
        summary="Routine lines are summed up by template, with their values; rare ones, errors and changes stay.",
        kinds=_KINDS,
        level="safe",
        function=logs,
    ),
)
