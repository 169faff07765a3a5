"""The figures as a person reads them: one table for each part, and which goals were reached."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cca.bench.report import number
from cca.bench.search.code import CodeFigures
from cca.bench.search.measure import Figures
from cca.bench.search.quality import MODES
from cca.bench.search.ranking import Quality, mean
from cca.bench.search.speed import Speed, Timed
from cca.bench.search.vectors import Searches, VectorFigures
from cca.bench.spread import median
from cca.contracts.search import Mode

PARAPHRASE, RECALL, P99_MS, CHANGED_S = 0.45, 0.95, 10.0, 2.0
"""What is to be reached: nDCG@10 of the paraphrases, recall@10 and p99 of vectors, and a run after one changed file."""
NARROW = 3_000
"""Up to so many rows that pass a filter, the service compares all of them (`cca_context.dense`)."""


class Verdict(Struct, frozen=True):
    """A goal, and whether it was reached; `found` says by what."""

    what: str
    found: str
    met: bool


class Report(Struct):
    """The figures, to be read."""

    figures: Figures

    @property
    def means(self) -> dict[Mode, Quality]:
        """Of all sets, for the modes in which each of them was searched."""
        sets = self.figures.sets
        return {mode: mean([one.modes[mode] for one in sets]) for mode in MODES if _everywhere(sets, mode)}

    @property
    def verdicts(self) -> list[Verdict]:
        """The goals that these figures can judge; none after a quick run."""
        return [] if self.figures.quick else [*self._on_quality(), *self._on_vectors(), *self._on_code()]

    @property
    def met(self) -> bool:
        """Whether every goal that could be judged was reached."""
        return all(verdict.met for verdict in self.verdicts)

    def document(self) -> dict[str, Any]:
        """The figures as JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self.figures)
        return found | {
            "means": msgspec.to_builtins(self.means),
            "goals": [msgspec.to_builtins(verdict) for verdict in self.verdicts],
        }

    def show(self, console: Console) -> None:
        """Print the tables and the verdicts."""
        figures = self.figures
        for table in self._tables():
            console.print(table)
            console.print()
        for note in (*figures.notes, *(f"{one.name}: {one.note}." for one in figures.sets if one.note)):
            console.print(note)
        if figures.quick:
            console.print("A quick run: it shows that everything works, and its figures say nothing.")
        for verdict in self.verdicts:
            mark = Text("✓ ", "green") if verdict.met else Text("✗ ", "red")
            console.print(mark + Text(f"{verdict.what}: {verdict.found}"))

    def _tables(self) -> Iterator[Table]:
        figures = self.figures
        if figures.sets:
            yield self._quality()
        if figures.filled is not None:
            filled = figures.filled
            rows = [
                ("stored", f"{filled.memories:,}", f"{number(filled.stored_s)} /s"),
                ("all of them have words and vectors", f"{filled.ready_s:.1f} s later", ""),
            ]
            if filled.redacted:
                rows.append(("were stored without something that looks like a secret", str(filled.redacted), ""))
            yield _rows("memories", ("", ""), rows)
        if figures.code is not None:
            yield _code(figures.code)
        if figures.vectors is not None:
            yield _vectors(figures.vectors)
            yield _codecs(figures.vectors)
        if figures.speeds:
            yield _speeds(figures.speeds)

    # ------------------------------------------------------------------------------------ quality

    def _quality(self) -> Table:
        table = _empty("\nset")
        for title in ("ques-\ntions", "docu-\nments"):
            table.add_column(title, justify="right")
        for mode in MODES:
            table.add_column(f"{mode}\nnDCG", justify="right")
            table.add_column("@10\nrecall", justify="right")
        sets = self.figures.sets
        for one in sets:
            count = max(found.questions for found in one.modes.values())
            cells = [cell for mode in MODES for cell in _scores(one.modes.get(mode))]
            table.add_row(one.name, f"{count:,}", f"{one.documents:,}", *cells)
        means = self.means
        cells = [cell for mode in MODES for cell in _scores(means.get(mode))]
        table.add_row("mean", "", "", *cells, style="bold")
        return table

    def _on_quality(self) -> Iterator[Verdict]:
        means = {mode: round(found.ndcg, 4) for mode, found in self.means.items()}
        if "hybrid" in means:
            better = max(means.get("lexical", 0.0), means.get("dense", 0.0))
            text = f"{means['hybrid']:.3f}, the better of the two {better:.3f}"
            yield Verdict("hybrid, mean nDCG@10 (goal: at least the better)", text, means["hybrid"] >= better)
        for one in self.figures.sets:
            if one.name == "paraphrase" and "hybrid" in one.modes:
                found = one.modes["hybrid"].ndcg
                yield Verdict(f"paraphrase, nDCG@10 (goal ≥ {PARAPHRASE})", f"{found:.3f}", found >= PARAPHRASE)

    # ------------------------------------------------------------------------------------ the rest

    def _on_vectors(self) -> Iterator[Verdict]:
        if (vectors := self.figures.vectors) is None:
            return
        for one in vectors.searches:
            if taken(one, vectors.rows):
                text = f"recall@10 {one.recall:.3f}, p99 {one.p99_ms:.1f} ms"
                met = one.recall >= RECALL and one.p99_ms < P99_MS
                yield Verdict(f"{_share(one.filter)} (goal ≥ {RECALL}, < {P99_MS:g} ms)", text, met)
        binary, text_form = vectors.codecs
        text = f"written {binary.written_s / text_form.written_s:.1f} ×, read {binary.read_s / text_form.read_s:.1f} ×"
        met = binary.written_s > text_form.written_s and binary.read_s > text_form.read_s
        yield Verdict("binary codec against text (goal: faster)", text, met)

    def _on_code(self) -> Iterator[Verdict]:
        code = self.figures.code
        if code is not None:
            took = median(code.changed_s)
            text = f"{took:.2f} s" + ("" if code.found else ", and what changed is not found")
            yield Verdict(f"after one changed file (goal ≤ {CHANGED_S:g} s)", text, took <= CHANGED_S and code.found)
        for speed in self.figures.speeds:
            again = speed.again
            text = f"{again.cached:.1%} cached, {again.misses} misses"
            if again.transactions is not None:
                text += f", {again.transactions:.2f} transactions each"
            met = again.misses == 0 and (again.transactions or 0.0) < 0.05
            yield Verdict(f"{speed.subject}: a repeated search makes no SQL", text, met)


