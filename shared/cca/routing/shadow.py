"""A candidate beside the live policy: what it would have done with each decision, learning only from those before."""

from collections.abc import Sequence

import numpy as np

from cca.contracts.learner import Shadow
from cca.contracts.policy import Params
from cca.routing.evaluate import ENOUGH, doubt, estimate, logged, probabilities, trained, usable, valued, verdict
from cca.routing.statistics import Statistics
from cca.routing.steps import Step

BLOCK = 200
"""After so many decisions the candidate is made again."""
LEAST = 200
"""Decisions that a promotion needs at least: the bounds rest on a sum of many."""


def compare(
    algorithm: str,
    steps: Sequence[Step],
    params: Params,
    vocabulary: Sequence[str],
    start_position: int,
    block: int = BLOCK,
) -> Shadow:
    """By how much the candidate is better per decision, on those from `start_position` on whose outcome is known.

    For each block of them it learns from everything before the block, as it would have had to live. `promote` of the
    answer says whether that is enough to let it decide. Pure: the same steps in another order, the same answer.

    Raises `Refused` for an algorithm that there is not.
    """
    ordered = sorted(steps, key=lambda step: step.position)
    judged = [step for step in ordered if step.position >= start_position and usable(step, params)]
    if len({step.task for step in judged}) < 2:
        return Shadow(algorithm, start_position, promote=False, decisions=len(judged), verdict="no decisions yet")
    log = logged(judged, params, vocabulary)
    target = np.zeros(log.options.shape)
    statistics, before = Statistics(params, vocabulary), 0
    for begin in range(0, len(judged), block):
        part = judged[begin : begin + block]
        while ordered[before].position < part[0].position:
            statistics.add(ordered[before])
            before += 1
        with trained(algorithm, statistics, ordered[:before], params, vocabulary) as policy:
            chances = probabilities(policy, part, turn=begin)
        target[begin : begin + len(part), : chances.shape[1]] = chances
    values = valued(log, target, params.prior_precision)
    found = estimate("dr", values.advantage, log.tasks)
    told = verdict(log, values)
    better = found.low > 0 and values.ess >= ENOUGH and doubt(log, values) is None
    if better and len(judged) < LEAST:
        told = f"no verdict yet: {len(judged)} decisions, and {LEAST} are needed"
    return Shadow(
        algorithm=algorithm,
        position=start_position,
        promote=better and len(judged) >= LEAST,
        decisions=len(judged),
        ess=values.ess,
        advantage=found.value,
        low=found.low,
        high=found.high,
        verdict=told,
    )
