"""Who says what where: every channel, its messages, its senders and its receivers."""

from cca.contracts import agent, learner, ledger, policy, prepared, task, tokens, work
from cca.message import Command, Event, Reply
from cca.nats import names, subjects
from cca.schemas import channels_context
from cca.schemas.channel import (
    ANY_SERVICE,
    CLIENT,
    GATEWAY,
    LEARNER,
    PROJECTOR,
    ROUTER,
    SERVER,
    TOKENS,
    WORKER,
    Channel,
    rpc,
)

TASK_EVENTS: tuple[type[Event], ...] = (
    task.TaskSubmitted,
    task.TaskRejected,
    prepared.TaskCondensed,
    prepared.TaskRecalled,
    task.TaskHeld,
    task.TaskRouted,
    task.TaskStarted,
    task.TaskProgressed,
    task.TaskCompleted,
    task.TaskAttemptFailed,
    task.TaskFailed,
    task.TaskCanceled,
    task.TaskRetried,
    task.TaskRated,
)
AGENT_EVENTS: tuple[type[Event], ...] = (agent.AgentJoined, agent.AgentLeft, agent.AgentLost)
POLICY_EVENTS: tuple[type[Event], ...] = (
    policy.PolicyConfigured,
    policy.VocabularyGrown,
    policy.PolicyUpdated,
    policy.ShadowStarted,
    policy.ShadowStopped,
)
TOKEN_EVENTS: tuple[type[Event], ...] = (ledger.TokensCompressed, ledger.TokensExpanded, ledger.TokenPolicySet)


def _learner(address: str, says: type[Command], answer: type[Reply], description: str) -> Channel:
    name = address.removeprefix("cca.rpc.").replace(".", "-")
    return rpc(name, address, says, answer, description, LEARNER)


def _tokens(
    address: str, says: type[Command], answer: type[Reply], description: str, senders: tuple[str, ...] = ()
) -> Channel:
    name = address.removeprefix("cca.rpc.").replace(".", "-")
    return rpc(name, address, says, answer, description, TOKENS, senders)


def _report(verb: str, says: type[Command], answer: type[Reply], description: str) -> Channel:
    return Channel(
        name=f"report-{verb}",
        address=subjects.report("{role}", "{agent}", verb),
        kind="request",
        description=description,
        messages=(says,),
        replies=(answer,),
        senders=(WORKER,),
        receivers=(ROUTER,),
    )


def _control(name: str, address: str, description: str, *senders: str) -> Channel:
    return Channel(
        name=name,
        address=address,
        kind="core",
        description=description,
        messages=(agent.Control,),
        senders=senders,
        receivers=(WORKER,),
    )


