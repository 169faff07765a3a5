"""Say turns in fewer tokens, so that every byte can be had again.

Every turn is folded by itself and by those before it, so what was sent already stays as it was. Only when a budget is
missed, and at the level `strong`, old turns are masked and then left out.
"""

import json
from collections.abc import Sequence

from msgspec import Struct, structs

from cca.contracts.tokens import Cut, Folding, Turn
from cca.tokens import history
from cca.tokens.counting import counter, o200k
from cca.tokens.draft import WORDS, Change, Draft, changed, draft, marked, marked_json
from cca.tokens.folds import Count
from cca.tokens.frame import frame, is_json
from cca.tokens.kinds import classify
from cca.tokens.leaving import leave
from cca.tokens.level import Chosen, chosen
from cca.tokens.markers import LEGEND, ref_of
from cca.tokens.reading import Reading
from cca.tokens.turns import LEAST, SHARE, Folder


class Folded(Struct, frozen=True):
    """Turns with fewer tokens.

    Attributes:
        texts: one for each turn; None for a turn that was left out into the marker of an earlier one.
        cuts: what was replaced, in order.
        blobs: the original of every cut by its reference, and all of the original text under `original`.
        before, after: tokens of the model. `saved` is the difference by strategy.
        reached: whether the budget was; `short` is by how many tokens not.
    """

    texts: tuple[str | None, ...]
    cuts: tuple[Cut, ...]
    blobs: dict[str, str]
    original: str
    before: int
    after: int
    saved: dict[str, int]
    reached: bool = True
    short: int = 0


def compress(
    turns: Sequence[Turn], how: Folding, count: Count | None = None, readings: Sequence[Reading] | None = None
) -> Folded:
    """The turns in fewer tokens. Nothing ever gets more of them; what would is left as it is.

    Turns that are within `max_tokens` are not touched when nothing more is asked for.

    Args:
        count: counts instead of the model's own counter, for instance a cached one.
        readings: of the same turns, where they have been looked at already.

    Raises:
        Refused: `unknown-strategy`, `too-large`.
    """
    work = _Work(turns, how, chosen(how), count or counter(how.model).count)
    if how.max_tokens is None or how.target_reduction is not None or work.before > how.max_tokens:
        work.fold(readings)
        work.mask()
        work.leave()
        work.explain()
    return work.result()


