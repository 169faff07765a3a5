"""CCA: the event-sourced control plane for fleets of AI coding agents.

Agent authors need two names, `Client` (submit tasks, wait for outcomes) and `Worker` (execute them).
Both are loaded on first use, so that importing `cca.message` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cca.client import Client as Client
    from cca.worker import Worker as Worker

__all__ = ["Client", "Worker"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Client":
        from cca.client import Client

        return Client
    if name == "Worker":
        from cca.worker import Worker

        return Worker
    raise AttributeError(f"module 'cca' has no attribute {name!r}")
