"""A turn taken apart."""

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.compress import pieces

from cca.contracts.tokens import ContentKind, Turn
from cca.tokens.frame import frame
from cca.tokens.sections import Placed, sections


def kinds(text: str, name: str | None = None) -> list[tuple[ContentKind, int]]:
    return [(each.section.kind, len(each.section.lines)) for each in sections(Turn(text=text, name=name))]


def only(kind: ContentKind, text: str, name: str | None = None) -> Placed:
    found = [each for each in sections(Turn(text=text, name=name)) if each.section.kind == kind]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (pieces.TESTS, "tests"), (pieces.log(60), "log"), (pieces.document(9), "json"), (pieces.rows(9), "json"),
        (pieces.SEARCH, "search"), (pieces.DIFF, "diff"), (pieces.CODE, "code"), (pieces.TABLE, "table"),
        (pieces.LISTING, "listing"), (pieces.BUILD, "build"), (pieces.TRACE, "trace"), (pieces.PROSE, "prose"),
    ],
)  # fmt: skip
def test_what_is_of_one_kind_is_one_section(text: str, kind: ContentKind) -> None:
    assert kinds(text) == [(kind, len(text.split("\n")))]


def test_what_somebody_pastes_between_two_sentences_is_found() -> None:
    text = f"This is what it wrote:\n\n{pieces.log(40)}\n\nCan you tell me why db-39 refused?"
    assert kinds(text) == [("prose", 2), ("log", 42), ("prose", 1)]


def test_the_fences_of_a_code_block_are_in_no_section() -> None:
    text = f"Look:\n```python\n{pieces.CODE}```\nand\n~~~\n{pieces.log(9)}\n~~~"
    found = sections(Turn(text=text))
    assert [(each.section.kind, each.section.fenced) for each in found] == [
        ("prose", False), ("code", True), ("prose", False), ("log", True)
    ]  # fmt: skip
    assert found[1].section.language == "python" and found[1].start == 2


def test_a_longer_fence_holds_shorter_ones() -> None:
    text = f"````md\nSome text\n```\n{pieces.CODE}```\n````"
    assert all(each.section.fenced for each in sections(Turn(text=text)))
    assert sum(part.what == "fence" for part in frame(text.split("\n"))) == 2


def test_json_in_a_text_is_found_by_its_bounds() -> None:
    text = f"HTTP/1.1 200 OK\n{pieces.document(9)}\nDone."
    placed = only("json", text)
    assert placed.start == 1 and "\n".join(placed.section.lines) == pieces.document(9)


def test_lines_of_json_are_one_section() -> None:
    assert kinds(f"Events:\n{pieces.rows(9)}\nThat was all.") == [("prose", 1), ("json", 9), ("prose", 1)]


def test_json_that_is_cut_off_is_none() -> None:
    text = pieces.document(9)[:-30]
    assert all(kind != "json" for kind, _ in kinds(text))


def test_json_inside_of_code_is_code() -> None:
    text = f"{pieces.CODE}\nEXAMPLE = json.loads('''\n{pieces.document(3)}\n''')\n"
    assert [kind for kind, _ in kinds(text, "read_file shop/basket.py")] == ["code"]


def test_what_an_earlier_compression_left_is_folded() -> None:
    text = f"Before.\n[ctx:{'a2' * 10} 40 log lines; next 2]\n60x GET\n1x POST\nAfter."
    assert kinds(text) == [("prose", 1), ("folded", 3), ("prose", 1)]
    assert kinds(f'{{"$ctx":"{"a2" * 10}","$v":[1]}}') == [("folded", 1)]


def test_a_shell_is_split_at_its_prompts() -> None:
    text = f"$ cat shop/basket.py\n{pieces.CODE}$ pytest -q\n{pieces.TESTS}\nroot@host:~/shop# ls -l\n{pieces.LISTING}"
    found = [(each.section.kind, each.section.name) for each in sections(Turn(text=text, name="bash"))]
    assert found == [
        ("prose", "bash"), ("code", "cat shop/basket.py"), ("prose", "bash"), ("tests", "pytest -q"), ("prose", "bash"),
        ("listing", "ls -l"),
    ]  # fmt: skip


def test_a_trace_is_taken_out_of_prose() -> None:
    text = f"It failed with\n{pieces.TRACE}\nand I do not know why that is so."
    assert kinds(text) == [("prose", 1), ("trace", 8), ("prose", 1)]


def test_a_trace_stays_with_the_log_that_it_is_in() -> None:
    text = f"{pieces.log(20)}\n{pieces.TRACE}\n{pieces.log(20, 1)}"
    assert [kind for kind, _ in kinds(text)] == ["log"]


def test_a_hunk_is_as_long_as_it_says() -> None:
    text = f"{pieces.DIFF}- this is a list\n- and no diff\n\n{pieces.PROSE}"
    assert [kind for kind, _ in kinds(text)] == ["diff", "prose"]
    assert only("diff", text).end == len(pieces.DIFF.split("\n")) - 1


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("read_file conf/app.yaml", "shop:\n  tax: 0.25\n  round: up\n", "code"),
        ("read_file data.csv", "a,b\n1,2", "table"),
        ("cat notes.md", pieces.PROSE, "prose"),
        ("grep -n total shop/basket.py", pieces.SEARCH, "search"),
    ],
)
def test_a_name_helps_but_does_not_decide(name: str, text: str, kind: ContentKind) -> None:
    assert kinds(text, name)[0][0] == kind


@settings(deadline=None, max_examples=150)
@forall(pieces.TEXTS, pieces.NAMES, st.integers(0, 9))
def test_all_lines_are_in_one_section_or_are_fences(text: str, name: str | None, age: int) -> None:
    lines = text.split("\n")
    places = [0] * len(lines)
    for each in sections(Turn(text=text, name=name), age):
        assert list(each.section.lines) == lines[each.start : each.end] and each.section.lines
        assert each.section.age == age
        for at in range(each.start, each.end):
            places[at] += 1
    for part in frame(lines):
        for at in range(part.start, part.end):
            if part.what == "fence" and name is None:
                assert places[at] == 0
                places[at] += 1
    if name is None:
        assert set(places) == {1}
