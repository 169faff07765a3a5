"""Histories of tasks as a log holds them, the same for the same seed, for tests and for measurements."""

import heapq
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cca import codec
from cca.contracts.agent import AgentJoined, AgentLost
from cca.contracts.task import (
    Candidate,
    Failure,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskProgressed,
    TaskRated,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.nats.follow import entry
from cca.nats.wire import header_block
from cca.projection import Entry
from cca.routing.features import BASE, described

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROLE = "backend"
LANES: dict[str, tuple[float, float]] = {"codex": (0.55, 0.05), "haiku": (0.7, 0.1), "opus": (0.9, 0.9)}
"""Chance of success, and mean cost in USD."""
KINDS = ("docs", "refactor", "review", "test", None)
LANGUAGES = ("python", "rust", "typescript")
NAMES = (*BASE, "kind=docs", "kind=review", "language=python")
"""The vocabulary of the routers that wrote a history."""

Said = tuple[Event, float]
"""An event, and when it was written: seconds since noon."""


def task_of(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


def life(draw: random.Random, number: int, begin: float) -> Iterator[Said]:
    """One task from its submission to its end, or to a rating long after that."""
    task, time = task_of(number), begin
    kind, language = draw.choice(KINDS), draw.choice(LANGUAGES)
    requester = draw.choice(("alice", "bob", None))
    deadline_s = draw.choice((None, None, 30.0))
    labels = {"language": language, "repo": "cca"}
    yield (
        TaskSubmitted(
            task, ROLE, f"do {number}", "f" * 64, kind=kind, requester=requester, labels=labels, deadline_s=deadline_s
        ),
        time,
    )
    failed: list[str] = []
    route, retried = 0, False
    for attempt in range(1, 8):
        route += 1
        lane = draw.choice(tuple(LANES))
        success, cost = LANES[lane]
        x = described(
            size=len(f"do {number}"),
            attempt=attempt,
            kind=kind,
            language=language,
            repo="cca",
            requester=requester,
            failed=failed,
        )
        loads = {"capacity": 4.0, "running": float(draw.randrange(5)), "queued": 0.0, "agents": 1.0}
        candidates = tuple(Candidate(name, 0.5, 1 / 3, loads, mean=0.5, deviation=0.1) for name in LANES)
        x = {name: value for name, value in x.items() if name in NAMES}
        yield (
            TaskRouted(task, route, ROLE, lane, "linear-pm/1", 1 / 3, draw.getrandbits(62), candidates, version=1, x=x),
            time,
        )
        if draw.random() < 0.03:
            time += draw.random() * 5
            yield TaskCanceled(task, "not needed"), time
            return
        time += draw.random()
        agent = f"{lane}-{draw.randrange(2)}"
        yield TaskStarted(task, attempt, route, agent, lane, 1, 1), time
        if draw.random() < 0.2:
            yield TaskProgressed(task, attempt, "half way", 0.5), time
        seconds = draw.expovariate(0.2)
        time += seconds
        if draw.random() < success:
            usage = Usage(draw.randrange(5_000), draw.randrange(500), cost * draw.random() * 2)
            yield (
                TaskCompleted(task, attempt, agent, {"text": "done"}, usage if draw.random() < 0.9 else None, seconds),
                time,
            )
            if draw.random() < 0.1:
                for _ in range(draw.choice((1, 1, 2))):
                    time += draw.expovariate(0.01)
                    yield TaskRated(task, route, round(draw.random(), 2)), time
            return
        failure = Failure(draw.choice(("error", "timeout", "lost", "rate-limited", "rejected")), "no luck")
        failed.append(f"{ROLE}/{lane}")
        if attempt % 3 and failure.kind != "rejected":
            yield TaskAttemptFailed(task, attempt, agent, failure, None, seconds), time
            continue
        yield TaskFailed(task, attempt, agent, failure, seconds), time
        if retried or draw.random() < 0.9:
            return
        retried = True
        time += draw.random() * 50
        yield TaskRetried(task, 3, "once more"), time


def history(tasks: int, seed: int = 1, pace: float = 5.0) -> list[Said]:
    """What a log says of so many tasks, `pace` of them a second, as they are interleaved."""
    draw = random.Random(seed)
    said: list[Said] = [(AgentJoined(f"{lane}-{n}", ROLE, lane, 4, "s"), 0.0) for lane in LANES for n in (0, 1)]
    lives = [life(random.Random(f"{seed}/{number}"), number, number / pace) for number in range(tasks)]
    said += heapq.merge(*lives, key=lambda one: one[1]) if tasks <= 2_000 else _merged(lives, pace)
    if draw.random() < 0.5:
        said.append((AgentLost("opus-1", "s", 30.0), said[-1][1]))
    return said


def _merged(lives: Sequence[Iterator[Said]], pace: float) -> Iterator[Said]:
    """As `heapq.merge`, for so many that not all are to be begun at once."""
    waiting: list[tuple[float, int, Event]] = []
    count = 0
    for number, one in enumerate(lives):
        for event, time in one:
            heapq.heappush(waiting, (time, count, event))
            count += 1
        while waiting and waiting[0][0] < (number + 1) / pace:
            time, _, event = heapq.heappop(waiting)
            yield event, time
    while waiting:
        time, _, event = heapq.heappop(waiting)
        yield event, time


def subject_of(event: Event) -> str:
    task = getattr(event, "task", None)
    return f"cca.events.task.{task}" if task else f"cca.events.agent.{getattr(event, 'agent', '')}"


def headers_of(event: Event, number: int, time: float) -> dict[str, str]:
    written = (NOON + timedelta(seconds=time)).isoformat().replace("+00:00", "Z")
    tag = codec.tag_of(type(event))
    return {
        "ce-specversion": "1.0",
        "ce-id": f"id-{number}",
        "ce-type": tag,
        "ce-source": "cca_router",
        "ce-time": written,
        "ce-subject": getattr(event, "task", ""),
        "ce-causationid": f"cause-{number}",
        "ce-correlationid": f"cause-{number}",
    }


def entries(said: Sequence[Said], step: int = 1, first: int = 1) -> list[Entry]:
    """Events as they would come from the log, at every `step`-th position from `first` on."""
    made = []
    for number, (event, time) in enumerate(said):
        seq = first + number * step
        headers = header_block(headers_of(event, number, time))
        made.append(entry(seq, subject_of(event), headers, codec.encode(event), 0))
    return made
