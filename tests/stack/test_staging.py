"""Batches prepared in memory: linked while the server runs, and a batch is whole after its server was killed."""

import asyncio
from pathlib import Path

import pytest

from cca.contracts.task import TaskHeld
from cca.ids import uuid7
from cca.message import Seq, Stream
from cca.nats import setup
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca.stack.staging import Staging
from cca.testing.servers import NatsServer
from cca_router.recovery import of_now


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


def test_the_link_waits_for_the_stream_and_is_made_once(tmp_path: Path, memory: Path) -> None:
    stream = tmp_path / "store" / "CCA_EVENTS"
    staging = Staging(stream, memory)
    assert staging.possible()
    assert not staging.link()
    stream.mkdir(parents=True)
    assert staging.link() and staging.link()
    assert (stream / "batches").readlink() == staging.place
    staging.place.rmdir()
    assert staging.link() and staging.place.is_dir()
    staging.remove()
    assert not staging.place.exists() and not (stream / "batches").is_symlink()


def test_a_directory_that_is_in_use_is_left_alone(tmp_path: Path, memory: Path) -> None:
    staging = Staging(tmp_path / "CCA_EVENTS", memory)
    assert staging.possible()
    (tmp_path / "CCA_EVENTS" / "batches" / "one").mkdir(parents=True)
    assert not staging.link()
    (tmp_path / "CCA_EVENTS" / "batches" / "one").rmdir()
    assert staging.link()


def test_what_a_crash_left_in_memory_is_thrown_away_with_the_next_link(tmp_path: Path, memory: Path) -> None:
    (tmp_path / "CCA_EVENTS").mkdir()
    staging = Staging(tmp_path / "CCA_EVENTS", memory)
    assert staging.possible()
    staging.place.mkdir(mode=0o700)
    (staging.place / "old").mkdir()
    assert staging.link()
    assert list(staging.place.iterdir()) == []


@pytest.mark.parametrize("trap", ["a link", "open to all", "a file"])
def test_a_place_that_somebody_else_may_have_made_is_not_used(tmp_path: Path, memory: Path, trap: str) -> None:
    staging = Staging(tmp_path / "CCA_EVENTS", memory)
    if trap == "a link":
        (tmp_path / "elsewhere").mkdir()
        staging.place.symlink_to(tmp_path / "elsewhere")
    elif trap == "a file":
        staging.place.touch()
    else:
        staging.place.mkdir()
        staging.place.chmod(0o777)
    (tmp_path / "CCA_EVENTS").mkdir()
    assert not staging.possible()
    assert not staging.link()
    assert not (tmp_path / "CCA_EVENTS" / "batches").is_symlink()
    assert not Staging(tmp_path, tmp_path / "no such memory").possible()


async def test_batches_that_were_prepared_in_memory_survive_a_killed_server(nats_server: NatsServer) -> None:
    staging = nats_server.server.staging
    if not staging.possible():
        pytest.skip("this machine has no file system in memory")
    try:
        async with connect(nats_server.settings, "test") as bus:
            await setup.ensure(bus)
            assert staging.link()
            log, stop = JetStreamLog(bus, batch_from=1), asyncio.Event()
            acknowledged: dict[Stream, Seq] = {}

            async def lane() -> None:
                while not stop.is_set():
                    stream = Stream("task", uuid7())
                    events = [TaskHeld(stream.key, reason) for reason in "abc"]
                    acknowledged[stream] = await log.append(stream, events, after=Seq(0), cause=of_now())

            lanes = [asyncio.create_task(lane()) for _ in range(64)]
            for _ in range(3):
                goal = len(acknowledged) + 300
                while len(acknowledged) < goal:
                    await asyncio.sleep(0.01)
                nats_server.kill()
                nats_server.start()
                # As `cca up` does: the server has looked behind the link, and has taken it away.
                while not staging.link():
                    await asyncio.sleep(0.01)
            goal = len(acknowledged) + 300
            while len(acknowledged) < goal:
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.gather(*lanes)

            found: dict[str, list[Seq]] = {}
            async for raw in log.scan("cca.events.>"):
                found.setdefault(raw.subject, []).append(raw.seq)
            assert set(found) == {stream.subject for stream in acknowledged}
            assert {len(seqs) for seqs in found.values()} == {3}
            assert all(found[stream.subject][-1] == seq for stream, seq in acknowledged.items())
    finally:
        staging.remove()
