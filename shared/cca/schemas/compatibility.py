"""What may change in a published schema: optional properties may be added, nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

PROSE = frozenset(("title", "description", "examples"))
"""Keywords for people; they may change."""

NAMES = frozenset(("properties", "$defs", "patternProperties", "dependentSchemas"))
"""Keywords whose value is a map from names to schemas: inside, a key is a name and not a keyword."""

LISTS = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
"""Keywords whose value is a list of schemas."""

GROWING = frozenset(("properties", "$defs"))
"""Maps that may get new names. A new property that is required is reported by `required`."""


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What readers of `old` or of `new` would stumble over, a sentence each; empty when compatible both ways.

    New readers must read the whole log, and old readers what new writers say. Both hold when only optional
    properties are added, since readers pass over what they do not know.
    """
    return list(_schema(old, new, ""))


def _schema(old: Any, new: Any, at: str) -> Iterator[str]:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new:
            yield f"{at or '/'}: {old!r} became {new!r}"
        return
    for keyword in sorted((old.keys() | new.keys()) - PROSE):
        here = f"{at}/{keyword}"
        if keyword not in new:
            yield f"{here} is gone"
        elif keyword not in old:
            if keyword not in GROWING:
                yield f"{here} is new"
        elif keyword == "required":
            changed = set(old[keyword]) ^ set(new[keyword])
            yield from (
                f"{here}: {name!r} {'was' if name in old[keyword] else 'became'} required" for name in sorted(changed)
            )
        elif keyword in NAMES:
            yield from _names(old[keyword], new[keyword], here, grows=keyword in GROWING)
        elif keyword in LISTS and len(old[keyword]) == len(new[keyword]):
            for index, (before, after) in enumerate(zip(old[keyword], new[keyword], strict=True)):
                yield from _schema(before, after, f"{here}/{index}")
        else:
            yield from _schema(old[keyword], new[keyword], here)


def _names(old: Mapping[str, Any], new: Mapping[str, Any], at: str, *, grows: bool) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{at}/{name} is gone"
        elif name in old:
            yield from _schema(old[name], new[name], f"{at}/{name}")
        elif not grows:
            yield f"{at}/{name} is new"
