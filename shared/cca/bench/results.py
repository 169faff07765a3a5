"""What a run measured, kept sample by sample, and the document that is made of it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from cca.bench.spread import Spread, median

BASIS = 64
"""The concurrency at which end-to-end figures are quoted when none is named."""


class Side(Struct):
    """What was measured with one durability: samples by name, one per repetition, and CPU seconds by run."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    cpu_s: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Keep one sample."""
        self.samples.setdefault(name, []).append(value)

    def spread(self, name: str) -> Spread | None:
        """What the repetitions gave; None when it was not measured."""
        return Spread.of(self.samples[name]) if self.samples.get(name) else None

    def ratio(self, ours: str, raw: str) -> float | None:
        """The ratio of two medians."""
        if not self.samples.get(ours) or not self.samples.get(raw):
            return None
        return median(self.samples[ours]) / median(self.samples[raw])

    @property
    def concurrencies(self) -> list[int]:
        """Those of the end-to-end runs."""
        return sorted(int(name.partition("@")[2]) for name in self.samples if name.startswith("end_to_end_per_s@"))


Sides = dict[str, Side]
"""By durability."""


def _rounded(value: float) -> float:
    return round(value, 3 if abs(value) < 100 else 1)


def _at(side: Side, concurrency: int) -> dict[str, Any]:
    """The end-to-end figures at one concurrency."""
    found: dict[str, Any] = {}
    for name in ("end_to_end_per_s", "raw_end_to_end_per_s", "catch_up_s"):
        if spread := side.spread(f"{name}@{concurrency}"):
            found[name] = _rounded(spread.median)
            found[f"{name}_runs"] = [_rounded(value) for value in spread.values]
    ratio = side.ratio(f"end_to_end_per_s@{concurrency}", f"raw_end_to_end_per_s@{concurrency}")
    if ratio is not None:
        found["ratio_to_raw"] = _rounded(ratio)
    for name in ("end_to_end", "raw_end_to_end"):
        if runs := side.cpu_s.get(f"{name}@{concurrency}"):
            found[f"{name}_cpu_s"] = runs
    return found


def _of_side(side: Side) -> dict[str, Any]:
    by_concurrency = {str(number): _at(side, number) for number in side.concurrencies}
    basis = by_concurrency.get(str(BASIS)) or next(iter(by_concurrency.values()), {})
    names = ("end_to_end_per_s", "raw_end_to_end_per_s", "ratio_to_raw")
    found: dict[str, Any] = {name: basis[name] for name in names if name in basis}
    if by_concurrency:
        found["by_concurrency"] = by_concurrency
    return found


PER_SIDE = ("submit_per_s", "raw_submit_per_s", "append_per_s", "raw_append_per_s")
"""Figures that stand inside `always` and `interval`; those of `always` that are not here stand at the top."""


def document(sides: Mapping[str, Side], machine: Mapping[str, object], options: Mapping[str, object]) -> dict[str, Any]:
    """The JSON of a run: medians by name, and every sample under `samples`."""
    found: dict[str, Any] = {}
    samples: dict[str, dict[str, list[float]]] = {}
    for durability, side in sides.items():
        flat = {name: spread for name in side.samples if "@" not in name and (spread := side.spread(name))}
        medians = {name: _rounded(spread.median) for name, spread in flat.items()}
        inside = {name: medians[name] for name in PER_SIDE if name in medians}
        found[durability] = _of_side(side) | inside
        if durability == "always":
            found |= {name: value for name, value in medians.items() if name not in inside}
        for name, runs in side.cpu_s.items():
            if "@" not in name:
                found[durability][f"{name}_cpu_s"] = runs
        samples[durability] = {name: [_rounded(v) for v in spread.values] for name, spread in flat.items()}
    return {**found, **options, "machine": dict(machine), "samples": samples}
