"""Long digests by their first characters, as git and docker show them: nobody reads all sixty-four."""

import re
from collections.abc import Sequence

from cca.tokens.folds import Fold, Section

SHOWN = 12
"""Characters of a digest that stay."""

_DIGEST = re.compile(
    r"(?<![0-9A-Za-z])(?:(sha(?:256|384|512)-)[0-9A-Za-z+/]{40,}={0,2}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{32,})"
    r"(?![0-9A-Za-z])"
)


def shortened(text: str) -> str:
    """The text with hexadecimal numbers of 32 digits or more, and integrity hashes, cut to what one knows them by."""
    return _DIGEST.sub(lambda found: f"{found[0][: len(found[1] or '') + SHOWN]}…", text)


def fold(section: Section) -> Sequence[str] | None:
    """The lines with their digests shortened."""
    lines = [shortened(line) for line in section.lines]
    return lines if any(map(str.__ne__, lines, section.lines)) else None


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="digests",
        summary="Digests of 32 characters and more by their first twelve.",
        kinds=frozenset({"prose", "log", "table", "search", "tests", "listing", "build", "trace"}),
        level="safe",
        function=fold,
    ),
)
