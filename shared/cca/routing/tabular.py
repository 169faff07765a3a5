"""Q-learning over the attempts of a task: a table of what each lane is worth, by what has failed before."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from cca.contracts.policy import PolicySnapshot
from cca.errors import Unreadable
from cca.routing.algorithm import Fitted, History
from cca.routing.buffer import Experience, Replay, experiences
from cca.routing.features import ONE, Features
from cca.routing.pacing import Prices, priced
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.simple import even, greedy

ATTEMPTS = 5
"""Later attempts are one with the fifth: the feature grows no further."""

PASSES = 8
ENOUGH = 10_000
"""The history is gone through until so many decisions were seen, though at most `PASSES` times: a value moves one
attempt backwards with each."""

UNIT = 1_000_000
"""Values are stored in millionths."""


# ------------------------------------------------------------------------------------------ states


class State(Struct, frozen=True):
    """What the value of a lane depends on.

    Attributes:
        role: of the lane.
        kind: the declared sort of the task; None when it has none, or one that the policy did not know.
        attempt: which one is about to be made, from 1; the fifth stands for all later ones.
        failed: keys of the lanes that have failed the task before, in order, each once.
    """

    role: str
    kind: str | None = None
    attempt: int = 1
    failed: tuple[str, ...] = ()

    def key(self) -> str:
        """The state as canonical JSON: no two states have the same, whatever is in their names."""
        return msgspec.json.encode((self.role, self.kind, self.attempt, self.failed)).decode()


class Situation(Struct, frozen=True):
    """The part of a state that the candidates of one decision share: of the task, not of a lane."""

    kind: str | None
    attempt: int
    failed: tuple[str, ...]

    def of(self, role: str) -> State:
        return State(role, self.kind, self.attempt, self.failed)


def situation(x: Features) -> Situation:
    """What the recorded features of a task say of it."""
    kinds, failed = set(), set()
    for name, value in x.items():
        if value:
            field, separator, rest = name.partition("=")
            if separator and field == "kind":
                kinds.add(rest)
            elif separator and field == "failed":
                failed.add(rest)
    attempt = 1 + (4 * x.get("attempt", 0) + ONE // 2) // ONE
    return Situation(min(kinds, default=None), min(max(attempt, 1), ATTEMPTS), tuple(sorted(failed)))


def rows(x: Features, lanes: Iterable[str]) -> list[tuple[str, str]]:
    """Where the table has what it knows of lanes (`role/lane`) for a task: key of the state, key of the lane."""
    task = situation(x)
    keys: dict[str, str] = {}
    found = []
    for lane in lanes:
        role = lane.partition("/")[0]
        if role not in keys:
            keys[role] = task.of(role).key()
        found.append((keys[role], lane))
    return found


# ------------------------------------------------------------------------------------------ the table


class Entry(Struct):
    """What a lane is worth in a state.

    Attributes:
        value: in units of reward.
        tried: outcomes that it was learned from.
        moves: how often the value was moved; more than `tried` when outcomes were gone through several times.
    """

    value: float = 0.0
    tried: int = 0
    moves: int = 0


class Table:
    """Values by state and lane, of which there are never more than `size`.

    Args:
        size: entries at most. What was tried longest ago is dropped first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, row: tuple[str, str]) -> bool:
        return row in self._entries

    def tried(self, row: tuple[str, str]) -> None:
        """Note another outcome of a lane in a state; it makes room for itself."""
        entry = self._entries.get(row)
        if entry is None:
            entry = self._entries[row] = Entry()
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(row)
        entry.tried += 1

    def learn(self, row: tuple[str, str], target: float, rate: float) -> float:
        """Move a value that is in the table towards a target; the answer is how far off it was.

        The first values are plain averages: with a fixed rate the start would count for long.
        """
        entry = self._entries[row]
        entry.moves += 1
        error = target - entry.value
        entry.value += max(rate, 1 / entry.moves) * error
        return error

    def best(self, among: Iterable[tuple[str, str]]) -> float | None:
        """The highest value of these, or None when the table has none of them."""
        return max((entry.value for row in among if (entry := self._entries.get(row)) and entry.moves), default=None)

    def states(self) -> dict[str, dict[str, tuple[int, int]]]:
        """By state and lane, both in order: the value in millionths, and how many outcomes it is from."""
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for (state, lane), entry in sorted(self._entries.items(), key=lambda item: item[0]):
            found.setdefault(state, {})[lane] = (round(entry.value * UNIT), entry.tried)
        return found


