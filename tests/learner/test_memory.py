"""What is known follows from the set of events: not from their order, nor from how often or where they were heard."""

import random
from collections.abc import Iterable, Sequence
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learner.histories import LANES, NAMES, ROLE, Said, entries, headers_of, history, life, subject_of, task_of

from cca import codec
from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost
from cca.contracts.learner import Average
from cca.contracts.policy import Params
from cca.contracts.task import (
    Candidate,
    Failure,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.nats.follow import entry
from cca.nats.wire import header_block
from cca.projection import Entry
from cca.routing.buckets import BUCKET
from cca.routing.statistics import KEPT
from cca_learner import memory as memory_module
from cca_learner.memory import Memory
from cca_learner.reading import TASKS
from cca_learner.sightings import MOST, Sightings

SMALL = settings(max_examples=25, deadline=None)
DEFAULT = Params()


def heard(said: Iterable[Entry], params: Params = DEFAULT, since: int = 0, chunk: int = 97) -> Memory:
    """A memory that has heard all of this, in this order."""
    memory, waiting = Memory(params, NAMES, since), list(said)
    for start in range(0, len(waiting), chunk):
        memory.apply(waiting[start : start + chunk])
    assert not memory.missing
    return memory


def heard_with_recall(
    log: Sequence[Entry], params: Params, since: int = 0, chunk: int = 97, until: int = 10**9
) -> Memory:
    """The same up to a position, with the log at hand, which has gone on, for tasks that are not known."""
    memory = Memory(params, NAMES, since)
    tasks: dict[str, list[Entry]] = {}
    for each in log:
        tasks.setdefault(each.subject.rpartition(".")[2], []).append(each)
    after = [each for each in log if since < each.seq <= until]
    for start in range(0, len(after), chunk):
        memory.apply(after[start : start + chunk])
        while memory.missing:
            task = next(iter(memory.missing))
            memory.recall(task, tasks[task])
    return memory


def one(*events: Event) -> list[Entry]:
    return entries([(event, float(number)) for number, event in enumerate(events)])


# ------------------------------------------------------------------------------------------ order and repetition


@SMALL
@given(st.integers(0, 10_000), st.randoms(use_true_random=False), st.integers(1, 200))
def test_shuffled_and_repeated_events_make_the_same_sums(seed: int, chance: random.Random, step: int) -> None:
    log = entries(history(40, seed), step)
    whole = heard(log)
    shuffled = log + chance.sample(log, len(log) // 3)
    chance.shuffle(shuffled)
    other = heard(shuffled, chunk=1 + chance.randrange(50))
    assert other.digest() == whole.digest()
    assert other.steps() == whole.steps()
    assert other.head == whole.head and other.newest == whole.newest


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 400))
def test_three_parts_by_task_add_up_to_the_whole(seed: int, step: int) -> None:
    log = entries(history(60, seed), step)
    parts = [heard(each for each in log if crc32(each.subject.encode()) % 3 == part) for part in range(3)]
    merged = parts[0].statistics
    for part in parts[1:]:
        merged.merge(part.statistics)
    assert merged.digest() == heard(log).digest()


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(100, 120))
def test_what_was_forgotten_is_read_again_and_counts_once(seed: int, chunk: int, room: int) -> None:
    log = entries(history(600, seed))
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(memory_module, "SLACK", 10)
        patch.setattr(memory_module, "OPEN", 30)
        small = heard_with_recall(log, Params(buffer_size=room), chunk=chunk)
    large = heard(log, Params(buffer_size=1_000))
    assert len(small) < 400 < len(large)
    assert small.digest() == large.digest()
    assert small.steps() == large.steps()[-room:]


@SMALL
@given(st.integers(0, 10_000), st.integers(50, 300))
def test_what_is_read_again_tells_nothing_that_was_not_heard_yet(seed: int, cut: int) -> None:
    log = entries(history(100, seed))
    memory = heard_with_recall(log, DEFAULT, since=40, until=cut)
    expected = Memory(DEFAULT, NAMES)
    expected.apply(each for each in log[:cut] if each.subject in {one.subject for one in log[40:cut]})
    assert memory.digest() == expected.digest()


@SMALL
@given(st.integers(0, 10_000), st.integers(1_000, 3_000), st.integers(0, 5))
def test_a_start_needs_only_the_window_and_knows_the_same(seed: int, step: int, slack: int) -> None:
    log = entries(history(150, seed), step)
    whole = heard(log)
    assert whole.floor > 0
    begun = heard_with_recall(log, Params(), since=max(0, whole.floor - slack * BUCKET))
    assert begun.covers
    assert begun.digest() == whole.digest()
    assert begun.steps() == whole.steps()


def test_a_memory_that_began_too_late_says_so() -> None:
    log = entries(history(150), 1_000)
    whole = heard(log)
    assert not heard_with_recall(log, Params(), since=whole.floor + 10).covers


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 200))
def test_every_position_has_its_own_sums_and_they_come_out_again(seed: int, cut: int) -> None:
    log = entries(history(40, seed))
    whole = Memory(Params(), NAMES)
    whole.apply(log[:cut])
    at_cut = whole.digest()
    whole.apply(log[cut:])
    assert heard(log[:cut]).digest() == at_cut


