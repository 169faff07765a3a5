"""Versions made again from the log alone, and decisions explained and made again with them."""

import random

import pytest
from msgspec.structs import replace
from tests.learner.conftest import Log, learning
from tests.learner.histories import LANES, NAMES, ROLE, history, life, task_of
from tests.learner.routers import IDLE, routed

from cca.config import NatsSettings
from cca.contracts.policy import Params, PolicySnapshot, PolicyUpdated, Reward
from cca.contracts.task import TaskRouted, TaskSubmitted
from cca.errors import Refused
from cca_learner import memory as memory_module
from cca_learner import window
from cca_learner.decide import LIVE, POLICY, Policy
from cca_learner.remake import recorded, remade
from cca_learner.window import remembered

# ------------------------------------------------------------------------------------------ made again


@pytest.mark.parametrize("algorithm", LIVE)
async def test_every_version_can_be_made_again_from_the_log(nats: NatsSettings, log: Log, algorithm: str) -> None:
    said = history(90)
    kept: list[PolicySnapshot] = []
    async with learning(nats):
        await log.configure(algorithm)
        for start in range(0, len(said), 150):
            await log.learned(said[start : start + 150])
            kept.append(await log.snapshot())
        await log.configure(params=Params(reward=Reward(success=0.1, money=2.0)))
        kept.append(await log.snapshot())
        position = await log.tell(history(3, seed=9))
    policy = POLICY.over(POLICY.initial, await log.policy_events())
    for snapshot in kept:
        again = await remade(log.bus, policy, snapshot.version, position)
        assert again is not None
        assert again.snapshot == snapshot
        assert again.recorded.digest == snapshot.digest


async def test_versions_are_found_in_the_log_and_others_are_not(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        for _ in range(5):
            await log.until(0)
        position = await log.tell(history(2))
    events = [event for event in await log.policy_events() if isinstance(event, PolicyUpdated)]
    assert len(events) == 6
    for event in events:
        assert await recorded(log.bus, event.version, position) == event
    assert await recorded(log.bus, 7, position) is None
    assert await recorded(log.bus, 0, position) is None
    assert await recorded(log.bus, 1, 1) is None


async def test_the_window_is_found_however_long_nothing_was_routed(
    nats: NatsSettings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = await log.tell(history(200))
    whole, _ = await remembered(log.bus, Policy(vocabulary=NAMES))
    for module in (window, memory_module):
        monkeypatch.setattr(module, "BUCKET", 8)
        monkeypatch.setattr(module, "KEPT", 4)
    monkeypatch.setattr(window, "SLACK", 1)
    await log.tell([(TaskSubmitted(task_of(n), ROLE, "x", "f" * 64), 0.0) for n in range(1_000, 1_300)])
    memory, _ = await remembered(log.bus, Policy(vocabulary=NAMES))
    assert memory.newest == whole.newest <= position
    assert 0 < memory.since <= memory.floor
    assert [step for step in whole.steps() if step.position > memory.floor] == memory.steps()


# ------------------------------------------------------------------------------------------ reasons


async def test_a_decision_is_explained_and_comes_out_again(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.learned(history(100))
        snapshot = await log.snapshot()
        await log.learned([one for number in range(500, 520) for one in routed(number, snapshot)])
        for number in range(500, 520):
            told = await log.explain(task_of(number), replay=number % 5 == 0)
            assert told.version == snapshot.version and told.policy == "linear-pm/1"
            assert {one.lane for one in told.candidates} == set(LANES)
            assert told.outcome in ("completed", "failed") and told.reward is not None
            assert told.runner_up is not None and told.components
            for one in told.candidates:
                assert one.mean is not None
                assert sum(one.contributions.values()) == pytest.approx(one.mean, abs=1e-5)
            if told.replay is not None:
                assert told.replay.difference == "" and told.replay.equal
                assert told.replay.digest == told.replay.recorded_digest == snapshot.digest
                assert told.replay.lane == f"{ROLE}/{told.lane}" and told.replay.propensity == told.propensity
                assert told.replay.events > 400


async def test_a_version_that_is_not_kept_is_made_again_to_explain(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.learned(history(50))
        await log.learned(routed(500, await log.snapshot()))
        kept = await log.explain(task_of(500))
    async with learning(nats):  # it has never seen the version that decided
        told = await log.explain(task_of(500))
    assert told == kept
    assert told.candidates[0].contributions and told.note == ""


async def test_a_decision_that_was_not_made_so_is_found_out(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.learned(history(50))
        said = routed(500, await log.snapshot())
        event, time = said[1]
        assert isinstance(event, TaskRouted)
        said[1] = (replace(event, propensity=0.987), time)
        await log.learned(said)
        told = await log.explain(task_of(500), replay=True)
    assert told.replay is not None and not told.replay.equal
    assert "0.987" in told.replay.difference


async def test_what_was_decided_without_a_version_is_explained_as_far_as_it_goes(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        snapshot = await log.snapshot()
        unlearned = replace(snapshot, algorithm="least-loaded", version=0, model=b"")
        position = await log.tell(routed(1, unlearned))
        await log.tell(routed(2, unlearned, IDLE[:1]))
        await log.until(position)
        for number in (1, 2):
            told = await log.explain(task_of(number), replay=True)
            assert told.policy == "least-loaded/1" and told.version == 0
            assert told.replay is not None and told.replay.equal


async def test_a_version_that_the_log_does_not_have_cannot_be_made_again(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        strange = replace(await log.snapshot(), version=77)
        await log.learned(routed(1, strange))
        told = await log.explain(task_of(1), replay=True)
    assert told.replay is not None and not told.replay.equal
    assert "77" in told.replay.difference and "77" in told.note


async def test_a_decision_among_several_can_be_asked_for(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        lives = [list(life(random.Random(number), 7, 0.0)) for number in range(100)]
        twice = next(one for one in lives if sum(isinstance(event, TaskRouted) for event, _ in one) == 2)
        await log.learned(twice)
        assert [(await log.explain(task_of(7), route)).route for route in (None, 1, 2)] == [2, 1, 2]
        with pytest.raises(Refused, match="no decision 3") as refused:
            await log.explain(task_of(7), 3)
        assert refused.value.code == "not-routed"


async def test_a_task_that_nobody_knows_is_not_found(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        with pytest.raises(Refused) as refused:
            await log.explain(task_of(1))
        assert refused.value.code == "not-found"
        with pytest.raises(Refused) as refused:
            await log.explain("seven")
        assert refused.value.code == "bad-id"


async def test_a_task_that_waits_for_a_lane_was_not_routed_yet(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.tell([(TaskSubmitted(task_of(1), ROLE, "x", "f" * 64), 0.0)])
        with pytest.raises(Refused) as refused:
            await log.explain(task_of(1))
        assert refused.value.code == "not-routed"
