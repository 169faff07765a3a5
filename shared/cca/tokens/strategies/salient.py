"""Which words make a line worth reading: what went wrong, what may go wrong, and what changed."""

import re
from collections.abc import Iterable
from typing import Literal

Weight = Literal["error", "warning", "change", "plain"]

_WORD = re.compile(r"[a-z]+")
# `errors: 0` and `0 failed` are the routine of a line that counts; were it 3 for once, it stands out by its value.
_COUNTED = r"(?:errors?|fail(?:ed|ures?)|warnings?|timeouts?|retries|dropped|rejected|killed|lost|skipped|missing)"
_COUNTS = re.compile(rf"\b{_COUNTED}(?:_\w{{1,20}})?[\"']?\s?[=:]\s?[0-9#]|[0-9#] {_COUNTED}\b", re.IGNORECASE)
_SHOUTED = re.compile(
    r"\b(?:ERROR|FATAL|SEVERE|CRITICAL|PANIC|EMERG|ALERT)\b|\blevel[\"']?[=:][\"' ]{0,2}(?:error|fatal|crit)"
    r"|^\W{0,3}(?:[EF](?:[0-9]|#)|E\b)|[\[|<]E[\]|>]"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ERROR = _words("""
    err fatal fail fails failed failing traceback panic panicked crit critical emerg emergency severe denied
    refused timeout timeouts timedout killed oom abort aborted aborting unreachable corrupt corrupted corruption
    unauthorized unauthorised forbidden rejected cannot unable segfault segv sigsegv sigkill deadlock crash
    crashed crashing crashloopbackoff violated violates violation conflict died
""")
_ERROR_ENDS = ("error", "errors", "exception", "exceptions", "failure", "failures")
_ENDING = re.compile("error|exception|failure")
_ERROR_PHRASES = (
    "out of memory",
    "timed out",
    "no such",
    "not found",
    "caused by",
    "not permitted",
    "could not",
    "couldn't",
    "can't",
    "undefined reference",
    "segmentation fault",
)
_WARNING = _words("""
    warn warning warnings wrn deprecated retry retrying retries slow exceed exceeds exceeded dropped dropping
    degraded backoff overflow stale missing unexpected throttled throttling limit limited suspicious alert
    invalid skipped skipping expired nan leak leaked
""")
_CHANGE = _words("""
    start starts started starting stop stops stopped stopping shutdown listening ready deploy deploys deployed
    deploying deployment release released releasing version rollback rolled migrate migrated migrating migration
    migrations connected connecting connect disconnected reconnected reconnecting lost restored restoring
    recovered recovering recovery elected election leader failover promoted demoted restart restarts restarted
    restarting reload reloaded reloading config configuration enabled disabled scaled scaling joined left
    switched switching changed changing decision decided chose chosen approved because
""")
_CHANGE_PHRASES = ("shut down", "shutting down", "roll back", "fail over", "root cause")


def weight(line: str) -> Weight:
    """How much a line has to say. Its numbers may stand there as `#`."""
    if _SHOUTED.search(line):
        return "error"
    low = line.lower()
    words = frozenset(_WORD.findall(low))
    found = _heaviest(low, words)
    if found in ("error", "warning") and _COUNTS.search(line):
        low = _COUNTS.sub(" ", line).lower()
        found = _heaviest(low, frozenset(_WORD.findall(low)))
    return found


def is_trouble(line: str) -> bool:
    """Whether a line tells of an error or warns of one."""
    return weight(line) in ("error", "warning")


def _heaviest(low: str, words: frozenset[str]) -> Weight:
    if not words.isdisjoint(_ERROR) or any(phrase in low for phrase in _ERROR_PHRASES):
        return "error"
    if _ENDING.search(low) and _any_ends(words):
        return "error"
    if not words.isdisjoint(_WARNING):
        return "warning"
    if not words.isdisjoint(_CHANGE) or any(phrase in low for phrase in _CHANGE_PHRASES):
        return "change"
    return "plain"


def _any_ends(words: Iterable[str]) -> bool:
    return any(word.endswith(_ERROR_ENDS) for word in words)
