"""Every stream, bucket and durable consumer, declared; created on start, diffed on deploy."""

from datetime import timedelta
from typing import Any

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)

from cca.nats import subjects
from cca.nats.names import BLOBS, CONTENTS, CONTEXT, DEAD, EVENTS, OUTPUT, STATE, TASKS

ACK_WAIT = timedelta(seconds=3)
"""The lease of a worker: it says "in progress" three times as often. A dead worker's tasks move on after it."""

MIB = 1024 * 1024


def _config(name: str, description: str, subject_list: list[str], **more: object) -> StreamConfig:
    settings: dict[str, Any] = {"duplicate_window": 120} | more
    return StreamConfig(
        name=name,
        description=description,
        subjects=subject_list,
        storage=StorageType.FILE,
        metadata={"cca.stream": name},
        **settings,
    )


def declared(replicas: int = 1) -> list[StreamConfig]:
    """The streams, for a server or a cluster with this many copies of each."""
    return [
        _config(
            TASKS,
            "Intake: submitted tasks that the router has not taken over yet. A full intake refuses; it never drops.",
            [subjects.tasks("*")],
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            max_msgs=1_000_000,
            max_bytes=1024 * MIB,
            allow_direct=True,
            num_replicas=replicas,
        ),
        _config(
            EVENTS,
            "The log: every event of every aggregate, the work that follows from it, and its timers.",
            [subjects.EVENTS_ALL, subjects.WORK_ALL, subjects.TIMERS_ALL, subjects.DUE_ALL],
            retention=RetentionPolicy.LIMITS,  # and no limit is set: the server allows no `discard: new` with timers
            compression=StoreCompression.S2,
            deny_delete=True,
            allow_direct=True,
            allow_atomic=True,
            allow_msg_schedules=True,
            allow_msg_ttl=True,
            allow_rollup_hdrs=True,
            num_replicas=replicas,
        ),
        _config(
            OUTPUT,
            "What running tasks print; kept for a day, replayable by late readers.",
            [subjects.OUTPUT_ALL],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            max_age=24 * 3600,
            max_bytes=1024 * MIB,
            allow_direct=True,
            num_replicas=replicas,
        ),
        _config(
            DEAD,
            "Dead letters: what could not be read or kept failing, with the reason in its headers.",
            [subjects.DEAD_ALL],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            max_age=30 * 24 * 3600,
            max_bytes=512 * MIB,
            allow_direct=True,
            num_replicas=replicas,
        ),
        _config(
            BLOBS,
            "Texts by the hash of their content: the originals of what was folded. Stored again after a day, a text "
            "lives anew; a full store refuses and drops nothing.",
            [subjects.BLOBS_ALL],
            retention=RetentionPolicy.LIMITS,
            compression=StoreCompression.S2,
            discard=DiscardPolicy.NEW,
            max_age=90 * 24 * 3600,
            max_bytes=4096 * MIB,
            max_msgs_per_subject=1,
            allow_direct=True,
            num_replicas=replicas,
            duplicate_window=24 * 3600,
        ),
        _config(
            CONTENTS,
            "Values by the hash of their content: those that are too large for the events that name them, as long as "
            "the log itself. A full store refuses and drops nothing.",
            [subjects.CONTENTS_ALL],
            retention=RetentionPolicy.LIMITS,
            compression=StoreCompression.S2,
            discard=DiscardPolicy.NEW,
            max_bytes=8192 * MIB,
            max_msgs_per_subject=1,
            allow_direct=True,
            num_replicas=replicas,
        ),
        _config(
            f"KV_{CONTEXT}",
            "A key-value bucket: what agents share, by scope and key. The server removes what has expired; the log has "
            "what was there.",
            [subjects.context(">")],
            max_msgs_per_subject=1,
            allow_direct=True,
            allow_rollup_hdrs=True,
            allow_msg_ttl=True,
            subject_delete_marker_ttl=3600,
            deny_delete=True,
            discard=DiscardPolicy.NEW,
            max_bytes=4096 * MIB,
            num_replicas=replicas,
        ),
        _config(
            f"KV_{STATE}",
            "A key-value bucket: what services note for their next start.",
            [f"$KV.{STATE}.>"],
            max_msgs_per_subject=1,
            allow_direct=True,
            allow_rollup_hdrs=True,
            deny_delete=True,
            discard=DiscardPolicy.NEW,
            num_replicas=replicas,
        ),
    ]


INTAKE_CONSUMER = ConsumerConfig(
    durable_name="router_intake",
    description="The router takes tasks over from the intake.",
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait=30,
    max_ack_pending=1_000,
    max_deliver=-1,
)

DUE_CONSUMER = ConsumerConfig(
    durable_name="router_due",
    description="Timers that have fired, for the router.",
    filter_subject=subjects.TASKS_DUE,
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait=30,
    max_ack_pending=1_000,
    max_deliver=-1,
)

CONTEXT_DUE_CONSUMER = ConsumerConfig(
    durable_name="context_due",
    description="Timers of values that have expired, for the context service.",
    filter_subject=subjects.CONTEXT_DUE,
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait=30,
    max_ack_pending=1_000,
    max_deliver=-1,
)


def work_consumer(role: str, lane: str, priority: str) -> ConsumerConfig:
    """The consumer from which the workers of a lane pull work of one priority; a crash puts the work back."""
    return ConsumerConfig(
        durable_name=subjects.work_consumer(role, lane, priority),
        description=f"Work of {priority} priority for role {role}, lane {lane}.",
        filter_subject=subjects.work(role, lane, priority),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT.total_seconds(),
        max_ack_pending=10_000,
        max_deliver=-1,
        metadata={"cca.role": role, "cca.lane": lane, "cca.priority": priority},
    )
