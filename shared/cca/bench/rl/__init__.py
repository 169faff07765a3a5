"""How well routing learns: every policy on the same test beds, from real prompts to lanes that drift."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib import metadata
from types import MappingProxyType

from cca.bench.rl import drift, escalation, hindsight, prompts
from cca.bench.rl.entrants import chosen, entrants
from cca.bench.rl.play import Game
from cca.bench.rl.report import Report
from cca.bench.rl.results import Result, baselines
from cca.bench.rl.world import World

BEDS: Mapping[str, Callable[[int, int | None], World]] = MappingProxyType(
    {
        "prompts": prompts.world,
        "drift": drift.world,
        "drift-late": drift.late,
        "escalation": escalation.world,
    }
)
"""Test beds by name; each is laid out by a seed, and cut after so many tasks if a number is given."""

QUICK = 300
"""Tasks of a quick run. It shows that everything works, and nothing about who is better."""

Progress = Callable[[int, int, str], None]
"""Called with how many parts are done, of how many, and what was done last."""


def run(
    seeds: int = 10,
    sets: Sequence[str] | None = None,
    policies: Sequence[str] | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Let policies learn on test beds, in as many processes as there are processors.

    Args:
        seeds: runs of each; orders, names and luck differ by seed.
        sets: names of test beds; all that can be had by default.
        policies: names of entrants; all by default.
        quick: only a few hundred tasks, without judging goals.
        progress: is told about every test bed and seed that is done.

    Raises ValueError for names that do not exist, and `PackageNotFoundError` (an `ImportError`) when the prompts are
    asked for and the extra `rl` is not installed.
    """
    names, notes = _beds(sets)
    who, tasks = chosen(policies), QUICK if quick else None
    # The longest first, so that no processor is left alone with one of them at the end.
    parts = [(bed, seed) for bed in sorted(names, key=_length) for seed in range(seeds)]
    results: dict[str, list[Result]] = {bed: [] for bed in names}
    counts: dict[str, int] = {}
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, len(parts))
    with (
        _one_thread(),
        # Not forked: a copy of a process that has threads may hang.
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        waiting = {pool.submit(played, bed, seed, tasks, who): bed for bed, seed in parts}
        for done, future in enumerate(as_completed(waiting), start=1):
            bed = waiting[future]
            count, found = future.result()
            results[bed] += found
            counts[bed] = count
            if progress is not None:
                progress(done, len(parts), f"{bed}, seed {found[0].seed}")
    # As they came is an order of this machine and this hour.
    ordered = {bed: _ordered(found, who) for bed, found in results.items()}
    return Report(tuple(range(seeds)), counts, ordered, not quick, notes)


def played(bed: str, seed: int, tasks: int | None, policies: Sequence[str]) -> tuple[int, list[Result]]:
    """Every policy on one test bed, and its marks; the number of its tasks first."""
    world = BEDS[bed](seed, tasks)
    marks, everybody = hindsight.marks(world), entrants()
    found = baselines(bed, seed, marks)
    found += [Result.of(bed, seed, name, Game(world, everybody[name](world)).play(), marks) for name in policies]
    return len(world.jobs), found


def _beds(names: Sequence[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """The test beds to play on, in their order; and what to say about those that are missing."""
    if names is not None:
        if unknown := set(names) - set(BEDS):
            raise ValueError(f"{', '.join(sorted(unknown))}: not one of {', '.join(BEDS)}")
        if "prompts" in names:
            prompts.prompts()
        return [bed for bed in BEDS if bed in names], ()
    try:
        metadata.distribution(prompts.PACKAGE)
    except metadata.PackageNotFoundError:
        return [bed for bed in BEDS if bed != "prompts"], ("The prompts are missing: pip install 'cca[rl]'",)
    return list(BEDS), ()


def _length(bed: str) -> int:
    """For sorting: what takes longest comes first."""
    return ("drift", "drift-late", "escalation", "prompts").index(bed)


def _ordered(results: Sequence[Result], policies: Sequence[str]) -> list[Result]:
    place = {name: index for index, name in enumerate(policies)}
    return sorted(results, key=lambda one: (place.get(one.policy, -1), one.seed))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started meanwhile do linear algebra in one thread each: there is one per processor."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
