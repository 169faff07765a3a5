"""The figures as a person reads them: median and spread, the same on raw nats-py, the ratio and the goal."""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from rich.table import Table
from rich.text import Text

from cca.bench.results import BASIS, Side, Sides
from cca.bench.spread import Spread

RATIO_GOALS = {"always": 1.1, "interval": 0.35}
"""At concurrency 64, of the raw loop under the same durability."""


class Line(Struct, frozen=True):
    """One figure: ours, the raw one beside it, and the goal as it was set (`≥ 2300`, `≤ 5`)."""

    what: str
    ours: Spread
    unit: str
    raw: Spread | None = None
    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of the raw one."""
        return self.ours.median / self.raw.median if self.raw and self.raw.median else None

    @property
    def reached(self) -> bool | None:
        """Whether every goal was reached; None without one."""
        checks = []
        if self.at_least is not None:
            checks.append(self.ours.median >= self.at_least)
        if self.at_most is not None:
            checks.append(self.ours.median <= self.at_most)
        if self.ratio_at_least is not None:
            checks.append(self.ratio is not None and self.ratio >= self.ratio_at_least)
        return all(checks) if checks else None

    @property
    def goal(self) -> str:
        """The goals in words."""
        parts = [] if self.at_least is None else [f"≥ {number(self.at_least)}"]
        parts += [] if self.at_most is None else [f"≤ {number(self.at_most)}"]
        parts += [] if self.ratio_at_least is None else [f"≥ {self.ratio_at_least:g} × raw"]
        return ", ".join(parts)


_GOALS: dict[str, float] = {"end_to_end_per_s@16": 1_200, "end_to_end_per_s@64": 2_300, "end_to_end_per_s@256": 3_500}

# Name, name of the raw one beside it, words, unit, goal: at least, at most.
_FIGURES: tuple[tuple[str, str, str, str, float | None, float | None], ...] = (
    ("submit_per_s", "raw_submit_per_s", "submissions alone, 64 in flight", "/s", None, None),
    ("append_per_s", "raw_append_per_s", "log appends, 64 in flight", "/s", None, None),
    ("http_end_to_end_per_s", "", "end to end over HTTP, 64 in flight", "/s", 1_000, None),
    ("projection_events_per_s", "raw_read_per_s", "projection of a backlog", "/s", 10_000, None),
    ("trip_p50_ms", "raw_trip_p50_ms", "round trip, one at a time, p50", "ms", None, 5),
    ("trip_p99_ms", "raw_trip_p99_ms", "round trip, one at a time, p99", "ms", None, 15),
    ("submit_nats_p50_ms", "raw_submit_p50_ms", "durable submission over NATS, p50", "ms", None, None),
    ("submit_http_p50_ms", "raw_submit_p50_ms", "durable submission over HTTP, p50", "ms", None, 3),
    ("stack_pss_mb", "", "memory of the idle stack (PSS)", "MB", None, 600),
    ("stack_pss_after_load_mb", "", "memory after all of this", "MB", None, None),
    ("fsync_p50_ms", "", "4 KiB write and fdatasync, p50", "ms", None, None),
)


def lines(durability: str, side: Side) -> Iterator[Line]:
    """The figures of one durability, as far as they were measured. Goals for rates and times are for `always`."""
    published = durability == "always"
    for concurrency in side.concurrencies:
        name = f"end_to_end_per_s@{concurrency}"
        ours = side.spread(name)
        assert ours is not None
        yield Line(
            f"end to end, worker concurrency {concurrency}",
            ours,
            "/s",
            side.spread(f"raw_{name}"),
            at_least=_GOALS.get(name) if published else None,
            ratio_at_least=RATIO_GOALS.get(durability) if concurrency == BASIS else None,
        )
        if behind := side.spread(f"catch_up_s@{concurrency}"):
            yield Line("  then the tables caught up after", behind, "s")
    for name, raw, words, unit, at_least, at_most in _FIGURES:
        if ours := side.spread(name):
            beside = side.spread(raw) if raw else None
            yield Line(words, ours, unit, beside, at_least if published else None, at_most if published else None)


def number(value: float) -> str:
    """Three significant digits or whole numbers, with thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(spread: Spread | None, unit: str) -> str:
    if spread is None:
        return ""
    # Against a no-break space, so that a narrow terminal breaks between the median and the spread.
    median = f"{number(spread.median)}{unit}" if unit == "/s" else f"{number(spread.median)}\u00a0{unit}"
    if len(spread.values) == 1:
        return median
    return f"{median} ({number(spread.minimum)}–{number(spread.maximum)})"


def table(durability: str, found: Sequence[Line]) -> Table:
    """The figures of one durability as rich draws them."""
    means = {"always": "fsync before every acknowledgement", "interval": "fsync every 2 minutes: can lose those"}
    drawn = Table(
        title=f"{durability}: {means.get(durability, '')}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    drawn.add_column("figure", no_wrap=True)
    for title in ("CCA", "raw nats-py", "ratio", "goal"):
        drawn.add_column(title, justify="right", no_wrap=title == "ratio")
    drawn.add_column("")
    for line in found:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        marks = {None: Text(""), True: Text("✓", "green"), False: Text("✗", "red")}
        ours, raw = _spread(line.ours, line.unit), _spread(line.raw, line.unit)
        drawn.add_row(line.what, ours, raw, ratio, line.goal, marks[line.reached])
    return drawn


def missed(sides: Sides) -> list[str]:
    """The figures that missed their goal, in words."""
    return [
        f"{durability}: {line.what}"
        for durability, side in sides.items()
        for line in lines(durability, side)
        if line.reached is False
    ]
