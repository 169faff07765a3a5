"""Stack traces: what was thrown and where in one's own code; frames of libraries are one line, and twice is once."""

import re
from collections.abc import Sequence

from msgspec import Struct

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.noise import plain, worthwhile

_KINDS: frozenset[ContentKind] = frozenset({"trace", "log", "tests", "build"})
_LONGEST = 4_000
"""Characters of a line that may be a frame: minified code has lines of a megabyte."""
_MANY = 3
"""So many frames of libraries, one after the other, become one line."""

_PYTHON = re.compile(r'([\s|+]*)File "([^"]+)", line (\d+)(?:, in (\S+))?')
_AT = re.compile(r"\s+(?:at|from) (.+)")
_NUMBERED = re.compile(r"\s*(?:#\d+ +|\d+: +)(?:0x[0-9a-f]+ (?:- |in ))?(\S.*)")
_RUST_PLACE = re.compile(r"\s{6,}at (\S+)")
_GO_PLACE = re.compile(r"\s+(\S+\.(?:go|s)):(\d+)(?: \+0x[0-9a-f]+)?$")
_FOREIGN = re.compile(
    r"site-packages|dist-packages|/lib/python|[<\"(]frozen |node_modules|\bnode:|internal/|/rustc/|/\.cargo/"
    r"|/go/src/|"
    r"/pkg/mod/|/usr/(?:local/)?lib|/libexec/|/gems/|/vendor/"
)
_FOREIGN_NAME = re.compile(
    r"(?:async |new )?(?:(?:[\w.@-]+/)+)?(?:"
    r"(?:java|javax|jdk|sun|jakarta|kotlinx?|scala|groovy|reactor|akka|androidx?|dalvik|System|Microsoft"
    r"|Newtonsoft)\."
    r"|org\.(?:springframework|apache|hibernate|junit|eclipse|jboss|slf4j|postgresql|mockito|gradle|codehaus"
    r"|aspectj)\."
    r"|io\.(?:netty|undertow|vertx|micrometer|grpc|reactivex|quarkus)\.|ch\.qos\."
    r"|com\.(?:sun|fasterxml|zaxxer|mysql|google\.(?:common|inject)|intellij)\."
    r"|<?&?(?:std|core|alloc|tokio|hyper|futures\w*|rayon\w*|test|backtrace|actix\w*|tower\w*|axum)::"
    r"|<[^>]{0,200} as (?:core|std|alloc)::|rust_begin_unwind|__rust|_start\b|__libc_start|start_thread|clone\b"
    r"|(?:runtime|testing|syscall|sync|reflect|net|net/http|database/sql|encoding/\w+|created by (?:net/http"
    r"|testing|runtime))\.)"
)
_CHAINED = re.compile(r"\s*(?:Caused by:|Suppressed:|\.\.\. \d+ (?:more|common frames))")
_VARYING = re.compile(r"0x[0-9a-f]+|goroutine \d+|, \d+ minutes|\[\d+\]|^\d+ ")


class _Frame(Struct):
    """A frame: its lines, what it is called, and whether it is a library's. `at` is where its lines start."""

    at: int
    lines: list[str]
    name: str
    foreign: bool

    def key(self) -> str:
        return _VARYING.sub("0", "\n".join(self.lines))


class Traces:
    """The traces of one text, so that the second time one comes it can be named instead."""

    def __init__(self) -> None:
        self.stacks: set[tuple[str, ...]] = set()
        self.whole: set[str] = set()
        self.again = ("", 0)
        """The trace that stands again at the end of the output, and how often."""

    def short(self, lines: Sequence[str]) -> list[str]:
        """The lines with the traces among them folded."""
        out: list[str] = []
        at = done = 0
        while at < len(lines):
            frames, end = _stack(lines, at)
            if len(frames) < 2:
                at = max(end, at + 1)
                continue
            first = at
            if first > done and lines[first - 1].strip():
                first -= 1
            out += lines[done:first]
            at = done = self.trace(lines, first, at, frames, end, out)
        return out + list(lines[done:])

    def trace(self, lines: Sequence[str], first: int, at: int, frames: list[_Frame], end: int, out: list[str]) -> int:
        """Write a trace of lines `first` on, whose frames stand from `at` to `end`. Returns where it ends."""
        here = list(lines[first:at])
        title = here[-1].strip() if here else ""
        while True:
            here += self.stack(frames)
            if (
                title.startswith(("Traceback", "+ Exception Group Traceback"))
                and end < len(lines)
                and lines[end].strip()
            ):
                here.append(lines[end])
                title = lines[end].strip()
                end += 1
            if end >= len(lines) or not _CHAINED.match(lines[end]):
                break
            # What caused it belongs to it.
            here.append(lines[end])
            frames, end = _stack(lines, end + 1)
        key = _VARYING.sub("0", "\n".join(lines[first:end]))
        if key not in self.whole:
            self.whole.add(key)
            out += here
            return end
        while out and not out[-1].strip():
            out.pop()
        text = f"same trace as above: {title[:200]}"
        times = 1
        if out and out[-1].startswith("same trace as above: ") and self.again[0] == key:
            out.pop()
            text, times = f"same trace as above: {title[:200]}", self.again[1] + 1
        self.again = (key, times)
        out.append(f"{text} (x{times})" if times > 1 else text)
        return end

    def stack(self, frames: list[_Frame]) -> list[str]:
        """The lines of some frames that follow each other."""
        keys = tuple(frame.key() for frame in frames)
        if len(frames) > 2 and keys in self.stacks:
            return [f"  … same {len(frames)} frames as above"]
        self.stacks.add(keys)
        own = [not frame.foreign for frame in frames]
        if not any(own) and frames:
            # All of it may be the library that is worked on: where it was thrown is as much as can be told.
            inner = range(len(frames) - _MANY, len(frames)) if _PYTHON.match(frames[0].lines[0]) else range(_MANY)
            own = [at in inner for at in range(len(frames))]
        out: list[str] = []
        at = 0
        while at < len(frames):
            end = at
            while end < len(frames) and not own[end]:
                end += 1
            if end - at >= _MANY:
                names = f"{frames[at].name} … {frames[end - 1].name}"
                out.append(f"  … {end - at} library frames: {names}")
                at = end
                continue
            period, times = _cycle(keys, at)
            for frame in frames[at : at + period]:
                out += frame.lines
            if times > 1:
                what = "this frame" if period == 1 else f"these {period} frames"
                out.append(f"  … {what} {times} times")
            at += period * times
        return out


