"""Numbers for those who watch: what agents share and remember, what code is in the index, and whether PostgreSQL is
asked at all."""

from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from cca.breaker import Breaker
from cca.postgres.tables import Row

STATES = ("closed", "open", "half-open")


def sharing(rows: Sequence[Row]) -> list[Metric]:
    """Values of shared context, by the kind of their scope."""
    keys = GaugeMetricFamily("cca_context_keys", "Keys that hold a value now.", labels=("scope",))
    size = GaugeMetricFamily("cca_context_bytes", "Bytes of their values as JSON.", labels=("scope",))
    for row in rows:
        keys.add_metric((row["kind"],), float(row["keys"]))
        size.add_metric((row["kind"],), float(row["bytes"]))
    return [keys, size]


def remembering(rows: Sequence[Row]) -> list[Metric]:
    """Memories, and what counts for and against them, by role; those of the roles with most of them by name."""
    memories = GaugeMetricFamily("cca_memories", "Memories, by role; empty for those of none.", labels=("role",))
    outcomes = GaugeMetricFamily(
        "cca_memory_outcomes", "How often they are known to have helped, and not.", labels=("role", "outcome")
    )
    for row in rows:
        memories.add_metric((row["role"],), float(row["memories"]))
        outcomes.add_metric((row["role"], "success"), float(row["successes"]))
        outcomes.add_metric((row["role"], "failure"), float(row["failures"]))
    return [memories, outcomes]


def indexing(rows: Sequence[Row]) -> list[Metric]:
    """Files and chunks in the index of code, by language."""
    files = GaugeMetricFamily("cca_code_files", "Files in the index of code.", labels=("language",))
    chunks = GaugeMetricFamily("cca_code_chunks", "Pieces of code that can be found.", labels=("language",))
    for row in rows:
        files.add_metric((row["language"],), float(row["files"]))
        chunks.add_metric((row["language"],), float(row["chunks"]))
    return [files, chunks]


def breaking(breaker: Breaker) -> list[Metric]:
    """The circuit breaker between the gateway and PostgreSQL: 1 for the state that it is in."""
    state = GaugeMetricFamily(
        "cca_postgres_breaker", "Whether the gateway asks PostgreSQL: closed means that it does.", labels=("state",)
    )
    for name in STATES:
        state.add_metric((name,), float(breaker.state == name))
    opened = CounterMetricFamily(
        "cca_postgres_breaker_opened", "How often it has opened since the gateway started.", value=float(breaker.opened)
    )
    return [state, opened]
