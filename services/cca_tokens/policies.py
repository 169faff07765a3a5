"""Which roles' contexts are compressed before dispatch: where the policies stand, and who decides about them."""

from cca.contracts.ledger import SetTokenPolicy, TokenPolicies
from cca.nats import subjects
from cca.policy_board import PolicyBoard, Sort
from cca_tokens.decide import FOLD, STREAM, Policies, set_policy

TOKENS: Sort[Policies, SetTokenPolicy, TokenPolicies] = Sort(
    STREAM, FOLD, set_policy, subjects.TOKEN_POLICIES, TokenPolicies
)
TokenPolicyBoard = PolicyBoard[Policies, SetTokenPolicy, TokenPolicies]
