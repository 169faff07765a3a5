"""Strings of one column of a table in less: numbered, or without what they all begin and end with."""

import re
from collections.abc import Sequence

from cca.tokens.strategies.json_values import Value, spell

LONG = 30
"""Strings of fewer characters are not numbered, however often they occur."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")


def shortened(values: Sequence[Value]) -> tuple[str, list[str | None]] | None:
    """How the cells of a column are to be read, as JSON, and the cells; None when they stay as they are.

    A cell is None where the value is no string.
    """
    strings = [value for value in values if isinstance(value, str)]
    distinct = {text: number for number, text in enumerate(dict.fromkeys(strings))}
    if sum(map(len, strings)) > LONG * len(strings) and len(distinct) <= len(strings) / 4:
        how = f'{{"$enum":[{",".join(map(spell, distinct))}]}}'
        return how, [str(distinct[value]) if isinstance(value, str) else None for value in values]
    head, tail = _ends(strings) if len(strings) > 2 else ("", "")
    if not head:
        return None
    ending = f',"$suffix":{spell(tail)}' if tail else ""
    cells = [spell(value[len(head) : len(value) - len(tail)]) if isinstance(value, str) else None for value in values]
    return f'{{"$prefix":{spell(head)}{ending}}}', cells


def _ends(strings: Sequence[str]) -> tuple[str, str]:
    """What all addresses begin and end with; of times, the day and the zone if they are the same."""
    head = _common(min(strings), max(strings))
    if "://" in head:
        head = head[: max(map(head.rfind, "/=:")) + 1]
        turned = [text[len(head) :][::-1] for text in strings]
        tail = _common(min(turned), max(turned))[::-1]
        return head, tail[tail.find("/") :] if "/" in tail else ""
    if head[:4].isdigit() and len(head) > 10:
        times = [_TIME.fullmatch(text) for text in strings]
        zones = {time[1] or "" if time else None for time in times}
        if None not in zones:
            zone = zones.pop() if len(zones) == 1 else ""
            return head[:11], zone or ""
    return "", ""


def _common(one: str, other: str) -> str:
    """What both begin with."""
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]
