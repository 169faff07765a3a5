"""The comparison as a person reads it: one table, and for each goal whether it was reached."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cca.bench.rl.results import MARKS, Cell, Mean, Result, Timing, by_policy

DEFAULT = "linear-pm"
"""The policy that has to reach the goals."""
LEAST_NORMALISED, MOST_BEHIND, LEAST_SETTLED, MOST_REGRET = 0.65, 0.03, 0.97, 0.20

GOALS_OF = ("prompts", "drift-late")
"""The test beds that goals are set for. By them policies are ranked, too: several attempts at a task are another game,
which policies of one attempt do not play."""

WIDE = 138
"""Columns that the one table needs; on a narrower terminal there is one for each test bed."""

_NAMES = {
    "random": "chance",
    "fixed": "best fixed lane",
    "linear": "linear in hindsight",
    "oracle": "oracle per task",
}


class Verdict(Struct, frozen=True):
    """A goal, what was found, and whether that is enough."""

    what: str
    found: float
    goal: str
    met: bool


class Report(Struct):
    """Everything that came out of a run.

    Attributes:
        results: by test bed; the marks of hindsight stand among the policies.
        complete: goals are judged. A few hundred decisions say nothing about them.
        notes: what the reader has to know, a sentence each.
    """

    seeds: tuple[int, ...]
    tasks: dict[str, int]
    results: dict[str, list[Result]]
    complete: bool = True
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> dict[str, dict[str, Cell]]:
        """By test bed and policy."""
        return {
            bed: {policy: Cell.of(runs) for policy, runs in by_policy(found).items()}
            for bed, found in self.results.items()
        }

    @property
    def policies(self) -> list[str]:
        """Those that learn or decide, best first: by their mean normalised reward over the test beds with goals."""
        cells = self.cells
        cells = {bed: found for bed, found in cells.items() if bed in GOALS_OF} or cells
        names = dict.fromkeys(name for found in cells.values() for name in found if name not in MARKS)
        means = {
            name: Mean.of([found[name].normalised.value for found in cells.values() if name in found]).value
            for name in names
        }
        return sorted(names, key=lambda name: (-means[name], name))

    @property
    def verdicts(self) -> list[Verdict]:
        """The goals of the default policy that this run can judge."""
        return _verdicts(self.cells) if self.complete else []

    @property
    def met(self) -> bool:
        """Whether every goal that could be judged was reached."""
        return all(verdict.met for verdict in self.verdicts)

    def document(self) -> dict[str, Any]:
        """The figures as JSON: nothing in it depends on the machine, so the same seeds give the same document."""
        beds: dict[str, Any] = {}
        for bed, found in self.results.items():
            policies = {name: _document(runs) for name, runs in by_policy(found).items()}
            beds[bed] = {
                "tasks": self.tasks[bed],
                **{name: policies.pop(name) for name in MARKS},
                "policies": policies,
            }
        goals = [
            {"what": verdict.what, "found": round(verdict.found, 6), "goal": verdict.goal, "met": verdict.met}
            for verdict in self.verdicts
        ]
        return {"seeds": list(self.seeds), "beds": beds, "goals": goals, "notes": list(self.notes)}

    def show(self, console: Console) -> None:
        """Print the table and the verdicts."""
        beds = list(self.results)
        for shown in [beds] if console.width >= WIDE else [[bed] for bed in beds]:
            console.print(self._table(shown))
            console.print()
        console.print(
            f"Means over {len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}, ± standard error; order and names of "
            "lanes differ by seed. norm: 0 is chance, 1 the linear policy in hindsight. "
            "regret: of the oracle, as a share of chance's. 500+: from task 500 on, of the best fixed lane."
        )
        for note in self.notes:
            console.print(note)
        for verdict in self.verdicts:
            mark = Text("✓ ", "green") if verdict.met else Text("✗ ", "red")
            console.print(mark + Text(f"{verdict.what}: {verdict.found:.3f} (goal {verdict.goal})"))

    def _table(self, beds: Sequence[str]) -> Table:
        cells = {bed: found for bed, found in self.cells.items() if bed in beds}
        timings = {
            name: Timing.of(runs)
            for name, runs in by_policy(one for bed in beds for one in self.results[bed]).items()
            if name not in MARKS
        }
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("\npolicy", no_wrap=True)
        for bed in cells:
            for title in ("\nreward", f"{bed}\nnorm", "\n500+" if bed == "prompts" else "\nregret"):
                table.add_column(title, justify="right", no_wrap=True)
        for title in ("decision µs\np50/p99", "fit\nms"):
            table.add_column(title, justify="right", no_wrap=True)
        for name in (*self.policies, *MARKS):
            row = [part for bed, found in cells.items() for part in _cell(bed, found.get(name), name in MARKS)]
            timing = timings.get(name)
            times = [f"{timing.p50_us:.0f}/{timing.p99_us:.0f}", f"{timing.fit_ms:.1f}"] if timing else ["", ""]
            style = "bold" if name == DEFAULT else "dim" if name in MARKS else None
            table.add_row(_NAMES.get(name, name), *row, *times, style=style)
        return table


def _cell(bed: str, cell: Cell | None, mark: bool) -> list[str]:
    if cell is None:
        return ["", "", ""]
    # Fewer tasks than it takes to settle down say nothing about how things are then.
    last = _short(cell.settled.value, 3) if cell.settled.value else ""
    if bed != "prompts":
        last = _short(cell.regret.value, 3)
    error = "" if mark or not cell.normalised.error else f"±{_short(cell.normalised.error)}"
    return [_short(cell.reward.value, 4), _short(cell.normalised.value) + error, last]


def _short(value: float, places: int = 2) -> str:
    """Without the zero before the point, as tables of shares are set: .87, -.05."""
    text = f"{round(value, places) + 0.0:.{places}f}"  # + 0.0 makes -0.0 a 0.0
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _document(runs: Sequence[Result]) -> dict[str, Any]:
    """Means, errors, and the values by seed, to six places: beyond them processors differ."""
    cell = Cell.of(runs)
    found: dict[str, Any] = {}
    for name in cell.__struct_fields__:
        mean: Mean = getattr(cell, name)
        found[name] = round(mean.value, 6)
        found[f"{name}_error"] = round(mean.error, 6)
        found[f"{name}_by_seed"] = [round(getattr(one, name), 6) for one in runs]
    return found


def _verdicts(cells: dict[str, dict[str, Cell]]) -> list[Verdict]:
    found: list[Verdict] = []
    if ours := cells.get("prompts", {}).get(DEFAULT):
        value = ours.normalised.value
        found.append(
            Verdict(
                f"prompts: normalised reward of {DEFAULT}", value, f"≥ {LEAST_NORMALISED}", value >= LEAST_NORMALISED
            )
        )
        others = {name: cell.normalised.value for name, cell in cells["prompts"].items() if name not in MARKS}
        best = max(others, key=lambda name: others[name])
        behind = others[best] - value
        found.append(
            Verdict(f"prompts: behind the best learner ({best})", behind, f"≤ {MOST_BEHIND}", behind <= MOST_BEHIND)
        )
        settled = ours.settled.value
        found.append(
            Verdict(
                "prompts: from task 500 on, of the best fixed lane",
                settled,
                f"≥ {LEAST_SETTLED}",
                settled >= LEAST_SETTLED,
            )
        )
    if ours := cells.get("drift-late", {}).get(DEFAULT):
        regret = ours.regret.value
        found.append(
            Verdict(f"drift-late: regret of {DEFAULT}, of chance's", regret, f"≤ {MOST_REGRET}", regret <= MOST_REGRET)
        )
    return found