class _Work:
    """Drafts of the turns, and what they cost."""

    def __init__(self, turns: Sequence[Turn], how: Folding, chosen: Chosen, count: Count) -> None:
        self._turns, self._how, self._chosen, self._count = turns, how, chosen, count
        self._costs_before = [count(turn.text) for turn in turns]
        self._costs = list(self._costs_before)
        self.before = sum(self._costs)
        self._drafts: list[Draft | None] = [None] * len(turns)
        """None for a turn that is as it was."""
        self._gone: set[int] = set()
        told = any(turn.text.startswith(LEGEND) for turn in turns)
        self._legend = count(LEGEND + "\n") if how.legend and not told else 0
        """Tokens of the legend, when it is to be added."""
        goals = [how.max_tokens] if how.max_tokens is not None else []
        if how.target_reduction is not None:
            goals.append(int(self.before * (1 - how.target_reduction)))
        self._goal = min(goals, default=None)

    def _free(self, at: int) -> bool:
        """Whether a turn may be changed."""
        return at >= self._how.cached and not self._turns[at].pinned

    def _over(self) -> bool:
        return self._goal is not None and sum(self._costs) + self._legend > self._goal

    def _put(self, at: int, new: Draft) -> bool:
        """Take a draft, when it really is cheaper for the model."""
        tokens = self._count(new.text)
        if tokens >= self._costs[at]:
            return False
        self._drafts[at], self._costs[at] = new, tokens
        return True

    def fold(self, readings: Sequence[Reading] | None) -> None:
        """Fold each turn by the strategies that were chosen."""
        folder = Folder(self._chosen, self._how.recent)
        last = len(self._turns) - 1
        # An age changes with every turn that follows; what must not change then does not know it.
        aging = self._how.level == "strong"
        for at, turn in enumerate(self._turns):
            reading = readings[at] if readings is not None else Reading(turn)
            if not self._free(at):
                folder.remember(at, reading)
                continue
            new = folder.fold(at, reading, last - at if aging else 0)
            if new.cuts:
                self._put(at, new)

    # ---------------------------------------------------------------------------- old turns

    def _old(self) -> range:
        return range(self._how.cached, max(len(self._turns) - self._how.recent, 0))

    def _may_go(self, at: int) -> bool:
        """Whether an old turn may be masked or left out. What explains the markers may not."""
        return self._free(at) and not self._turns[at].text.startswith(LEGEND)

    def mask(self) -> None:
        """Mask old results of tools, from the oldest on, until the budget is reached.

        Without a budget all of them, and only when that was asked for by name: it hides what nobody has to miss.
        """
        if "mask" not in self._chosen or (self._goal is None and self._how.strategies is None):
            return
        mentioned = history.mentions(self._turns)
        for at in self._old():
            if self._goal is not None and not self._over():
                return
            if self._turns[at].role == "tool" and self._may_go(at):
                masked = self._masked(at, mentioned)
                if masked is not None:
                    self._put(at, changed(draft(self._turns[at].text), [masked]))

    def _masked(self, at: int, mentioned: dict[str, int]) -> Change | None:
        text = self._turns[at].text
        now = self._drafts[at] or draft(text)
        if len(text) < 100 or (all(part.what == "folded" for part in frame(now.lines)) and not now.cuts):
            return None
        lines = text.count("\n") + 1
        kind = classify(text.split("\n"))
        if is_json(text):
            try:
                shape = json.dumps(history.outline(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
            except (ValueError, RecursionError):
                return None
            put = marked_json(text, shape)
        else:
            put = marked(text, f"{lines} {WORDS[kind]}, old", history.kept_lines(now.lines, at, mentioned))
        before, after = o200k(now.text), o200k("\n".join(put))
        if before - after < max(LEAST, SHARE * before):
            return None
        return Change(0, lines, text, put, "mask", kind, o200k(text), after)

    def leave(self) -> None:
        """Leave old turns out until the budget is reached."""
        if "history" not in self._chosen or not self._over():
            return
        assert self._goal is not None
        able = [at for at in self._old() if self._may_go(at) and self._turns[at].role != "system"]
        order = history.order_of_leaving(self._turns, able)
        for run in leave(self._turns, self._costs, order, self._goal - self._legend, self._count):
            first = run.turns[0]
            lines = run.original.count("\n") + 1
            change = Change(0, lines, run.original, run.put, "history", "prose", run.before, run.after)
            self._drafts[first] = Draft(list(run.put), [structs.replace(change, end=len(run.put))])
            self._costs[first] = run.after
            self._costs_before[first] = sum(self._costs_before[at] for at in run.turns)
            for at in run.turns[1:]:
                self._gone.add(at)
                self._costs[at] = 0

    def explain(self) -> None:
        """Put the legend before the first turn that saves more than it costs, where it does not break JSON."""
        if not self._legend:
            return
        for at, turn in enumerate(self._turns):
            now = self._drafts[at]
            if now is None or at in self._gone or is_json(now.text) or is_json(turn.text):
                continue
            new = Draft([LEGEND, *now.lines], [structs.replace(cut, start=cut.start + 1) for cut in now.cuts])
            tokens = self._count(new.text)
            if tokens < self._costs_before[at]:
                self._drafts[at], self._costs[at] = new, tokens
                return

    # ---------------------------------------------------------------------------- the result

    def result(self) -> Folded:
        """What has become of the turns."""
        texts: list[str | None] = []
        cuts: list[Cut] = []
        blobs: dict[str, str] = {}
        weights: dict[str, int] = {}
        for at, turn in enumerate(self._turns):
            new = self._drafts[at]
            if at in self._gone:
                texts.append(None)
                continue
            texts.append(turn.text if new is None else new.text)
            for cut in new.cuts if new is not None else ():
                ref = ref_of(cut.original)
                blobs[ref] = cut.original
                cuts.append(Cut(ref, cut.strategy, cut.kind, at, cut.start, cut.lines, cut.before, cut.after))
                weights[cut.strategy] = weights.get(cut.strategy, 0) + max(cut.before - cut.after, 0)
        whole = "\n".join(turn.text for turn in self._turns)
        original = ref_of(whole)
        blobs[original] = whole
        after = sum(self._costs)
        short = 0 if self._goal is None else max(after - self._goal, 0)
        saved = _shared(self.before - after, weights)
        return Folded(tuple(texts), tuple(cuts), blobs, original, self.before, after, saved, not short, short)


def _shared(saved: int, weights: dict[str, int]) -> dict[str, int]:
    """What was saved in all, shared out to the strategies by what each saved as it was compared."""
    total = sum(weights.values())
    shares: dict[str, int] = {}
    for name in sorted(weights):
        part = saved * weights[name] // total if total else 0
        shares[name] = part
    if shares and (rest := saved - sum(shares.values())):
        most = max(sorted(shares), key=lambda name: shares[name])
        shares[most] += rest
    return {name: part for name, part in shares.items() if part > 0}