def taken(one: Searches, rows: int) -> bool:
    """Whether the service searches in this way, when so many rows pass the filter."""
    passing = rows * {"everything": 1.0, "a tenth": 0.1, "a hundredth": 0.01}[one.filter]
    return one.way == ("exact" if passing <= NARROW and one.filter != "everything" else "index")


def _share(filter: str) -> str:
    return {
        "everything": "vectors, unfiltered",
        "a tenth": "vectors, 10 % filter",
        "a hundredth": "vectors, 1 % filter",
    }[filter]


def _everywhere(sets: list[Any], mode: Mode) -> bool:
    return bool(sets) and all(mode in one.modes for one in sets)


def _scores(found: Quality | None) -> tuple[str, str]:
    return ("–", "–") if found is None else (f"{found.ndcg:.3f}", f"{found.recall:.3f}")


def _empty(first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    return table


def _rows(title: str, titles: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    table = _empty(title)
    for one in titles:
        table.add_column(one, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _seconds(values: tuple[float, ...]) -> str:
    return f"{median(values):.2f} s ({min(values):.2f}–{max(values):.2f})"


def _code(code: CodeFigures) -> Table:
    files, chunks = code.files / code.indexed_s, code.chunks / code.indexed_s
    rows = [
        ("first run", f"{code.indexed_s:.1f} s", f"{number(files)} files/s, {number(chunks)} chunks/s"),
        ("files, chunks, failed", f"{code.files:,}, {code.chunks:,}, {code.failed}", f"{code.bytes / 1e6:.1f} MB"),
    ]
    if code.embedded_s is not None:
        rate = f"{number(code.chunks / code.embedded_s)} texts/s"
        rows.append((f"all chunks have vectors ({code.embedder})", f"{code.embedded_s:.0f} s", rate))
    rows += [
        ("again, nothing changed", _seconds(code.unchanged_s), ""),
        ("again, one file changed", _seconds(code.changed_s), "is found" if code.found else "is not found"),
    ]
    rows += [(f"chunks, {name}", f"{count:,}", "") for name, count in sorted(code.languages.items())]
    rows += [
        (f"table {one.table}", f"{(one.rows + one.indexes) / 1e6:.1f} MB", f"{one.indexes / 1e6:.1f} MB indexes")
        for one in code.sizes
    ]
    return _rows("index of code: Python's standard library", ("", ""), rows)


def _vectors(found: VectorFigures) -> Table:
    table = _empty(f"{found.rows:,} vectors of {found.dimension}, HNSW m {found.m}, efc {found.ef_construction}")
    for title in ("way", "recall@10", "p50 ms", "p99 ms"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for one in found.searches:
        marked = "as the service does it" if taken(one, found.rows) else ""
        cells = (one.way, f"{one.recall:.3f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}")
        table.add_row(_share(one.filter), *cells, marked)
    return table


def _codecs(found: VectorFigures) -> Table:
    rows = [
        (f"codec, {one.form}", f"{number(one.written_s)} rows/s", f"{number(one.read_s)} rows/s")
        for one in found.codecs
    ]
    rows += [
        ("rows into a table with its index", f"{number(found.inserted_s)} rows/s", ""),
        ("rows without it", f"{number(found.copied_s)} rows/s", ""),
        ("the index, built at once", f"{found.built_s:.1f} s", ""),
        ("size of the index", f"{found.index_bytes / 1e6:.1f} MB", ""),
    ]
    return _rows("writing and reading vectors", ("written", "read"), rows)


def _speeds(speeds: list[Speed]) -> Table:
    table = _empty("searches, one at a time")
    for title in ("asked", "p50 ms", "p95 ms", "cached", "hits", "misses", "SQL each"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in speeds:
        table.add_row(f"{one.subject}, first time", *_timed(one.cold))
        table.add_row(f"{one.subject}, again", *_timed(one.again))
    return table


def _timed(one: Timed) -> tuple[str, ...]:
    counted = "–" if one.transactions is None else f"{one.transactions:.2f}"
    return (
        f"{one.asked:,}",
        f"{one.p50_ms:.2f}",
        f"{one.p95_ms:.2f}",
        f"{one.cached:.0%}",
        f"{one.hits:,}",
        f"{one.misses:,}",
        counted,
    )
