"""What is written down about a message that could not be handled (`cca.dead`)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca import dead
from cca.dead import Entry, Letter
from cca.errors import Refused

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
MAX_PAYLOAD = 1024 * 1024

TEXT = st.text(st.characters(), max_size=200)  # surrogates and controls among them
LETTERS = st.builds(
    Letter,
    subject=st.sampled_from(["cca.tasks.backend", "cca.work.backend.default.high", "cca.due.task.x.retry"]),
    body=st.binary(max_size=500),
    headers=st.dictionaries(TEXT, TEXT, max_size=5),
    stream=st.sampled_from(["CCA_TASKS", "CCA_EVENTS"]),
    seq=st.integers(1, 2**53),
)


def stored(letter: Letter, reason: str = "why", task: str | None = None, payload: int = MAX_PAYLOAD) -> Entry:
    """The entry that a reader finds after the letter was put."""
    message = dead.entry_message("router", reason, letter, task=task, time=NOW, max_payload=payload)
    return dead.entry_of(7, message.subject, message.headers, message.body, NOW + timedelta(seconds=1))


@given(LETTERS, TEXT, st.none() | TEXT)
def test_an_entry_says_where_the_message_was_what_it_said_and_why(
    letter: Letter, reason: str, task: str | None
) -> None:
    entry = stored(letter, reason, task)
    assert (entry.service, entry.time, entry.status) == ("router", NOW, "open")
    assert (entry.letter.subject, entry.letter.body) == (letter.subject, letter.body)
    assert (entry.letter.stream, entry.letter.seq) == (letter.stream, letter.seq)
    assert (entry.task is None) == (task is None)
    assert entry.reason
    assert not entry.cut


@given(LETTERS, TEXT, TEXT)
def test_no_header_can_break_the_protocol(letter: Letter, reason: str, task: str) -> None:
    message = dead.entry_message("router", reason, letter, task=task, time=NOW, max_payload=MAX_PAYLOAD)
    for name, value in message.headers.items():
        assert name.isascii() and not set(name) & set(" \r\n:")
        assert not set(value.encode().decode()) & set("\r\n\x00")


@given(st.binary(max_size=3000), st.dictionaries(TEXT, TEXT, max_size=30), st.integers(2_500, 4_000))
def test_an_entry_is_never_larger_than_a_message_may_be(body: bytes, headers: dict[str, str], payload: int) -> None:
    letter = Letter(subject="cca.tasks.backend", body=body, stream="CCA_TASKS", seq=1)
    message = dead.entry_message("router", "why", letter, task=None, time=NOW, max_payload=payload)
    block = 12 + sum(len(name) + len(value.encode()) + 4 for name, value in message.headers.items())
    assert block + len(message.body) <= payload
    entry = dead.entry_of(1, message.subject, message.headers, message.body, NOW)
    assert entry.size == len(body) and entry.cut == (len(message.body) < len(body))


def test_a_body_that_was_cut_goes_back_only_when_the_whole_one_is_given() -> None:
    entry = stored(Letter(subject="cca.tasks.a", body=b"x" * 5_000, stream="CCA_TASKS", seq=1), payload=4_000)
    with pytest.raises(Refused, match="of 5000 bytes"):
        dead.again(entry, 1)
    assert dead.again(entry, 1, b"whole").body == b"whole"


@given(LETTERS, st.integers(1, 5))
def test_a_message_goes_back_as_it_came_but_for_what_was_meant_for_the_server(letter: Letter, nth: int) -> None:
    entry = stored(letter)
    message = dead.again(entry, nth)
    assert (message.subject, message.body) == (letter.subject, letter.body)
    assert message.headers[dead.MESSAGE_ID] == f"redrive:7:{nth}"
    kept = {name for name in message.headers if name.lower().startswith("nats-")}
    assert kept == {dead.MESSAGE_ID}


def test_headers_of_the_original_survive_the_round_trip() -> None:
    headers = {"traceparent": "00-1", "Nats-Msg-Id": "old", "X-Text": "grüße 🎉"}
    entry = stored(Letter(subject="cca.tasks.a", body=b"", headers=headers, stream="CCA_TASKS", seq=1))
    assert entry.letter.headers == headers
    assert dead.again(entry, 1).headers == headers | {"Nats-Msg-Id": "redrive:7:1"}


def test_an_unreadable_task_goes_back_under_another_id_because_its_own_was_rejected() -> None:
    letter = Letter(subject="cca.tasks.a", body=b"{", headers={"Cca-Task-Id": "t"}, stream="CCA_TASKS", seq=1)
    assert "Cca-Task-Id" not in dead.again(stored(letter), 1).headers


def test_the_same_delivery_has_the_same_message_id_and_another_has_not() -> None:
    letter = Letter(subject="cca.tasks.a", body=b"1", stream="CCA_TASKS", seq=1)
    other = Letter(subject="cca.tasks.a", body=b"1", stream="CCA_TASKS", seq=2)
    assert dead.message_id("router", letter, None) == dead.message_id("router", letter, "t")
    assert dead.message_id("router", letter, None) != dead.message_id("router", other, None)
    assert dead.message_id("router", letter, None) != dead.message_id("projector", letter, None)
    assert dead.message_id("router", Letter(subject="cca.rpc.x", body=b"1"), None) is None


def test_a_failed_task_is_tried_again_and_an_event_or_a_request_stays() -> None:
    failed = Letter(subject="cca.events.task.t1", body=b"{}", stream="CCA_EVENTS", seq=4)
    assert dead.way_back(stored(failed, task="t1")) == "retry"
    with pytest.raises(Refused, match="rebuild"):
        dead.way_back(stored(failed))
    with pytest.raises(Refused, match="ask again"):
        dead.way_back(stored(Letter(subject="cca.rpc.tasks.submit", body=b"{")))
    assert dead.way_back(stored(Letter(subject="cca.tasks.a", body=b"", stream="CCA_TASKS", seq=1))) == "publish"


@given(st.dictionaries(st.sampled_from([dead.TIME, dead.SEQ, dead.SIZE, dead.REASON, "x"]), TEXT), st.binary())
def test_any_message_among_the_dead_letters_can_be_shown(headers: dict[str, str], body: bytes) -> None:
    entry = dead.entry_of(3, "cca.dead.router", headers, body, NOW)
    assert entry.letter.body == body
    assert entry.time.tzinfo is not None
