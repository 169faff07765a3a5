"""A turn taken apart: whole lines of one kind, so that each can be said in fewer tokens by what knows its kind."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import UNSET, Struct, UnsetType

from cca.contracts.tokens import ContentKind, Turn
from cca.tokens.folds import Section
from cca.tokens.frame import Part, frame
from cca.tokens.hunks import diffs
from cca.tokens.kinds import kind_of, sort_of
from cca.tokens.languages import ending_of, language_of, of_file, tagged
from cca.tokens.numbered import spans, without
from cca.tokens.stacks import stacks

_PROMPT = re.compile(r"(?:\$|[\w.-]{1,40}@[\w.-]{1,60}[:~ ][^$#\n]{0,120}[$#]|\([\w.-]{1,40}\) \$) (\S.{0,300})")
_PROMPTS = frozenset("$(")
_STACK = 4
"""A stack trace of so many lines in prose or code is a section of its own."""
_TELL_NOTHING = frozenset({"prose", "item", "indented"})
_BY_TAG: dict[str, ContentKind] = {
    "diff": "diff", "patch": "diff", "log": "log", "logs": "log", "csv": "table", "tsv": "table", "pytb": "trace",
}  # fmt: skip
_BY_ENDING: dict[str, ContentKind] = {
    "diff": "diff", "patch": "diff", "log": "log", "csv": "table", "tsv": "table", "md": "prose", "txt": "prose",
}  # fmt: skip
_VAGUE: frozenset[ContentKind] = frozenset({"prose", "code", "table", "json"})
_TAKES: tuple[tuple[ContentKind, int, frozenset[ContentKind]], ...] = (
    ("tests", 80, frozenset({"prose", "code", "log", "table", "listing", "search", "build", "trace"})),
    ("build", 12, frozenset({"prose", "code", "log", "search", "table"})),
    ("log", 4, frozenset({"prose", "code", "table", "search", "listing"})),
    ("code", 6, frozenset({"prose", "table"})),
    ("search", 2, frozenset({"prose", "code"})),
    ("listing", 2, frozenset({"prose"})),
)
"""A kind takes in at most so many lines of the others when it stands on both sides of them."""


class Placed(Struct, frozen=True):
    """A section, and the line of the turn that it begins with, counted from 0."""

    section: Section
    start: int

    @property
    def end(self) -> int:
        """The line after its last."""
        return self.start + len(self.section.lines)


class _Run(Struct):
    """Lines of one kind while neighbours are still joined. The language of code is found when it is asked for."""

    start: int
    end: int
    kind: ContentKind
    language: str | UnsetType | None = UNSET


def sections(turn: Turn, age: int = 0) -> list[Placed]:
    """The sections of a turn, in order. They and the fences of code blocks between them are all its lines."""
    lines = turn.text.split("\n")
    return list(sections_of(lines, frame(lines, is_code(turn.name)), turn.name, age))


def is_code(name: str | None) -> bool:
    """Whether the name of a tool or file tells of code, and of nothing else."""
    return of_file(name) is not None and ending_of(name) not in ("json", "jsonl", "ndjson")


def sections_of(
    lines: Sequence[str], parts: Sequence[Part], name: str | None, age: int = 0, *, languages: bool = True
) -> Iterator[Placed]:
    """The sections of lines whose frame is known. The languages of code take time; without them they are None."""
    for part in parts:
        if part.what == "fence":
            continue
        fenced = part.block > 0
        if part.what != "text":
            kind: ContentKind = "folded" if part.what == "folded" else "json"
            yield _placed(lines, part.start, part.end, kind, None, name, fenced, age)
            continue
        for start, end, command in _commands(lines, part):
            hint = command or (None if fenced else name)
            tag = part.tag if fenced else ""
            for first, content in _contents(lines, start, end):
                for run in _runs(content, hint, tag):
                    begin, stop = first + run.start, first + run.end
                    language = _language(run, content, hint, tag) if languages and run.kind == "code" else None
                    yield _placed(lines, begin, stop, run.kind, language, command or name, fenced, age)


def _file(hint: str | None) -> str | None:
    """A hint when it holds the name of a file: that a tool is called `bash` does not make its output a script."""
    return hint if of_file(hint) else None


def _placed(
    lines: Sequence[str], start: int, end: int, kind: ContentKind, language: str | None, name: str | None,
    fenced: bool, age: int,
) -> Placed:  # fmt: skip
    return Placed(Section(tuple(lines[start:end]), kind, language, name, fenced, age), start)


def _commands(lines: Sequence[str], part: Part) -> Iterator[tuple[int, int, str | None]]:
    """The outputs of a shell's commands, each with its command; the lines with the prompts are by themselves."""
    since, command = part.start, None
    for at, line in enumerate(lines[part.start : part.end], part.start):
        if (line[:1] in _PROMPTS or "@" in line[:40]) and (found := _PROMPT.match(line, 0, 500)) is not None:
            if since < at:
                yield since, at, command
            yield at, at + 1, None
            since, command = at + 1, found[1]
    if since < part.end:
        yield since, part.end, command


_REMEMBERED: dict[bytes, list[_Run]] = {}
_MANY = 1_000
"""The runs of so many texts are remembered: an analysis and each pass of a compression ask for the same ones."""


