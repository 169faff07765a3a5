"""What is delivered to the router: published tasks and timers. Each is acknowledged when what follows is durable."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from cca import codec
from cca.contracts.task import SubmitTask, TaskAccepted
from cca.contracts.work import Due
from cca.dead import Letter
from cca.errors import CcaError, Refused, Unreadable
from cca.ids import TaskId, task_id, uuid7_of
from cca.message import Meta
from cca.nats import names
from cca.nats.dead import DeadLetters
from cca.nats.frames import meta_of
from cca.nats.pull import Delivery
from cca.telemetry import trace_of
from cca_router import decide, intake, recovery
from cca_router.desk import Desk
from cca_router.facts import Facts

logger = logging.getLogger("cca_router")

Submit = Callable[[TaskId, SubmitTask, Meta], Awaitable[TaskAccepted]]


class Deliveries:
    """Handles one delivery at a time; what cannot be done now is delivered again, what never can is a dead letter."""

    def __init__(self, desk: Desk, dead: DeadLetters, submit: Submit, facts: Callable[[], Facts]) -> None:
        self._desk, self._dead, self._submit, self._facts = desk, dead, submit, facts

    async def take_in(self, delivery: Delivery) -> None:
        """A task that was published to `cca.tasks.<role>`."""
        task: TaskId | None = None
        try:
            try:
                came = intake.read_submission(
                    delivery.subject, delivery.headers, delivery.body, delivery.seq, delivery.time_ns
                )
                task = came.task
                await self._submit(task, came.command, _of_intake(delivery))
            except (Unreadable, Refused) as error:
                await self._reject(delivery, task, error)
            delivery.ack()
        except CcaError as error:
            logger.warning("a published task waits: %s", error)
            delivery.nak(1.0)
        except Exception:
            logger.exception("a published task could not be taken over")
            delivery.nak(5.0)

    async def _reject(self, delivery: Delivery, task: TaskId | None, error: Unreadable | Refused) -> None:
        """Unusable: to the dead letters with the reason, and into the log where an id is known."""
        if task is None:
            task = intake.stated(delivery.headers, delivery.body)
        letter = Letter(
            subject=delivery.subject,
            headers=delivery.headers,
            body=delivery.body,
            stream=names.TASKS,
            seq=delivery.seq,
        )
        await self._dead.put("router", str(error), letter, task)
        if task is not None:
            code = error.code if isinstance(error, Refused) else "unreadable"
            rejecting = partial(decide.reject, task, code, str(error))
            await self._desk.change(task, rejecting, _of_intake(delivery), new=True)

    async def fire(self, delivery: Delivery) -> None:
        """A timer that is due, on `cca.due.task.<id>.<what>`."""
        try:
            command = codec.read(delivery.body, Due)
            task_id(command.task)
            await self._desk.change(command.task, partial(decide.due, command, self._facts()), recovery.of_now())
            delivery.ack()
        except (Unreadable, Refused) as error:
            letter = Letter(subject=delivery.subject, headers=delivery.headers, body=delivery.body)
            await self._dead.put("router", str(error), letter)
            delivery.term(str(error))
        except CcaError as error:
            logger.warning("a timer waits: %s", error)
            delivery.nak(1.0)
        except Exception:
            logger.exception("a timer failed")
            delivery.nak(5.0)


def _of_intake(delivery: Delivery) -> Meta:
    """The command that an intake message is: the same id each time it is delivered."""
    headers = delivery.headers
    said = meta_of(headers)
    return Meta(
        id=said.id or uuid7_of(f"intake:{delivery.seq}", delivery.time_ns // 1_000_000),
        source=said.source or "cca_router",
        time=datetime.now(UTC),
        cause=said.cause,
        conversation=said.conversation,
        trace=trace_of(said.trace),
    )
