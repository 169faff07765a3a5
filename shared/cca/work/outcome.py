"""What a handler's return value or exception becomes: a result in JSON, or a failure."""

import math
import traceback
from collections.abc import Sequence
from typing import get_args

import msgspec

from cca.contracts.task import Failure, FailureKind, Usage
from cca.work.task import Fail

MESSAGE_LIMIT = 2_000
DETAIL_LIMIT = 20_000

_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


def encode_result(value: object, limit: int) -> msgspec.Raw:
    """The JSON of a result. Raises `Fail` (rejected, not retryable) when there is none, or more than `limit` bytes."""
    if value is None:
        return _NULL
    try:
        body = _encode(value)
        # JSON has no NaN; the encoder writes null for it, and a result must not change in silence.
        if b"null" in body and _has_nan(msgspec.to_builtins(value)):
            raise ValueError("it holds NaN or an infinity, which JSON cannot hold")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        text = "it refers to itself or is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _rejected(f"the result of type {type(value).__name__} cannot be written as JSON: {text}") from None
    except Exception as error:  # a property or `__iter__` of the handler's own type
        raise _rejected(f"the result cannot be written as JSON: {type(error).__name__}: {error}") from None
    if len(body) > limit:
        raise _rejected(f"result too large: {len(body)} bytes, limit {limit}")
    return msgspec.Raw(body)


def _rejected(message: str) -> Fail:
    return Fail(message, retryable=False, kind="rejected")


def _has_nan(value: object) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case dict():
            return any(map(_has_nan, value.values()))
        case list() | tuple():
            return any(map(_has_nan, value))
        case _:
            return False


def failure_of(error: BaseException, secrets: Sequence[str] = ()) -> Failure:
    """The failure that an exception of a handler stands for. `secrets` are blacked out in its texts."""
    if isinstance(error, Fail):
        wait = error.retry_after_s
        return Failure(
            kind=error.kind if error.kind in get_args(FailureKind) else "error",
            message=clean(error.message, MESSAGE_LIMIT, secrets) or "failed without a word",
            retryable=error.retryable,
            exit_code=error.exit_code,
            detail=tail(clean(error.detail, None, secrets), DETAIL_LIMIT),
            retry_after_s=None if wait is None or not math.isfinite(wait) else min(max(wait, 0.0), 604_800.0),
        )
    name = type(error).__name__
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return Failure(
        kind="error",
        message=clean(f"{name}: {_text_of(error)}" if _text_of(error) else name, MESSAGE_LIMIT, secrets),
        detail=tail(clean("".join(lines), None, secrets), DETAIL_LIMIT),
    )


def checked(usage: Usage) -> Usage | None:
    """What a failed attempt says that it used; None when that cannot be true. The failure itself must be heard."""
    try:
        return msgspec.json.decode(_encode(usage), type=Usage)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        return None


def stopped(why: str) -> Failure:
    """The failure of an attempt that was ended before its time: `shutdown`, `canceled`, or by `itself`."""
    match why:
        case "shutdown":
            return Failure("lost", "the worker was stopped before the attempt had ended")
        case "itself":
            return Failure("error", "the handler canceled itself")
        case _:
            return Failure("error", "canceled on request")


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception whose __str__ fails must still be reported
        return "(its text cannot be read)"


def clean(text: str, limit: int | None, secrets: Sequence[str] = ()) -> str:
    """Text that JSON and a database can hold: no lone surrogates, NUL or known secrets; at most `limit` characters."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    text = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return text


def tail(text: str, limit: int) -> str:
    """The end of a text: what was said last matters most."""
    return text if len(text) <= limit else "…" + text[1 - limit :]
