"""Old turns: which of their lines say most, what masking leaves of them, and which may go when the budget is missed."""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from cca.contracts.tokens import Turn
from cca.tokens.frame import FENCE
from cca.tokens.markers import blocks
from cca.tokens.strategies.salient import weight

MASK = "Of old results of tools, only the beginning, the end, and the lines that say most stay."
SUMMARY = (
    "When the budget is still missed, the oldest messages that say least are left out, in one marker for each run."
)

_FIRST, _SALIENT, _WIDE = 2, 12, 300
_MUCH = 100_000
"""So many characters of a turn are looked at."""
_COMMONPLACE = 40
"""Lines of trouble are news while there are not more of them."""
_DECISION = re.compile(
    r"\b(?:decid(?:e|ed|es)|decision|we(?:'ll| will) (?:use|go|keep|take)|let'?s (?:use|go with|keep)|i(?:'ll"
    r"| will) (?:use|go with)"
    r"|chose|chosen|agreed|conclu(?:de|ded|sion)|root cause|must(?: not)?|instead of|approved|final answer"
    r"|the fix is|fixed by)\b",
    re.IGNORECASE,
)
_SUMMARY_LINE = re.compile(
    r"\b\d+ (?:passed|failed|errors?|warnings?|tests?|files? changed|rows?|matches|packages)\b"
    r"|\bexit(?:ed)?(?: with)?(?: code| status)?"
    r"[ :=]+-?\d|\b(?:total|result|finished|succeeded|completed|summary|version)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w./-])(?=[\w./:-]{0,80}(?:\d|[./_]))[\w./:-]{5,80}(?<![.:/-])")
"""What later turns may come back to: paths, ids, long numbers."""
_PATH = re.compile(r"[\w.-]+/[\w./-]+\.\w{1,8}|\b\w+\.(?:py|js|ts|tsx|go|rs|java|c|cpp|h|md|json|ya?ml|toml|sql|sh)\b")


class Salience(Struct, frozen=True):
    """How much a turn says. Turns with decisions go last, then those that say more.

    Attributes:
        decides: something was decided in it.
        weight: 0 for what hardly anyone will miss, up to 4.
    """

    decides: bool
    weight: int


def mentions(turns: Sequence[Turn]) -> dict[str, int]:
    """Paths, ids and numbers that people and agents speak of, each with the last turn that does."""
    last: dict[str, int] = {}
    for at, turn in enumerate(turns):
        if turn.role != "tool":
            last.update(dict.fromkeys(_NAME.findall(turn.text[:_MUCH]), at))
    return last


def salience(turn: Turn, at: int, mentioned: Mapping[str, int]) -> Salience:
    """How much the turn `at` says: errors, decisions, files, questions, and what later turns come back to.

    Args:
        mentioned: what `mentions` finds.
    """
    text = turn.text[:_MUCH]
    speaks = turn.role != "tool"
    decides = speaks and _DECISION.search(text) is not None
    worth = 0
    worth += any(weight(line[:_WIDE]) == "error" for line in text.split("\n")[:400])
    worth += speaks and ("?" in text or turn.role == "user")
    worth += _PATH.search(text) is not None
    worth += any(mentioned.get(name, -1) > at for name in _NAME.findall(text))
    return Salience(decides, worth)


def kept_lines(lines: Sequence[str], turn: int, mentioned: Mapping[str, int]) -> list[str]:
    """The lines of an old turn that stay when it is masked: the first, those that say most, and the last.

    Args:
        mentioned: what `mentions` finds; the first line with each of what later turns speak of stays.
    """
    markers = {block.start for block in blocks(lines)}
    full = [at for at, line in enumerate(lines) if at not in markers and line.strip() and not FENCE.match(line)]
    stay = {*full[:_FIRST], *full[-1:]}
    troubles = [at for at in full if weight(lines[at][:_WIDE]) == "error"]
    if len(troubles) <= _COMMONPLACE:
        stay.update(troubles[:_SALIENT])
    else:
        stay.update((*troubles[: _SALIENT // 2], *troubles[-_SALIENT // 2 :]))
    told = [at for at in full if _SUMMARY_LINE.search(lines[at][:_WIDE]) or _DECISION.search(lines[at][:_WIDE])]
    stay.update(told[-_SALIENT // 2 :])
    told_of: set[str] = set()
    for at in full:
        if len(stay) >= 3 * _SALIENT:
            break
        names = {name for name in _NAME.findall(lines[at][: 4 * _WIDE]) if mentioned.get(name, -1) > turn}
        if not names <= told_of:
            told_of |= names
            stay.add(at)
    return [_short(lines[at]) for at in sorted(stay)]


def _short(line: str) -> str:
    return line if len(line) <= _WIDE else line[:_WIDE] + "…"


def outline(value: object) -> object:
    """What masking leaves of a JSON document: its short values at the top, and how much the others hold."""
    if isinstance(value, dict):
        return {key: _outlined(item) for key, item in list(value.items())[:20]}
    if isinstance(value, list):
        return [
            *(outline(item) if isinstance(item, dict) else _outlined(item) for item in value[:1]),
            f"{len(value)} items",
        ]
    return _outlined(value)


def _outlined(item: object) -> object:
    if isinstance(item, dict):
        return f"{len(item)} keys"
    if isinstance(item, list):
        return f"{len(item)} items"
    return item if not isinstance(item, str) or len(item) <= 100 else item[:100] + "…"


def order_of_leaving(turns: Sequence[Turn], candidates: Iterable[int]) -> list[int]:
    """In which order turns may be left out: least salient first, of those alike the oldest."""
    mentioned = mentions(turns)
    judged = {at: salience(turns[at], at, mentioned) for at in candidates}
    return sorted(judged, key=lambda at: (judged[at].decides, judged[at].weight, at))
