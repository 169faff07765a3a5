"""What can be set and looked at while the learner runs, and the candidate that takes over."""

import pytest
from tests.learner.conftest import Eventually, Log, learning
from tests.learner.histories import LANES, ROLE, history

from cca.config import NatsSettings
from cca.contracts.agent import AgentLost
from cca.contracts.learner import (
    Averages,
    GetHistory,
    GetWorkloads,
    PolicyHistory,
    RunShadow,
)
from cca.contracts.policy import (
    Params,
    PolicyConfigured,
    PolicyUpdated,
    Reward,
    ShadowStarted,
    ShadowStopped,
    VocabularyGrown,
)
from cca.errors import Refused, Unreadable
from cca.nats import subjects
from cca_learner import trial

# ------------------------------------------------------------------------------------------ what can be set


async def test_what_is_configured_is_in_the_next_version_at_once(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        before = await log.learned(history(60))
        after = await log.configure("linucb", Params(alpha=2.0))
        snapshot = await log.snapshot()
        assert (after.algorithm, after.params.alpha, after.version) == ("linucb", 2.0, before.version + 1)
        assert snapshot.algorithm == "linucb" and snapshot.params.alpha == 2.0 and snapshot.version == after.version
        assert after.digest == before.digest
        same = await log.configure("linucb", Params(alpha=2.0))
        assert same.version == after.version
    events = await log.policy_events()
    assert PolicyConfigured("routing", "linucb", Params(alpha=2.0), "a test") in events


async def test_another_reward_makes_all_sums_again(nats: NatsSettings, log: Log) -> None:
    said = history(100)
    async with learning(nats):
        before = await log.learned(said)
        dear = await log.configure(params=Params(reward=Reward(success=0.0, quality=0.0, money=5.0)))
        back = await log.configure(params=Params())
    assert dear.decisions == before.decisions
    lane = f"{ROLE}/opus"
    assert (dear.lanes[lane].reward or 1.0) < (before.lanes[lane].reward or 0.0)
    assert dear.digest != before.digest == back.digest


async def test_what_is_out_of_its_range_is_refused_by_name(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        with pytest.raises(Unreadable, match="floor"):
            await log.configure(params=Params(floor=0.9))
        with pytest.raises(Unreadable, match="magic"):
            await log.configure("magic")
        with pytest.raises(Refused, match="reward") as refused:
            await log.configure(params=Params(reward=Reward(0, 0, 0, 0, 0, 0)))
        assert refused.value.code == "bad-params"
        assert (await log.status()).version == 1


async def test_a_budget_has_a_price(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.learned(history(150))
        status = await log.configure(params=Params(budgets={"all": 0.01}))
        assert status.prices["all"] > 0
        assert (await log.snapshot()).prices == status.prices


# ------------------------------------------------------------------------------------------ looking


async def test_averages_move_and_who_is_gone_is_not_in_them(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.learned(history(100, seed=2))
        averages = await log.ask(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads(), Averages)
        assert averages.alpha == 0.1
        assert set(averages.lanes) == {f"{ROLE}/{lane}" for lane in LANES}
        agents = set(averages.agents)
        assert "haiku-0" in agents and all(0 <= one.success <= 1 for one in averages.agents.values())
        await log.learned([(AgentLost("haiku-0", "s", 30.0), 1.0)])
        after = await log.ask(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads(), Averages)
        assert set(after.agents) == agents - {"haiku-0"}
        fast = await log.configure(params=Params(ema_alpha=1.0))
        assert fast.params.ema_alpha == 1.0
        newest = await log.ask(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads(), Averages)
        assert newest.alpha == 1.0 and {one.success for one in newest.lanes.values()} <= {0.0, 1.0}
        assert set(newest.agents) == set(after.agents)


async def test_history_and_evaluation_are_told(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        status = await log.learned(history(300))
        told = await log.ask(subjects.RPC_LEARNER_HISTORY, GetHistory(points=10), PolicyHistory)
        assert len(told.points) == 10 and sum(point.decisions for point in told.points) == status.buffered
        assert await log.ask(subjects.RPC_LEARNER_HISTORY, GetHistory(10, "nobody"), PolicyHistory) == PolicyHistory(())
        found = await log.evaluate("linucb")
        assert found.decisions > 100 and {one.method for one in found.estimates} == {"logged", "ips", "snips", "dr"}
        assert (await log.evaluate("linucb", since_s=1.0)).decisions == 0  # the history is of another day
        with pytest.raises(Refused, match="linucb") as refused:
            await log.evaluate("magic")
        assert refused.value.code == "unknown-algorithm"


async def test_a_candidate_that_is_better_takes_over(
    nats: NatsSettings, log: Log, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "PAUSE", 0.1)
    monkeypatch.setattr(trial, "SHARE", 0)
    said = history(900)  # routed evenly: anything that has learned is better
    async with learning(nats):
        await log.configure("uniform")
        await log.learned(said[:200])
        status = await log.shadow(RunShadow("start", "linear-pm", promote=True, requester="ann"))
        assert status.shadow is not None and status.shadow.promote and status.shadow.algorithm == "linear-pm"
        await log.tell(said[200:])

        async def taken_over() -> bool:
            return (await log.status()).algorithm == "linear-pm"

        await eventually(taken_over)
        status = await log.until(0)
        assert status.shadow is None and status.algorithm == "linear-pm"
        assert (await log.snapshot()).algorithm == "linear-pm"
    kinds = [type(event) for event in await log.policy_events() if not isinstance(event, PolicyUpdated)]
    assert kinds.index(ShadowStarted) < len(kinds) - 2
    assert [kind for kind in kinds[-2:] if kind is not VocabularyGrown] == [PolicyConfigured, ShadowStopped]


async def test_a_candidate_that_may_not_take_over_is_only_looked_at(
    nats: NatsSettings, log: Log, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "PAUSE", 0.1)
    monkeypatch.setattr(trial, "SHARE", 0)
    said = history(400)
    async with learning(nats):
        await log.configure("uniform")
        await log.shadow(RunShadow("start", "linucb"))
        await log.learned(said)

        async def compared() -> bool:
            shadow = (await log.status()).shadow
            return shadow is not None and shadow.decisions > 300

        await eventually(compared)
        status = await log.status()
        assert status.shadow is not None and status.shadow.low is not None and not status.shadow.promote
        assert status.algorithm == "uniform"
        assert (await log.shadow(RunShadow("stop"))).shadow is None
