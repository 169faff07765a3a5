"""Runs a stack: servers first, then services; keeps each alive; stops all in order."""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from cca.config import NatsSettings, PostgresSettings
from cca.errors import Busy
from cca.stack import context, plan, probe
from cca.stack.component import Component, Ready
from cca.stack.layout import Layout, State
from cca.stack.plan import Plan, Wish
from cca.stack.program import Mark, age_s, mark
from cca.stack.services import SERVICES, ServiceProcess
from cca.stack.staging import Staging

logger = logging.getLogger("cca.stack")

READY_WITHIN_S = 120.0
LOOK_SOON_S, LOOK_AGAIN_S = 0.02, 1.0
_ORPHAN_PATIENCE_S = 10.0


class Stack:
    """A stack that runs. Made by `running`."""

    def __init__(self, plan: Plan, services: Sequence[ServiceProcess], started: float) -> None:
        self.plan, self.started = plan, started
        self.ready_s: float | None = None
        self.context: str | None = None
        self._me = mark(os.getpid())
        self._staging: asyncio.Task[None] | None = None
        layout = plan.layout
        self.servers: list[Component] = []
        self.services: list[Component] = []
        if (nats := plan.nats) is not None:

            async def nats_ready(_: int) -> bool:
                return await asyncio.to_thread(nats.answers)

            self.servers.append(Component("nats", nats.prepare, nats_ready, layout.logs, self._changed, url=nats.url))
        if (postgres := plan.postgres) is not None:

            async def postgres_ready(pid: int) -> bool:
                return postgres.answers(pid)

            self.servers.append(
                Component("postgres", postgres.prepare, postgres_ready, layout.logs, self._changed, url=postgres.url)
            )
        for service in services:
            self.services.append(
                Component(
                    service.package,
                    partial(plan.service, service),
                    self._service_ready(service),
                    layout.logs,
                    self._changed,
                    url=plan.http_url if service.ready_path else None,
                )
            )

    @property
    def parts(self) -> list[Component]:
        return [*self.servers, *self.services]

    @property
    def state(self) -> State:
        return State(
            supervisor=self._me,
            started=self.started,
            durability=self.plan.durability,
            http_url=self.plan.http_url,
            nats_url=self.plan.nats_url,
            nats_user=self.plan.nats_user,
            nats_context=self.context,
            postgres_url=self.plan.postgres_url,
            monitor_url=self.plan.nats.monitor_url if self.plan.nats else None,
            external=self.plan.external,
            ready_s=self.ready_s,
            parts=tuple(component.part for component in self.parts),
        )

    def _changed(self) -> None:
        self.plan.layout.write(self.state)

    def _service_ready(self, service: ServiceProcess) -> Ready:
        plan, path = self.plan, service.ready_path

        async def ready(_: int) -> bool:
            if plan.nats is not None:
                user = plan.nats.users[0]
                answers = await probe.service_answers(plan.nats.port, user.name, user.password, service.package)
            else:
                answers = await _answers_elsewhere(plan.settings.nats, service.package)
            return answers and (path is None or await probe.http_answers(plan.http_probe_host, plan.http_port, path))

        return ready

    async def start(self) -> None:
        """Start everything and wait until it is ready. Raises what keeps it from being so."""
        if self.plan.nats is not None:
            key = self.plan.credentials.admin_key
            self.context = context.write(
                self.plan.layout, self.plan.nats.url, str(self.plan.nats_user), key, self.plan.environ
            )
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                if self.plan.postgres is None:
                    await _try_postgres(self.plan.settings.postgres)
                await self._start(self.servers)
                if self.plan.nats is not None and self.plan.nats.staging.possible():
                    self._staging = asyncio.create_task(_keep_linked(self.plan.nats.staging))
                await self._start(self.services)
        except TimeoutError:
            late = next(component for component in self.parts if not component.is_ready.is_set())
            said = late.part.said or (late.tail or ["it has said nothing"])[-1]
            raise Busy(f"{late.name} is not ready after {READY_WITHIN_S:g} s: {said}") from None
        self.ready_s = time.time() - self.started
        self._changed()

    async def _start(self, components: Sequence[Component]) -> None:
        for component in components:
            component.start()
        waiting = [asyncio.create_task(component.wait_ready()) for component in components]
        try:
            for done in asyncio.as_completed(waiting):
                await done
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop services in the opposite order, then the servers; at once when there is a hurry."""
        stopping = asyncio.create_task(self._stop())
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            for component in self.services:
                component.kill()
        hurrying.cancel()
        await stopping

    async def _stop(self) -> None:
        for component in reversed(self.services):
            await component.stop()
        await asyncio.gather(*(component.stop() for component in self.servers))
        if self._staging is not None and self.plan.nats is not None:
            self._staging.cancel()
            self.plan.nats.staging.remove()
        postgres, layout = self.plan.postgres, self.plan.layout
        if postgres is not None and layout.directory not in postgres.socket_directory.parents:
            shutil.rmtree(postgres.socket_directory, ignore_errors=True)


async def _keep_linked(staging: Staging) -> None:
    """The stream is made by the first service, and the server takes the link away at each of its starts."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_S if staging.link() else LOOK_SOON_S)


async def _answers_elsewhere(settings: NatsSettings, service: str) -> bool:
    # The client is large: a supervisor with a server of its own does without.
    from cca.nats.bus import connect

    try:
        async with connect(settings, "cca_up") as bus:
            await bus.request(f"$SRV.PING.{service}", b"", timeout=2)
    except Busy:
        return False
    return True


async def _try_postgres(settings: PostgresSettings) -> None:
    """Raise `Refused` for credentials that are wrong: services would wait for better ones."""
    from cca.postgres.pool import connect_pool

    try:
        pool = await connect_pool(settings, "cca_up", wait=False)
        await pool.close()
    except Busy as error:
        logger.warning("%s; waiting for it", error)


async def clear(layout: Layout) -> list[str]:
    """Stop what a supervisor that was killed left behind in this directory; return the names.

    They were told to end with it; this waits for that, and makes sure.
    """
    state = layout.read()
    if state is None:
        return []
    left: dict[str, Mark] = {
        part.name: part.process for part in state.parts if part.process is not None and part.process.alive()
    }
    for name, process in left.items():
        process.signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + _ORPHAN_PATIENCE_S
    while any(process.alive() for process in left.values()):
        if time.monotonic() > deadline:
            for process in left.values():
                process.signal(signal.SIGKILL)
            deadline += _ORPHAN_PATIENCE_S
        await asyncio.sleep(0.02)
    return list(left)


@asynccontextmanager
async def running(
    wish: Wish,
    hurry: asyncio.Event,
    *,
    services: Sequence[ServiceProcess] = SERVICES,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Stack]:
    """A stack in a directory, started by `start()`; it is stopped when the block is left.

    Raises `Refused` when one runs there already, and `Misconfigured`.
    """
    started = time.time() - age_s()  # what a person waits for begins with the command
    layout = Layout(wish.directory)
    layout.make()
    lock = layout.take()
    try:
        left = await clear(layout)
        if left:
            logger.warning("stopped what an earlier supervisor left behind: %s", ", ".join(left))
        stack = Stack(plan.make(wish, layout.read(), environ), services, started)
        try:
            yield stack
        finally:
            await stack.stop(hurry)
    finally:
        os.close(lock)
