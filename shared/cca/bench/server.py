"""How durable the servers are that a run uses, and how its child processes reach them."""

import os
from typing import Literal

from cca.config import NatsSettings

Durability = Literal["always", "interval"]
DURABILITIES: tuple[Durability, ...] = ("always", "interval")
"""fsync before every acknowledgement, or every two minutes (nats-server's own default)."""


def bare_environment() -> dict[str, str]:
    """This process's environment without settings of ours, except those of the log (`CCA_LOG_…`): to be tuned."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("CCA_") or name.startswith("CCA_LOG_")
    }


def environment(nats: NatsSettings) -> dict[str, str]:
    """The environment of a child process that shall reach this server; a secret is never an argument."""
    return {
        **bare_environment(),
        "CCA_NATS_URL": nats.url,
        **({"CCA_NATS_USER": nats.user} if nats.user else {}),
        **({"CCA_NATS_PASSWORD": nats.password} if nats.password else {}),
    }
