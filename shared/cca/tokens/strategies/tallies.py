"""Lists that say how many there are of each, in few words."""

from collections.abc import Mapping, Sequence

ROOM = 1_200
"""Characters of a list, at most."""


def counted(groups: Mapping[str, int | str]) -> str:
    """`: a.py 40, b.py 3`, with the folder that all are in said once; nothing when they have no names."""
    names = {name: count for name, count in groups.items() if name}
    if not names:
        return ""
    head, short = headed(list(names))
    return (
        ": " + head + limited([f"{name} {count}".rstrip() for name, count in zip(short, names.values(), strict=True)])
    )


def limited(words: Sequence[str], room: int = ROOM) -> str:
    """The words with commas between; from where there is no room any more, how many more there are."""
    size = 0
    for at, word in enumerate(words):
        size += len(word) + 2
        if size > room:
            return f"{', '.join(words[:at])}{', ' if at else ''}… {len(words) - at} more"
    return ", ".join(words)


def common_head(names: Sequence[str]) -> str:
    """What all names begin with, character by character."""
    first, last = min(names), max(names)  # what these two have in common, all between them have
    for at, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:at]
    return first if len(first) < len(last) else last


def headed(names: list[str]) -> tuple[str, list[str]]:
    """What all names begin with, up to a separator and with `… ` behind, and what is left of each."""
    head = common_head(names) if len(names) > 2 else ""
    head = head[: 1 + max(map(head.rfind, "/.:"))]
    return (f"{head}… ", [name[len(head) :] for name in names]) if len(head) > 3 else ("", names)
