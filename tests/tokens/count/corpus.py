"""Texts of every kind, made of what is found on the machine: what the ratios of the estimates are measured on.

Code, documents, diffs, search results, listings and tracebacks are made of real files; logs, JSON, tables, and the
output of tests and builds are filled by seeded programs with names, paths and lines that occur in those files.
"""

import difflib
import gzip
import json
import random
import re
import site
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from cca.contracts.tokens import ContentKind

SIZE = 3_000
"""Characters of a document, about."""
EACH = 120
"""Documents of a kind."""

ROOTS = [Path(sysconfig.get_path("stdlib")), *map(Path, site.getsitepackages())]
PLACES = [
    *ROOTS,
    *map(Path, ("/usr/include", "/usr/local/go/src", "/usr/lib/node_modules", "/usr/share/doc")),
]
CODE = ("py", "c", "h", "go", "js", "ts", "mjs", "hpp", "cpp", "rs", "java", "sh", "css", "pyx", "sql", "html")
PROSE = ("md", "rst", "txt")

LANGUAGES = ("de", "ru", "ja", "fr", "zh_CN", "ko", "pl", "uk", "es", "zh_TW", "sr", "tr", "cs", "hu", "it")


def documents() -> dict[ContentKind, list[str]]:
    """Documents by kind. Neighbours come from different sources, so that every other one may be held out."""
    found = _files()
    return {kind: list(islice(make(found), EACH)) for kind, make in _MAKERS.items()}


def _files() -> dict[str, list[Path]]:
    """Files by ending: at most 400 of each, spread over the places, in an order that is shuffled but fixed."""
    by_ending: dict[str, list[Path]] = {}
    for place in PLACES:
        for path in sorted(place.rglob("*")) if place.is_dir() else []:
            ending = path.suffix[1:]
            if ending in CODE + PROSE and path.is_file() and 1_000 < path.stat().st_size < 300_000:
                by_ending.setdefault(ending, []).append(path)
    rng = random.Random(1)
    for paths in by_ending.values():
        rng.shuffle(paths)
        del paths[400:]
    return by_ending


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _excerpt(text: str, rng: random.Random, size: int = SIZE) -> str:
    """Whole lines from somewhere in a text, up to about a size."""
    lines = text.splitlines(keepends=True)
    start = rng.randrange(max(len(lines) - 20, 1))
    out: list[str] = []
    length = 0
    for line in lines[start:]:
        if length + len(line) > size and out:
            break
        out.append(line[:size])
        length += len(line)
    return "".join(out)


def _real(endings: tuple[str, ...]) -> Callable[[dict[str, list[Path]]], Iterator[str]]:
    def make(found: dict[str, list[Path]]) -> Iterator[str]:
        rng = random.Random(2)
        pools = [list(found[ending]) for ending in endings if ending in found]
        while any(pools):
            for pool in pools:
                if pool and len(text := _excerpt(_text(pool.pop()), rng)) > 500:
                    yield text

    return make


