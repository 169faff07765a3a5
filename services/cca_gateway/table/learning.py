"""The routes of learned routing: look at it, set it, try others."""

from typing import Any

from cca.contracts.learner import EvaluatePolicy, Evaluation, PolicyHistory, PolicyStatus, RunShadow
from cca.contracts.policy import Params
from cca_gateway import learning
from cca_gateway.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/rl/stats",
        handle=learning.stats,
        summary="How routing is learned now, from what, and what is known of each lane",
        answers={200: PolicyStatus},
    ),
    Route(
        method="GET",
        path="/rl/algorithm",
        handle=learning.algorithm,
        summary="What decides now, and what could",
        answers={200: learning.Algorithms},
    ),
    Route(
        method="POST",
        path="/rl/algorithm",
        handle=learning.choose,
        summary="Let another algorithm decide; `static` is the kill switch",
        body=learning.AlgorithmChange,
        answers={200: PolicyStatus},
        refusals=("unknown-algorithm", "bad-params"),
    ),
    Route(
        method="GET",
        path="/rl/params",
        handle=learning.params,
        summary="All parameters, defaults too",
        answers={200: learning.Settings},
    ),
    Route(
        method="POST",
        path="/rl/params",
        handle=learning.configure,
        summary="Change parameters: what is not named stays (a merge patch, RFC 7396)",
        body=Params,
        decode_as=dict[str, Any],
        query=learning.HowToChange,
        answers={200: PolicyStatus},
        refusals=("bad-params",),
    ),
    Route(
        method="POST",
        path="/rl/train",
        handle=learning.train,
        summary="Make a new version of the policy now",
        answers={200: PolicyStatus},
    ),
    Route(
        method="GET",
        path="/rl/history",
        handle=learning.history,
        summary="How learning went: reward, cost and the share of each lane over time, and calibration",
        query=learning.HistoryQuery,
        answers={200: PolicyHistory},
    ),
    Route(
        method="POST",
        path="/rl/evaluate",
        handle=learning.evaluate,
        summary="What another policy would have earned on the decisions of the log",
        body=EvaluatePolicy,
        answers={200: Evaluation},
        refusals=("unknown-algorithm", "bad-params"),
    ),
    Route(
        method="GET",
        path="/rl/shadow",
        handle=learning.shadow,
        summary="The candidate that is tried beside the live policy",
        answers={200: PolicyStatus},
    ),
    Route(
        method="POST",
        path="/rl/shadow",
        handle=learning.try_beside,
        summary="Start or stop to try a candidate beside the live policy",
        body=RunShadow,
        answers={200: PolicyStatus},
        refusals=("unknown-algorithm", "bad-params"),
    ),
)
