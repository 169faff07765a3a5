"""A version follows from the events: whatever was asked in between, and wherever the reading began."""

import pytest
from tests.learner.histories import NAMES, entries, history

from cca.contracts.policy import Params, PolicySnapshot
from cca.projection import Entry
from cca.routing.features import BASE
from cca_learner.decide import LIVE, Policy
from cca_learner.memory import Memory
from cca_learner.versions import KEPT_BYTES, Recent, make

PARAMS = Params(budgets={"all": 0.3, "requester:alice": 0.1}, buffer_size=200, hidden=4)


def begun(log: list[Entry], since: int) -> Memory:
    """A memory that has read the window at once."""
    memory = Memory(PARAMS, NAMES, since)
    memory.apply(each for each in log if each.seq > since)
    for task in list(memory.missing):
        memory.recall(task, [each for each in log if each.subject.endswith(task)])
    return memory


@pytest.mark.parametrize("algorithm", LIVE)
def test_who_has_learned_all_along_and_who_begins_make_the_same_version(algorithm: str) -> None:
    under = Policy(algorithm, PARAMS, NAMES)  # type: ignore[arg-type]  # one of them, by name
    log = entries(history(160), 700)
    live = Memory(PARAMS, NAMES)
    for number, start in enumerate(range(0, len(log), 50)):
        live.apply(log[start : start + 50])
        if number % 5 == 0:
            make(live, under)
    version = make(live, under)
    assert live.floor > 0 and version.made.decisions > 50
    assert version == make(begun(log, 0), under) == make(begun(log, live.floor), under)


def test_the_vocabulary_may_grow_in_between() -> None:
    log = entries(history(60))
    grown = Policy(params=PARAMS, vocabulary=NAMES)
    live = Memory(PARAMS, BASE)
    live.apply(log[:150])
    make(live, Policy(params=PARAMS))
    live.grow(NAMES)
    live.apply(log[150:])
    assert make(live, grown) == make(begun(log, 0), grown)


def test_the_newest_versions_are_kept_as_far_as_there_is_room() -> None:
    recent = Recent()
    for number in range(1, 100):
        recent.add(PolicySnapshot(number, 0, "", "linear-pm", Params(), BASE, model=b"x" * (KEPT_BYTES // 10)))
    assert len(recent) == 9
    assert recent.get(99) is not None and recent.get(50) is None
    recent.add(PolicySnapshot(100, 0, "", "linear-pm", Params(), BASE, model=b"x" * (2 * KEPT_BYTES)))
    assert len(recent) == 1 and recent.get(100) is not None
    few = Recent(versions=3)
    for number in range(10):
        few.add(PolicySnapshot(number, 0, "", "uniform", Params(), BASE))
        few.add(PolicySnapshot(number, 0, "", "uniform", Params(), BASE))
    assert len(few) == 3
