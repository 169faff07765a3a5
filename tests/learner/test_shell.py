"""The learner on a real server: it learns from the log, publishes, is killed, and knows the same again."""

import asyncio

import pytest
from tests.learner.conftest import Eventually, Log, learning
from tests.learner.histories import LANES, ROLE, headers_of, history, task_of
from tests.learner.routers import IDLE, routed

from cca import codec
from cca.config import NatsSettings
from cca.contracts.policy import Params, PolicySnapshot, PolicyUpdated
from cca.contracts.task import TaskCompleted, TaskRated, TaskStarted, TaskSubmitted
from cca.errors import Busy
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import connect
from cca.routing.algorithms import policy_of
from cca.routing.features import BASE
from cca.routing.policy import Case
from cca.testing.servers import NatsServer
from cca_learner import memory as memory_module
from cca_learner.decide import LIVE, STREAM, Policy
from cca_learner.window import remembered

# ------------------------------------------------------------------------------------------ learning


async def test_with_nothing_learned_there_is_a_version_at_once(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        status = await log.status()
        snapshot = await log.snapshot()
    assert (status.version, status.decisions, status.algorithm, status.lanes) == (1, 0, "linear-pm", {})
    assert snapshot.version == 1 and snapshot.vocabulary == BASE and snapshot.params == Params()
    assert set(status.available) == set(LIVE) and all(status.available.values())
    events = await log.policy_events()
    assert events == [PolicyUpdated("routing", 1, 0, "linear-pm", status.digest, 0)]


async def test_it_learns_what_the_log_says_and_gives_it_to_the_routers(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        status = await log.learned(history(300))
        snapshot = await log.snapshot()
    assert snapshot.version == status.version > 1 and snapshot.digest == status.digest
    assert status.decisions > 200 and status.buffered >= status.decisions
    assert set(snapshot.lanes) == {f"{ROLE}/{lane}" for lane in LANES} == set(status.lanes)
    best = max(snapshot.lanes, key=lambda lane: snapshot.lanes[lane].success or 0.0)
    assert best == f"{ROLE}/opus"
    assert {"kind=docs", "language=rust", "requester=alice", "repo=cca"} <= set(snapshot.vocabulary)
    assert status.reward is not None and 0 < status.reward < 1
    policy_of(snapshot).judge(Case({"kind=docs": 4096}), IDLE)


async def test_versions_come_by_themselves(nats: NatsSettings, log: Log, eventually: Eventually) -> None:
    async with learning(nats):
        assert (await log.status()).version == 1
        await log.tell(history(20))

        async def another() -> bool:
            return (await log.snapshot()).version > 1

        await eventually(another)


async def test_a_silent_log_makes_no_versions(nats: NatsSettings, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    async with learning(nats):
        await log.configure(params=Params(update_s=0.05))
        before = await log.learned(history(20))
        for number in range(30):  # these say nothing about lanes
            position = await log.tell([(TaskSubmitted(task_of(1_000 + number), ROLE, "x", "f" * 64), 0.0)])
        while (await log.status()).head < position:
            await asyncio.sleep(0.02)
        assert (await log.status()).version == before.version


async def test_a_late_rating_corrects_what_was_learned(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        before = await log.learned(routed(1, await log.snapshot()))
        after = await log.learned([(TaskRated(task_of(1), 1, 0.0), 90_000.0)])
        again = await log.learned([(TaskRated(task_of(1), 1, 1.0), 99_000.0)])
    (lane,) = before.lanes
    rewards = [status.lanes[lane].reward or 0.0 for status in (after, before, again)]
    assert rewards == sorted(rewards) and rewards[0] < rewards[-1]
    assert before.decisions == after.decisions == again.decisions == 1
    assert len({status.digest for status in (before, after, again)}) == 3


async def test_a_rating_of_a_task_that_was_forgotten_corrects_it_too(
    nats: NatsSettings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "SLACK", 10)
    said = [one for one in history(250, seed=3)]
    ended = next(event for event, _ in said if isinstance(event, TaskCompleted))
    route = max(e.route for e, _ in said if isinstance(e, TaskStarted) and e.task == ended.task)
    async with learning(nats):
        await log.configure(params=Params(buffer_size=100))
        before = await log.learned(said)
        after = await log.learned([(TaskRated(ended.task, route, 0.123), 90_000.0)])
        again, _ = await remembered(log.bus, Policy(params=Params(buffer_size=10_000), vocabulary=after.vocabulary))
    assert after.digest != before.digest
    assert after.digest == again.digest()


# ------------------------------------------------------------------------------------------ killed and started again


async def test_killed_and_started_again_it_knows_the_same(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        before = await log.learned(history(200))
    events = await log.policy_events()
    async with learning(nats):
        after = await log.status()
        assert (after.digest, after.version, after.lanes) == (before.digest, before.version, before.lanes)
        assert await log.policy_events() == events
        trained = await log.until(0)
    assert trained.digest == before.digest and trained.version == before.version + 1
    assert trained.lanes == before.lanes


async def test_what_happens_while_it_is_away_is_learned_at_its_start(nats: NatsSettings, log: Log) -> None:
    said = history(120)
    async with learning(nats):
        await log.learned(said[:300])
    await log.tell(said[300:])
    async with learning(nats):
        status = await log.until(0)
    memory, _ = await remembered(log.bus, Policy(vocabulary=status.vocabulary))
    assert status.digest == memory.digest()


async def test_a_version_that_did_not_reach_the_routers_is_followed_by_a_newer_one(
    nats: NatsSettings, log: Log
) -> None:
    async with learning(nats):
        before = await log.learned(history(20))
    lost = PolicyUpdated("routing", before.version + 1, before.position, "linear-pm", before.digest, before.decisions)
    headers = headers_of(lost, 9_999, 0.0)
    await log.bus.request(STREAM.subject, codec.encode(lost), headers)
    async with learning(nats):
        after = await log.status()
        assert after.version == before.version + 2
        assert (await log.snapshot()).version == after.version


async def test_routers_never_get_a_lower_version_even_if_the_log_is_an_older_copy(nats: NatsSettings, log: Log) -> None:
    snapshot = PolicySnapshot(700, 5, "x", "linear-pm", Params(), BASE)
    await log.bus.request(subjects.POLICY, codec.encode(snapshot))
    async with learning(nats):
        assert (await log.status()).version == 701
        assert (await log.snapshot()).version == 701


async def test_a_bucket_that_holds_nonsense_is_written_anew(nats: NatsSettings, log: Log) -> None:
    await log.bus.request(subjects.POLICY, b"nonsense")
    await log.bus.request(subjects.state("learner.policy"), b"more nonsense")
    async with learning(nats):
        assert (await log.status()).version == 1
        assert (await log.snapshot()).version == 1


async def test_the_note_spares_reading_all_versions_again(nats: NatsSettings, log: Log) -> None:
    async with learning(nats):
        await log.configure(params=Params(burn_in=7))
        before = await log.learned(history(20))
    note = await stored.last(log.bus, f"KV_{names.STATE}", subjects.state("learner.policy"))
    assert note is not None and b'"burn_in":7' in note.body
    async with learning(nats):
        assert (await log.status()).params == before.params


async def test_a_note_of_another_log_is_not_believed(nats: NatsSettings, log: Log) -> None:
    await log.bus.request(subjects.state("learner.policy"), b'{"seq":3,"policy":{"version":90,"algorithm":"static"}}')
    await log.tell(history(3))
    async with learning(nats):
        status = await log.status()
    assert (status.version, status.algorithm) == (1, "linear-pm")


async def test_it_goes_on_when_the_server_was_away(nats_server: NatsServer, eventually: Eventually) -> None:
    settings, said = nats_server.settings, history(60)
    async with connect(settings, "test") as bus:
        await setup.ensure(bus)
        log = Log(bus)
        async with learning(settings):
            await log.learned(said[:150])
            nats_server.kill()
            nats_server.start()

            async def back() -> bool:
                try:
                    return bool(await log.status())
                except Busy:
                    return False

            await eventually(back)
            status = await log.learned(said[150:])
        memory, _ = await remembered(bus, Policy(vocabulary=status.vocabulary))
        assert status.digest == memory.digest()


async def test_two_learners_agree_and_number_versions_once(
    nats: NatsSettings, log: Log, eventually: Eventually
) -> None:
    said = history(60)
    async with learning(nats), learning(nats):
        await log.configure(params=Params(update_s=0.05))
        for start in range(0, len(said), 40):
            await log.tell(said[start : start + 40])
        position = await log.tell([(TaskSubmitted(task_of(9_999), ROLE, "x", "f" * 64), 0.0)])
        await log.until(position)

        async def agreed() -> bool:
            # Either may answer, and may be about to number features that the other has just proposed.
            status = await log.until(position)
            memory, _ = await remembered(log.bus, Policy(status.algorithm, status.params, status.vocabulary))
            return status.digest == memory.digest()

        await eventually(agreed)

        async def settled() -> bool:
            versions = [event.version for event in await log.policy_events() if isinstance(event, PolicyUpdated)]
            assert versions == sorted(set(versions))
            return (await log.snapshot()).version == versions[-1]

        await eventually(settled)