# ------------------------------------------------------------------------------------------ outcomes

SUBMITTED = TaskSubmitted(task_of(1), ROLE, "x", "f" * 64, kind="review")
ROUTED = TaskRouted(
    task_of(1), 1, ROLE, "opus", "linear-pm/1", 0.5, 7, (Candidate("opus", 1.0, 0.5), Candidate("haiku", 1.0, 0.5))
)
STARTED = TaskStarted(task_of(1), 1, 1, "ann", "opus", 1, 1)
COMPLETED = TaskCompleted(task_of(1), 1, "ann", None, Usage(100, 20, 0.5), 2.0)


def test_a_rating_corrects_the_outcome_and_the_last_one_counts() -> None:
    plain = heard(one(SUBMITTED, ROUTED, STARTED, COMPLETED), chunk=1)
    bad, good = TaskRated(task_of(1), 1, 0.0), TaskRated(task_of(1), 1, 1.0)
    rated = heard(one(SUBMITTED, ROUTED, STARTED, COMPLETED, bad), chunk=1)
    corrected = heard(one(SUBMITTED, ROUTED, STARTED, COMPLETED, bad, good), chunk=1)
    summaries = [each.statistics.summaries()[f"{ROLE}/opus"] for each in (rated, plain, corrected)]
    rewards = [each.reward or 0.0 for each in summaries]
    assert rewards == sorted(rewards) and len(set(rewards)) == 3
    assert {each.n for each in summaries} == {1.0}
    assert corrected.changes > rated.changes > plain.changes


def test_what_says_nothing_about_routing_changes_nothing() -> None:
    memory = heard(one(SUBMITTED, ROUTED, STARTED))
    assert memory.changes == 0
    progressed, held = TaskProgressed(task_of(1), 1, "half"), TaskHeld(task_of(1), "no worker")
    unknown = entry(9, subject_of(SUBMITTED), header_block({"ce-type": "cca.task.praised.v7"}), b"{", 0)
    memory.apply([*one(progressed, held), unknown])
    assert (memory.changes, memory.unreadable, memory.head) == (0, 0, 9)


def test_an_event_that_cannot_be_read_is_counted_and_passed_by() -> None:
    headers = header_block(headers_of(ROUTED, 2, 0.0))
    broken = [entry(2, subject_of(ROUTED), headers, body, 0) for body in (b"{", b'{"task": 7}', b"\xff" * 9)]
    memory = heard([*one(SUBMITTED), *broken, *one(SUBMITTED, ROUTED)])
    assert memory.unreadable == 3
    assert len(memory.steps()) == 1


def test_only_the_newest_decisions_are_kept_one_by_one() -> None:
    memory = heard(entries(history(600)), Params(buffer_size=100))
    steps = memory.steps()
    assert len(steps) == 100
    assert [step.position for step in steps] == sorted(step.position for step in steps)
    assert memory.newest == steps[-1].position


def test_what_is_older_than_the_window_counts_no_longer() -> None:
    log = entries(history(30))
    later = entries(list(life(random.Random(5), 30, 0.0)), first=log[-1].seq + KEPT * BUCKET)
    memory = heard([*log, *later])
    assert {step.task for step in memory.steps()} == {task_of(30)}
    assert memory.digest() == heard_with_recall(later, DEFAULT).digest()


# ------------------------------------------------------------------------------------------ what is known is bounded


def test_tasks_that_never_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "OPEN", 50)
    monkeypatch.setattr(memory_module, "SLACK", 10)
    memory = Memory(Params(buffer_size=100), NAMES)
    for number in range(2_000):
        submitted = TaskSubmitted(task_of(number), ROLE, "x", "f" * 64)
        routed = TaskRouted(task_of(number), 1, ROLE, "opus", "uniform/1", 1.0, 7, (Candidate("opus", 1.0, 1.0),))
        memory.apply(entries([(submitted, 0.0), (routed, 0.0)], first=number * 2 + 1))
        assert len(memory) <= 100 * 2 + 50 + 1
    assert len(memory.steps()) == 100


def test_names_are_proposed_when_seen_three_times_and_while_there_is_room() -> None:
    seen = Sightings()
    for name in ("kind=a", "kind=b", "kind=a", "language=rust", "kind=a"):
        seen.see(name)
    assert seen.proposals(NAMES) == ["kind=a"]
    assert seen.proposals((*NAMES, "kind=a")) == []
    full = (*NAMES, *(f"kind={number}" for number in range(14)))
    assert seen.proposals(full) == []


def test_names_of_all_sorts_do_not_fill_the_memory() -> None:
    seen = Sightings()
    for number in range(10 * MOST):
        seen.see(f"requester={number}")
        if number % 100 == 0:
            seen.see("requester=alice")
        assert len(seen._seen) <= MOST
    assert seen.proposals(NAMES) == ["requester=alice"]


