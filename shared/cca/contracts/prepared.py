"""What is made of a task's context before it is dispatched. Events are emitted by cca_router."""

from msgspec import Struct

from cca.message import Event


class Recollection(Struct, frozen=True):
    """A memory that was put before a task, and its score then."""

    memory: str
    score: float


class TaskCondensed(Event, frozen=True, tag="cca.task.condensed.v1"):
    """The task's context was over its role's budget: workers get `context`, whose markers expand to what was folded.

    All of it is in `cca.task.submitted.v1` and under `original`; `refs` can be expanded. Tokens are those of `model`,
    `saved` and `cuts` by strategy; `reached`: it is within the budget of policies `version` now.
    """

    task: str
    context: str
    model: str
    before: int
    after: int
    saved: dict[str, int]
    refs: tuple[str, ...]
    original: str
    version: int
    exact: bool = False
    reached: bool = True
    cuts: dict[str, int] = {}


class TaskRecalled(Event, frozen=True, tag="cca.task.recalled.v1"):
    """Memories are put before the task: workers get `text` at the head of its context.

    What becomes of the task counts for or against each of `memories`. `tokens` is the length of `text`, `version` that
    of the policies.
    """

    task: str
    text: str
    memories: tuple[Recollection, ...]
    tokens: int
    version: int
    embedder: str | None = None
