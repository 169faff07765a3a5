"""Decisions about keys: which event follows, that asked twice nothing happens, and what a timer does."""

from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from cca import codec
from cca.context import kept as kept_as
from cca.context.kept import Kept
from cca.context.scopes import key_in, key_name, parts, scope_name, values_of
from cca.contracts.context import (
    VALUES,
    ContextDeleted,
    ContextDue,
    ContextEvent,
    ContextExpired,
    ContextSet,
    SetContext,
)
from cca.decider import Decision
from cca.errors import Refused
from cca.message import Seq
from cca.nats.kv import Cell
from cca_context.context_decide import DEEPEST, Value, delete, due, put, same, see_that_it_is_read_soon

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=2)
SCOPE, KEY = "project:shop", "plan"


def value(json: str = "1", ref: str | None = None) -> Value:
    return Value(None if ref else Raw(json.encode()), ref, len(json))


def kept(json: str = "1", revision: int = 7, expires_at: datetime | None = None, ref: str | None = None) -> Kept:
    inline = msgspec.UNSET if ref else Raw(json.encode())
    return Kept(revision, True, inline, ref, len(json), NOW, expires_at)


def putting(what: Value, known: Kept, *, until: datetime | None = None, expect: int | None = None) -> Decision:
    return put(SCOPE, KEY, what, until, "ann", None, expect, NOW, known)


def deleting(known: Kept, expect: int | None = None) -> Decision:
    return delete(SCOPE, KEY, "ann", None, expect, NOW, known)


def test_a_value_is_put_where_none_or_another_is() -> None:
    for known in (Kept(), Kept(9), kept("2"), kept("1", expires_at=LATER), kept(ref="x" * 20), kept(expires_at=NOW)):
        (event,) = putting(value(), known).events
        assert isinstance(event, ContextSet) and (event.size, event.requester, event.ref) == (1, "ann", None)
        assert bytes(event.value) == b"1"
    (event,) = putting(value(ref="y" * 20), kept()).events
    assert isinstance(event, ContextSet) and event.ref == "y" * 20 and event.value is None
    assert putting(value(), kept()) == Decision() == putting(value(ref="x"), kept(ref="x"))


def test_a_value_that_expires_has_a_timer_of_its_own_for_every_try() -> None:
    first = putting(value(), kept("2"), until=LATER)
    second = putting(value(), kept("2", revision=8), until=LATER)
    (side,), (again,) = first.sides, second.sides
    assert side.at == LATER and side.dedup != again.dedup and side.subject == "cca.timer.context.project.shop.plan"
    assert side.target == "cca.due.context.project.shop.plan"
    assert codec.read(side.body, ContextDue) == ContextDue(SCOPE, KEY, LATER)
    assert putting(value(), kept(expires_at=LATER), until=LATER) == Decision()
    assert putting(value(), Kept(), until=NOW) == Decision()


@pytest.mark.parametrize(
    ("known", "expect", "fine"),
    [
        (Kept(), 0, True),
        (Kept(), 7, False),
        (Kept(7), 0, True),
        (Kept(7), 7, False),
        (kept(), 7, True),
        (kept(), 6, False),
        (kept(), 0, False),
        (kept(expires_at=NOW), 7, False),
        (kept(expires_at=NOW), 0, True),
    ],
)
def test_what_is_expected_is_compared_with_what_can_be_had(known: Kept, expect: int, fine: bool) -> None:
    for decide in (partial(putting, value("3"), known, expect=expect), partial(deleting, known, expect)):
        if fine:
            decide()
            continue
        with pytest.raises(Refused) as refusal:
            decide()
        assert refusal.value.code == "revision-mismatch"


def test_what_is_there_is_removed() -> None:
    assert deleting(kept()).events == (ContextDeleted(SCOPE, KEY, "ann"),)
    for known in (Kept(), Kept(7), kept(expires_at=NOW)):
        assert deleting(known) == Decision()


