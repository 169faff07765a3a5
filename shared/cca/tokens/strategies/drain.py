"""Templates of lines that a program has printed: what is the same in them, and where they vary.

After Drain (He et al., ICWS 2017): a tree of fixed depth leads from a line's length and first words to few templates,
the most similar of which it joins. Lines that differ in their numbers alone are one before the tree is asked at all, so
that it sees hundreds of lines where the log has thousands.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from operator import ne

from msgspec import Struct

_NUMBERS = re.compile(r"[0-9]++(?:\.[0-9]++)?[A-Za-z0-9]*+")
_HEX = re.compile(r"(?<![A-Za-z0-9_])[a-f]{1,8}(?=#)")
_WIDE = 24
"""So many templates at one leaf are compared with a line; without a bound, random words would take quadratic time."""
_MANY = 12
"""More templates than this are compared again as well, with some more patience."""
_SMALL = 6
"""Templates of fewer lines are compared again, with more patience."""


class Template(Struct):
    """Lines of one shape.

    Attributes:
        words: of its lines; None where they differ in more than a number.
        sort: what the caller takes the lines for; lines of two sorts are never one template.
        skip: so many words stand before those, of which nothing is said: the time.
        members: its lines, by their numbers, in order.
    """

    words: list[str | None]
    sort: str
    skip: int
    members: list[int]


def masked(text: str) -> str:
    """The text with `#` for each number and what hangs on it: `48ms`, `7f3a9c`."""
    return _NUMBERS.sub("#", text)


def templates(keys: Sequence[str], read: Callable[[str], tuple[str, int]]) -> list[Template]:
    """The templates of lines, in the order in which they are first seen.

    Args:
        keys: the lines as `masked` left them.
        read: the sort of a line, and how many words at its beginning do not count; asked once for equal lines.
    """
    same: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        if (members := same.get(key)) is None:
            same[key] = [number]
        else:
            members.append(number)
    shorter: dict[str, list[int]] = {}
    for key, members in same.items():
        shorter.setdefault(_HEX.sub("", key), []).extend(members)
    found: list[Template] = []
    for key, members in shorter.items():
        sort, skip = read(key)
        found.append(Template([*key.split()[skip:]], sort, skip, members))
    joined = _joined(found, lambda words: max(1, words // 12), by_first=True)
    large = [one for one in joined if len(one.members) >= _SMALL]
    if len(large) > _MANY:
        large = _joined(large, lambda words: max(1, words // 5))
    # Two places that vary on their own make many small templates. A line that is like a large one, but not the same,
    # is let alone: it is rare, and stays as it is.
    small = _joined((one for one in joined if len(one.members) < _SMALL), lambda words: 2 * words // 5)
    for template in joined:
        template.members.sort()
    return sorted(large + small, key=lambda one: one.members[0])


def _joined(given: Iterable[Template], allowed: Callable[[int], int], *, by_first: bool = False) -> list[Template]:
    """Templates joined while not more of their words vary than `allowed` for so many words.

    `by_first`: only those that begin with the same word.
    """
    out: list[Template] = []
    tree: dict[tuple[str, int, int, str], list[Template]] = {}
    for one in given:
        words = one.words
        first = words[0] if by_first and words else None
        leaf = tree.setdefault((one.sort, one.skip, len(words), _step(first)), [])
        like = _nearest(leaf, words, allowed(len(words)))
        if like is None:
            out.append(one)
            leaf.append(one)
            if len(leaf) > _WIDE:  # what has few lines after so many others came is not likely to get more
                leaf.remove(min(leaf[:-1], key=lambda old: len(old.members)))
        else:
            like.members += one.members
            like.words = [old if old == new else None for old, new in zip(like.words, words, strict=True)]
    return out


def _step(word: str | None) -> str:
    return "*" if word is None or "#" in word else word


def _nearest(leaf: Sequence[Template], words: Sequence[str | None], allowed: int) -> Template | None:
    if len(words) < 3:  # of two words each says too much
        return None
    best = None
    for template in leaf:
        unequal = sum(map(ne, template.words, words))  # a word that varies already is one of them
        if unequal <= allowed:
            best, allowed = template, unequal - 1
    return best