CHANNELS: tuple[Channel, ...] = (
    Channel(
        name="intake",
        address=subjects.tasks("{role}"),
        kind="stream",
        description="Submit a task by publishing it: a JSON object, or plain text, which becomes the description.",
        messages=(task.SubmitTask,),
        senders=(CLIENT,),
        receivers=(ROUTER,),
        stream=names.TASKS,
        text=True,
    ),
    Channel(
        name="task-events",
        address=subjects.events("task", "{task}"),
        kind="stream",
        description="The log of one task. Read it through a consumer: a core subscription also hears what the "
        "server then refuses.",
        messages=TASK_EVENTS,
        senders=(ROUTER,),
        receivers=(ROUTER, LEARNER, PROJECTOR, GATEWAY, CLIENT),
        stream=names.EVENTS,
    ),
    Channel(
        name="agent-events",
        address=subjects.events("agent", "{agent}"),
        kind="stream",
        description="The log of one agent.",
        messages=AGENT_EVENTS,
        senders=(ROUTER,),
        receivers=(ROUTER, LEARNER, PROJECTOR, GATEWAY, CLIENT),
        stream=names.EVENTS,
    ),
    Channel(
        name="policy-events",
        address=subjects.events("policy", "{policy}"),
        kind="stream",
        description="The log of how routing is learned: what was configured, and each version of the policy.",
        messages=POLICY_EVENTS,
        senders=(LEARNER,),
        receivers=(LEARNER, PROJECTOR, GATEWAY, CLIENT),
        stream=names.EVENTS,
    ),
    Channel(
        name="policy",
        address=subjects.POLICY,
        kind="stream",
        description="The newest version of the routing policy, a key of the bucket. Who decides by it takes one only "
        "if its version is higher than the one it has.",
        messages=(policy.PolicySnapshot,),
        senders=(LEARNER,),
        receivers=(ROUTER, LEARNER),
        stream=f"KV_{names.STATE}",
    ),
    Channel(
        name="token-events",
        address=subjects.events("tokens", "{ref}"),
        kind="stream",
        description="What was folded and expanded, by the reference of the text; and under `policies`, which contexts "
        "are compressed before dispatch.",
        messages=TOKEN_EVENTS,
        senders=(TOKENS,),
        receivers=(TOKENS, PROJECTOR, GATEWAY, CLIENT),
        stream=names.EVENTS,
    ),
    Channel(
        name="token-policies",
        address=subjects.TOKEN_POLICIES,
        kind="stream",
        description="Which contexts are compressed before dispatch, a key of the bucket.",
        messages=(ledger.TokenPolicies,),
        senders=(TOKENS,),
        receivers=(ROUTER, TOKENS),
        stream=f"KV_{names.STATE}",
    ),
    Channel(
        name="blobs",
        address=subjects.blob("{ref}"),
        kind="stream",
        description="A text by the hash of its content, as UTF-8.",
        senders=(TOKENS,),
        receivers=(TOKENS,),
        stream=names.BLOBS,
    ),
    Channel(
        name="notes",
        address=subjects.state("{key}"),
        kind="stream",
        description="What a service notes for its own next start. Nothing is lost without it.",
        senders=(ANY_SERVICE,),
        receivers=(ANY_SERVICE,),
        stream=f"KV_{names.STATE}",
    ),
    Channel(
        name="task-live",
        address=subjects.live("task", "{task}"),
        kind="core",
        description="Each event of a task, once more, after it was committed. The log stays the truth.",
        messages=TASK_EVENTS,
        senders=(ROUTER,),
        receivers=(GATEWAY, CLIENT),
    ),
    Channel(
        name="agent-live",
        address=subjects.live("agent", "{agent}"),
        kind="core",
        description="Each event of an agent, once more, after it was committed.",
        messages=AGENT_EVENTS,
        senders=(ROUTER,),
        receivers=(GATEWAY, CLIENT),
    ),
    Channel(
        name="work",
        address=subjects.work("{role}", "{lane}", "{priority}"),
        kind="stream",
        description="What the workers of a lane pull, one durable consumer per priority.",
        messages=(work.DoTask,),
        senders=(ROUTER,),
        receivers=(WORKER,),
        stream=names.EVENTS,
    ),
    Channel(
        name="timer",
        address=subjects.timer("{task}", "{what}"),
        kind="stream",
        description="A message schedule: the server keeps it until it is due.",
        messages=(work.Due,),
        senders=(ROUTER,),
        receivers=(SERVER,),
        stream=names.EVENTS,
    ),
    Channel(
        name="due",
        address=subjects.due("{task}", "{what}"),
        kind="stream",
        description="A timer that has fired.",
        messages=(work.Due,),
        senders=(SERVER,),
        receivers=(ROUTER,),
        stream=names.EVENTS,
    ),
    rpc("tasks-submit", subjects.RPC_SUBMIT, task.SubmitTask, task.TaskAccepted, "Submit a task and know it durable."),
    rpc("tasks-run", subjects.RPC_RUN, task.RunTask, task.TaskView, "Submit a task and wait for its outcome."),
    rpc("tasks-get", subjects.RPC_GET, task.GetTask, task.TaskView, "What is known of a task."),
    rpc("tasks-cancel", subjects.RPC_CANCEL, task.CancelTask, task.TaskView, "Stop a task."),
    rpc("tasks-retry", subjects.RPC_RETRY, task.RetryTask, task.TaskView, "Try an ended task again."),
    rpc("tasks-rate", subjects.RPC_RATE, task.RateTask, task.TaskView, "Say how good a result is."),
    rpc("agents-list", subjects.RPC_AGENTS, agent.ListAgents, agent.Agents, "Who is there now."),
    _learner(subjects.RPC_LEARNER_STATUS, learner.GetPolicy, learner.PolicyStatus, "How routing is learned now."),
    _learner(
        subjects.RPC_LEARNER_CONFIGURE, learner.ConfigurePolicy, learner.PolicyStatus, "Change how it is learned."
    ),
    _learner(subjects.RPC_LEARNER_TRAIN, learner.TrainPolicy, learner.PolicyStatus, "Make a version now."),
    _learner(
        subjects.RPC_LEARNER_EXPLAIN, learner.ExplainTask, learner.Explanation, "Why a task was routed as it was."
    ),
    _learner(
        subjects.RPC_LEARNER_EVALUATE, learner.EvaluatePolicy, learner.Evaluation, "What another would have earned."
    ),
    _learner(
        subjects.RPC_LEARNER_SHADOW, learner.RunShadow, learner.PolicyStatus, "Try a candidate beside what decides."
    ),
    _learner(subjects.RPC_LEARNER_HISTORY, learner.GetHistory, learner.PolicyHistory, "How learning went so far."),
    _learner(
        subjects.RPC_LEARNER_WORKLOADS, learner.GetWorkloads, learner.Averages, "Averages of lanes and live agents."
    ),
    _tokens(subjects.RPC_TOKENS_COUNT, tokens.CountTokens, tokens.TokenCounts, "How many tokens a text is."),
    _tokens(subjects.RPC_TOKENS_ANALYZE, tokens.AnalyzeTokens, tokens.Analysis, "What a text is made of."),
    _tokens(subjects.RPC_TOKENS_COMPRESS, tokens.CompressTokens, tokens.Compressed, "The same in fewer tokens."),
    _tokens(
        subjects.RPC_TOKENS_CONDENSE,
        tokens.CondenseContext,
        tokens.Condensed,
        "A task's context within its role's budget.",
        (ROUTER,),
    ),
    _tokens(
        subjects.RPC_TOKENS_EXPAND,
        tokens.ExpandText,
        tokens.Expanded,
        "The original of what was folded.",
        (CLIENT, GATEWAY, WORKER),
    ),
    _tokens(
        subjects.RPC_TOKENS_POLICIES, ledger.GetTokenPolicies, ledger.TokenPolicies, "Which contexts are compressed."
    ),
    _tokens(subjects.RPC_TOKENS_SET_POLICY, ledger.SetTokenPolicy, ledger.TokenPolicies, "Compress a role's contexts."),
    _tokens(subjects.RPC_TOKENS_METRICS, ledger.GetTokenMetrics, ledger.TokenMetrics, "What was spent and saved."),
    _tokens(
        subjects.RPC_TOKENS_RECOMMEND, ledger.GetRecommendations, ledger.Recommendations, "What would save tokens."
    ),
    _report("join", agent.Join, agent.Welcome, "A worker introduces itself and learns where to pull."),
    _report("heartbeat", agent.Heartbeat, agent.Heard, "A worker lives."),
    _report("claim", agent.ClaimTasks, agent.Claimed, "A worker asks to own the tasks that it pulled."),
    _report("progress", agent.Progress, agent.Reported, "How a task is getting on."),
    _report("complete", agent.CompleteTasks, agent.Reported, "Tasks that are done."),
    _report("fail", agent.FailTasks, agent.Reported, "Attempts that failed."),
    _report("leave", agent.Leave, agent.Heard, "A worker says goodbye."),
    Channel(
        name="output",
        address=subjects.output("{task}"),
        kind="stream",
        description="What a running task prints, as bytes; headers say by which attempt and on which stream.",
        senders=(WORKER,),
        receivers=(GATEWAY, CLIENT),
        stream=names.OUTPUT,
    ),
    _control("control-all", subjects.control(), "Said to every agent.", CLIENT),
    _control("control-role", subjects.control("{role}"), "Said to every agent of a role.", CLIENT),
    _control("control-agent", subjects.control("{role}", "{agent}"), "Said to one agent.", ROUTER, CLIENT),
    Channel(
        name="dead-letters",
        address=subjects.dead("{service}"),
        kind="stream",
        description="What a service could not read or what kept failing: the original body, the reason and the "
        "origin in headers.",
        senders=(ANY_SERVICE,),
        receivers=(CLIENT,),
        stream=names.DEAD,
    ),
    Channel(
        name="dead-letters-redriven",
        address=subjects.dead("{service}") + ".redriven.{seq}",
        kind="stream",
        description="A note that a dead letter was sent back; the body is how often so far.",
        senders=(CLIENT,),
        receivers=(CLIENT,),
        stream=names.DEAD,
    ),
    *channels_context.CHANNELS,
)
