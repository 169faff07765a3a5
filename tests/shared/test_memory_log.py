"""The log in memory keeps the promises of a log."""

from collections.abc import Awaitable, Callable

import pytest

from cca.testing.log_contract import CONTRACT, UnderTest
from cca.testing.memory import MemoryLog


@pytest.mark.parametrize("holds", CONTRACT, ids=lambda promise: str(promise.__name__))
async def test_the_memory_log_keeps_the_contract(holds: Callable[[UnderTest], Awaitable[None]]) -> None:
    log = MemoryLog()

    async def stored(subject: str) -> list[bytes]:
        return [side.body for side in log.sides if side.subject == subject]

    await holds(UnderTest(log, stored))
