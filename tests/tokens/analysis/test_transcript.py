"""Transcripts of several forms become turns, and other texts are put back into the same form."""

import json
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.tokens import Turn
from cca.tokens.transcript import read

CALM = settings(deadline=None, max_examples=120)

OPENAI: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": "u"}}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "grep", "arguments": '{"q": "x"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a.py:1: x"},
    {"role": "assistant", "content": "There it is."},
]
ANTHROPIC = {
    "model": "claude-sonnet-4",
    "max_tokens": 1.0,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "Grep", "input": {"q": "x", "n": 1.0}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "a.py:1: x"},
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "b.py:2: x"}]},
                {"type": "text", "text": "And now?"},
            ],
        },
    ],
    "tools": [{"name": "Grep", "input_schema": {"type": "object"}}],
}
SESSION: list[dict[str, Any]] = [
    {"type": "summary", "summary": "Of before", "leafUuid": "u"},
    {"type": "user", "message": {"role": "user", "content": "Look."}, "uuid": "1"},
    {
        "type": "assistant",
        "isSidechain": True,
        "message": {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "Read", "input": {"p": 1}}],
        },
    },
    {
        "type": "user",
        "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "file"}]},
        "toolUseResult": {"stdout": "file"},
    },
]


def lines(documents: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in documents)


def said(document: Any) -> list[tuple[str, str, str | None]]:
    text = document if isinstance(document, str) else json.dumps(document)
    return [(turn.role, turn.text, turn.name) for turn in read(text).turns]


def test_messages_of_openai_are_turns() -> None:
    expected = [
        ("system", "Be brief.", None),
        ("user", "Look.", None),
        ("assistant", '{"q": "x"}', "grep"),
        ("tool", "a.py:1: x", "grep"),
        ("assistant", "There it is.", None),
    ]
    assert said(OPENAI) == said({"model": "gpt-4o", "messages": OPENAI}) == said(lines(OPENAI)) == expected


def test_items_of_the_newer_form_of_openai_are_turns() -> None:
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "function_call", "call_id": "c", "name": "grep", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "none"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "No."}]},
    ]
    expected = [
        ("system", "Be brief.", None),
        ("assistant", "{}", "grep"),
        ("tool", "none", "grep"),
        ("assistant", "No.", None),
    ]
    assert said({"input": items}) == expected


def test_a_request_of_anthropic_is_turns() -> None:
    assert said(ANTHROPIC) == [
        ("system", "Be brief.", None),
        ("user", "Look.", None),
        ("assistant", "Hm.", None),
        ("assistant", "I look.", None),
        ("assistant", '{"q":"x","n":1.0}', "Grep"),
        ("tool", "a.py:1: x", "Grep"),
        ("tool", "b.py:2: x", "Grep"),
        ("user", "And now?", None),
    ]
    found = read(json.dumps(ANTHROPIC))
    assert found.tools == tuple(ANTHROPIC["tools"])  # type: ignore[arg-type]  # they are a list
    assert [turn.pinned for turn in found.turns].index(True) == 2


def test_a_session_of_claude_code_is_turns_of_its_agents() -> None:
    found = read(lines(SESSION))
    assert found.form == "jsonl"
    assert found.turns == (
        Turn("Look."),
        Turn('{"p":1}', "assistant", "Read", agent="sidechain"),
        Turn("file", "tool", "Read"),
    )


def test_a_session_whose_last_line_is_cut_off_is_read() -> None:
    document = lines(SESSION)[:-40]
    assert len(read(document).turns) == 2
    assert read(document).write(["A", "B"]).endswith(document[-100:])


@pytest.mark.parametrize(
    "document",
    [
        "",
        "Only text",
        "{not json",
        "[]",
        "{}",
        '{"system": "linux"}',
        '[{"content": "no role"}]',
        '[{"role": "admin", "content": "no speaker"}]',
        '{"level": "info", "message": "started"}\n{"level": "info", "message": "ready"}\n',
        '{"role": "user", "content": "a"}\nnot json\n{"role": "user", "content": "b"}\n',
        "[" * 100_000,
        "1" * 10_000,
    ],
)
def test_all_else_is_a_text_of_one_turn(document: str) -> None:
    found = read(document, "a/file.txt")
    assert (found.form, found.turns) == ("text", (Turn(document, name="a/file.txt"),))
    assert found.write([document]) == document
    assert found.write(["other"]) == "other"


def test_bytes_are_utf_8_and_a_byte_order_mark_stays() -> None:
    document = b'\xef\xbb\xbf[{"role":"user","content":"\xc3\xa9"}]'
    found = read(document)
    assert found.turns[0].text == "é"
    assert found.write(["è"]).encode() == document.replace(b"\xa9", b"\xa8")
    with pytest.raises(UnicodeDecodeError):
        read(b"\xff\xfe")


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("document", [OPENAI, ANTHROPIC])
def test_what_is_not_changed_stays_character_for_character(document: Any, indent: Any) -> None:
    text = json.dumps(document, indent=indent) + "\n"
    found = read(text)
    assert found.write([turn.text for turn in found.turns]) == text
    texts = [turn.text for turn in found.turns]
    texts[1] = "Look again."
    assert found.write(texts) == text.replace("Look.", "Look again.")


