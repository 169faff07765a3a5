"""What the kernel says of processes, and what becomes of those that do not start."""

import asyncio
import os
import sys

import pytest

from cca.bench.processes import Watch, child, cpu_seconds, descendants, pss_mb
from cca.errors import Busy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
ENV = {**os.environ}


def test_our_own_process_uses_time_and_memory() -> None:
    assert cpu_seconds(os.getpid()) > 0
    assert 1 < pss_mb(os.getpid()) < 10_000


def test_a_process_that_is_gone_uses_nothing() -> None:
    gone = 2**22 + 1  # above the largest number that the kernel gives
    assert (cpu_seconds(gone), pss_mb(gone)) == (0, 0)


async def test_children_count_for_their_parent() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    try:
        assert process.pid in descendants(os.getpid())
    finally:
        await process.communicate(b"\n")


def test_a_watch_counts_what_was_used_meanwhile() -> None:
    watch = Watch({"us": os.getpid()})
    watch.start()
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) < before + 0.05:
        pass
    used = watch.stop()
    assert used["us"] >= 0.04
    assert used["wall"] > 0


async def test_a_child_that_never_gets_ready_is_an_error() -> None:
    with pytest.raises(Busy, match="did not start"):
        async with child("this", env=ENV):
            pytest.fail("it was never ready")
