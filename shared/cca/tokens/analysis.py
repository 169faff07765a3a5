"""What turns are made of: kinds of content, repetitions, boilerplate, and how much compressing them would save."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from cca.contracts.tokens import Analysis, ContentKind, Folding, Repetition, Share, Step, Turn, TurnAnalysis
from cca.tokens.boilerplate import boilerplate
from cca.tokens.compress import Folded, compress
from cca.tokens.counting import counter
from cca.tokens.folds import Count
from cca.tokens.reading import Reading
from cca.tokens.repeats import Run, repeats
from cca.tokens.similar import Index
from cca.tokens.weight import Weighed, weigh

ALIKE = 0.6
"""From this similarity on a turn counts as a near duplicate of an earlier one."""
LONG_LINE = 200
"""Characters of a line that is not long."""
REPETITIONS = 20
PREVIEW = 80
"""Characters of the beginning of a repetition."""
HEADS = 3
"""A run of lines at the beginning of so many turns is boilerplate: a banner, a preamble."""


def analyze(turns: Sequence[Turn], how: Folding, count: Count | None = None) -> Analysis:
    """Say what turns are made of, and what compressing them as asked would save.

    Tokens of a turn are counted; those of lines within it are its share by their characters and kind. The plan is
    that of really compressing.

    Args:
        how: as for `compress`; its model counts.
        count: counts instead of the model's own counter, for instance a cached one.
    """
    counting = counter(how.model)
    count = count or counting.count
    readings = [Reading(turn) for turn in turns]
    weighed = [weigh(turn, count, reading) for turn, reading in zip(turns, readings, strict=True)]
    total = sum(each.tokens for each in weighed)
    runs = repeats([each.lines for each in weighed])
    repeated, earlier = [0.0] * len(turns), [0.0] * len(turns)
    for run in runs:
        tokens = weighed[run.turn].of(run.line, run.lines)
        repeated[run.turn] += tokens
        earlier[run.turn] += tokens if run.source != run.turn else 0.0
    alike = _alike(readings, runs)
    groups: dict[tuple[int, int, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.source, run.source_line, run.lines // run.times), []).append(run)
    folded = compress(turns, how, count, readings)

    def share(tokens: float) -> Share:
        whole = min(round(tokens), total)
        return Share(whole, whole / total if total else 0.0)

    kinds: dict[ContentKind, int] = {}
    for each in weighed:
        for kind, tokens in each.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + tokens
    return Analysis(
        model=how.model,
        method=counting.method,
        exact=counting.exact,
        tokens=total,
        lines=sum(len(each.lines) for each in weighed),
        characters=sum(len(turn.text) for turn in turns),
        kinds={kind: share(kinds[kind]) for kind in sorted(kinds, key=lambda kind: (-kinds[kind], kind))},
        duplicates=share(sum(weighed[run.turn].of(run.line, run.lines) for run in runs)),
        near=share(sum(weighed[turn].tokens - repeated[turn] for turn in alike)),
        boilerplate=share(_boilerplate(turns, weighed, groups)),
        across=share(_across(turns, weighed, runs)),
        potential=1 - folded.after / folded.before if folded.before else 0.0,
        after=folded.after,
        plan=_plan(folded),
        turns=tuple(
            _turn(number, turn, weighed[number], round(earlier[number]), alike.get(number))
            for number, turn in enumerate(turns)
        ),
        repetitions=_repetitions(turns, weighed, groups.values()),
        code_blocks=sum(_blocks(turn.text, each.lines) for turn, each in zip(turns, weighed, strict=True)),
        long_lines=sum(len(line) > LONG_LINE for each in weighed for line in each.lines),
    )


def _alike(readings: Sequence[Reading], runs: Iterable[Run]) -> dict[int, tuple[int, float]]:
    """The earlier turn that each resembles most, and how much, for those that resemble one."""
    same = {run.turn: run.source for run in runs if run.whole}
    index = Index()
    found: dict[int, tuple[int, float]] = {}
    for number, reading in enumerate(readings):
        if number in same:
            found[number] = (same[number], 1.0)
        elif (sign := reading.signature) is not None:
            if near := index.nearest(sign, ALIKE):
                found[number] = near
            index.add(number, sign)
    return found


def _turn(number: int, turn: Turn, weighed: Weighed, repeated: int, like: tuple[int, float] | None) -> TurnAnalysis:
    kinds = weighed.kinds
    return TurnAnalysis(
        turn=number,
        role=turn.role,
        tokens=weighed.tokens,
        kind=min(kinds, key=lambda kind: (-kinds[kind], kind)) if kinds else "prose",
        name=turn.name,
        agent=turn.agent,
        repeated=min(repeated, weighed.tokens),
        like=like[0] if like else None,
        similarity=round(like[1], 3) if like else 0.0,
    )


def _across(turns: Sequence[Turn], weighed: Sequence[Weighed], runs: Sequence[Run]) -> float:
    """The tokens of the repetitions whose lines several agents have."""
    if len({turn.agent for turn in turns}) < 2:
        return 0.0
    shared: dict[tuple[int, int], set[str | None]] = {}
    for run in runs:
        for line in range(run.lines // run.times):
            agents = shared.setdefault((run.source, run.source_line + line), {turns[run.source].agent})
            agents.add(turns[run.turn].agent)
    tokens = 0.0
    for run in runs:
        period = run.lines // run.times
        for line in range(run.lines):
            if len(shared[run.source, run.source_line + line % period]) > 1:
                tokens += weighed[run.turn].of(run.line + line, 1)
    return tokens


def _boilerplate(
    turns: Sequence[Turn], weighed: Sequence[Weighed], groups: Mapping[tuple[int, int, int], Sequence[Run]]
) -> float:
    """The tokens of licences and banners, and of what several turns begin with, after the first."""
    spans = [boilerplate(turn.text, each.lines) for turn, each in zip(turns, weighed, strict=True)]
    for runs in groups.values():
        heads = [run for run in runs if run.line == 0 and run.source_line == 0 and not run.whole]
        if len(heads) + 1 >= HEADS:
            for run in heads:
                spans[run.turn].append((0, run.lines))
    tokens = 0.0
    for each, found in zip(weighed, spans, strict=True):
        done = 0
        for start, end in sorted(found):
            if end > done:
                tokens += each.of(max(start, done), end - max(start, done))
                done = end
    return tokens


def _repetitions(
    turns: Sequence[Turn], weighed: Sequence[Weighed], groups: Iterable[Sequence[Run]]
) -> tuple[Repetition, ...]:
    """The repetitions that cost most."""
    found: list[tuple[int, Run, Sequence[Run]]] = []
    for runs in groups:
        tokens = round(sum(weighed[run.turn].of(run.line, run.lines) for run in runs))
        found.append((tokens, runs[0], runs))
    found.sort(key=lambda each: (-each[0], each[1].turn, each[1].line))
    return tuple(
        Repetition(
            preview=_preview(weighed[run.turn].lines[run.line : run.line + run.lines // run.times]),
            turns=tuple(dict.fromkeys([run.source, *(each.turn for each in runs)])),
            times=1 + sum(each.times for each in runs),
            tokens=tokens,
            agents=tuple(
                dict.fromkeys(
                    agent for turn in (run.source, *(each.turn for each in runs)) if (agent := turns[turn].agent)
                )
            ),
        )
        for tokens, run, runs in found[:REPETITIONS]
    )


def _preview(lines: Sequence[str]) -> str:
    """The beginning of some lines, in one line of what can be seen."""
    words: list[str] = []
    room = 0
    for line in lines:
        words += line[: 4 * PREVIEW].split()
        room += len(line)
        if room > 4 * PREVIEW:
            break
    text = "".join(letter if letter.isprintable() else "�" for letter in " ".join(words)[: 2 * PREVIEW])
    return text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"


def _plan(folded: Folded) -> tuple[Step, ...]:
    cuts = Counter(cut.strategy for cut in folded.cuts)
    by_saving = sorted(folded.saved.items(), key=lambda each: (-each[1], each[0]))
    return tuple(Step(strategy, saved, cuts[strategy]) for strategy, saved in by_saving)


def _blocks(text: str, lines: Sequence[str]) -> int:
    """How many code blocks there are between fences; one that is not closed counts too."""
    if "```" not in text and "~~~" not in text:
        return 0
    return (sum(line.lstrip(" ").startswith(("```", "~~~")) for line in lines) + 1) // 2
