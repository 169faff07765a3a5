"""What every service process does: read the configuration, connect, start, wait, drain."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from cca import config, telemetry
from cca.config import Settings
from cca.errors import CcaError, Misconfigured, Refused
from cca.nats import setup
from cca.nats.bus import Bus, connect
from cca.nats.micro import Service

logger = logging.getLogger("cca.service")

Start = Callable[[Settings, Service, Bus, AsyncExitStack], Awaitable[None]]


class Fatal(CcaError):
    """The service cannot go on; whoever supervises it starts it again."""


def run(name: str, description: str, start: Start) -> None:
    """Run a service until SIGTERM or SIGINT, then drain. Exit codes: 0 asked to stop, 1 cannot go on, 2 misconfigured.

    Args:
        name: package, NATS micro service and log name in one (`cca_router`).
        description: one line for `nats micro info`.
        start: registers what the service listens to; what must be closed goes on the exit stack. When it has
            returned, the service is ready and answers `$SRV.PING.<name>`.
    """
    try:
        settings = config.load()
        telemetry.log_to_stderr(settings.log.level, settings.log.format)
        loop_factory = _loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_main(name, description, settings, start))
    except (Misconfigured, Refused) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except CcaError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


async def _main(name: str, description: str, settings: Settings, start: Start) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_live(name, description, settings, start, stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        await starting
        return
    # `_live` sees the same event; it is still connecting if it does not end soon.
    done, _ = await asyncio.wait({starting}, timeout=30)
    if not done:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    else:
        await starting


async def _live(name: str, description: str, settings: Settings, start: Start, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as stack:
        bus = await _unless(stop, stack.enter_async_context(connect(settings.nats, name, wait=True, echo=False)))
        if bus is None:
            return
        await setup.ensure(bus, settings.replicas)
        service = Service(bus, name, description)
        stack.push_async_callback(service.stop)
        await start(settings, service, bus, stack)
        await service.start()
        await bus.flush()
        # Most of what a service makes dies young and in no cycle: looking for garbage 70 times less often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        logger.info("%s is ready", name)
        waits = {asyncio.create_task(stop.wait()), asyncio.create_task(bus.closed.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not stop.is_set():
            raise Fatal("the connection to NATS was closed for good")
        logger.info("%s stops", name)


async def _unless(stop: asyncio.Event, work: Awaitable[Bus]) -> Bus | None:
    """The result of `work`, or None when it is time to stop before it is there."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None
