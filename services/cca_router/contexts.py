"""Contexts within their role's budget: which are over it, and what the token service makes of those."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from cca import codec
from cca.contracts.ledger import EVERYONE, RolePolicy, TokenPolicies
from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import SubmitTask
from cca.contracts.tokens import CondenseContext, Condensed
from cca.errors import Busy, CcaError, Unreadable
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.wire import Msg
from cca.storable import text_without_nul

logger = logging.getLogger("cca_router.contexts")

PATIENCE_S = 10.0
"""A task waits for its context to be compressed for so long; then it goes with all of it."""


class Contexts:
    """Asks for contexts to be compressed, where there is a policy; no task is lost or held up by it.

    Args:
        spawn: runs a coroutine in the background, and waits for it at the end.
    """

    def __init__(self, bus: Bus, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._bus, self._spawn = bus, spawn
        self._policies = TokenPolicies()
        bus.reconnected.append(lambda: spawn(self._look_again()))

    async def start(self) -> None:
        """Read the policies. Raises `Busy`."""
        noted = await stored.last(self._bus, f"KV_{names.STATE}", subjects.TOKEN_POLICIES)
        if noted is not None:
            self._read(noted.body)

    def on_policies(self, msg: Msg) -> None:
        """`$KV.CCA_STATE.policy.tokens`: they have changed."""
        self._read(msg.data)

    def rule(self, command: SubmitTask) -> RolePolicy | None:
        """What holds for a context that may be over its budget; None when it certainly is not, as for most.

        No token is less than a byte long, so that few bytes are few tokens.
        """
        context, roles = command.context, self._policies.roles
        if not roles or context is None:
            return None
        rule = roles.get(command.role or "", roles.get(EVERYONE))
        if rule is None or len(context) <= rule.max_tokens // 4 or len(context.encode()) <= rule.max_tokens:
            return None
        return rule

    async def condensed(self, task: str, command: SubmitTask, rule: RolePolicy) -> TaskCondensed | None:
        """The context as workers are to get it; None when it may stay, or nobody can say."""
        assert command.context is not None
        asked = CondenseContext(task, command.role or EVERYONE, text_without_nul(command.context))
        try:
            said = await self._bus.ask(subjects.RPC_TOKENS_CONDENSE, asked, Condensed, timeout=PATIENCE_S)
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

    def _read(self, body: bytes) -> None:
        try:
            policies = codec.read(body, TokenPolicies)
        except Unreadable as error:
            logger.error(
                "the policies for contexts cannot be used, version %d stays: %s", self._policies.version, error
            )
            return
        if policies.version > self._policies.version:
            self._policies = policies
            logger.info("contexts are compressed by version %d of their policies", policies.version)

    async def _look_again(self) -> None:
        """After a reconnect: a change may have been missed."""
        try:
            await self.start()
        except Busy as error:
            logger.warning("whether other contexts are to be compressed is not known: %s", error)