def _cycle(keys: Sequence[str], at: int) -> tuple[int, int]:
    """How many frames recur from `at` on, and how often: recursion."""
    for period in (1, 2, 3, 4):
        times = 1
        while keys[at : at + period] == keys[at + period * times : at + period * (times + 1)]:
            times += 1
        if times > 2:
            return period, times
    return 1, 1


def _stack(lines: Sequence[str], at: int) -> tuple[list[_Frame], int]:
    """The frames that follow each other from a line on, and where they end."""
    frames: list[_Frame] = []
    while at < len(lines):
        frame = _frame(lines, at)
        if frame is None:
            break
        frames.append(frame)
        at += len(frame.lines)
    return frames, at


def _frame(lines: Sequence[str], at: int) -> _Frame | None:
    line = lines[at]
    if not line or len(line) > _LONGEST:
        return None
    following = lines[at + 1] if at + 1 < len(lines) else ""
    if 'File "' in line and (found := _PYTHON.match(line)):
        end = at + 1
        indent = len(found[1])
        # Its source, and the carets below it.
        while end < len(lines) and end < at + 12 and _deeper(lines[end], indent):
            end += 1
        name = f"{_place(found[2])}:{found[3]} {found[4] or ''}".rstrip()
        return _Frame(at, list(lines[at:end]), name, _FOREIGN.search(found[2]) is not None)
    if line[0].isspace() and (found := _AT.match(line)):
        name = found[1]
        foreign = _FOREIGN_NAME.match(name) is not None or _FOREIGN.search(name) is not None
        return _Frame(at, [line], _called(name), foreign)
    if found := _NUMBERED.match(line):
        place = _RUST_PLACE.match(following) if len(following) < _LONGEST else None
        shown = [line, following] if place else [line]
        foreign = _FOREIGN_NAME.match(found[1]) is not None or _FOREIGN.search("\n".join(shown)) is not None
        return _Frame(at, shown, _called(found[1]), foreign)
    if not line[0].isspace() and len(following) < _LONGEST and (found := _GO_PLACE.match(following)):
        name = f"{_place(found[1])}:{found[2]} {line.split('(0x')[0].split('({')[0]}"
        foreign = _FOREIGN_NAME.match(line) is not None or _FOREIGN.search(found[1]) is not None
        return _Frame(at, [line, following], name, foreign)
    return None


def _deeper(line: str, indent: int) -> bool:
    body = line.lstrip(" \t|")
    return bool(body) and len(line) - len(body) > indent and not body.startswith('File "')


def _place(path: str) -> str:
    """The end of a path, which tells where it is."""
    for mark in ("-packages/", "node_modules/", "/src/"):
        if mark in path:
            return path.rsplit(mark, 1)[1]
    return "/".join(path.rsplit("/", 2)[-2:])


def _called(text: str) -> str:
    """What a frame is called, without where it is: `Class.method` of a long Java name."""
    name = text.split("(", 1)[0].strip()[:120] or text[:120]
    if "::" not in name and name.count(".") > 1 and "/" not in name.rsplit(".", 2)[-2]:
        name = ".".join(name.rsplit(".", 2)[-2:])
    return name


def traces(section: Section) -> list[str] | None:
    """The section with its traces folded."""
    out = Traces().short(plain(section.lines))
    return worthwhile(section.lines, out)


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="traces",
        summary="Of stack traces, frames in libraries become one line, and a trace that comes again is named.",
        kinds=_KINDS,
        level="safe",
        function=traces,
    ),
)
