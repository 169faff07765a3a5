"""What is remembered of which roles' tasks: where the policies stand, and who decides about them."""

from cca.contracts.memory import MemoryPolicies, SetMemoryPolicy
from cca.nats import subjects
from cca.policy_board import PolicyBoard, Sort
from cca_context.memory_decide import FOLD, STREAM, Policies, set_policy

MEMORIES: Sort[Policies, SetMemoryPolicy, MemoryPolicies] = Sort(
    STREAM, FOLD, set_policy, subjects.MEMORY_POLICIES, MemoryPolicies
)
MemoryPolicyBoard = PolicyBoard[Policies, SetMemoryPolicy, MemoryPolicies]
