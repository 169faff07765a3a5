"""What becomes of return values and exceptions."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from cca.contracts.task import Failure
from cca.work.outcome import DETAIL_LIMIT, MESSAGE_LIMIT, encode_result, failure_of
from cca.work.task import Fail

LIMIT = 1024


@dataclass
class Finding:
    path: str
    score: float


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        "",
        "null",
        [None],
        {"a": None, "b": [1.5, "💡"]},
        Finding("a.py", 0.5),
        datetime.now(UTC),
        {"x": b"y"},
    ],
)
def test_what_json_can_hold_is_a_result(value: object) -> None:
    assert msgspec.json.decode(encode_result(value, LIMIT)) == msgspec.to_builtins(value)


@pytest.mark.covers("STAB-002")
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        {"deep": [{"score": math.inf}]},
        Finding("a.py", -math.inf),
        {"a": None, "b": (1, math.nan)},
        object(),
        {("a", "b"): 1},
        "\ud800",
        _loop(),
        lambda: None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_rejected_with_a_sentence(value: object) -> None:
    with pytest.raises(Fail, match="cannot be written as JSON") as caught:
        encode_result(value, LIMIT)
    assert (caught.value.kind, caught.value.retryable) == ("rejected", False)


def test_a_result_that_is_too_large_says_how_large_it_may_be() -> None:
    assert encode_result("x" * (LIMIT - 2), LIMIT)
    with pytest.raises(Fail, match=r"result too large: 1025 bytes, limit 1024"):
        encode_result("x" * (LIMIT - 1), LIMIT)


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_exception_becomes_its_class_its_text_and_a_traceback() -> None:
    failure = failure_of(_raised(ValueError("no such file: x")))
    assert failure.message == "ValueError: no such file: x"
    assert "in _raised" in failure.detail and failure.kind == "error" and failure.retryable


def test_fail_says_everything_that_is_to_follow() -> None:
    fail = Fail("slow down", kind="rate-limited", retry_after_s=12.5, detail="quota")
    assert failure_of(fail) == Failure("rate-limited", "slow down", detail="quota", retry_after_s=12.5)


@pytest.mark.parametrize(
    "error",
    [
        Fail("", kind="weird"),  # type: ignore[arg-type]  # as an untyped handler would
        Fail("💥\ud800\x00" * MESSAGE_LIMIT, detail="\x00é" * DETAIL_LIMIT, retry_after_s=math.nan),
        Fail("soon", retry_after_s=-1.0),
        Fail("never", retry_after_s=1e12),
        ValueError("字\udfff" * 50_000),
        Unreadable,
        SystemExit(3),
        RecursionError(),
        ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.covers("NEW-SEC-002")
def test_whatever_is_raised_the_report_can_be_sent_and_read(error: Any) -> None:
    if error is Unreadable:
        error = type("Odd", (Exception,), {"__str__": Unreadable.__str__})()
    failure = failure_of(_raised(error))
    again = msgspec.json.decode(msgspec.json.encode(failure), type=Failure)
    assert again == failure and failure.message
    assert "\x00" not in failure.message + failure.detail


def test_known_secrets_are_blacked_out_everywhere() -> None:
    error = _raised(RuntimeError("login with s3cret-key failed"))
    failure = failure_of(error, ["s3cret-key"])
    assert "s3cret-key" not in failure.message + failure.detail
    assert "login with *** failed" in failure.message
