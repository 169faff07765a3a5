"""The services of the stack, in the order in which they start; they stop in the opposite one."""

from msgspec import Struct


class ServiceProcess(Struct, frozen=True):
    """A service: its package, which is also its name on NATS, and the path on which it answers over HTTP."""

    package: str
    ready_path: str | None = None


SERVICES = (
    ServiceProcess("cca_router"),
    ServiceProcess("cca_projector"),
    ServiceProcess("cca_learner"),
    ServiceProcess("cca_tokens"),
    ServiceProcess("cca_context"),
    ServiceProcess("cca_gateway", ready_path="/readyz"),
)
