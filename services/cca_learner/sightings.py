"""Which features tasks have that the model does not know, and how often each was seen."""

from collections.abc import Sequence

from cca.routing.features import Vocabulary, field_of, room

ENOUGH = 3
"""A feature that was seen so often is worth a slot."""
MOST = 1_000
"""Names that are counted at once at most."""


class Sightings:
    """Counts names of features. It is bounded, whatever values tasks have."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def see(self, name: str) -> None:
        """A task had this feature."""
        seen = self._seen
        seen[name] = seen.get(name, 0) + 1
        if len(seen) > MOST:
            often = set(sorted(seen, key=seen.__getitem__, reverse=True)[: MOST // 2])
            self._seen = {each: count for each, count in seen.items() if each in often}

    def proposals(self, vocabulary: Sequence[str]) -> list[str]:
        """What was seen often enough, is not in the vocabulary, and finds room there; the longest known first."""
        found: list[str] = []
        known = Vocabulary(tuple(vocabulary))
        for name, count in self._seen.items():
            if count >= ENOUGH and name not in known.names and room(known.names, field_of(name)):
                known = known.grown((name,))
                found.append(name)
        return found
