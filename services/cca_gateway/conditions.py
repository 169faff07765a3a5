"""Conditional requests (RFC 9110, 13): the revision of a value is its entity tag."""

import re

from cca.contracts.context import Revision as Revision
from cca_gateway.call import Call
from cca_gateway.problems import Problem

ABSENT = 0
"""The revision of what is not there."""

_ONE = re.compile(r'\s*"([0-9]{1,18})"\s*\Z')
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(revision: int) -> str:
    """The entity tag of a revision: `"17"`."""
    return f'"{revision}"'


def expected(call: Call) -> int | None:
    """The revision that a write is to find (`If-Match`), `ABSENT` for `If-None-Match: *`; None when any will do.

    Raises `Problem` `bad-header` for what would need more than one revision: a write that is done although its
    condition was not understood does harm.
    """
    match, none = call.request.headers.getall("If-Match", []), call.request.headers.getall("If-None-Match", [])
    if none:
        if match or [one.strip() for one in none] != ["*"]:
            raise Problem("bad-header", "If-None-Match must be `*` here, without If-Match: only when there is no value")
        return ABSENT
    if not match:
        return None
    found = _ONE.match(match[0])
    if found is None or len(match) > 1:
        raise Problem("bad-header", 'If-Match must be one revision as `ETag` gave it, for example "17"')
    return int(found[1])


def has(call: Call, revision: int) -> bool:
    """Whether who reads has this revision already (`If-None-Match`)."""
    given = ",".join(call.request.headers.getall("If-None-Match", []))
    return given.strip() == "*" or str(revision) in _TAG.findall(given)