def test_the_arguments_of_a_tool_are_changed_into_json_alone() -> None:
    for document, index in ((OPENAI, 2), (ANTHROPIC, 4)):
        found = read(json.dumps(document))
        texts = [turn.text for turn in found.turns]
        for wrong in ("[ctx:… 3 lines]", "[1]", "{", ""):
            assert found.write([*texts[:index], wrong, *texts[index + 1 :]]) == json.dumps(document)
        other = found.write([*texts[:index], '{"$ctx":"r","$v":{}}', *texts[index + 1 :]])
        assert read(other).turns[index].text == '{"$ctx":"r","$v":{}}'


def test_what_is_dropped_goes_with_its_message_unless_more_is_in_it() -> None:
    found = read(json.dumps(OPENAI))
    left = json.loads(found.write([None] * 5))
    assert [message["role"] for message in left] == ["user", "assistant", "tool"]
    assert left[0]["content"][0] == {"type": "text", "text": ""}
    assert left[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert left[2]["content"] == ""


def test_a_dropped_part_goes_while_others_stay() -> None:
    found = read(json.dumps(ANTHROPIC))
    texts: list[str | None] = [turn.text for turn in found.turns]
    texts[3] = texts[6] = texts[7] = texts[0] = None
    left = json.loads(found.write(texts))
    assert left["system"][0]["text"] == ""
    assert [part["type"] for part in left["messages"][1]["content"]] == ["thinking", "text", "tool_use"]
    assert left["messages"][2]["content"][1]["content"][0]["text"] == ""
    two = [{"role": "user", "content": [{"type": "text", "text": "a"}, "b", {"type": "text", "text": "c"}]}]
    assert json.loads(read(json.dumps(two)).write([None, "b", None])) == [{"role": "user", "content": ["b"]}]


def test_a_dropped_line_of_a_session_goes_whole() -> None:
    left = read(lines(SESSION)).write([None, '{"p":1}', "file"])
    assert left == lines([SESSION[0], *SESSION[2:]])
    requests = lines([{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}])
    assert json.loads(read(requests).write([None, "b"])) == {"messages": [{"role": "user", "content": "b"}]}


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts for 5 turns"):
        read(json.dumps(OPENAI)).write(["a"])


TEXTS = st.text(st.characters(), max_size=20)
PARTS = st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=3)
BLOCKS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
        st.builds(lambda text: {"type": "tool_use", "id": "i", "name": "n", "input": {"k": text}}, TEXTS),
        st.builds(lambda inner: {"type": "tool_result", "tool_use_id": "i", "content": inner}, TEXTS | PARTS),
        st.just({"type": "image", "source": {"data": "…"}}),
    ),
    max_size=4,
)
CALLS = st.lists(st.builds(lambda text: {"id": "i", "function": {"name": "n", "arguments": text}}, TEXTS), max_size=2)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.none() | TEXTS | BLOCKS},
        optional={"tool_calls": CALLS, "name": TEXTS, "other": st.floats(allow_nan=False)},
    ),
    max_size=5,
)


def shout(value: Any, key: str = "") -> Any:
    """The document with every text in it changed."""
    if isinstance(value, list):
        return [shout(each, key) if not isinstance(each, str) else each for each in value]
    if isinstance(value, dict):
        kept = {"input", "source", "name", "role", "id", "tool_use_id", "type", "other", "arguments"}
        return {name: each if name in kept else shout(each, name) for name, each in value.items()}
    return value + "!\ud800é" if isinstance(value, str) and (value or key == "text") else value


@CALM
@forall(MESSAGES, st.sampled_from([None, 2]), st.booleans(), st.booleans())
def test_any_messages_are_written_as_they_were_or_with_what_is_new(
    messages: Any, indent: Any, plain: bool, by_line: bool
) -> None:
    if by_line:
        document = "".join(json.dumps(message, ensure_ascii=plain) + "\n" for message in messages)
    else:
        document = json.dumps(messages, indent=indent, ensure_ascii=plain)
    found = read(document)
    assert found.write([turn.text for turn in found.turns]) == document
    if found.form == "text":
        return
    slots = zip(found._slots, found.turns, strict=True)
    louder = found.write([turn.text + ("!\ud800é" if slot.form == "text" else "") for slot, turn in slots])
    decoded = [json.loads(line) for line in louder.split("\n") if line] if by_line else json.loads(louder)
    assert decoded == shout(messages)
    if not plain:
        return
    assert louder.isascii()


@CALM
@forall(
    st.text(st.characters(), max_size=200) | st.text(st.sampled_from('{}[]",:\n\\u role content user 0'), max_size=60)
)
def test_any_text_is_read_and_written_as_it_is(document: str) -> None:
    found = read(document)
    assert found.write([turn.text for turn in found.turns]) == document
    found.write([None] * len(found.turns))
