"""All strategies by name: those that fold sections, in the order in which they are tried, and those of the pipeline."""

from collections.abc import Sequence

from cca.contracts.tokens import Level
from cca.tokens import dedup, delta, history
from cca.tokens.folds import Fold, Section, Strategy
from cca.tokens.strategies import (
    brief,
    build,
    code,
    columns,
    diff,
    digests,
    listing,
    log,
    noise,
    rows,
    search,
    table,
    tests,
    trace,
)

FOLDS: tuple[Strategy, ...] = (
    *noise.FOLDS,
    *digests.FOLDS,
    *code.FOLDS,
    *columns.FOLDS,
    *rows.FOLDS,
    *table.FOLDS,
    *brief.FOLDS,
    *search.FOLDS,
    *diff.FOLDS,
    *log.FOLDS,
    *tests.FOLDS,
    *build.FOLDS,
    *trace.FOLDS,
    *listing.FOLDS,
)
"""Strategies that fold sections. What only takes something away comes first, and the others get what it leaves."""


def _elsewhere(section: Section) -> Sequence[str] | None:
    """These look at more than a section."""
    return None


def _of_pipeline(name: str, summary: str, level: Level) -> Fold:
    return Fold(name, summary, frozenset(), level, _elsewhere)


PIPELINE: tuple[Strategy, ...] = (
    _of_pipeline("duplicates", dedup.SUMMARY, "lossless"),
    _of_pipeline("delta", delta.SUMMARY, "lossless"),
    _of_pipeline("mask", history.MASK, "strong"),
    _of_pipeline("history", history.SUMMARY, "strong"),
)
"""Strategies that need other turns, and so are steps of `cca.tokens.compress` and not functions of a section."""
STRATEGIES: tuple[Strategy, ...] = (*PIPELINE[:2], *FOLDS, *PIPELINE[2:])
NAMES: tuple[str, ...] = tuple(strategy.name for strategy in STRATEGIES)
by_name: dict[str, Strategy] = {strategy.name: strategy for strategy in STRATEGIES}