def _prose(found: dict[str, list[Path]]) -> Iterator[str]:
    """Documents, and between them manual pages in other languages and scripts where there are any."""
    rng = random.Random(8)
    english = _real(PROSE)(found)
    pages = [sorted(Path("/usr/share/man").glob(f"{language}/man[18]/*.gz")) for language in LANGUAGES]
    for number, document in enumerate(english):
        yield document
        if number % 2 and (page := pages[number // 2 % len(pages)]):
            roff = gzip.decompress(page[number % len(page)].read_bytes()).decode(errors="replace")
            yield _excerpt(re.sub(r"^['.]\S*.*\n|\\f.|\\", "", roff, flags=re.M), rng, SIZE // 2)


class _Words:
    """Words, names, paths and lines of code as they occur in the standard library, and templates filled with them."""

    def __init__(self, found: dict[str, list[Path]], rng: random.Random) -> None:
        paths = found["py"][:150]
        texts = [_text(path) for path in paths]
        self.rng = rng
        self.paths = [str(path) for path in paths]
        self.lines = [line.strip() for text in texts for line in text.splitlines() if 20 < len(line) < 110]
        self.names: list[str] = sorted({name for text in texts for name in re.findall(r"[A-Za-z_]\w{3,24}", text)})
        self.tests: list[str] = (
            sorted({name for text in texts for name in re.findall(r"def (test_\w+)", text)}) or self.names
        )
        self.words: list[str] = sorted({word for text in texts for word in re.findall(r"\b[a-z]{3,10}\b", text)})
        self.services, self.messages = ["main"], ["ready"]

    def fill(self, template: str) -> str:
        """A template with its fields filled: `{3}` is a number of 3 digits, `{x8}` one of 8 hexadecimal digits."""
        return re.sub(r"\{(\w+)\}", lambda field: self.field(field[1]), template)

    def field(self, name: str) -> str:
        """What stands for a field of a template."""
        rng = self.rng
        pools = {"name": self.names, "word": self.words, "line": self.lines, "file": self.paths, "test": self.tests}
        pools |= {"service": self.services, "message": self.messages}
        if name.isdigit():
            return str(rng.randrange(10 ** int(name))).zfill(int(name) if rng.random() < 0.3 else 1)
        if name[0] == "x" and name[1:].isdigit():
            return "".join(rng.choices("0123456789abcdef", k=int(name[1:])))
        match name:
            case "day":
                return f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
            case "time":
                return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
            case "stamp":
                return self.fill("{day}T{time}")
            case "path":
                return "/".join(rng.choice(self.paths).split("/")[-rng.randint(2, 6) :])
            case "phrase":
                return " ".join(rng.choices(self.words, k=rng.randint(2, 9)))
            case "level":
                return rng.choice(("INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"))
            case "version":
                return f"{rng.randint(0, 12)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
            case "lower":
                return rng.choice(self.names).lower()
            case "title":
                return rng.choice(self.names).title()
        return rng.choice(pools[name])


def _filled(*forms: tuple[str, ...]) -> Callable[[dict[str, list[Path]]], Iterator[str]]:
    """Documents that each consist of the lines of one form; of several lines, the first is the usual one."""

    def make(found: dict[str, list[Path]]) -> Iterator[str]:
        words = _Words(found, random.Random(3))
        for number in range(EACH):
            words.services = [words.field("name") for _ in range(6)]
            words.messages = [words.field("phrase") for _ in range(8)]
            usual, *rare = forms[number % len(forms)]
            out = ""
            while len(out) < SIZE:
                out += words.fill(words.rng.choice(rare) if rare and words.rng.random() < 0.06 else usual) + "\n"
            yield out

    return make


_LOG = (
    ("{stamp}.{3}Z {level} [{service}] {message} id={x12} took {3}ms",),
    (
        '10.{2}.0.{2} - - [{stamp} +0000] "GET /api/v1/{service}/{5} HTTP/1.1" 200 {5}',
        '10.{2}.0.{2} - - [{stamp}] "-" 500',
    ),
    ("Nov 22 {time} host-{1} {service}[{5}]: {message}: {path}",),
    ('level={level} ts={stamp}Z caller={name}.go:{3} msg="{message}" {service}=0.{4}',),
    ("[{5}.{6}] {service}: {message} 0x{x8}",),
    ("{time},{3} - {service}.{service} - {level} - {message} ({3}/500)", "{time},{3} - {service} - ERROR - {phrase}"),
)
_TESTS = (
    ("tests/{service}/test_{lower}.py::{test} PASSED    [ {2}%]", "E       AssertionError: assert {2} == {name}({3})"),
    ("{test} ({service}.tests.test_{lower}.{title}Tests.{test}) ... ok", "FAIL: {test} ({service}.tests.test_{lower})"),
    ("=== RUN   Test{title}/{name}\n--- PASS: Test{title}/{name} (0.{2}s)", "--- FAIL: Test{title} (0.{2}s)"),
    ("  ✓ {phrase} ({3} ms)", "  ✕ {phrase} ({3} ms)"),
    ("test {service}::{lower}::{test} ... ok", "test {service}::{lower}::{test} ... FAILED"),
)
_BUILD = (
    ("gcc -c -O2 -g -Wall -fPIC -I./include -D{name}=1 -o build/{path}.o {path}", "{path}:{3}:{2}: warning: {phrase}"),
    ("   Compiling {lower} v{version}", "warning: unused variable: `{name}`\n  --> src/{path}:{3}:{2}"),
    ("Collecting {lower}>={version}\n  Downloading {lower}-{version}-py3-none-any.whl ({3} kB)",),
    ("[ {2}%] Building CXX object src/CMakeFiles/{name}.dir/{path}.o",),
    ("Step {1}/30 : RUN {word} install --no-cache {name}\n ---> {x12}",),
    ("npm WARN deprecated {lower}@{version}: {phrase}",),
    ('{path}:{3}: error: Name "{name}" is not defined  [name-defined]',),
    ("Get:{2} http://deb.debian.org/debian stable/main amd64 lib{lower} {version}-{1} [{3} kB]",),
)
_TRACE = (
    ('  File "{file}", line {4}, in {name}\n    {line}', "{name}Error: {phrase}\n\nTraceback (most recent call last):"),
    ("\tat com.{lower}.{lower}.{title}.{name}({title}.java:{3})", "Caused by: java.lang.{title}Exception: {phrase}"),
    ('  File "{file}", line {4}, in {name}\n    {line}', "{name}: {phrase}\n\nTraceback (most recent call last):"),
    ("    at {name} ({path}.js:{3}:{2})", "{title}Error: {phrase}"),
)


def _json(found: dict[str, list[Path]]) -> Iterator[str]:
    w = _Words(found, random.Random(4))
    rng = w.rng
    for number in range(EACH):
        keys = rng.choices(w.names, k=rng.randint(4, 9))
        texts = ("{phrase}", "{stamp}Z", "{name}", "{path}", "{x8}-{x4}-{x4}-{x12}", "{word}")
        makers: list[Callable[[], object]] = [
            lambda: rng.randint(0, 10**6),
            rng.random,
            lambda: rng.random() < 0.5,
            lambda: None,
            lambda: [rng.randint(0, 99) for _ in range(rng.randint(0, 5))],
            lambda: {w.field("name"): w.field("name"), w.field("name"): rng.randint(0, 9)},
            *(partial(w.fill, text) for text in texts),
        ]
        columns = [(key, rng.choice(makers)) for key in keys]
        rows: list[object] = []
        while len(json.dumps(rows)) < SIZE:
            rows.append({key: make() for key, make in columns})
        form = number % 4
        if form == 0:
            yield json.dumps({"data": rows, "total": len(rows)}, indent=2)
        elif form == 1:
            yield json.dumps(rows, separators=(",", ":"))
        elif form == 2:
            yield json.dumps({"items": rows, "next": w.field("x20")})
        else:
            yield "\n".join(json.dumps(row) for row in rows)


def _table(found: dict[str, list[Path]]) -> Iterator[str]:
    words = _Words(found, random.Random(9))
    rng = words.rng
    for number in range(EACH):
        fields = rng.choices(["{5}", "{3}.{2}", "{name}", "{x12}", "{word} {word}", "{stamp}"], k=rng.randint(3, 7))
        wide = [rng.randint(8, 26) for _ in fields]
        out = ""
        while len(out) < SIZE:
            cells = [words.fill(field) for field in fields]
            match number % 4:
                case 0:
                    out += "| " + " | ".join(cell.ljust(w) for cell, w in zip(cells, wide, strict=True)) + " |\n"
                case 1:
                    out += ",".join(cells) + "\n"
                case 2:
                    out += "  ".join(cell.rjust(w) for cell, w in zip(cells, wide, strict=True)) + "\n"
                case _:
                    out += "\t".join(cells) + "\n"
        yield out


def _diff(found: dict[str, list[Path]]) -> Iterator[str]:
    rng = random.Random(5)
    paths = [path for ending in CODE for path in found.get(ending, [])[:60]]
    rng.shuffle(paths)
    names = _Words(found, rng)
    for path in paths:
        old = _excerpt(_text(path), rng, 5_000).splitlines()
        new = list(old)
        for _ in range(rng.randint(3, 9)):
            at = rng.randrange(len(new))
            match rng.randrange(3):
                case 0:
                    del new[at : at + rng.randint(1, 4)]
                case 1:
                    new[at:at] = rng.choices(old, k=rng.randint(1, 4))
                case _:
                    new[at] = re.sub(r"[A-Za-z_]{4,}", names.field("name"), new[at], count=1)
            new = new or [""]
        name = "/".join(path.parts[-3:])
        head = f"diff --git a/{name} b/{name}\nindex {names.field('x7')}..{names.field('x7')} 100644\n"
        text = head + "\n".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm=""))
        if len(text) > 500:
            yield text[: SIZE * 2]


def _search(found: dict[str, list[Path]]) -> Iterator[str]:
    w = _Words(found, random.Random(6))
    endings = [ending for ending in CODE if ending in found]
    for number in range(EACH * 6):
        ending = endings[number % len(endings)]
        wanted = w.rng.choice(w.words)[:5]
        depth = w.rng.randint(2, 7)
        out = ""
        for path in w.rng.sample(found[ending], min(60, len(found[ending]))):
            name = "/".join(path.parts[-depth:])
            for at, line in enumerate(_text(path).splitlines(), 1):
                if wanted in line and len(line) < 200 and len(out) < SIZE:
                    out += f"{name}:{at}:{line}\n"
        if len(out) > SIZE // 3:
            yield out


def _listing(found: dict[str, list[Path]]) -> Iterator[str]:
    rng = random.Random(7)
    folders = sorted({path.parent for paths in found.values() for path in paths})
    rng.shuffle(folders)
    for number, folder in enumerate(folders * 3):
        names = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)[:80]
        if len(names) < 15:
            continue
        lines = []
        for path in names:
            match number % 3:
                case 0:
                    lines.append(f"./{path.relative_to(folder)}")
                case 1:
                    day = f"{rng.randint(1, 28):2} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
                    lines.append(f"-rw-r--r--  1 root root {rng.randint(100, 99999):8} Nov {day} {path.name}")
                case _:
                    depth = len(path.relative_to(folder).parts)
                    lines.append("│   " * (depth - 1) + "├── " + path.name)
        yield "\n".join(lines)[:SIZE] + "\n"


_MAKERS: dict[ContentKind, Callable[[dict[str, list[Path]]], Iterator[str]]] = {
    "prose": _prose,
    "code": _real(CODE),
    "json": _json,
    "log": _filled(*_LOG),
    "table": _table,
    "diff": _diff,
    "search": _search,
    "tests": _filled(*_TESTS),
    "listing": _listing,
    "build": _filled(*_BUILD),
    "trace": _filled(*_TRACE),
}
