"""A stand-in for cca_learner: answers its requests on the real bus with canned replies, and learns nothing.

The learner itself is tested with the gateway in tests/whole.
"""

from contextlib import AsyncExitStack
from typing import Self, get_args

from msgspec.structs import replace

from cca.contracts.learner import (
    Average,
    Averages,
    CalibrationPoint,
    ConfigurePolicy,
    Estimate,
    EvaluatePolicy,
    Evaluation,
    Explained,
    ExplainTask,
    Explanation,
    GetHistory,
    GetPolicy,
    GetWorkloads,
    HistoryPoint,
    PolicyHistory,
    PolicyStatus,
    Replayed,
    RunShadow,
    Shadow,
    TrainPolicy,
)
from cca.contracts.policy import Algorithm, LaneSummary, Params
from cca.errors import CcaError, Refused
from cca.message import Command, Meta
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.nats.micro import Service

ALGORITHMS: tuple[str, ...] = get_args(Algorithm)

STATUS = PolicyStatus(
    algorithm="linear-pm",
    params=Params(),
    version=3,
    position=90,
    digest="d" * 64,
    head=95,
    decisions=40,
    buffered=42,
    lanes={"backend/default": LaneSummary(n=40.0, success=0.9, latency_s=0.5, age=41)},
    prices={},
    vocabulary=("1", "load"),
    available={name: f"decides as {name} does" for name in ALGORITHMS},
)
AVERAGE = Average(attempts=7, success=0.75, duration_s=0.5, tokens=1_200.0, cost_usd=0.02)
CANDIDATE = Explained("backend", "default", 1.0, 0.7, 0.7, 0.1, contributions={"1": 0.7})


class Learner:
    """What it was asked stands in `heard`; `wrong`, when set, is raised instead of every answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._service = bus, Service(bus, "cca_learner", "")
        self.status = STATUS
        self.averages = Averages(0.1, {"backend/default": AVERAGE}, {})
        self.heard: list[Command] = []
        self.wrong: CcaError | None = None

    async def start(self, stack: AsyncExitStack) -> Self:
        serve = self._service.serve
        await serve(subjects.RPC_LEARNER_STATUS, GetPolicy, self._status, PolicyStatus)
        await serve(subjects.RPC_LEARNER_CONFIGURE, ConfigurePolicy, self._configure, PolicyStatus)
        await serve(subjects.RPC_LEARNER_TRAIN, TrainPolicy, self._train, PolicyStatus)
        await serve(subjects.RPC_LEARNER_SHADOW, RunShadow, self._shadow, PolicyStatus)
        await serve(subjects.RPC_LEARNER_EXPLAIN, ExplainTask, self._explain, Explanation)
        await serve(subjects.RPC_LEARNER_EVALUATE, EvaluatePolicy, self._evaluate, Evaluation)
        await serve(subjects.RPC_LEARNER_HISTORY, GetHistory, self._history, PolicyHistory)
        await serve(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads, self._workloads, Averages)
        await self._bus.flush()  # who asks from here on is heard
        stack.push_async_callback(self._service.stop)
        return self

    def _hear(self, command: Command) -> None:
        self.heard.append(command)
        if self.wrong is not None:
            raise self.wrong

    async def _status(self, command: GetPolicy, _: Meta) -> PolicyStatus:
        self._hear(command)
        return self.status

    async def _configure(self, command: ConfigurePolicy, _: Meta) -> PolicyStatus:
        self._hear(command)
        now = self.status
        self.status = replace(now, algorithm=command.algorithm or now.algorithm, params=command.params or now.params)
        return self.status

    async def _train(self, command: TrainPolicy, _: Meta) -> PolicyStatus:
        self._hear(command)
        self.status = replace(self.status, version=self.status.version + 1)
        return self.status

    async def _shadow(self, command: RunShadow, _: Meta) -> PolicyStatus:
        self._hear(command)
        if command.verb == "start":
            shadow = Shadow(_known(command.algorithm or ""), 95, command.promote)
            self.status = replace(self.status, shadow=shadow)
        elif command.verb == "stop":
            self.status = replace(self.status, shadow=None)
        return self.status

    async def _explain(self, command: ExplainTask, _: Meta) -> Explanation:
        self._hear(command)
        route = command.route or 1
        if route > 1:
            raise Refused("not-routed", f"task {command.task} has no routing decision {route}")
        return Explanation(
            command.task,
            route,
            "backend",
            "default",
            "linear-pm/1",
            3,
            1.0,
            7,
            0.25,
            False,
            {"size": 0.5},
            (CANDIDATE,),
            replay=Replayed(True, "default", 1.0, "d" * 64, "d" * 64, 90, 0.01) if command.replay else None,
        )

    async def _evaluate(self, command: EvaluatePolicy, _: Meta) -> Evaluation:
        self._hear(command)
        name = _known(command.algorithm)
        return Evaluation(name, 20, 20, 12.5, (Estimate("dr", 0.7, 0.1, 0.5, 0.9),), "too little is known")

    async def _history(self, command: GetHistory, _: Meta) -> PolicyHistory:
        self._hear(command)
        point = HistoryPoint(90, 1_767_268_800.0, 40, reward=0.7, shares={"backend/default": 1.0})
        return PolicyHistory((point,) * min(command.points, 2), (CalibrationPoint(0.7, 0.68, 40),))

    async def _workloads(self, command: GetWorkloads, _: Meta) -> Averages:
        self._hear(command)
        return self.averages


def _known(algorithm: str) -> str:
    """Raises `Refused` (`unknown-algorithm`), with what was asked in its text."""
    if algorithm not in ALGORITHMS:
        raise Refused("unknown-algorithm", f"there is no algorithm {algorithm!r}")
    return algorithm