def test_a_timer_ends_what_has_expired_and_nothing_else() -> None:
    command = ContextDue(SCOPE, KEY, NOW)
    assert due(command, NOW, kept(expires_at=NOW)).events == (ContextExpired(SCOPE, KEY, NOW),)
    early = NOW - timedelta(seconds=1)
    assert due(command, NOW, kept(expires_at=early)).events == (ContextExpired(SCOPE, KEY, early),)
    for known in (Kept(), Kept(7), kept(), kept(expires_at=LATER)):
        assert due(command, NOW, known) == Decision()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,5}(\.[A-Za-z0-9_-]{1,5}){0,3}", fullmatch=True)
SCOPES = st.from_regex(r"(task|tree|session|agent|role|project):[A-Za-z0-9_-]{1,8}", fullmatch=True)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(JSON, st.none() | TIMES, st.none() | st.text(max_size=10), st.integers(1, 2**53))
def test_what_an_event_leaves_is_the_same_through_log_and_bucket(
    it: object, until: datetime | None, who: str | None, seq: int
) -> None:
    event = ContextSet(SCOPE, KEY, kept_as.raw(it), size=3, expires_at=until, requester=who)
    read = codec.decode(codec.tag_of(ContextSet), codec.encode(event))
    assert isinstance(read, ContextSet)
    after = kept_as.after(read, Seq(seq), NOW)
    assert kept_as.read(Cell(5, seq, kept_as.body(after))) == after == kept_as.after(event, Seq(seq), NOW)
    assert same(after, Value(kept_as.raw(it), None, 3))
    told = kept_as.told(SCOPE, KEY, after)
    assert told == kept_as.told(SCOPE, KEY, after) and told.revision == seq and repr(told.value) == repr(it)


@given(st.sampled_from(["1", "2", '"x"']), st.sampled_from([None, NOW, LATER]), st.booleans(), st.booleans())
def test_asked_twice_it_happens_once(json: str, until: datetime | None, there: bool, removing: bool) -> None:
    known = kept() if there else Kept(7)

    def decide(known: Kept) -> Decision:
        return deleting(known) if removing else putting(value(json), known, until=until)

    decision = decide(known)
    for event in decision.events:
        assert isinstance(event, ContextEvent)
        known = kept_as.after(event, Seq(known.revision + 1), NOW)
    assert decide(known) == Decision()


@given(st.binary(max_size=60), st.integers(0, 9))
def test_whatever_stands_in_the_bucket_is_read_or_means_nothing(body: bytes, revision: int) -> None:
    found = kept_as.read(Cell(1, revision, body))
    assert found.revision in (0, revision)


@given(SCOPES, KEYS, KEYS)
def test_names_can_be_taken_apart_again(scope: str, key: str, other: str) -> None:
    name = key_name(scope, key)
    assert parts(name) == (scope, key) and name.startswith(scope_name(scope))
    assert key_in(f"cca.events.context.{name}", scope) == key == key_in(f"$KV.CCA_CONTEXT.{name}", scope)
    covering = values_of(scope, other).removesuffix(">")
    assert f"$KV.CCA_CONTEXT.{key_name(scope, other)}".startswith(covering)


@given(st.integers(0, 2 * DEEPEST), st.booleans())
def test_a_value_that_is_too_deep_is_refused_before_it_is_decoded(levels: int, objects: bool) -> None:
    it: object = 1
    for _ in range(levels):
        it = {"a": 1, "b": it} if objects else [1, it, "["]
    body = codec.encode(SetContext("project:shop", "plan", it))
    if levels > DEEPEST:
        with pytest.raises(Refused) as refused:
            see_that_it_is_read_soon(body)
        assert refused.value.code == "too-deep"
    else:
        see_that_it_is_read_soon(body)


def test_a_value_of_very_many_values_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(Refused, match="store it as one text") as refused:
        see_that_it_is_read_soon(codec.encode(SetContext("project:shop", "plan", [[]] * (VALUES + 1))))
    assert refused.value.code == "too-large"
    see_that_it_is_read_soon(codec.encode(SetContext("project:shop", "plan", "[[],[]," * VALUES)))
