"""What is asked of other services before a task is decided on: its context in fewer tokens, and what is remembered."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from cca.contracts.ledger import EVERYONE, RolePolicy, TokenPolicies
from cca.contracts.memory import MemoryPolicies, Recalled, RecallMemories
from cca.contracts.prepared import TaskCondensed, TaskRecalled
from cca.contracts.task import SubmitTask
from cca.contracts.tokens import CondenseContext, Condensed
from cca.errors import CcaError
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.storable import text_without_nul
from cca_router.sheet import Sheet, of_role

logger = logging.getLogger("cca_router.preparation")

CONDENSE_S = 10.0
"""A task waits for its context to be compressed for so long; then it goes with all of it."""
RECALL_S = 3.0
"""A task waits for memories for so long; then it goes without."""

Prepared = TaskCondensed | TaskRecalled


class Preparation:
    """Asks where there is a policy; no task is lost or held up by it.

    Args:
        spawn: runs a coroutine in the background, and waits for it at the end.
    """

    def __init__(self, bus: Bus, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._bus = bus
        self.tokens = Sheet(bus, subjects.TOKEN_POLICIES, TokenPolicies(), spawn)
        self.memories = Sheet(bus, subjects.MEMORY_POLICIES, MemoryPolicies(), spawn)

    async def start(self) -> None:
        """Read the policies. Raises `Busy`."""
        await self.tokens.start()
        await self.memories.start()

    def needed(self, command: SubmitTask) -> bool:
        """Whether there is anything to ask; for most tasks there is not."""
        return self._budget(command) is not None or self._remembers(command)

    async def of(self, task: str, command: SubmitTask) -> Sequence[Prepared]:
        """The events that say what workers get besides, or in place of, what was submitted."""
        rule = self._budget(command)
        found = await asyncio.gather(
            _nothing() if rule is None else self._condensed(task, command),
            self._recalled(task, command) if self._remembers(command) else _nothing(),
        )
        return [event for event in found if event is not None]

    def _budget(self, command: SubmitTask) -> RolePolicy | None:
        """What holds for a context that may be over its budget; None when it certainly is not.

        No token is less than a byte long, so that few bytes are few tokens.
        """
        context = command.context
        rule = of_role(self.tokens.policies.roles, command.role)
        if rule is None or context is None:
            return None
        if len(context) <= rule.max_tokens // 4 or len(context.encode()) <= rule.max_tokens:
            return None
        return rule

    def _remembers(self, command: SubmitTask) -> bool:
        rule = of_role(self.memories.policies.roles, command.role)
        return rule is not None and rule.inject > 0

    async def _condensed(self, task: str, command: SubmitTask) -> TaskCondensed | None:
        """The context as workers are to get it; None when it may stay, or nobody can say."""
        assert command.context is not None
        asked = CondenseContext(task, command.role or EVERYONE, text_without_nul(command.context))
        try:
            said = await self._bus.ask(subjects.RPC_TOKENS_CONDENSE, asked, Condensed, timeout=CONDENSE_S)
        except CcaError as error:
            logger.warning("task %s goes with all of its context: %s", task, error)
            return None
        if said.context is None:
            return None
        return TaskCondensed(
            task=task,
            context=said.context,
            model=said.model,
            before=said.before,
            after=said.after,
            saved=said.saved,
            refs=said.refs,
            original=said.original,
            version=said.version,
            exact=said.exact,
            reached=said.reached,
            cuts=said.cuts,
        )

    async def _recalled(self, task: str, command: SubmitTask) -> TaskRecalled | None:
        """What is remembered of tasks like this one; None when there is nothing, or nobody can say."""
        asked = RecallMemories(
            task, command.role or EVERYONE, text_without_nul(command.description), command.kind, command.labels
        )
        try:
            said = await self._bus.ask(subjects.RPC_MEMORY_RECALL, asked, Recalled, timeout=RECALL_S)
        except CcaError as error:
            logger.warning("task %s goes without memories: %s", task, error)
            return None
        if not said.memories or not said.text:
            return None
        return TaskRecalled(task, said.text, said.memories, said.tokens, said.version, said.embedder)


async def _nothing() -> None:
    return None
