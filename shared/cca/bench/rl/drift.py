"""A fleet that changes under the router's hands: 6,000 tasks, eight lanes, three phases.

After a third of the tasks the lane that was best so far gets worse without a word: the odds of its success fall to an
eighth. After two thirds the lane that is best by then becomes dearer (four times) and its results poorer, another one
becomes cheaper (a tenth) and better, and a strong lane is added that nobody knows. Rewards are the product's default:
success, quality, latency and money. Declared are sort, language, repo and size; the repo says nothing.

Lanes are spread (`Fleet.drawn`) so that choosing at random, the best fixed lane and the per-task oracle earn 0.62, 0.75
and 0.84 on average over fleets: what they earned in the study that the default policy was chosen by (0.62, 0.74, 0.83).
"""

import functools

import numpy as np
from msgspec import Struct

from cca.bench.rl.world import Floats, Job, Outcome, World, lane_keys, ranks, reward_of
from cca.contracts.policy import Params

TASKS, LANES = 6_000, 8
KINDS = ("audit", "docs", "feature", "fix", "migrate", "refactor", "review", "test")
LANGUAGES = ("go", "python", "rust", "typescript")
REPOS = ("api", "app", "infra", "shop", "site", "tools")
SIZES = tuple(int(size) for size in np.geomspace(200, 100_000, 16))
DELAY = 60.0
"""Mean number of tasks that arrive before an outcome is known, in the variant with delay."""


class Fleet(Struct):
    """What the lanes are like in one phase. Arrays by lane.

    Attributes:
        skill: log odds of success with a middling task.
        by_kind, by_language: what is added to it.
        by_size: what is added for the largest tasks, and taken away for the smallest.
        price: USD of a middling task.
        pace: seconds that a middling task takes.
        quality: mean quality of the results.
    """

    skill: Floats
    by_kind: Floats
    by_language: Floats
    by_size: Floats
    price: Floats
    pace: Floats
    quality: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Fleet":
        return cls(
            skill=rng.normal(1.1, 1.3, LANES),
            by_kind=rng.normal(0, 1.1, (LANES, len(KINDS))),
            by_language=rng.normal(0, 0.4, (LANES, len(LANGUAGES))),
            by_size=rng.normal(0, 0.4, LANES),
            price=np.exp(rng.uniform(np.log(0.02), np.log(0.8), LANES)),
            pace=np.exp(rng.uniform(np.log(15), np.log(240), LANES)),
            quality=rng.uniform(0.55, 0.95, LANES),
        )

    def changed(self, **fields: Floats) -> "Fleet":
        return Fleet(**{name: fields.get(name, getattr(self, name)).copy() for name in self.__struct_fields__})

    def odds(self, kinds: np.ndarray, languages: np.ndarray, places: Floats) -> Floats:
        """Probability of success, by task and lane; `places` are sizes from -1 to 1."""
        logits = self.skill + self.by_kind.T[kinds] + self.by_language.T[languages] + places[:, None] * self.by_size
        return np.asarray(1 / (1 + np.exp(-logits)))


def world(seed: int, tasks: int | None = None, delay: float = 0.0) -> World:
    """A fleet of its own for each seed. `delay` is the mean number of tasks until an outcome is known."""
    rng = np.random.default_rng([seed, 2])
    count = tasks or TASKS
    params = Params()
    kinds = rng.choice(len(KINDS), count, p=_shares(rng, len(KINDS)))
    languages = rng.choice(len(LANGUAGES), count, p=_shares(rng, len(LANGUAGES)))
    repos = rng.integers(len(REPOS), size=count)
    sizes = rng.integers(len(SIZES), size=count)
    places = sizes / (len(SIZES) - 1) * 2 - 1
    phases = (0, count // 3, 2 * count // 3)
    new = LANES - 1

    @functools.cache
    def reward(kind: int, solved: bool, cost: float, latency: float, quality: float) -> float:
        outcome = Outcome("completed" if solved else "failed", cost, latency, quality if solved else None)
        return reward_of(outcome, KINDS[kind], params)

    probability, cost, latency, quality = (np.empty((count, LANES)) for _ in range(4))
    expected = np.empty((count, LANES))

    def lay(fleet: Fleet, begin: int, end: int) -> Floats:
        """Fill in a phase; returns the mean expected reward of each lane in it."""
        rows = slice(begin, end)
        probability[rows] = fleet.odds(kinds[rows], languages[rows], places[rows])
        growth = np.exp(places[rows] * 0.7)[:, None]
        cost[rows], latency[rows] = growth * fleet.price, growth * fleet.pace
        quality[rows] = fleet.quality
        for task in range(begin, end):
            for lane in range(LANES):
                spent = (float(cost[task, lane]), float(latency[task, lane]), float(quality[task, lane]))
                p, kind = probability[task, lane], int(kinds[task])
                expected[task, lane] = p * reward(kind, True, *spent) + (1 - p) * reward(kind, False, *spent)
        means: Floats = expected[rows].mean(0)
        return means

    fleet = Fleet.drawn(rng)
    means = lay(fleet, 0, phases[1])
    best = int(np.argmax(means[:new]))
    worse = fleet.skill.copy()
    worse[best] -= np.log(8)
    fleet = fleet.changed(skill=worse)
    means = lay(fleet, phases[1], phases[2])
    ranked = [int(lane) for lane in np.argsort(-means[:new])]
    dearer, better = ranked[0], ranked[len(ranked) // 2]
    skill, price, rated = fleet.skill.copy(), fleet.price.copy(), fleet.quality.copy()
    price[dearer] *= 4
    rated[dearer] -= 0.2
    price[better] /= 10
    skill[better] += 0.5
    skill[new], price[new] = skill[:new].max() + 0.5, np.median(price[:new])
    lay(fleet.changed(skill=skill, price=price, quality=rated), phases[2], count)

    order = rng.permutation(LANES)
    begins = np.zeros(LANES, dtype=int)
    begins[new] = phases[2]
    luck, strength = rng.random((count, LANES)), 8.0
    rating = rng.beta(quality * strength, (1 - quality) * strength)
    waits = rng.gamma(4.0, delay / 4, count).round() if delay else np.zeros(count)
    complexities, name = ranks(rng.random(count)), "drift-late" if delay else "drift"
    weights = ranks(np.array(SIZES, dtype=float)[sizes] * rng.lognormal(0, 0.3, count))
    return World(
        name=name,
        seed=seed,
        params=params,
        lanes=lane_keys(rng, LANES),
        jobs=tuple(
            Job(
                id=f"{name}-{seed}-{task}",
                size=SIZES[sizes[task]],
                kind=KINDS[kinds[task]],
                language=LANGUAGES[languages[task]],
                repo=REPOS[repos[task]],
                complexity=float(complexities[task]),
                tokens=float(weights[task]),
            )
            for task in range(count)
        ),
        begins=tuple(int(begin) for begin in begins[order]),
        solved=(luck < probability)[:, order, None],
        cost_usd=cost[:, order],
        latency_s=latency[:, order],
        quality=rating[:, order],
        expected=expected[:, order],
        delays=waits.astype(np.int64)[:, None],
        phases=phases,
    )


def late(seed: int, tasks: int | None = None) -> World:
    """The same, outcomes known about 60 tasks later (gamma-distributed)."""
    return world(seed, tasks, DELAY)


def _shares(rng: np.random.Generator, count: int) -> Floats:
    """How common each of so many values is: some are rare."""
    return rng.dirichlet(np.full(count, 5.0))
