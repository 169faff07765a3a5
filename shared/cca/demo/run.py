"""The course of the demo: a stack, a fleet, the tasks, an accident, the outcome."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cca import codec
from cca.bench.own_stack import OwnStack
from cca.demo import modules, summary
from cca.demo.board import Board
from cca.demo.fleet import FLEET, Fleet
from cca.demo.modules import Published
from cca.demo.summary import Killed, Summary
from cca.errors import Busy, Unknown
from cca.message import Seq
from cca.nats import subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.postgres.pool import Pool, close_pool, connect_pool

VICTIM = "security-1"
REPLACEMENT = "security-3"
ABSENCE_S = 1.5
"""Seconds between the death of a worker and the start of another in its place."""
LOOK_S = 0.2
"""Seconds between two looks at the log."""
STUCK_S = 120.0
"""Seconds without any event after which the demo gives up."""


class Display(Protocol):
    """Shows what happens."""

    def say(self, text: str) -> None:
        """A step of the demo."""

    def show(self, board: Board) -> None:
        """How things stand."""


class Demo:
    """One run on a stack of its own."""

    def __init__(self, stack: OwnStack, display: Display) -> None:
        self._stack, self._display = stack, display

    async def run(self, root: Path, files: Sequence[Path]) -> Summary:
        """Audit these files. Raises `Busy` when the stack or the fleet do not work."""
        async with connect(self._stack.nats, "demo") as bus:
            pool = await connect_pool(self._stack.postgres, "demo")
            fleet = Fleet(bus, self._stack.environment(), self._stack.directory)
            try:
                self._display.say("the fleet starts")
                await fleet.start_all()
                return await self._audit(bus, pool, fleet, root, files)
            finally:
                await fleet.stop()
                await close_pool(pool)

    async def _audit(self, bus: Bus, pool: Pool, fleet: Fleet, root: Path, files: Sequence[Path]) -> Summary:
        published = modules.tasks(root, files)
        board = Board.of((task.id, task.role) for task in published)
        log = JetStreamLog(bus)
        board.last_seq = await log.last_seq()
        self._display.say(f"{len(published)} tasks for {len(files)} modules are published")
        begun = time.monotonic()
        publishing = asyncio.create_task(_publish(bus, published))
        accident = asyncio.create_task(self._accident(board, fleet))
        try:
            await self._watch(log, board)
            await publishing
            wall_s = time.monotonic() - begun
            killed = await accident
        finally:
            publishing.cancel()
            accident.cancel()
        ids = [task.id for task in published]
        await self._tables(pool, ids)
        return await summary.summarise(pool, ids, str(root), wall_s, killed)

    async def _watch(self, log: JetStreamLog, board: Board) -> None:
        """Follow the log until every task has ended."""
        heard = time.monotonic()
        while not board.all_over:
            before = board.last_seq
            try:
                async for raw in log.scan("cca.events.task.*", Seq(before)):
                    try:
                        event = codec.decode(raw.headers.get("ce-type", ""), raw.body)
                    except Unknown:
                        continue
                    board.hear(event, raw.seq, raw.time)
            except Busy:
                pass  # the next look finds it
            self._display.show(board)
            if board.last_seq > before:
                heard = time.monotonic()
            elif time.monotonic() - heard > STUCK_S:
                raise Busy(f"nothing has happened for {STUCK_S:g} s; {board.over} of {len(board.cards)} tasks are over")
            await asyncio.sleep(LOOK_S)

    async def _accident(self, board: Board, fleet: Fleet) -> Killed | None:
        """Kill a worker of the first role half-way, and start another a little later."""
        kind = FLEET[0]
        while True:
            row = next(row for row in board.rows() if row.role == kind.role)
            if row.done >= row.tasks:
                return None  # so few tasks that there was no half-way
            if row.done * 2 >= row.tasks and board.held_by(VICTIM):
                break
            await asyncio.sleep(LOOK_S / 2)
        await fleet.kill(VICTIM)
        died = time.monotonic()
        await asyncio.sleep(2 * LOOK_S)  # until the board has heard the last of its reports
        held = board.held_by(VICTIM)
        self._display.say(f"{VICTIM} was killed (SIGKILL) while it held {len(held)} tasks")
        await asyncio.sleep(ABSENCE_S - 2 * LOOK_S)
        await fleet.start(kind, REPLACEMENT)
        self._display.say(f"{REPLACEMENT} is started in its place")
        while any(board.cards[task].agent == VICTIM and not board.cards[task].ends for task in held):
            await asyncio.sleep(LOOK_S / 2)
        took = time.monotonic() - died
        self._display.say(f"all {len(held)} run again elsewhere, {took:.1f} s after its death")
        return Killed(VICTIM, len(held), REPLACEMENT, round(took, 1))

    async def _tables(self, pool: Pool, ids: Sequence[str]) -> None:
        """Wait until the tables know of every end. Raises `Busy` when they do not within a minute."""
        try:
            async with asyncio.timeout(60):
                while await summary.over(pool, ids) < len(ids):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Busy("the tables in PostgreSQL did not catch up with the log within 60 s") from None


async def _publish(bus: Bus, published: Sequence[Published]) -> None:
    """Publish to `cca.tasks.<role>`, as any NATS client would; JetStream acknowledges each."""
    waiting = iter(published)

    async def lane() -> None:
        for task in waiting:
            # In the JSON its id stands in the body; plain text has only headers to say it.
            await bus.request(subjects.tasks(task.role), task.body, {"Cca-Task-Id": task.id})

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(lane())
