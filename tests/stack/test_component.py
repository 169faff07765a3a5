"""A process is kept alive: started, watched until it is ready, started again when it dies, stopped in good order."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cca.errors import Misconfigured
from cca.stack.component import Component
from cca.stack.program import Program


def component(
    folder: Path, script: str, *, stop_s: float = 20, changed: Callable[[], None] = lambda: None
) -> Component:
    """A Python script that is ready when it has made the file `ready` in its directory."""

    def prepare() -> Program:
        (folder / "ready").unlink(missing_ok=True)
        return Program(name="x", argv=(sys.executable, "-c", script), env={"PYTHONUNBUFFERED": "1"}, cwd=folder)

    async def ready(_: int) -> bool:
        return (folder / "ready").exists()

    return Component("x", prepare, ready, folder, changed, stop_s=stop_s)


WAITS = "import time, pathlib; print('here'); pathlib.Path('ready').touch(); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_is_ready_when_it_does_its_work_and_its_log_is_kept(tmp_path: Path) -> None:
    states: list[str] = []
    kept = component(tmp_path, WAITS, changed=lambda: states.append(kept.state))
    kept.start()
    await kept.wait_ready()
    assert kept.process is not None and kept.process.alive()
    assert kept.tail == ["here"]
    process = kept.process
    await kept.stop()
    assert not process.alive()
    assert states == ["starting", "ready", "stopping", "stopped"]
    assert (tmp_path / "x.log").read_text() == "here\n"


async def test_it_is_started_again_when_it_was_killed(tmp_path: Path) -> None:
    kept = component(tmp_path, WAITS)
    kept.start()
    for restarts in (1, 2):
        await until(lambda: kept.state == "ready")
        assert kept.process is not None
        kept.process.signal(signal.SIGKILL)
        await until(lambda restarts=restarts: kept.restarts == restarts)  # type: ignore[misc]  # the lambda is called without it
    await until(lambda: kept.state == "ready")
    assert kept.part.said == "was ended by SIGKILL"
    await kept.stop()


async def test_its_last_words_say_why_it_failed(tmp_path: Path) -> None:
    kept = component(tmp_path, "import sys; sys.exit('no luck')")
    kept.start()
    await until(lambda: kept.restarts >= 2)
    assert kept.part.said == "ended with exit code 1: no luck"
    await kept.stop()


async def test_it_is_not_started_again_when_it_says_that_it_is_misconfigured(tmp_path: Path) -> None:
    kept = component(tmp_path, "import sys; print('x: CCA_FOO is wrong'); sys.exit(2)")
    kept.start()
    with pytest.raises(Misconfigured, match="CCA_FOO is wrong"):
        await kept.wait_ready()
    assert (kept.state, kept.restarts) == ("failed", 0)
    await kept.stop()


async def test_it_is_killed_when_it_does_not_stop_in_time(tmp_path: Path) -> None:
    kept = component(tmp_path, DEAF, stop_s=0.2)
    kept.start()
    await kept.wait_ready()
    process = kept.process
    await kept.stop()
    assert process is not None and not process.alive()


async def test_it_can_be_stopped_while_it_waits_to_be_started_again(tmp_path: Path) -> None:
    kept = component(tmp_path, "import sys; sys.exit(1)")
    kept.start()
    await until(lambda: kept.restarts >= 3)
    await until(lambda: kept.state == "restarting")
    await kept.stop()
    assert kept.state == "stopped"


async def test_a_program_that_cannot_be_prepared_stops_the_start(tmp_path: Path) -> None:
    def prepare() -> Program:
        raise Misconfigured("it is not installed")

    async def ready(_: int) -> bool:
        return False

    kept = Component("x", prepare, ready, tmp_path, lambda: None)
    kept.start()
    with pytest.raises(Misconfigured, match="not installed"):
        await kept.wait_ready()
    await kept.stop()
