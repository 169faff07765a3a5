"""The store of dead letters on a real server."""

from collections.abc import AsyncIterator

import pytest

from cca import codec
from cca.config import NatsSettings
from cca.contracts.task import RetryTask, TaskView
from cca.dead import Letter
from cca.errors import Busy, Refused
from cca.nats import subjects
from cca.nats.bus import Bus, connect
from cca.nats.dead import DeadLetters
from cca.nats.setup import ensure
from cca.nats.wire import Msg

POISON = Letter(subject="cca.tasks.backend", body=b'{"half":', headers={"X-From": "ünïcode"}, stream="CCA_TASKS", seq=1)


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await ensure(bus)
        yield bus


async def test_what_was_put_is_listed_and_can_be_looked_at(bus: Bus) -> None:
    letters = DeadLetters(bus)
    seq = await letters.put("router", "not JSON:\r\nline 1", POISON)
    listed = await letters.list()
    assert [entry.seq for entry in listed] == [seq]
    entry = await letters.get(seq)
    assert entry == listed[0]
    assert entry.reason == "not JSON: line 1"
    assert entry.letter == POISON


async def test_a_message_put_down_twice_is_one_entry(bus: Bus) -> None:
    letters = DeadLetters(bus)
    first = await letters.put("router", "not JSON", POISON)
    assert await letters.put("router", "not JSON", POISON) == first
    assert len(await letters.list()) == 1


async def test_a_list_goes_on_after_a_position_and_keeps_to_a_service(bus: Bus) -> None:
    letters = DeadLetters(bus)
    for number in range(600):  # more than one batch of reads
        await letters.put("router" if number % 2 else "projector", "r", Letter(subject="s", body=b"%d" % number))
    everything = await letters.list(limit=1_000)
    assert [entry.letter.body for entry in everything] == [b"%d" % number for number in range(600)]
    later = await letters.list(after=everything[399].seq, limit=10, service="router")
    assert [entry.letter.body for entry in later] == [b"%d" % number for number in range(401, 421, 2)]


async def test_a_message_goes_back_where_it_came_from_and_is_marked(bus: Bus) -> None:
    letters = DeadLetters(bus)
    seq = await letters.put("router", "not JSON", POISON)
    redriven = await letters.redrive(seq)
    assert redriven.subject == POISON.subject
    js = bus.nc.jetstream()
    back = await js.get_last_msg("CCA_TASKS", "cca.tasks.backend")
    assert back.data == POISON.body
    assert back.headers and back.headers["Nats-Msg-Id"] == f"redrive:{seq}:1"
    entry = (await letters.list())[0]
    assert entry.status == "redriven"
    assert entry == await letters.get(seq)


async def test_a_mended_body_can_be_sent_in_place_of_the_broken_one_and_each_redrive_counts(bus: Bus) -> None:
    letters = DeadLetters(bus)
    seq = await letters.put("router", "not JSON", POISON)
    await letters.redrive(seq)
    await letters.redrive(seq, b'{"whole": 1}')
    js = bus.nc.jetstream()
    assert (await js.stream_info("CCA_TASKS")).state.messages == 2
    assert (await js.get_last_msg("CCA_TASKS", "cca.tasks.backend")).data == b'{"whole": 1}'
    assert len(await letters.list()) == 1


async def test_an_interrupted_redrive_that_is_repeated_sends_one_message(bus: Bus) -> None:
    letters = DeadLetters(bus)
    seq = await letters.put("router", "not JSON", POISON)
    await letters.redrive(seq)
    marks = await bus.nc.jetstream().purge_stream("CCA_DEAD", subject=f"cca.dead.router.redriven.{seq}")
    assert marks
    await letters.redrive(seq)  # as if the first had ended before its mark was written
    assert (await bus.nc.jetstream().stream_info("CCA_TASKS")).state.messages == 1


async def test_a_failed_task_is_tried_again_by_the_router(bus: Bus) -> None:
    asked: list[RetryTask] = []

    def retry(msg: Msg) -> None:
        asked.append(codec.read(msg.data, RetryTask))
        view = TaskView(task=asked[-1].task, state="submitted", role="backend", description="d")
        bus.publish(msg.reply, codec.encode(view))

    await bus.subscribe(subjects.RPC_RETRY, retry)
    letters = DeadLetters(bus)
    last = Letter(subject="cca.events.task.t1", body=b"{}", stream="CCA_EVENTS", seq=9)
    seq = await letters.put("router", "failed after 3 attempts", last, task="t1")
    with pytest.raises(Refused, match="as it is"):
        await letters.redrive(seq, b"{}")
    assert (await letters.redrive(seq)).task == "t1"
    assert [command.task for command in asked] == ["t1"]
    assert (await letters.get(seq)).status == "redriven"


async def test_a_task_that_fails_again_is_another_entry(bus: Bus) -> None:
    letters = DeadLetters(bus)
    for seq in (9, 15):
        last = Letter(subject="cca.events.task.t1", body=b"{}", stream="CCA_EVENTS", seq=seq)
        await letters.put("router", "failed", last, task="t1")
    assert len(await letters.list()) == 2


@pytest.mark.parametrize("seq", [0, -1, 5, 10**15])
async def test_what_is_not_there_is_not_found(bus: Bus, seq: int) -> None:
    with pytest.raises(Refused, match="there is no dead letter"):
        await DeadLetters(bus).get(seq)


async def test_a_mark_is_no_dead_letter(bus: Bus) -> None:
    letters = DeadLetters(bus)
    seq = await letters.put("router", "not JSON", POISON)
    await letters.redrive(seq)
    with pytest.raises(Refused, match="there is no dead letter"):
        await letters.get(seq + 1)


async def test_a_request_that_nobody_stored_cannot_go_back(bus: Bus) -> None:
    letters = DeadLetters(bus)
    seq = await letters.put("router", "bad", Letter(subject="cca.report.backend.a1.claim", body=b"\xff\x00"))
    with pytest.raises(Refused, match="ask again"):
        await letters.redrive(seq)
    assert (await letters.get(seq)).status == "open"


async def test_the_largest_message_can_be_put(bus: Bus) -> None:
    letters = DeadLetters(bus)
    huge = Letter(
        subject="cca.tasks.backend",
        body=b"x" * bus.nc.max_payload,
        headers={f"H{number}": "y" * 1_000 for number in range(100)},
        stream="CCA_TASKS",
        seq=1,
    )
    entry = await letters.get(await letters.put("router", "too large", huge))
    assert entry.cut and entry.size == len(huge.body)
    assert bus.is_connected


async def test_without_the_stream_a_letter_is_not_lost_in_silence(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        with pytest.raises(Busy):
            await DeadLetters(bus).put("router", "r", POISON)
        with pytest.raises(Busy, match="no stream CCA_DEAD"):
            await DeadLetters(bus).list()