def learned(replay: Replay, size: int, rate: float, discount: float) -> tuple[Table, float | None]:
    """The table that experiences lead to, and the mean error of the last time they were gone through."""
    table = Table(size)
    seen = [_transition(experience) for experience in replay]
    error: float | None = None
    for turn in range(min(PASSES, max(1, ENOUGH // max(len(seen), 1)))):
        errors = []
        for row, reward, following in seen:
            if turn == 0:
                table.tried(row)
            elif row not in table:
                continue
            target = worth(reward, table.best(following), discount)
            errors.append(abs(table.learn(row, target, rate)))
        if errors:
            error = math.fsum(errors) / len(errors)
    return table, error


def _transition(experience: Experience) -> tuple[tuple[str, str], float, list[tuple[str, str]]]:
    """Where an experience belongs, its reward, and between which lanes was decided after it."""
    step, after = experience.step, experience.after
    following = rows(after.x, (option.lane for option in after.options)) if after is not None else []
    return rows(step.x, [step.lane])[0], experience.reward, following


def worth(reward: float, best_after: float | None, discount: float) -> float:
    """What an attempt was worth, when the best that can follow it is known to be worth so much.

    An attempt that was followed by another is worth a mean of both, the later one weighing `discount`. Rewards are
    not added up: two attempts would be worth more than one, and a task that fails first more than one that succeeds.
    """
    return reward if best_after is None else (1 - discount) * reward + discount * best_after


# ------------------------------------------------------------------------------------------ the policy


def judged(values: Sequence[float | None], prices: Sequence[float], epsilon: float) -> Judgement:
    """Nearly everything for the lane that is worth most after its price, the rest for all of them evenly.

    A lane whose value is None has been tried too little; it is taken to be as good as the best, so that it is tried
    as often as that one and not for ever. When nothing is known, all have the same chance.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Judgement(even(len(values)), [0.0] * len(values))
    best = max(known)
    means = [best if value is None else value for value in values]
    scores = [mean - price for mean, price in zip(means, prices, strict=True)]
    return Judgement(greedy(scores, epsilon), scores, means)


class QTable(Struct, frozen=True):
    """Takes the lane with the highest value in the state of the task, except for a share that explores.

    Attributes:
        states: by key of the state and of the lane, its value in millionths and how many outcomes it is from.
        epsilon: the share that is spread evenly.
        burn_in: how many outcomes a value must be from to count.
        prices: what lanes cost, in units of reward.
    """

    states: dict[str, dict[str, tuple[int, int]]]
    epsilon: float
    burn_in: int
    prices: Prices
    name: str = "q-learning/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        values: list[float | None] = []
        for state, lane in rows(case.x, (lane.key for lane in lanes)):
            value, tried = self.states.get(state, {}).get(lane, (0, -1))
            values.append(value / UNIT if tried >= self.burn_in else None)
        return judged(values, self.prices.penalty(case, lanes), self.epsilon)


# ------------------------------------------------------------------------------------------ the algorithm


class _Model(Struct, frozen=True, forbid_unknown_fields=True, tag="q-learning/1", tag_field="of"):
    """The table as it is stored."""

    states: dict[str, dict[str, tuple[int, int]]]


class QLearning(Struct, frozen=True):
    """Tabular Q-learning (Watkins, 1989) with sample averages first and a fixed rate later."""

    summary: str = (
        "Learns a table by sort of task, attempt and the lanes that failed before: cheap first, then stronger."
    )

    def fit(self, history: History) -> Fitted:
        params = history.params
        table, error = learned(experiences(history), params.table_size, params.learning_rate, params.discount)
        return Fitted(msgspec.msgpack.encode(_Model(table.states())), error, len(table))

    def policy(self, snapshot: PolicySnapshot) -> QTable:
        """The policy of a table. Raises `Unreadable` for a model that is none."""
        try:
            model = msgspec.msgpack.decode(snapshot.model, type=_Model)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(f"no table of q-learning: {error}") from None
        params = snapshot.params
        return QTable(model.states, params.epsilon, params.burn_in, priced(snapshot.prices, snapshot.lanes))
