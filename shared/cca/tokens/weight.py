"""How many tokens the lines of a turn are, and of what kind."""

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from cca.contracts.tokens import ContentKind, Turn
from cca.tokens.counting import recalled
from cca.tokens.folds import Count
from cca.tokens.reading import Reading


class Weighed(Struct, frozen=True):
    """A turn with its tokens spread over its lines.

    Attributes:
        before: tokens before each line, and at the end those of the turn.
        kinds: tokens by kind; they add up to those of the turn.
    """

    lines: list[str]
    tokens: int
    before: list[float]
    kinds: dict[ContentKind, int]

    def of(self, line: int, lines: int) -> float:
        """The tokens of some lines, one after another."""
        return self.before[line + lines] - self.before[line]


def weigh(turn: Turn, count: Count, reading: Reading | None = None) -> Weighed:
    """Spread the tokens of a turn over its lines: over its sections as they are counted, in these by characters.

    Args:
        reading: of the same turn, where there is one.
    """
    reading = reading or Reading(turn)
    lines = reading.lines
    tokens = count(turn.text)
    parts: list[tuple[int, int, ContentKind]] = []
    at = 0
    for placed in reading.placed:
        if placed.start > at:
            parts.append((at, placed.start, "code"))  # fences stand between the sections
        at = placed.start + len(placed.section.lines)
        parts.append((placed.start, at, placed.section.kind))
    if at < len(lines):
        parts.append((at, len(lines), "code"))
    if len(parts) == 1:
        shares = [tokens]
    else:
        shares = _spread(tokens, [recalled("\n".join(lines[start:end])) for start, end, _ in parts])
    before = [0.0]
    kinds: dict[ContentKind, int] = {}
    for (start, end, kind), part in zip(parts, shares, strict=True):
        kinds[kind] = kinds.get(kind, 0) + part
        room = sum(map(len, lines[start:end])) + end - start
        sofar = before[-1]
        rooms = accumulate(len(line) + 1 for line in lines[start:end])
        before += [sofar + part * each / room for each in rooms]
    return Weighed(lines, tokens, before, kinds)


def _spread(total: int, weights: Sequence[int]) -> list[int]:
    """A number in whole parts by weights, which add up to it exactly (largest remainders)."""
    whole = sum(weights)
    if not whole:
        return [total, *[0] * (len(weights) - 1)]
    parts = [total * weight // whole for weight in weights]
    rest = total - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in by_remainder[:rest]:
        parts[at] += 1
    return parts
