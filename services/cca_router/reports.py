"""What workers report: each request is read, decided on task by task, and answered when all is durable."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cca import ids
from cca.contracts.agent import (
    Claim,
    Claimed,
    ClaimTasks,
    CompleteTasks,
    Completion,
    FailTasks,
    Heard,
    Heartbeat,
    Join,
    Leave,
    Misfortune,
    Progress,
    Receipt,
    Reported,
    Verdict,
    Welcome,
)
from cca.decider import Decision
from cca.errors import CcaError, Refused, Unreadable
from cca.message import Command, Meta, Reply
from cca.nats import subjects
from cca.tokens.prices import NO_PRICES, Prices
from cca_router import claims
from cca_router.agents import AgentDesk
from cca_router.desk import Desk
from cca_router.facts import Facts
from cca_router.state import Task

logger = logging.getLogger("cca_router.reports")

V = TypeVar("V", Verdict, Receipt)


class About(Protocol):
    """An item of a report."""

    @property
    def task(self) -> str: ...


Item = TypeVar("Item", bound=About)
Ended = TypeVar("Ended", Completion, Misfortune)


class Reporter(Struct, frozen=True):
    """Who reports, as the subject says: `cca.report.<role>.<agent>.<verb>`."""

    role: str
    agent: str


class Reports:
    """The verbs of `cca.report.<role>.<agent>.<verb>`."""

    def __init__(self, desk: Desk, agents: AgentDesk, facts: Callable[[], Facts], prices: Prices = NO_PRICES) -> None:
        self._desk, self._agents, self._facts, self._prices = desk, agents, facts, prices
        self.verbs: dict[str, tuple[type[Command], Callable[..., Awaitable[Reply]]]] = {
            "join": (Join, self._join),
            "leave": (Leave, self._leave),
            "heartbeat": (Heartbeat, self._heartbeat),
            "claim": (ClaimTasks, self._claim),
            "complete": (CompleteTasks, self._complete),
            "fail": (FailTasks, self._fail),
            "progress": (Progress, self._progress),
        }

    @staticmethod
    def reporter(subject: str) -> Reporter:
        """Who speaks on a subject. Raises `Refused` for names that are none."""
        _, _, role, agent, _ = subject.split(".")
        return Reporter(ids.word(role, "a role"), ids.word(agent, "an agent's name"))

    # ------------------------------------------------------------------------------------ agents

    async def _join(self, command: Join, who: Reporter, meta: Meta) -> Welcome:
        return await self._agents.join(command, who.agent, who.role, meta)

    async def _leave(self, command: Leave, who: Reporter, meta: Meta) -> Heard:
        await self._agents.leave(command, who.agent, meta)
        return Heard()

    async def _heartbeat(self, command: Heartbeat, who: Reporter, meta: Meta) -> Heard:
        return Heard(known=self._agents.heard(who.agent, command))

    # ------------------------------------------------------------------------------------ tasks

    async def _claim(self, command: ClaimTasks, who: Reporter, meta: Meta) -> Claimed:
        facts, lane = self._facts(), self._agents.lane(who.agent)

        def judge(item: Claim, task: Task) -> tuple[Decision, Verdict]:
            return claims.claim(item, who.agent, who.role, lane, facts, task)

        def no(item: Claim, later: bool) -> Verdict:
            return Verdict(item.task, go=False, why="later" if later else "obsolete")

        verdicts = await self._judge(command.claims, judge, lambda verdict: verdict.go, no, meta)
        self._agents.heard(who.agent, None)
        return Claimed(tuple(verdicts))

    async def _complete(self, command: CompleteTasks, who: Reporter, meta: Meta) -> Reported:
        def judge(item: Completion, task: Task) -> tuple[Decision, Receipt]:
            return claims.complete(item, who.agent, task)

        return await self._report([self._priced(item) for item in command.done], judge, meta)

    async def _fail(self, command: FailTasks, who: Reporter, meta: Meta) -> Reported:
        def judge(item: Misfortune, task: Task) -> tuple[Decision, Receipt]:
            return claims.fail(item, who.agent, self._facts(), task)

        return await self._report([self._priced(item) for item in command.failed], judge, meta)

    def _priced(self, item: Ended) -> Ended:
        return item if item.usage is None else replace(item, usage=self._prices.priced(item.usage))

    async def _progress(self, command: Progress, who: Reporter, meta: Meta) -> Reported:
        def judge(item: Progress, task: Task) -> tuple[Decision, Receipt]:
            return claims.progress(item, who.agent, task)

        return await self._report((command,), judge, meta)

    async def _report(
        self,
        items: Sequence[Item],
        judge: Callable[[Item, Task], tuple[Decision, Receipt]],
        meta: Meta,
    ) -> Reported:
        def no(item: Item, later: bool) -> Receipt:
            return Receipt(item.task, ok=False, why="later" if later else "unknown")

        receipts = await self._judge(items, judge, lambda receipt: receipt.ok, no, meta)
        return Reported(tuple(receipts))

    async def _judge(
        self,
        items: Sequence[Item],
        judge: Callable[[Item, Task], tuple[Decision, V]],
        good: Callable[[V], bool],
        no: Callable[[Item, bool], V],
        meta: Meta,
    ) -> list[V]:
        """Decide on each item, all at once so that they share a commit.

        What cannot be stored now is to be said again (`no(item, True)`); what can never be is not
        (`no(item, False)`).
        """
        cases: list[_Case[V]] = [_Case(partial(judge, item)) for item in items]
        stored = [
            self._desk.change(item.task, case.decide, meta) if is_task_id(item.task) else None
            for item, case in zip(items, cases, strict=True)
        ]
        answers: list[V] = []
        for item, case, future in zip(items, cases, stored, strict=True):
            if future is None:
                answers.append(no(item, False))
                continue
            try:
                await future
                if not good(case.said()):
                    # A refusal must not rest on what this router remembers: another one may have gone on.
                    await self._desk.refresh(item.task)
                    await self._desk.change(item.task, case.decide, meta)
                answers.append(case.said())
            except Refused as error:
                logger.warning("a report about task %s is refused: %s", item.task, error)
                answers.append(no(item, False))
            except CcaError as error:
                logger.warning("a report about task %s must be repeated: %s", item.task, error)
                answers.append(no(item, True))
        return answers


class _Case(Generic[V]):
    """A decision that also says something to the one who asked; what counts is what it said last."""

    def __init__(self, judge: Callable[[Task], tuple[Decision, V]]) -> None:
        self._judge: Callable[[Task], tuple[Decision, V]] = judge
        self._said: V | None = None

    def decide(self, task: Task) -> Decision:
        decision, self._said = self._judge(task)
        return decision

    def said(self) -> V:
        assert self._said is not None
        return self._said


def is_task_id(text: str) -> bool:
    """Whether this is a task id in its one form; nothing else may become a subject."""
    try:
        return ids.task_id(text) == text
    except Refused:
        return False


def verb_of(subject: str) -> str:
    """The verb of a report. Raises `Unreadable` for a subject that is none."""
    tokens = subject.split(".")
    if len(tokens) != 5:
        raise Unreadable(f"a report goes to {subjects.report('<role>', '<agent>', '<verb>')}")
    return tokens[4]


def unknown_verb(verb: str, verbs: Sequence[str]) -> Refused:
    return Refused("unknown-verb", f"nothing is known of reports {verb!r}; there are {', '.join(sorted(verbs))}")
