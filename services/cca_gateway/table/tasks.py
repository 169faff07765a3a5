"""The routes of tasks: submit, look, follow, stop, rate."""

from cca.contracts.learner import Explanation
from cca.contracts.task import SubmitTask, TaskAccepted, TaskView
from cca_gateway import events, learning, listing, output, tasks
from cca_gateway.route import Route

_IDEMPOTENCY = (
    "Unique per requester, for ever. The same key with the same task is answered with what is known of it "
    "(`Idempotency-Replayed: true`); with another task it is refused."
)
_WAIT = "`wait=N`: wait up to N seconds for the outcome (RFC 7240)."
_RESUME = "Events only: the position after which to go on."

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/tasks",
        handle=tasks.submit,
        summary="Submit a task; with `Prefer: wait=N`, wait for its outcome",
        body=SubmitTask,
        headers={"Idempotency-Key": _IDEMPOTENCY, "Prefer": _WAIT},
        answers={202: TaskAccepted, 200: TaskView},
        refusals=("key-reused", "full"),
    ),
    Route(
        method="POST",
        path="/tasks/batch",
        handle=tasks.submit_batch,
        summary="Submit up to 1,000 tasks; each is accepted or refused by itself",
        body=tasks.Batch,
        decode_as=tasks.RawBatch,
        headers={"Idempotency-Key": "Each task without a key or an id of its own gets this one and its index."},
        answers={200: tasks.BatchResult},
    ),
    Route(
        method="GET",
        path="/tasks",
        handle=listing.tasks,
        summary="List tasks, newest first",
        query=listing.TaskQuery,
        answers={200: listing.TaskPage},
    ),
    Route(
        method="GET",
        path="/tasks/{task}",
        handle=tasks.show,
        summary="What is known of a task; with `Prefer: wait=N`, once it is over",
        headers={"Prefer": _WAIT},
        answers={200: tasks.TaskDetail},
        refusals=("not-found", "bad-id"),
    ),
    Route(
        method="GET",
        path="/tasks/{task}/events",
        handle=events.of_task,
        summary="The history of a task; as a stream, until it is over",
        query=events.Slice,
        headers={"Last-Event-ID": _RESUME},
        answers={200: events.EventPage},
        refusals=("not-found", "bad-id"),
        streams=True,
    ),
    Route(
        method="GET",
        path="/tasks/{task}/output",
        handle=output.of_task,
        summary="What a task printed; as a stream, until it is over",
        query=output.OutputQuery,
        headers={"Last-Event-ID": _RESUME},
        answers={200: "text/plain"},
        refusals=("not-found", "bad-id"),
        streams=True,
    ),
    Route(
        method="POST",
        path="/tasks/{task}/cancel",
        handle=tasks.cancel,
        summary="Stop a queued or running task",
        body=tasks.Why,
        optional_body=True,
        answers={200: TaskView},
        refusals=("not-found", "bad-id", "already-over"),
    ),
    Route(
        method="POST",
        path="/tasks/{task}/retry",
        handle=tasks.retry,
        summary="Try a failed or canceled task again",
        body=tasks.Why,
        optional_body=True,
        answers={202: TaskView},
        refusals=("not-found", "bad-id", "not-over"),
    ),
    Route(
        method="POST",
        path="/tasks/{task}/feedback",
        handle=tasks.rate,
        summary="Say how good the result of a task is; routing learns from it",
        body=tasks.Feedback,
        answers={200: TaskView},
        refusals=("not-found", "bad-id", "not-over"),
    ),
    Route(
        method="GET",
        path="/tasks/{task}/explain",
        handle=learning.explain,
        summary="Why a task was routed as it was; with `replay`, the proof that it would be again",
        query=learning.Why,
        answers={200: Explanation},
        refusals=("not-found", "bad-id", "not-routed", "not-recorded"),
    ),
)
