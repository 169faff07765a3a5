"""All transcripts that there are, by name."""

from collections.abc import Callable, Sequence
from types import ModuleType

from cca.bench.tokens.transcripts import (
    apis,
    builds,
    chat,
    coding,
    database,
    docs,
    files,
    incident,
    logs,
    review,
    testruns,
)
from cca.bench.tokens.transcripts.script import Transcript

_MAKERS: dict[str, tuple[ModuleType, tuple[str, ...]]] = {
    "coding": (coding, ("python", "go", "typescript", "rust")),
    "review": (review, ("python", "typescript", "go")),
    "chat": (chat, ("architecture", "document", "support")),
    "logs": (logs, ("latency", "crash", "nightly")),
    "json": (apis, ("shop", "polling", "configurations")),
    "tests": (testruns, ("pytest", "go_and_cargo", "jest")),
    "builds": (builds, ("cargo_and_webpack", "make_and_pip", "docker")),
    "docs": (docs, ("manual", "changelog", "specification")),
    "database": (database, ("slow_query", "export", "locks")),
    "files": (files, ("layout", "disk", "search")),
    "incident": (incident, ("outage", "slowness", "certificate")),
}

KINDS = tuple(_MAKERS)
"""What transcripts are about."""
HEAVY = ("logs", "json")
"""Kinds of which more is asked: most of them is what machines wrote for machines."""


def transcripts(seed: int = 0, kinds: Sequence[str] | None = None) -> list[Transcript]:
    """Every transcript of these kinds, or of all, as the seed has them; the same seed gives the same bytes.

    Raises `ValueError` for a kind that does not exist.
    """
    if unknown := set(kinds or ()) - set(KINDS):
        raise ValueError(f"{', '.join(sorted(unknown))}: not one of {', '.join(KINDS)}")
    made = []
    for kind in kinds if kinds is not None else KINDS:
        module, names = _MAKERS[kind]
        for name in names:
            make: Callable[[str], Transcript] = getattr(module, name)
            made.append(make(f"{seed}:{kind}:{name}"))
    return made