def test_tasks_tell_names() -> None:
    said: list[Said] = []
    for number in range(3):
        task = task_of(number)
        labels = {"language": "rust", "repo": "cca", "team": "x"}
        said += [
            (TaskSubmitted(task, ROLE, "x", "f" * 64, kind="audit", requester="bob", labels=labels), 0.0),
            (TaskRouted(task, 1, ROLE, "opus", "uniform/1", 1.0, 7, (Candidate("opus", 1.0, 1.0),)), 0.0),
            (TaskStarted(task, 1, 1, "ann", "opus", 1, 1), 0.0),
            (TaskFailed(task, 1, "ann", Failure("error", "no luck")), 0.0),
        ]
    memory = heard(entries(said))
    assert memory.sightings.proposals(NAMES) == [
        "kind=audit",
        "requester=bob",
        "language=rust",
        "repo=cca",
        f"failed={ROLE}/opus",
    ]


# ------------------------------------------------------------------------------------------ workloads


def attempts(*outcomes: tuple[str, bool, float, Usage | None]) -> list[Event]:
    """Attempts of agents in lane `opus`, one task each."""
    events: list[Event] = []
    for number, (agent, success, seconds, usage) in enumerate(outcomes, start=1):
        task = task_of(number)
        events += [
            TaskSubmitted(task, ROLE, "x", "f" * 64),
            TaskRouted(task, 1, ROLE, "opus", "uniform/1", 1.0, 7, (Candidate("opus", 1.0, 1.0),)),
            TaskStarted(task, 1, 1, agent, "opus", 1, 1),
            TaskCompleted(task, 1, agent, None, usage, seconds)
            if success
            else TaskFailed(task, 1, agent, Failure("error", "no luck"), seconds, usage),
        ]
    return events


def test_averages_begin_with_the_first_attempt_and_move_towards_each() -> None:
    events = attempts(("ann", True, 10.0, Usage(100, 0, 1.0)), ("ann", False, 20.0, None), ("bob", True, 2.0, None))
    memory = heard(one(*events), Params(ema_alpha=0.5))
    assert memory.workloads.agents() == {
        "ann": Average(2, 0.5, 15.0, 100.0, 1.0),
        "bob": Average(1, 1.0, 2.0),
    }
    assert memory.workloads.lanes() == {f"{ROLE}/opus": Average(3, 0.75, 8.5, 100.0, 1.0)}


def test_an_attempt_counts_once_however_often_it_is_heard() -> None:
    log = one(*attempts(("ann", True, 10.0, None)))
    assert heard([*log, *log, log[-1]]).workloads.agents()["ann"].attempts == 1


@pytest.mark.parametrize("gone", [AgentLeft("ann", "s"), AgentLost("ann", "s", 30.0)])
def test_who_is_gone_has_no_averages_and_gets_none_from_what_is_still_said(gone: Event) -> None:
    before, after = attempts(("ann", True, 1.0, None)), attempts(("x", True, 1.0, None), ("ann", False, 1.0, None))
    memory = heard(one(*before, gone, *after[4:]))
    assert memory.workloads.agents() == {}
    assert memory.workloads.lanes()[f"{ROLE}/opus"].attempts == 2
    memory.apply(one(AgentJoined("ann", ROLE, "opus", 1, "t")))
    more = attempts(*[("x", True, 1.0, None)] * 2, ("ann", True, 3.0, None))
    memory.apply(one(*more[8:]))
    assert memory.workloads.agents()["ann"] == Average(1, 1.0, 3.0)


def test_a_task_that_is_itself_at_fault_is_nobodys_failure() -> None:
    rejected = TaskFailed(task_of(1), 1, "ann", Failure("rejected", "makes no sense"), 1.0)
    memory = heard(one(SUBMITTED, ROUTED, STARTED, rejected))
    assert memory.workloads.lanes() == {} and memory.changes == 0


def test_lanes_of_a_long_history_have_averages_near_the_truth() -> None:
    lanes = heard(entries(history(3_000)), Params(ema_alpha=0.01)).workloads.lanes()
    assert set(lanes) == {f"{ROLE}/{lane}" for lane in LANES}
    for lane, (success, cost) in LANES.items():
        average = lanes[f"{ROLE}/{lane}"]
        assert abs(average.success - success) < 0.2
        assert average.cost_usd == pytest.approx(cost, rel=0.5)


def test_what_is_read_of_an_event_is_what_the_codec_reads() -> None:
    for each in entries(history(200)):
        read = TASKS.get(each.type)
        if read is None:
            continue
        whole, slim = codec.decode(each.type or "", each.body), read(each.body)
        assert type(slim) is type(whole)
        for name in ("task", "attempt", "agent", "usage", "duration_s", "kind", "requester", "labels", "deadline_s"):
            assert getattr(slim, name, None) == getattr(whole, name, None)
