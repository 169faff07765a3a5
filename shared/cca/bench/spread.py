"""Pure statistics of repeated measurements: median, percentile, spread."""

from collections.abc import Iterable, Sequence

from msgspec import Struct


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` % of the values lie, interpolated between neighbours (as numpy does it).

    Raises `ValueError` on no values or on a percentage outside of 0 to 100.
    """
    if not values:
        raise ValueError("no values")
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is not a percentage")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two. Raises `ValueError` on no values."""
    return percentile(values, 50)


class Spread(Struct, frozen=True):
    """What repetitions of one measurement gave."""

    median: float
    minimum: float
    maximum: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Summarise at least one value. Raises `ValueError` on none."""
        kept = tuple(values)
        return cls(median(kept), min(kept), max(kept), kept)
