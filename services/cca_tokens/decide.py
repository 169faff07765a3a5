"""The aggregate `policies`: which roles' contexts are compressed before dispatch, and how far."""

from collections.abc import Callable
from typing import assert_never, cast

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.ledger import (
    EVERYONE,
    POLICIES,
    RolePolicy,
    SetTokenPolicy,
    TokenEvent,
    TokenPolicies,
    TokenPolicySet,
    TokensCompressed,
    TokensExpanded,
)
from cca.decider import Decision, Fold
from cca.errors import Refused
from cca.message import Event, Stream
from cca.storable import text_without_nul

STREAM = Stream("tokens", POLICIES)
NOTHING = Decision()
ROLES = 1_000
"""So many roles may have a policy: all of them travel in one message."""


class Policies(Struct, frozen=True):
    """The policies by role; `version` counts their changes."""

    version: int = 0
    roles: dict[str, RolePolicy] = {}

    def of(self, role: str) -> RolePolicy | None:
        """The policy of a role: its own, else everyone's."""
        return self.roles.get(role) or self.roles.get(EVERYONE)

    def snapshot(self) -> TokenPolicies:
        """What routers need of them."""
        return TokenPolicies(self.version, self.roles)


def evolve(policies: Policies, event: TokenEvent) -> Policies:
    """The policies after an event."""
    match event:  # a new event in the union is a type error at the bottom
        case TokenPolicySet():
            roles = {role: policy for role, policy in policies.roles.items() if role != event.role}
            if event.policy is not None:
                roles[event.role] = event.policy
            return Policies(event.version, dict(sorted(roles.items())))
        case TokensCompressed() | TokensExpanded():
            return policies  # they are said of texts, never of policies
    assert_never(event)


FOLD: Fold[Policies] = Fold(Policies(), cast("Callable[[Policies, Event], Policies]", evolve))


def set_policy(command: SetTokenPolicy, least: int, policies: Policies) -> Decision:
    """Set or remove the policy of a role; what is so already changes nothing.

    Args:
        least: a version that routers may have. It is above ours when the log is an older copy of itself.

    Raises `Refused` (`too-many`).
    """
    policy = command.policy
    if policy is not None:
        policy = replace(policy, model=text_without_nul(policy.model))
    if policies.roles.get(command.role) == policy:
        return NOTHING
    if policy is not None and command.role not in policies.roles and len(policies.roles) >= ROLES:
        raise Refused("too-many", f"{ROLES:,} roles have a policy; remove one, or set one for `{EVERYONE}`")
    version = max(policies.version, least) + 1
    who = None if command.requester is None else text_without_nul(command.requester)
    return Decision((TokenPolicySet(version, command.role, policy, text_without_nul(command.reason), who),))
