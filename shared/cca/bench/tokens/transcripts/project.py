"""A repository as an agent finds it: paths and files, and the tools that look at them."""

import random
from collections.abc import Sequence

from msgspec import Struct

from cca.bench.tokens.transcripts import go_code, python_code, rust_code, typescript_code
from cca.bench.tokens.transcripts.words import PACKAGES, PARTS, camel, pascal

MODULES = {"python": python_code, "go": go_code, "typescript": typescript_code, "rust": rust_code}
ENDINGS = {"python": "py", "go": "go", "typescript": "ts", "rust": "rs"}


class Project(Struct):
    """A repository: texts by path."""

    name: str
    language: str
    root: str
    files: dict[str, str]

    @property
    def sources(self) -> list[str]:
        """Paths of source files, without tests."""
        return [path for path in self.files if path.endswith(ENDINGS[self.language]) and "test" not in path]


def project(rng: random.Random, language: str, modules: int = 14, least: int = 4, most: int = 9) -> Project:
    """A repository with so many source files of `least` to `most` functions each."""
    packages = rng.sample(PACKAGES, 4)
    name = f"{packages[0]}-{rng.choice(('service', 'api', 'core', 'platform', 'engine'))}"
    files: dict[str, str] = {}
    deck = Deck(rng, language)
    while len(files) < modules:
        package, part = rng.choice(packages), rng.choice(PARTS)
        path = _path(language, package, part)
        if path not in files:
            files[path] = source(rng, language, package, part, deck.deal(rng.randint(least, most)))
    return Project(name, language, f"/home/{rng.choice(('dev', 'agent', 'ci', 'work'))}/{name}", files)


class Deck:
    """Shapes of functions, dealt so that none comes again before all have come: a repository repeats itself little."""

    def __init__(self, rng: random.Random, language: str) -> None:
        self._rng, self._all = rng, MODULES[language].FUNCTIONS
        self._left: list[str] = []

    def deal(self, count: int) -> list[str]:
        """So many shapes."""
        dealt: list[str] = []
        for _ in range(count):
            if not self._left:
                self._left = self._rng.sample(self._all, len(self._all))
            dealt.append(self._left.pop())
        return dealt


def source(rng: random.Random, language: str, package: str, part: str, shapes: Sequence[str]) -> str:
    """The text of one source file, with functions of these shapes."""
    if language == "python":
        return python_code.module(rng, package, part, shapes)
    if language == "go":
        return go_code.module(rng, package, shapes)
    if language == "typescript":
        return typescript_code.module(rng, shapes)
    return rust_code.module(rng, shapes)


def _path(language: str, package: str, part: str) -> str:
    if language == "go":
        return f"internal/{package}/{part}.go"
    if language == "typescript":
        return f"src/{package}/{camel(part)}.ts" if part != "templates" else f"src/{package}/{pascal(part)}.tsx"
    if language == "rust":
        return f"crates/{package}/src/{part}.rs"
    return f"src/{package}/{part}.py"


def numbered(text: str, start: int = 1, lines: int | None = None) -> str:
    """A file, or lines of it, with line numbers as the reading tools of agents print them."""
    shown = text.rstrip("\n").split("\n")[start - 1 :][:lines]
    return "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(shown, start=start))


def grep(files: dict[str, str], word: str, limit: int = 200) -> str:
    """`rg -n`: every line that has the word."""
    hits = [
        f"{path}:{number}:{line}"
        for path in sorted(files)
        for number, line in enumerate(files[path].split("\n"), start=1)
        if word in line
    ]
    return "\n".join(hits[:limit])


def unified(path: str, before: Sequence[str], after: Sequence[str], context: int = 3) -> str:
    """A diff as git prints it."""
    # Not at the top: only some transcripts need it.
    import difflib

    lines = list(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", n=context, lineterm=""))
    return "\n".join([f"diff --git a/{path} b/{path}", *lines]) if lines else ""
