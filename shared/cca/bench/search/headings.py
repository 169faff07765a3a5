"""Heading → section: Markdown of the packages that are installed, and of this project where its documents are."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import cca
from cca.bench.search.sets import Pair, Set, made

GENERATED = ("docs/cli.md",)
"""Documents whose headings stand again below them."""
SHORTEST = 120
"""Characters of a section without its heading, at least."""
WORDS = 2
"""Of a heading, at least: `Usage` says nothing of what is below it."""

_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*\s*")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]+>|[`*]")


def headings(queries: int, documents: int) -> Set:
    """The set; a heading that stands above several sections is not in it."""
    found = [*of_packages(), *of_project()]
    return made("heading", found, queries, documents)


def of_packages() -> Iterator[Pair]:
    """The sections of the long descriptions of installed packages, by name."""
    known = {one.name.casefold(): one for one in metadata.distributions() if one.name}
    for name in sorted(known):
        about = known[name].metadata.json
        if str(about.get("description_content_type", "")).startswith("text/markdown"):
            yield from sections(name, str(about.get("description", "")))


def of_project() -> Iterator[Pair]:
    """The sections of this project's documents, if it is a clone."""
    root = Path(cca.__file__).resolve().parents[2]
    if (root / "docs").is_dir() and (root / "pyproject.toml").is_file():
        for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("services/*/README.md")]):
            name = path.relative_to(root).as_posix()
            if name not in GENERATED:
                yield from sections(name, path.read_text("utf-8"))


def sections(source: str, text: str) -> Iterator[Pair]:
    """Each heading with what stands between it and the next one, if both say enough."""
    heading, below, fence = "", list[str](), ""
    for line in [*text.splitlines(), "# "]:
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        elif not fence and line.startswith("#") and (line.strip("#").strip() == "" or _HEADING.fullmatch(line)):
            section = "\n".join(below).strip()
            if len(heading.split()) >= WORDS and len(section) >= SHORTEST:
                yield Pair(f"{source}: {heading}", heading, section)
            found = _HEADING.fullmatch(line)
            heading, below = _plain(found[1]) if found else "", []
            continue
        below.append(line)


def _plain(heading: str) -> str:
    return " ".join(_MARKUP.sub(lambda found: found[1] or "", heading).split())
