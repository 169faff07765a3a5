"""What a channel is, and who uses them."""

from typing import Literal

from msgspec import Struct

from cca.message import Command, Message, Reply

Kind = Literal["stream", "core", "request"]

ROUTER, LEARNER, PROJECTOR, GATEWAY = "cca_router", "cca_learner", "cca_projector", "cca_gateway"
TOKENS, CONTEXT = "cca_tokens", "cca_context"
CLIENT, WORKER, SERVER = "client", "worker", "nats-server"
ANY_SERVICE = "any-service"

PARTIES: dict[str, str] = {
    CLIENT: "Whoever submits tasks or asks about them: a person, a script, another agent, the CLI.",
    WORKER: "Executes tasks of one role and lane.",
    ROUTER: "Decides about tasks and agents, and alone appends to their logs.",
    LEARNER: "Makes the policy by which tasks find their lane, from the log.",
    TOKENS: "Counts and compresses text, and says what was spent and saved.",
    CONTEXT: "Keeps what agents share and remember, and the index of code.",
    PROJECTOR: "Makes the log into tables.",
    GATEWAY: "Speaks HTTP to clients and NATS to the rest.",
    SERVER: "Fires the timers that it was given.",
    ANY_SERVICE: "Each of the services.",
}

PARAMETERS: dict[str, str] = {
    "role": "Role of an agent, one word such as `backend`; on the intake also `auto`.",
    "lane": "An interchangeable pool inside a role, one word such as `default`.",
    "priority": "`critical`, `high`, `normal` or `low`.",
    "agent": "Name of a worker, one word, unique at a time.",
    "task": "Task id, a UUID.",
    "what": "What a timer is for: `retry` or `timeout`.",
    "scope": "Kind of a scope, such as `project`.",
    "name": "Name of a scope, or of something else that is said, such as `shop`.",
    "value": "Kind and name of a scope, and a key, with dots between, such as `project.shop.plan`.",
    "memory": "Name of a memory, or `policies`.",
    "job": "Id of a job, a UUID.",
    "service": "Name of a service, such as `cca_router`.",
    "seq": "Position of a message in its stream.",
    "policy": "Name of a policy: `routing`.",
    "ref": "Reference to a text: 20 letters and digits, a hash of its content.",
    "key": "A key of the bucket `CCA_STATE`.",
}


class Channel(Struct, frozen=True, kw_only=True):
    """A subject with parameters, and who uses it.

    Attributes:
        kind: `stream` (JetStream stores it), `core` (whoever listens now hears it), `request` (answered).
        messages: what is said; empty when the body is bytes of no schema.
        replies: what a `request` is answered with.
        stream: the JetStream stream that stores it.
        text: the body may also be plain text.
    """

    name: str
    address: str
    kind: Kind
    description: str
    messages: tuple[type[Message], ...] = ()
    replies: tuple[type[Reply], ...] = ()
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    stream: str | None = None
    text: bool = False


def rpc(
    name: str,
    address: str,
    says: type[Command],
    answer: type[Reply],
    description: str,
    answers: str = ROUTER,
    senders: tuple[str, ...] = (),
) -> Channel:
    """A question and its answer; clients and the gateway ask, unless `senders` are others."""
    return Channel(
        name=name,
        address=address,
        kind="request",
        description=description,
        messages=(says,),
        replies=(answer,),
        senders=senders or (CLIENT, GATEWAY),
        receivers=(answers,),
    )
