"""Any message survives the codec, and nothing else gets through it."""

import json
import string
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import inspect

from cca.codec import KINDS, decode, encode, tag_of
from cca.contracts.task import SubmitTask, TaskCompleted
from cca.errors import Unknown, Unreadable
from cca.message import Command, Message
from cca.schemas.bodies import body

EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(tag_of(kind)))
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # JSON text is Unicode: no lone surrogates
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def values(type: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a type as msgspec sees it."""
    match type:
        case inspect.Metadata(type=inner):
            return values(inner)
        case inspect.AnyType():
            return VALUES
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=ge, le=le):
            return st.integers(-(2**63) if ge is None else ge, 2**63 - 1 if le is None else le)
        case inspect.FloatType(ge=ge, gt=gt, le=le, lt=lt):
            low, high = ge if gt is None else gt, le if lt is None else lt
            numbers = st.floats(low, high, allow_nan=False, allow_infinity=False)
            return numbers.filter(lambda number: number not in (gt, lt))
        case inspect.StrType(pattern=str(pattern)):
            return st.from_regex(pattern, fullmatch=True)
        case inspect.StrType(min_length=least, max_length=most):
            return st.text(TEXT_LETTERS, min_size=least or 0, max_size=min(most or 20, 20))
        case inspect.BytesType():
            return st.binary(max_size=20)
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.just(UTC))
        case inspect.LiteralType(values=choices):
            return st.sampled_from(choices)
        case inspect.UnionType(types=types):
            return st.one_of([values(each) for each in types])
        case inspect.DictType(key_type=key, value_type=value, max_length=most):
            return st.dictionaries(values(key), values(value), max_size=min(most or 3, 3))
        case inspect.VarTupleType(item_type=item, min_length=least):
            return st.lists(values(item), min_size=least or 0, max_size=3).map(tuple)
        case inspect.StructType(cls=cls, fields=fields):
            required = {field.name: values(field.type) for field in fields if field.required}
            optional = {field.name: values(field.type) for field in fields if not field.required}
            return st.fixed_dictionaries(required, optional=optional).map(lambda given: cls(**given))
    raise NotImplementedError(f"teach this test about {type}")


TEXT_LETTERS = st.characters(exclude_categories=["Cs"])


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    return values(inspect.type_info(kind))


@EVERY
def test_any_message_survives_and_follows_its_schema(kind: type[Message]) -> None:
    validator = Draft202012Validator(body(kind))

    @FEW
    @given(messages(kind))
    def survives(message: Message) -> None:
        written = encode(message)
        assert decode(tag_of(kind), written) == message
        assert encode(decode(tag_of(kind), written)) == written
        validator.validate(json.loads(written))

    survives()


@EVERY
def test_the_schema_and_the_codec_agree_on_a_damaged_message(kind: type[Message]) -> None:
    validator = Draft202012Validator(body(kind), format_checker=None)
    fields = {field.encode_name: field.type for field in inspect.type_info(kind).fields}  # type: ignore[attr-defined]  # a Struct's type info is a StructType
    # A date is a string to the validator, and a string with rules to the codec; so are bytes, which are base64.
    names = sorted(n for n, type in fields.items() if "DateTime" not in repr(type) and "BytesType" not in repr(type))
    # To JSON Schema 1.0 is an integer, to the codec it is not.
    odd = VALUES.filter(lambda value: "." not in json.dumps(value))

    @FEW
    @given(messages(kind), st.data())
    def agree(message: Message, data: st.DataObject) -> None:
        damaged = json.loads(encode(message))
        for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)) if names else []:
            if data.draw(st.booleans()):
                damaged.pop(name, None)
            else:
                damaged[name] = data.draw(odd)
        try:
            decode(tag_of(kind), msgspec.json.encode(damaged))
        except Unreadable:
            read = False
        else:
            read = True
        assert read == validator.is_valid(damaged), damaged

    agree()


@EVERY
def test_an_unknown_field_is_passed_over_except_in_what_people_write(kind: type[Message]) -> None:
    strict = kind.__struct_config__.forbid_unknown_fields
    assert not strict or issubclass(kind, Command), "readers of events and replies must bear newer writers"

    @FEW
    @given(messages(kind), st.text(string.ascii_lowercase, min_size=1), VALUES)
    def passed_over(message: Message, name: str, value: Any) -> None:
        more = json.loads(encode(message)) | {f"x_{name}": value}
        written = msgspec.json.encode(more)
        if strict:
            with pytest.raises(Unreadable, match=f"x_{name}"):
                decode(tag_of(kind), written)
        else:
            assert decode(tag_of(kind), written) == message

    passed_over()


@EVERY
def test_bytes_that_are_no_message_are_unreadable_and_nothing_worse(kind: type[Message]) -> None:
    tag = tag_of(kind)

    @FEW
    @given(st.binary() | VALUES.map(msgspec.json.encode))
    def unreadable(written: bytes) -> None:
        try:
            decode(tag, written)
        except Unreadable as error:
            assert str(error)

    @FEW
    @given(messages(kind), st.data())
    def cut_or_scratched(message: Message, data: st.DataObject) -> None:
        written = bytearray(encode(message))
        if data.draw(st.booleans()):
            del written[data.draw(st.integers(0, len(written) - 1)) :]
        else:
            written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
        try:
            decode(tag, bytes(written))
        except Unreadable as error:
            assert str(error)

    unreadable()
    cut_or_scratched()


@MANY
@given(st.text() | st.text("cask.v1", max_size=12))
def test_a_tag_that_was_never_heard_is_unknown(tag: str) -> None:
    if tag not in KINDS:
        with pytest.raises(Unknown):
            decode(tag, b"{}")


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"\x00",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf" + b'{"description": "with a byte order mark"}',
        b'{"description": "\xff"}',
        b'{"description": "\xf0\x9f\xa6"}',
        rb'{"description": "\ud83e"}',
        b'{"description": "x", "input": {"n": 1e999}}',
        b'{"description": "x", "max_attempts": ' + b"9" * 5_000 + b"}",
        b'{"description": "x", "input": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        b'{"description": "x", "input": {"a": ' + b"[" * 200_000,
        b'{"description": "x", "role": "back\\nend"}',
        b'{"description": "x", "role": "backend\\n"}',
        b'{"description": "x", "role": "a.b"}',
        b'{"description": "x", "role": "*"}',
        b'{"description": "x", "lane": ">"}',
        b'{"description": ""}',
        b'{"description": "x", "type": "cca.task.cancel.v1"}',
        b'{"description": "x"} trailing',
    ],
    ids=range(22),
)
def test_well_known_bad_submissions_are_unreadable_with_a_reason(written: bytes) -> None:
    with pytest.raises(Unreadable, match=r"\w"):
        decode(tag_of(SubmitTask), written)


def test_a_field_at_its_limit_is_read_and_beyond_it_is_not() -> None:
    at_limit = "🦉" * 100_000  # characters, not bytes
    assert decode(tag_of(SubmitTask), msgspec.json.encode({"description": at_limit})) == SubmitTask(at_limit)
    with pytest.raises(Unreadable, match="description"):
        decode(tag_of(SubmitTask), msgspec.json.encode({"description": at_limit + "x"}))


@pytest.mark.parametrize("value", [object(), {1: {2}}.keys(), "\ud800", b"\xff".decode("utf-8", "surrogateescape")])
def test_a_result_that_json_cannot_hold_is_refused_and_not_a_crash(value: object) -> None:
    with pytest.raises(Unreadable, match=r"cca\.task\.completed\.v1"):
        encode(TaskCompleted(task="t", attempt=1, agent="a", result=value))
