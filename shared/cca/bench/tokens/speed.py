"""How fast it goes on one core: counting, analysis, compression, expansion. In processor time, other load aside."""

import importlib.util
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cca.bench.report import Line, number
from cca.bench.spread import Spread, percentile
from cca.bench.tokens.measure import MODEL, Progress
from cca.bench.tokens.transcripts.catalogue import transcripts
from cca.contracts.tokens import Folding, Turn
from cca.tokens.markers import expand

T = TypeVar("T")

COUNTED, ANALYZED, COMPRESSED = 4_000_000, 1_000_000, 500_000
"""Bytes of text that are counted, analyzed and compressed at a time."""
REPEATS = 5
RUNS = 12
"""Compressions, each of other transcripts."""


class Speeds(Struct):
    """What was measured."""

    lines: list[Line]
    notes: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether every goal was reached."""
        return all(line.reached is not False for line in self.lines)

    def document(self) -> list[dict[str, Any]]:
        """The figures as JSON."""
        return [
            {
                "what": line.what,
                "unit": line.unit,
                "median": round(line.ours.median, 3),
                "values": [round(value, 3) for value in line.ours.values],
                "tiktoken": None if line.raw is None else round(line.raw.median, 3),
                "goal": line.goal,
                "met": line.reached,
            }
            for line in self.lines
        ]

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("speed, one core", no_wrap=True)
        for title in ("median", "range", "tiktoken", "ratio", "goal"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("")
        marks = {None: Text(""), True: Text("✓", "green"), False: Text("✗", "red")}
        for line in self.lines:
            one = line.ours
            table.add_row(
                line.what,
                f"{number(one.median)} {line.unit}",
                f"{number(one.minimum)}–{number(one.maximum)}" if len(one.values) > 1 else "",
                number(line.raw.median) if line.raw else "",
                f"{line.ratio:.2f}" if line.ratio is not None else "",
                line.goal,
                marks[line.reached],
            )
        console.print(table)
        console.print()
        for note in self.notes:
            console.print(note)


def speeds(seed: int = 0, progress: Progress | None = None) -> Speeds:
    """Measure counting, analysis, compression and expansion."""
    # Heavy, and not needed to make transcripts.
    from cca.tokens.analysis import analyze
    from cca.tokens.compress import compress
    from cca.tokens.counting import counter, o200k

    def told(done: int, what: str) -> None:
        if progress is not None:
            progress(done, 4, what)

    texts = [turn.text for turn in mixture(seed, COUNTED)]
    size = _size(texts)
    o200k("warm")
    ours, theirs = _beside(lambda: [o200k(text) for text in texts], _tiktoken(texts))
    counted = Spread.of(size / 1e6 / each for each in ours)
    beside = Spread.of(size / 1e6 / each for each in theirs) if theirs else None
    remembering = counter(MODEL)
    remembering.count_many(texts)
    again = Spread.of(size / 1e6 / _timed(partial(remembering.count_many, texts))[0] for _ in range(REPEATS))
    told(1, "counting")

    how = Folding(model=MODEL)
    analyze(mixture(seed, COMPRESSED // 10), how)  # what is loaded at first is not measured
    looked = [mixture(seed + 1 + each, ANALYZED) for each in range(REPEATS)]
    analyzed = Spread.of(1e3 * _timed(partial(analyze, turns, how))[0] for turns in looked)
    told(2, "analysis")

    taken: list[float] = []
    expanded: list[float] = []
    for each in range(RUNS):
        turns = mixture(seed + 100 + each, COMPRESSED)
        spent, made = _timed(partial(compress, turns, how))
        taken.append(1e3 * spent)
        folded = [text for text in made.texts if text is not None]
        spent, _ = _timed(partial(_expanded, folded, made.blobs))
        expanded.append(_size([turn.text for turn in turns]) / 1e6 / spent)
    told(3, "compression")
    lines = [
        Line("count 4 MB, nothing remembered", counted, "MB/s", beside, at_least=8),
        Line("count the same again", again, "MB/s", at_least=100),
        Line("analyze 1 MB", analyzed, "ms", at_most=500),
        Line("compress 500 KB, p50", Spread.of(taken), "ms", at_most=250),
        Line("compress 500 KB, p95", Spread.of([percentile(taken, 95)]), "ms"),
        Line("expand", Spread.of(expanded), "MB/s"),
    ]
    told(4, "expansion")
    return Speeds(lines, () if theirs else ("tiktoken is not installed, so counting is not compared.",))


def mixture(seed: int, size: int) -> list[Turn]:
    """Turns of transcripts of all kinds, in an order of their own, of so many bytes together; the last one is cut."""
    found: list[Turn] = []
    left = size
    for round_ in range(1_000):
        chosen = transcripts(seed * 1_000 + round_)
        random.Random(f"{seed}:{round_}").shuffle(chosen)
        for transcript in chosen:
            for turn in transcript.turns:
                body = turn.text.encode()
                if len(body) >= left:
                    found.append(Turn(text=body[:left].decode(errors="ignore"), role=turn.role, name=turn.name))
                    return found
                found.append(turn)
                left -= len(body)
    raise AssertionError("transcripts hold no text")


def _size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    found = work()
    return max(time.process_time() - start, 1e-9), found


def _expanded(texts: Sequence[str], blobs: Mapping[str, str]) -> list[str]:
    return [expand(text, blobs.get) for text in texts]


def _beside(ours: Callable[[], object], theirs: Callable[[], object] | None) -> tuple[list[float], list[float]]:
    """Seconds of both, in turns: what else the machine does then hits both alike."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        found[0].append(_timed(ours)[0])
        if theirs is not None:
            found[1].append(_timed(theirs)[0])
    return found


def _tiktoken(texts: Sequence[str]) -> Callable[[], object] | None:
    """tiktoken with the ranks that we have; by itself it would fetch them from the network."""
    if importlib.util.find_spec("tiktoken") is None:
        return None
    import gzip
    from base64 import b64decode
    from pathlib import Path

    import tiktoken

    # Found and not imported: the package reads all of its vocabularies when it is.
    package = importlib.util.find_spec("bpe_openai")
    assert package is not None and package.submodule_search_locations
    file = Path(package.submodule_search_locations[0], "data", "o200k_base.tiktoken.gz")
    lines = gzip.decompress(file.read_bytes()).splitlines()
    ranks = {b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    encoding = tiktoken.Encoding("o200k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    encoding.encode_ordinary("warm")
    return lambda: [encoding.encode_ordinary(text) for text in texts]


_PATTERN = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""How o200k cuts text into words."""
