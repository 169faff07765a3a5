"""Every transcript compressed at every level: what is saved, what stays visible, and whether all can be had again."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from msgspec import Struct

from cca.bench.spread import median
from cca.bench.tokens import headroom
from cca.bench.tokens.facts import Fact, visible
from cca.bench.tokens.transcripts.catalogue import transcripts
from cca.bench.tokens.transcripts.script import Transcript
from cca.contracts.tokens import Folding, Level, Turn
from cca.tokens.markers import expand, ref_of

LEVELS: tuple[Level, ...] = get_args(Level)
MODEL = "gpt-4o"
"""Its vocabulary is o200k: everybody's texts are counted by it, so that the figures are the same on every Python."""

Progress = Callable[[int, int, str], None]
"""Called with how many parts are done, of how many, and what was done last."""


class Result(Struct, frozen=True):
    """What one way of compressing made of a transcript.

    Attributes:
        way: a level of ours, or `headroom`.
        before, after: tokens (o200k) of all turns; `size` is their UTF-8 in bytes.
        hidden: the facts that are not visible any more.
        cuts: pieces that were folded; `retrievable` of them were stored under the right reference.
        exact: whether expansion gives the original byte for byte; None where it was not tried.
        seconds: of processor time.
    """

    transcript: str
    kind: str
    way: str
    before: int
    after: int
    literal: int
    reformatted: int
    hidden: tuple[Fact, ...]
    cuts: int = 0
    retrievable: int = 0
    exact: bool | None = None
    seconds: float = 0.0
    size: int = 0

    @property
    def facts(self) -> int:
        return self.literal + self.reformatted + len(self.hidden)

    @property
    def reduction(self) -> float:
        """Share of the tokens that was saved."""
        return 1 - self.after / self.before


class Findings(Struct):
    """Everything that came out, in the order of the transcripts.

    Attributes:
        seed: of the transcripts.
        notes: what the reader has to know, a sentence each.
    """

    seed: int
    results: dict[str, list[Result]]
    notes: tuple[str, ...] = ()

    def of(self, way: str, kinds: Sequence[str] | None = None) -> list[Result]:
        """The results of one way, on these kinds or on all."""
        return [each for each in self.results[way] if kinds is None or each.kind in kinds]


def middle(results: Sequence[Result]) -> float:
    """The median reduction."""
    return median([each.reduction for each in results])


def shown(results: Sequence[Result]) -> float:
    """Share of the facts that are visible."""
    facts = sum(each.facts for each in results)
    return 1 - sum(len(each.hidden) for each in results) / facts if facts else 1.0


def measure(
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    levels: Sequence[Level] | None = None,
    others: bool = True,
    progress: Progress | None = None,
) -> Findings:
    """Compress the transcripts of a seed.

    Args:
        kinds: only transcripts of these kinds.
        levels: only these; all by default.
        others: also by headroom-ai, if it is installed.
        progress: is told about every transcript that is done.

    Raises `ValueError` for a kind that does not exist, and `RuntimeError` when headroom fails.
    """
    chosen = transcripts(seed, kinds)
    ways = LEVELS if levels is None else tuple(level for level in LEVELS if level in levels)
    beside = others and headroom.installed()
    total = len(chosen) * (len(ways) + beside)
    results: dict[str, list[Result]] = {}
    done = 0
    for way in ways:
        for transcript in chosen:
            results.setdefault(way, []).append(folded(transcript, way))
            done += 1
            if progress is not None:
                progress(done, total, f"{way}: {transcript.name}")
    if beside:
        found = headroom.compressed([transcript.turns for transcript in chosen])
        results["headroom"] = [
            _judged(transcript, "headroom", texts, seconds=seconds)
            for transcript, (texts, seconds) in zip(chosen, found, strict=True)
        ]
        if progress is not None:
            progress(total, total, "headroom")
    notes = ("headroom-ai is not installed, so it is not compared.",) if others and not beside else ()
    return Findings(seed, results, notes)


def folded(transcript: Transcript, level: Level) -> Result:
    """A transcript compressed at a level."""
    # Here and not above: the generators and the report are used without it.
    from cca.tokens.compress import compress

    start = time.process_time()
    found = compress(transcript.turns, Folding(level=level, model=MODEL))
    seconds = time.process_time() - start
    good = sum(cut.ref in found.blobs and ref_of(found.blobs[cut.ref]) == cut.ref for cut in found.cuts)
    return _judged(
        transcript,
        level,
        found.texts,
        cuts=len(found.cuts),
        retrievable=good,
        exact=restored(transcript.turns, found.texts, found.blobs),
        seconds=seconds,
    )


def restored(turns: Sequence[Turn], texts: Sequence[str | None], blobs: Mapping[str, str]) -> bool:
    """Whether texts expand to the turns, byte for byte: each by itself, or all together if some were left out."""
    if None not in texts:
        pairs = zip(turns, texts, strict=True)
        return all(text is not None and expand(text, blobs.get) == turn.text for turn, text in pairs)
    together = "\n".join(text for text in texts if text is not None)
    return expand(together, blobs.get) == "\n".join(turn.text for turn in turns)


def _judged(
    transcript: Transcript,
    way: str,
    texts: Sequence[str | None],
    cuts: int = 0,
    retrievable: int = 0,
    exact: bool | None = None,
    seconds: float = 0.0,
) -> Result:
    from cca.tokens.counting import o200k

    found = [visible(fact, _seen(transcript, texts, fact)) for fact in transcript.facts]
    return Result(
        transcript.name,
        transcript.kind,
        way,
        sum(o200k(turn.text) for turn in transcript.turns),
        sum(o200k(text) for text in texts if text is not None),
        found.count("literal"),
        found.count("reformatted"),
        tuple(fact for fact, how in zip(transcript.facts, found, strict=True) if how == "hidden"),
        cuts,
        retrievable,
        exact,
        seconds,
        sum(len(turn.text.encode()) for turn in transcript.turns),
    )


def _seen(transcript: Transcript, texts: Sequence[str | None], fact: Fact) -> str:
    """Where a fact may be seen: in everything that the agent was told, and in its own turn.

    What the agent says later does not count. It repeats what it needs, and would make every fact visible.
    """
    told = [text or "" for turn, text in zip(transcript.turns, texts, strict=False) if turn.role != "assistant"]
    own = (texts[fact.turn] or "") if transcript.turns[fact.turn].role == "assistant" else ""
    return "\n".join([*told, own])
