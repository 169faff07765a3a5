"""Curves of how routing was learned: reward, shares of the lanes, calibration; in the terminal, as PNG or SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cca.cli.params import Context, Parameter
from cca.cli.tables import Screen
from cca.contracts.learner import PolicyHistory
from cca.errors import Refused

SUFFIXES = (".png", ".svg")
HEIGHT, WIDEST = 14, 110
"""Lines of a plot in the terminal, and its columns at most."""
MARKS = "o+x*#%@"
"""What the curves are drawn with where there are no colours."""
COLOURS = ("green", "blue", "magenta", "orange", "cyan", "red", "gray")


class PlotFile(click.ParamType[str]):
    """A file that a plot can be written to."""

    name = "file"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        path = Path(str(value))
        if path.suffix.lower() not in SUFFIXES:
            self.fail(f"{value}: must end with {' or '.join(SUFFIXES)}", param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder {path.absolute().parent}", param, ctx)
        return str(path)


FILE = PlotFile()


def lanes_of(history: PolicyHistory) -> list[str]:
    """The lanes that had a share, most used first."""
    totals: dict[str, float] = {}
    for point in history.points:
        for lane, share in point.shares.items():
            totals[lane] = totals.get(lane, 0.0) + share * point.decisions
    return sorted(totals, key=lambda lane: (-totals[lane], lane))


def ends(history: PolicyHistory) -> list[int]:
    """How many decisions had been made by the end of each point."""
    found, total = [], 0
    for point in history.points:
        total += point.decisions
        found.append(total)
    return found


def in_terminal(screen: Screen, history: PolicyHistory) -> None:
    """The three plots, one below the other: in colours as wide as the terminal, or plain for a pipe."""
    if not history.points:
        screen.say("No decision has been made yet: nothing to draw.", "dim")
        return
    x = ends(history)
    lanes = lanes_of(history)[: len(MARKS)]
    shares = {lane: (x, [point.shares.get(lane, 0.0) for point in history.points]) for lane in lanes}
    _draw(screen, "reward and success, by decisions", {name: _known(history, name) for name in ("reward", "success")})
    _draw(screen, "share of each lane, by decisions", shares, ylim=(0, 1))
    if history.calibration:
        expected, earned = [p.expected for p in history.calibration], [p.earned for p in history.calibration]
        series = {"perfect": ([0.0, 1.0], [0.0, 1.0]), "earned": (expected, earned)}
        _draw(screen, "calibration: earned by expected reward", series, ylim=(0, 1))


Points = tuple[Sequence[float], Sequence[float]]


def _known(history: PolicyHistory, name: str) -> Points:
    """A value of the points that have it, by the decisions until then."""
    known = [
        (float(at), float(value))
        for at, point in zip(ends(history), history.points, strict=True)
        if (value := getattr(point, name)) is not None
    ]
    return [at for at, _ in known], [value for _, value in known]


def _draw(screen: Screen, title: str, series: Mapping[str, Points], ylim: tuple[float, float] | None = None) -> None:
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(min(screen.console.width, WIDEST), HEIGHT)
    plotext.title(title)
    for (name, (x, y)), mark, colour in zip(series.items(), MARKS, COLOURS, strict=False):
        if x:
            plotext.plot(x, y, label=name, marker="braille" if screen.person else mark, color=colour)
    if ylim is not None:
        plotext.ylim(*ylim)
    drawn = plotext.build()
    screen.raw(((drawn if screen.person else plotext.uncolorize(drawn)) + "\n\n").encode("utf-8", "replace"))


def to_file(history: PolicyHistory, file: str) -> None:
    """The three plots side by side. Raises `Refused` when matplotlib is missing or the file cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Refused("no-matplotlib", "plots in files need matplotlib: pip install 'cca[plot]'") from None
    x = ends(history)
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    learning, shares, calibration = figure.subplots(1, 3)
    for name in ("reward", "success"):
        learning.plot(*_known(history, name), label=name)
    learning.plot(x, [point.explored for point in history.points], label="explored", linestyle=":")
    learning.set(title="Learning curve", xlabel="decisions", ylim=(0, 1.02))
    learning.legend()
    lanes = lanes_of(history)[:10]
    shares.stackplot(x, [[point.shares.get(lane, 0.0) for point in history.points] for lane in lanes], labels=lanes)
    shares.set(title="Share of each lane", xlabel="decisions", ylim=(0, 1))
    if lanes:
        shares.legend(loc="lower left")
    calibration.plot([0, 1], [0, 1], linestyle=":", color="grey")
    sizes = [8 + 4 * point.decisions**0.5 for point in history.calibration]
    calibration.scatter([p.expected for p in history.calibration], [p.earned for p in history.calibration], s=sizes)
    calibration.set(title="Calibration", xlabel="expected reward", ylabel="earned reward", xlim=(0, 1), ylim=(0, 1))
    try:
        figure.savefig(file, dpi=120)
    except OSError as error:
        raise Refused("bad-input", f"{file}: {error.strerror or error}") from None
