"""The measure of compression as a person reads it: one table by kind, a summary, and whether the goals were reached."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cca.bench.spread import median
from cca.bench.tokens.measure import Findings, Result, middle, shown
from cca.bench.tokens.transcripts.catalogue import HEAVY

GOALS_OF = "safe"
"""The level that has to reach the goals."""
LEAST_REDUCTION, LEAST_HEAVY, LEAST_SHOWN = 0.50, 0.75, 0.98


class Verdict(Struct, frozen=True):
    """A goal, what was found, and whether that is enough."""

    what: str
    found: float
    goal: float

    @property
    def met(self) -> bool:
        return self.found >= self.goal


class Report(Struct):
    """The findings, to be read."""

    findings: Findings

    @property
    def kinds(self) -> list[str]:
        """In the order in which they were made."""
        return list(dict.fromkeys(each.kind for found in self.findings.results.values() for each in found))

    @property
    def verdicts(self) -> list[Verdict]:
        """The goals that these findings can judge."""
        if GOALS_OF not in self.findings.results:
            return []
        found = self.findings.of(GOALS_OF)
        verdicts = [
            Verdict("median reduction", middle(found), LEAST_REDUCTION),
            Verdict("facts visible", shown(found), LEAST_SHOWN),
            Verdict("cuts retrievable", _share(sum(e.retrievable for e in found), sum(e.cuts for e in found)), 1.0),
            Verdict("expansions exact", _share(sum(bool(each.exact) for each in found), len(found)), 1.0),
        ]
        for kind in HEAVY:
            if kind in self.kinds:
                verdicts.append(
                    Verdict(f"median reduction, {kind}", middle(self.findings.of(GOALS_OF, [kind])), LEAST_HEAVY)
                )
        return verdicts

    @property
    def met(self) -> bool:
        """Whether every goal that could be judged was reached."""
        return all(verdict.met for verdict in self.verdicts)

    def document(self) -> dict[str, Any]:
        """The figures as JSON. Only `cpu_s` depends on the machine."""
        return {
            "seed": self.findings.seed,
            "ways": {way: self._way(found) for way, found in self.findings.results.items()},
            "goals": [
                {"what": each.what, "found": round(each.found, 6), "goal": each.goal, "met": each.met}
                for each in self.verdicts
            ],
            "notes": list(self.findings.notes),
        }

    def _way(self, found: Sequence[Result]) -> dict[str, Any]:
        kinds = {kind: [each for each in found if each.kind == kind] for kind in self.kinds}
        return {
            "total": _summary(found),
            "kinds": {kind: _summary(results) for kind, results in kinds.items()},
            "transcripts": [
                {
                    "name": each.transcript,
                    "kind": each.kind,
                    "before": each.before,
                    "after": each.after,
                    "reduction": round(each.reduction, 6),
                    "literal": each.literal,
                    "reformatted": each.reformatted,
                    "hidden": [{"turn": fact.turn, "kind": fact.kind, "text": fact.text} for fact in each.hidden],
                    "cuts": each.cuts,
                    "retrievable": each.retrievable,
                    "exact": each.exact,
                    "cpu_s": round(each.seconds, 4),
                }
                for each in found
            ],
        }

    def show(self, console: Console, details: bool = False) -> None:
        """Print the table, the summary and the verdicts; with `details` also each transcript and the hidden facts."""
        console.print(self._table([(kind, [kind]) for kind in self.kinds] + [("all", self.kinds)]))
        console.print()
        if details:
            console.print(self._each())
            console.print()
            self._hidden(console)
        console.print(self._totals())
        console.print()
        for note in self.findings.notes:
            console.print(note)
        for verdict in self.verdicts:
            mark = Text("✓ ", "green") if verdict.met else Text("✗ ", "red")
            console.print(mark + Text(f"{GOALS_OF}: {verdict.what} {verdict.found:.1%} (goal ≥ {verdict.goal:.0%})"))

    def _table(self, rows: Sequence[tuple[str, Sequence[str]]]) -> Table:
        table = _empty("\nkind")
        for title in ("tran-\nscripts", "\ntokens", "\nfacts"):
            table.add_column(title, justify="right", no_wrap=True)
        for way in self.findings.results:
            table.add_column(f"{way}\nreduction", justify="right", no_wrap=True)
            table.add_column("\nvisible", justify="right", no_wrap=True)
        first = next(iter(self.findings.results))
        for name, kinds in rows:
            found = self.findings.of(first, kinds)
            cells = [str(len(found)), f"{sum(e.before for e in found):,}", str(sum(each.facts for each in found))]
            for way in self.findings.results:
                results = self.findings.of(way, kinds)
                cells += [f"{middle(results):.1%}", f"{shown(results):.1%}"]
            table.add_row(name, *cells, style="bold" if name == "all" else None)
        return table

    def _totals(self) -> Table:
        table = _empty("way")
        for title in ("tokens before", "after", "saved", "median", "literal", "reformatted", "hidden", "cuts"):
            table.add_column(title, justify="right", no_wrap=True)
        for title in ("retrievable", "exact", "CPU s", "MB/s"):
            table.add_column(title, justify="right", no_wrap=True)
        for way, found in self.findings.results.items():
            one = _summary(found)
            tried = [each.exact for each in found if each.exact is not None]
            table.add_row(
                way,
                f"{one['before']:,}",
                f"{one['after']:,}",
                f"{one['saved']:.1%}",
                f"{one['reduction']:.1%}",
                *(str(one[name]) for name in ("literal", "reformatted", "hidden")),
                str(one["cuts"]) if tried else "–",
                f"{_share(one['retrievable'], one['cuts']):.0%}" if tried else "–",
                f"{_share(sum(tried), len(tried)):.0%}" if tried else "–",
                f"{one['cpu_s']:.2f}",
                f"{sum(each.size for each in found) / 1e6 / max(one['cpu_s'], 1e-9):.1f}",
            )
        return table

    def _each(self) -> Table:
        table = _empty("transcript")
        table.add_column("tokens", justify="right")
        for way in self.findings.results:
            table.add_column(way, justify="right")
            table.add_column("hidden", justify="right")
        for each in zip(*self.findings.results.values(), strict=True):
            cells = [cell for one in each for cell in (f"{one.reduction:.1%}", str(len(one.hidden) or ""))]
            table.add_row(each[0].transcript, f"{each[0].before:,}", *cells)
        return table

    def _hidden(self, console: Console) -> None:
        for way, found in self.findings.results.items():
            for each in found:
                for fact in each.hidden:
                    text = " ".join(fact.text.split())
                    console.print(
                        f"{way}: {each.transcript}, turn {fact.turn}, {fact.kind}: {text[:150]}", soft_wrap=True
                    )
        console.print()


def _empty(first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    return table


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _summary(found: Sequence[Result]) -> dict[str, Any]:
    before, after = sum(each.before for each in found), sum(each.after for each in found)
    return {
        "transcripts": len(found),
        "before": before,
        "after": after,
        "saved": round(1 - after / before, 6),
        "reduction": round(median([each.reduction for each in found]), 6),
        "facts": sum(each.facts for each in found),
        "literal": sum(each.literal for each in found),
        "reformatted": sum(each.reformatted for each in found),
        "hidden": sum(len(each.hidden) for each in found),
        "cuts": sum(each.cuts for each in found),
        "retrievable": sum(each.retrievable for each in found),
        "cpu_s": round(sum(each.seconds for each in found), 3),
    }
