"""What a .gitignore says of files, and those of the directories above it."""

from collections.abc import Sequence

from msgspec import Struct
from pathspec import GitIgnoreSpec

from cca.errors import Refused

LINES, LONGEST = 2_000, 500
"""Lines of a .gitignore that are heeded, and characters of each."""


class Ignores(Struct, frozen=True):
    """Patterns, each set with the directory that it is of; those of deeper ones come later, and win."""

    sets: tuple[tuple[str, GitIgnoreSpec], ...] = ()

    def and_of(self, directory: str, text: str) -> "Ignores":
        """With those of a .gitignore in a directory (its path, empty or ending in `/`). Bad patterns count as none."""
        lines = [line for line in text.splitlines()[:LINES] if len(line) <= LONGEST and _is_pattern(line)]
        return Ignores((*self.sets, (directory, GitIgnoreSpec.from_lines(lines)))) if lines else self

    def ignore(self, path: str) -> bool:
        """Whether a file, or a directory with `/` at its end, is ignored. Of one in an ignored directory do not ask."""
        for directory, patterns in reversed(self.sets):
            said = patterns.check_file(path[len(directory) :]).include
            if said is not None:
                return said
        return False


def globs(patterns: Sequence[str], what: str) -> GitIgnoreSpec | None:
    """Patterns that were asked for; None for none. Raises `Refused` (`bad-glob`)."""
    for pattern in patterns:
        if not _is_pattern(pattern):
            raise Refused("bad-glob", f"{what}: {pattern!r} is no pattern of a .gitignore")
    return GitIgnoreSpec.from_lines(patterns) if patterns else None


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
