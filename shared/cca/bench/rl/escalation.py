"""Three attempts at a task, and lanes from cheap to strong: who looks beyond the next one tries the cheap one first.

A task is as hard as its sort, and then some that nobody sees: a lane that has failed it is likely to fail it again.
With one attempt the strong lane earns most; with three, on the easier sorts, the cheap one first and the strong one
after its failure earns as much success for a fraction of the money and time. Rewards are the product's default.
"""

import numpy as np

from cca.bench.rl.world import Floats, Job, World, lane_keys, ranks
from cca.contracts.policy import Params

TASKS, ATTEMPTS = 3_000, 3
KINDS = ("docs", "feature", "fix", "migrate", "review", "test")
HARDNESS = (-1.2, 0.6, -0.2, 1.4, -0.8, 0.2)
HIDDEN = 1.0
"""Standard deviation of what makes a task hard and cannot be seen."""
SKILLS, PRICES, PACES = (0.6, 1.4, 3.0, 0.2), (0.02, 0.15, 0.9, 0.6), (20.0, 40.0, 80.0, 60.0)
"""Of the cheap lane, the middling, the strong, and one that is neither cheap nor good: log odds, USD, seconds."""
SIZES = tuple(int(size) for size in np.geomspace(200, 50_000, 8))
DELAY = 10.0
"""Mean number of tasks that arrive before the outcome of an attempt is known."""


def world(seed: int, tasks: int | None = None) -> World:
    """Tasks of six sorts, in an order of their own per seed, and so the lanes."""
    rng = np.random.default_rng([seed, 3])
    count, lanes = tasks or TASKS, len(SKILLS)
    kinds = rng.integers(len(KINDS), size=count)
    sizes = rng.integers(len(SIZES), size=count)
    places = sizes / (len(SIZES) - 1) * 2 - 1
    hardness = np.array(HARDNESS)[kinds] + 0.3 * places + rng.normal(0, HIDDEN, count)
    order = rng.permutation(lanes)
    skills = np.array(SKILLS)[order] + rng.normal(0, 0.1, lanes)
    probability: Floats = 1 / (1 + np.exp(hardness[:, None] - skills))
    growth = np.exp(places * 0.5)[:, None]
    complexities, tokens = ranks(rng.random(count)), ranks(sizes.astype(float))
    return World(
        name="escalation",
        seed=seed,
        params=Params(),
        lanes=lane_keys(rng, lanes),
        jobs=tuple(
            Job(
                id=f"escalation-{seed}-{task}",
                size=SIZES[sizes[task]],
                kind=KINDS[kinds[task]],
                complexity=float(complexities[task]),
                tokens=float(tokens[task]),
            )
            for task in range(count)
        ),
        begins=(0,) * lanes,
        solved=rng.random((count, lanes, ATTEMPTS)) < probability[:, :, None],
        cost_usd=growth * np.array(PRICES)[order],
        latency_s=growth * np.array(PACES)[order],
        quality=np.full((count, lanes), np.nan),
        expected=np.full((count, lanes), np.nan),
        delays=rng.gamma(4.0, DELAY / 4, (count, ATTEMPTS)).round().astype(np.int64),
    )
