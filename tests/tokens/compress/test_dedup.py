"""Exact repeats."""

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.compress import pieces

from cca.contracts.tokens import Turn
from cca.tokens.compress import Folded, compress
from cca.tokens.dedup import Seen
from cca.tokens.frame import frame
from cca.tokens.markers import expand


def dedup(*texts: str) -> Folded:
    how = pieces.folding(strategies=("duplicates",))
    folded = compress([Turn(text=text, role="tool") for text in texts], how)
    assert [expand(text or "", folded.blobs.get) for text in folded.texts] == list(texts)
    return folded


def shown(folded: Folded, turn: int) -> list[str]:
    """The lines of a turn, with markers by what they say."""
    lines = (folded.texts[turn] or "").split("\n")
    return ["[" + line.split(" ", 1)[1] if line.startswith("[ctx:") else line for line in lines]


def test_a_turn_that_was_there_before_is_named() -> None:
    folded = dedup(pieces.CODE, "Thanks.", pieces.CODE)
    assert shown(folded, 2) == ["[28 lines, same as message 1]"]
    assert folded.texts[:2] == (pieces.CODE, "Thanks.")


def test_json_that_was_there_before_stays_json() -> None:
    text = pieces.document(12)
    folded = dedup(text, text)
    assert folded.texts[1] == f'{{"$ctx":"{folded.cuts[0].ref}","$v":"same as message 1"}}'


def test_lines_that_stood_in_an_earlier_turn_are_named_where_they_stand_now() -> None:
    folded = dedup(pieces.CODE, f"Now with a fix:\n{pieces.CODE}# the end")
    assert shown(folded, 1) == ["Now with a fix:", "[27 lines, as in message 1]", "# the end"]


def test_lines_that_stood_further_up_are_named() -> None:
    folded = dedup(f"{pieces.CODE}\nand once more:\n{pieces.CODE}")
    assert shown(folded, 0)[-2:] == ["and once more:", "[28 lines, as above]"]


def test_what_changed_in_the_middle_stays() -> None:
    lines = pieces.log(60).split("\n")
    changed = [*lines[:30], "2026-11-22T14:00:30.000Z WARN the disk is full", *lines[30:]]
    folded = dedup("\n".join(lines), "\n".join(changed))
    assert shown(folded, 1) == ["[30 lines, as in message 1]", changed[30], "[31 lines, as in message 1]"]


def test_one_long_line_is_enough() -> None:
    text = "The shop rounds up. " * 30
    folded = dedup(f"Rules:\n{text}", f"These are the rules:\n{text}\nPlease obey.")
    assert shown(folded, 1) == ["These are the rules:", "[a line, as in message 1]", "Please obey."]


def test_brackets_and_blank_lines_are_no_repeat() -> None:
    text = "}\n\n}\n" * 200
    assert not dedup(text + "a", text + "b").cuts


def test_few_tokens_are_not_worth_a_marker() -> None:
    text = "\n".join(f"line {at}" for at in range(7))
    assert not dedup(f"{text}\none", f"{text}\ntwo").cuts


def test_a_run_does_not_reach_out_of_a_code_block() -> None:
    first = f"```\n{pieces.CODE}```\nThat is what I have got so far, and it does not round."
    folded = dedup(first, f"```\n{pieces.CODE}more = 1\n```\nThat is what I have got so far, and it does not round.")
    lines = shown(folded, 1)
    assert lines[0] == "```" and lines[1] == "[27 lines, as in message 1]" and lines[2] == "more = 1"


def test_a_whole_code_block_may_be_in_a_run() -> None:
    text = f"Look at this:\n```python\n{pieces.CODE}```\nWhat is wrong?"
    folded = dedup(text, f"Hello again.\n{text}\nBye.")
    assert shown(folded, 1) == ["Hello again.", "[31 lines, as in message 1]", "Bye."]


def test_a_json_document_is_repeated_as_a_whole_or_not_at_all() -> None:
    document = pieces.document(20)
    folded = dedup(f"one\n{document}\ntwo", f"three\n{document}\nfour", f"five\n{document[:-2]},\n  7\n]\nsix")
    assert folded.texts[1] == f'three\n{{"$ctx":"{folded.cuts[0].ref}","$v":"as in message 1"}}\nfour'
    assert len(folded.cuts) == 1


def test_rows_of_json_stay_rows_of_json() -> None:
    rows = pieces.rows(40).split("\n")
    folded = dedup("\n".join(rows), "\n".join([*rows[5:], '{"id": 99}']))
    lines = (folded.texts[1] or "").split("\n")
    assert lines == [f'{{"$ctx":"{folded.cuts[0].ref}","$v":"as in message 1"}}', '{"id": 99}']


def test_the_longest_of_several_repeats_is_taken() -> None:
    lines = pieces.log(60).split("\n")
    folded = dedup("\n".join([*lines[:12], "x"]), "\n".join([*lines[:40], "y"]), "\n".join([*lines, "z"]))
    assert shown(folded, 2)[0] == "[40 lines, as in message 2]"


@settings(deadline=None, max_examples=60)
@forall(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=60), min_size=1, max_size=4), st.integers(5, 90))
def test_runs_are_what_stood_before(turns: list[list[str]], width: int) -> None:
    seen = Seen()
    before: list[str] = []
    for number, letters in enumerate(turns):
        lines = [letter * width for letter in letters] or [""]
        units = seen.units(lines, frame(lines))
        done = 0
        for run in seen.runs(units, lambda start, end: True):
            assert done <= run.start < run.end <= len(lines)
            text = "\n".join(lines[run.start : run.end])
            assert text in (before[run.turn] if run.turn is not None else "\n".join(lines[: run.end - 1]))
            done = run.end
        seen.add(number, "\n".join(lines), units)
        before.append("\n".join(lines))
