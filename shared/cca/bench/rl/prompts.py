"""Real prompts with the rewards and costs of three models: the data that ParetoBandit's wheel carries (Apache-2.0).

3,609 prompts of public benchmarks, each answered by llama-3.1-8b-instruct, mistral-large-2512 and gemini-2.5-pro,
judged between 0 and 1, with what the answer cost in USD. A task is declared by where its prompt comes from (`gsm8k`)
and by its size. Principal components of an embedding of the text are left out: with eight of hashed n-grams not even
the linear policy in hindsight earns more (0.8665, 0.8674 without), and nothing was learned better.
"""

import functools
from importlib import metadata

import msgspec
import numpy as np
from msgspec import Struct

from cca.bench.rl.world import Floats, Job, World, lane_keys, ranks
from cca.contracts.policy import Params, Reward

PACKAGE = "paretobandit"
FILES = ("pareto_bandit/data/examples/val.jsonl", "pareto_bandit/data/examples/test_holdout.jsonl")

PRICE = 0.15
"""How much reward an answer loses that costs `MOST` dollars; one that costs `LEAST` or less loses none."""
LEAST, MOST = 1e-5, 1e-1


class Answer(Struct, frozen=True):
    """What a model's answer was judged to be, 0 to 1, and its cost in USD."""

    reward: float
    cost: float


class Prompt(Struct, frozen=True):
    """A line of the data, as far as it is used."""

    prompt: str
    source: str
    arms: dict[str, Answer]


@functools.lru_cache(maxsize=1)
def prompts() -> tuple[Prompt, ...]:
    """All prompts, in the order of the files.

    Raises `PackageNotFoundError` (an `ImportError`) when the extra `rl` is not installed. The package itself is never
    imported: it would bring scikit-learn.
    """
    wheel = metadata.distribution(PACKAGE)
    decoder = msgspec.json.Decoder(Prompt)
    found: list[Prompt] = []
    for name in FILES:
        with open(str(wheel.locate_file(name)), "rb") as file:
            found += (decoder.decode(line) for line in file if line.strip())
    return tuple(found)


def utility(reward: Floats, cost_usd: Floats) -> Floats:
    """reward - 0.15 · the place of the cost between 10 µ$ and 0.10 $ on a log scale (0 to 1), never below 0."""
    place = np.log(cost_usd / LEAST) / np.log(MOST / LEAST)
    return np.asarray(np.clip(reward - PRICE * np.clip(place, 0, 1), 0, 1))


def world(seed: int, tasks: int | None = None) -> World:
    """The prompts in an order of their own per seed, and so the lanes; the first `tasks` of them if given."""
    rng = np.random.default_rng([seed, 1])
    data = prompts()
    order = rng.permutation(len(data))[:tasks]
    models = list(data[0].arms)
    lanes = lane_keys(rng, len(models))
    behind = [models[place] for place in rng.permutation(len(models))]
    chosen = [data[place] for place in order]
    rewards = np.array([[prompt.arms[model].reward for model in behind] for prompt in chosen])
    costs = np.array([[prompt.arms[model].cost for model in behind] for prompt in chosen])
    lengths = np.array([float(len(prompt.prompt)) for prompt in chosen])
    words = np.array([float(len(set(prompt.prompt.split()))) for prompt in chosen])
    values = utility(rewards, costs)
    jobs = tuple(
        Job(
            id=f"prompts-{seed}-{place}",
            size=len(prompt.prompt),
            kind=prompt.source,
            complexity=float(complexity),
            tokens=float(tokens),
        )
        for place, (prompt, complexity, tokens) in enumerate(zip(chosen, ranks(words), ranks(lengths), strict=True))
    )
    return World(
        name="prompts",
        seed=seed,
        # The utility is what a rating would say; nothing else counts here.
        params=Params(reward=Reward(success=0, quality=1, latency=0, tokens=0, money=0, deadline=0)),
        lanes=lanes,
        jobs=jobs,
        begins=(0,) * len(lanes),
        solved=np.ones((*values.shape, 1), dtype=bool),
        cost_usd=costs,
        latency_s=np.ones(values.shape),
        quality=values,
        expected=values,
        delays=np.zeros((len(jobs), 1), dtype=np.int64),
    )
