"""Every subject string."""

TASKS = "cca.tasks.{role}"
EVENTS_ALL = "cca.events.>"
WORK_ALL = "cca.work.>"
TIMERS_ALL = "cca.timer.>"
DUE_ALL = "cca.due.>"
TASKS_DUE = "cca.due.task.>"
CONTEXT_DUE = "cca.due.context.>"
LIVE_ALL = "cca.live.>"
REPORTS_ALL = "cca.report.*.*.*"
OUTPUT_ALL = "cca.output.>"
DEAD_ALL = "cca.dead.>"
CONTROL_ALL = "cca.control"

RPC_SUBMIT = "cca.rpc.tasks.submit"
RPC_RUN = "cca.rpc.tasks.run"
RPC_GET = "cca.rpc.tasks.get"
RPC_CANCEL = "cca.rpc.tasks.cancel"
RPC_RETRY = "cca.rpc.tasks.retry"
RPC_RATE = "cca.rpc.tasks.rate"
RPC_AGENTS = "cca.rpc.agents.list"
RPC_LEARNER_STATUS = "cca.rpc.learner.status"
RPC_LEARNER_CONFIGURE = "cca.rpc.learner.configure"
RPC_LEARNER_TRAIN = "cca.rpc.learner.train"
RPC_LEARNER_EXPLAIN = "cca.rpc.learner.explain"
RPC_LEARNER_EVALUATE = "cca.rpc.learner.evaluate"
RPC_LEARNER_SHADOW = "cca.rpc.learner.shadow"
RPC_LEARNER_HISTORY = "cca.rpc.learner.history"
RPC_LEARNER_WORKLOADS = "cca.rpc.learner.workloads"
RPC_TOKENS_COUNT = "cca.rpc.tokens.count"
RPC_TOKENS_ANALYZE = "cca.rpc.tokens.analyze"
RPC_TOKENS_COMPRESS = "cca.rpc.tokens.compress"
RPC_TOKENS_CONDENSE = "cca.rpc.tokens.condense"
RPC_TOKENS_EXPAND = "cca.rpc.tokens.expand"
RPC_TOKENS_POLICIES = "cca.rpc.tokens.policies"
RPC_TOKENS_SET_POLICY = "cca.rpc.tokens.set-policy"
RPC_TOKENS_METRICS = "cca.rpc.tokens.metrics"
RPC_TOKENS_RECOMMEND = "cca.rpc.tokens.recommend"

RPC_CONTEXT_SET = "cca.rpc.context.set"
RPC_CONTEXT_GET = "cca.rpc.context.get"
RPC_CONTEXT_DELETE = "cca.rpc.context.delete"
RPC_CONTEXT_LIST = "cca.rpc.context.list"
RPC_CONTEXT_HISTORY = "cca.rpc.context.history"
RPC_CONTEXT_SNAPSHOT = "cca.rpc.context.snapshot"
RPC_CONTEXT_SNAPSHOTS = "cca.rpc.context.snapshots"
RPC_CONTEXT_RESTORE = "cca.rpc.context.restore"
RPC_CONTEXT_STATS = "cca.rpc.context.stats"
RPC_MEMORY_STORE = "cca.rpc.memory.store"
RPC_MEMORY_GET = "cca.rpc.memory.get"
RPC_MEMORY_LIST = "cca.rpc.memory.list"
RPC_MEMORY_SEARCH = "cca.rpc.memory.search"
RPC_MEMORY_RATE = "cca.rpc.memory.rate"
RPC_MEMORY_FORGET = "cca.rpc.memory.forget"
RPC_MEMORY_RECALL = "cca.rpc.memory.recall"
RPC_MEMORY_POLICIES = "cca.rpc.memory.policies"
RPC_MEMORY_SET_POLICY = "cca.rpc.memory.set-policy"
RPC_MEMORY_STATS = "cca.rpc.memory.stats"
RPC_CODE_INDEX = "cca.rpc.code.index"
RPC_CODE_JOB = "cca.rpc.code.job"
RPC_CODE_JOBS = "cca.rpc.code.jobs"
RPC_CODE_CANCEL = "cca.rpc.code.cancel"
RPC_CODE_SEARCH = "cca.rpc.code.search"
RPC_CODE_STATS = "cca.rpc.code.stats"
RPC_CODE_DROP = "cca.rpc.code.drop"


def tasks(role: str) -> str:
    """The intake of a role."""
    return f"cca.tasks.{role}"


def events(category: str, key: str) -> str:
    """The log of one aggregate."""
    return f"cca.events.{category}.{key}"


def work(role: str, lane: str, priority: str) -> str:
    """Where the work of a lane waits."""
    return f"cca.work.{role}.{lane}.{priority}"


def timer(task: str, what: str) -> str:
    """Where a timer of a task is kept; it fires on `due(task, what)`."""
    return f"cca.timer.task.{task}.{what}"


def due(task: str, what: str) -> str:
    """Where a timer of a task fires."""
    return f"cca.due.task.{task}.{what}"


def live(category: str, key: str) -> str:
    """Where what has been committed is announced."""
    return f"cca.live.{category}.{key}"


def report(role: str, agent: str, verb: str) -> str:
    """Where a worker reports."""
    return f"cca.report.{role}.{agent}.{verb}"


def control(role: str | None = None, agent: str | None = None) -> str:
    """Where an agent, a role or everybody is spoken to."""
    return ".".join(part for part in ("cca.control", role, agent) if part)


def output(task: str) -> str:
    """The streamed output of a task."""
    return f"cca.output.{task}"


def dead(service: str) -> str:
    """The dead letters of a service."""
    return f"cca.dead.{service}"


def blob(ref: str) -> str:
    """Where a content-addressed text is stored."""
    return f"cca.blobs.{ref}"


def contents(ref: str) -> str:
    """Where a value that is too large for its event is stored, by the hash of its content."""
    return f"cca.contents.{ref}"


def context(value: str) -> str:
    """Where the bucket `CCA_CONTEXT` has a value. `value`: kind and name of the scope, and the key, dots between."""
    return f"$KV.CCA_CONTEXT.{value}"


def context_timer(value: str) -> str:
    """Where the timer of a value that expires is kept; it fires on `context_due`."""
    return f"cca.timer.context.{value}"


def context_due(value: str) -> str:
    """Where the timer of a value fires."""
    return f"cca.due.context.{value}"


def work_consumer(role: str, lane: str, priority: str) -> str:
    """The durable consumer from which the workers of a lane pull one priority."""
    return f"work={role}={lane}={priority}"  # "=" cannot stand in a role or lane


def state(key: str) -> str:
    """Where a service notes something for its next start, or for others: a key of the bucket `CCA_STATE`."""
    return f"$KV.CCA_STATE.{key}"


POLICY = state("policy.routing")
"""The newest version of the routing policy."""
TOKEN_POLICIES = state("policy.tokens")
"""Which contexts are compressed before dispatch."""
MEMORY_POLICIES = state("policy.memory")
"""What is remembered of tasks, and put before them."""
BLOBS_ALL = "cca.blobs.*"
CONTENTS_ALL = "cca.contents.*"