def _contents(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Lines as their kind is told by: those that a tool has numbered are by themselves, and without their numbers."""
    done = start
    for first, last in spans(lines, start, end):
        if done < first:
            yield done, lines[done:first]
        yield first, [without(line) for line in lines[first:last]]
        done = last
    if done < end:
        yield done, lines[done:end]


def _runs(lines: Sequence[str], hint: str | None, tag: str) -> list[_Run]:
    """The runs of one kind that lines consist of."""
    text = "\n".join((f"{hint!r} {tag!r}", *lines))
    key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    found = _REMEMBERED.get(key)
    if found is None:
        if len(_REMEMBERED) >= _MANY:
            _REMEMBERED.clear()
        found = _REMEMBERED[key] = _found(lines, hint, tag)
    return found


def _language(run: _Run, lines: Sequence[str], hint: str | None, tag: str) -> str | None:
    if run.language is UNSET:
        run.language = tagged(tag) or language_of(lines[run.start : run.end], _file(hint))
    return run.language


def _found(lines: Sequence[str], hint: str | None, tag: str) -> list[_Run]:
    sorts = [sort_of(line) for line in lines]
    if not tag and len(lines) == 1:
        return [_Run(0, 1, "prose" if sorts[0] != "log" else "log")]
    counted = Counter(sorts)
    whole = kind_of(lines, counted)
    told = _told(lines, sorts, whole, hint, tag)
    if told is not None:
        return [_Run(0, len(lines), told)]
    runs = _joined(_paragraphs(lines, sorts))
    for kind, reach, others in _TAKES:
        if counted[kind] >= 2:
            runs = _taken_in(runs, kind, reach, others)
    if counted["trace"] >= _STACK:
        runs = _joined(list(_with_stacks(runs, lines, sorts)))
    return runs


def _told(
    lines: Sequence[str], sorts: Sequence[str], whole: ContentKind, hint: str | None, tag: str
) -> ContentKind | None:
    """The kind of all lines, when a tag or name tells it and their look does not speak against it."""
    if tag and (tagged(tag) or tag.lower() in _BY_TAG):
        told: ContentKind = _BY_TAG.get(tag.lower(), "code")
    elif hint and is_code(hint) and hint.count("|") == 0:
        told = "code"
    elif hint and (kind := _BY_ENDING.get(ending_of(hint))):
        told = kind
    else:
        return None
    if whole == told or whole in _VAGUE:
        if told == "diff" and not any(sort == "diff" for sort in sorts):
            return None
        return None if told == "prose" and whole != "prose" else told
    return None


def _paragraphs(lines: Sequence[str], sorts: Sequence[str]) -> list[_Run]:
    """Lines between blank ones, and diffs, each with its kind; blank lines follow what they end."""
    out: list[_Run] = []
    fixed: list[tuple[int, int, ContentKind]] = [(start, end, "diff") for start, end in diffs(lines, sorts)]
    fixed.append((len(lines), len(lines), "prose"))
    at = 0
    for start, end, kind in fixed:
        while at < start:
            stop = at
            while stop < start and sorts[stop] != "blank":
                stop += 1
            full = stop
            while stop < start and sorts[stop] == "blank":
                stop += 1
            found = "prose" if _plain(lines, sorts, at, full) else kind_of(lines[at:full], Counter(sorts[at:full]))
            if found == "json":  # a whole document would not be here
                found = "code"
            out.append(_Run(at, stop, found) if full > at or not out else _Run(at, stop, out[-1].kind))
            at = stop
        if end > start:
            out.append(_Run(start, end, kind))
            at = end
    return out


def _plain(lines: Sequence[str], sorts: Sequence[str], start: int, end: int) -> bool:
    """Whether a paragraph is too short for a table, and none of its lines is of a sort that tells of anything."""
    if end - start > 2:
        return False
    return _TELL_NOTHING.issuperset(sorts[start:end]) and not (start < end and lines[start].lstrip()[:1] in ("{", "["))


def _joined(runs: Sequence[_Run]) -> list[_Run]:
    out: list[_Run] = []
    for run in runs:
        if out and out[-1].kind == run.kind:
            out[-1].end = run.end
        elif run.end > run.start:
            out.append(run)
    return out


def _taken_in(runs: Sequence[_Run], kind: ContentKind, reach: int, others: frozenset[ContentKind]) -> list[_Run]:
    """A kind takes in what stands between two runs of it, when that is short."""
    out: list[_Run] = []
    last = -1  # where in `out` the kind stood last
    between = 0
    for run in runs:
        if run.kind == kind and last >= 0 and between <= reach:
            out[last].end = run.end
            del out[last + 1 :]
            between = 0
            continue
        out.append(run)
        if run.kind == kind:
            last, between = len(out) - 1, 0
        elif run.kind in others:
            between += run.end - run.start
        else:
            last = -1
    return out


def _with_stacks(runs: Sequence[_Run], lines: Sequence[str], sorts: Sequence[str]) -> Iterator[_Run]:
    for run in runs:
        if run.kind not in ("prose", "code", "trace"):  # the others know what to do with those in them
            yield run
            continue
        at = run.start
        for start, end in stacks(lines[run.start : run.end], sorts[run.start : run.end], _STACK):
            yield from _rest(run, at, run.start + start, lines, sorts)
            yield _Run(run.start + start, run.start + end, "trace")
            at = run.start + end
        yield from _rest(run, at, run.end, lines, sorts) if at > run.start else (run,)


def _rest(run: _Run, start: int, end: int, lines: Sequence[str], sorts: Sequence[str]) -> Iterator[_Run]:
    """What is left of a run beside a stack trace. That the whole looked like one says nothing of it."""
    if start < end:
        yield _Run(
            start, end, kind_of(lines[start:end], Counter(sorts[start:end])) if run.kind == "trace" else run.kind
        )
