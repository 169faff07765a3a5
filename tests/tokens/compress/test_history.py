"""Old turns: masked, then left out, until the budget is reached."""

import json

from tests.tokens.compress import pieces
from tests.tokens.compress.pieces import o200k

from cca.contracts.tokens import Turn
from cca.tokens.compress import Folded, compress
from cca.tokens.history import Salience, mentions, order_of_leaving, salience
from cca.tokens.markers import expand

OLD = Turn(text=pieces.PROSE.replace("decided", "talked") + " It says no more than that. " * 20, role="assistant")
DECIDED = Turn(text="We decided to use PostgreSQL, because it is there already. " * 8, role="assistant")
RESULT = Turn(text="\n".join(f"row {at} of the table has {at * 7919 % 1000} things" for at in range(200)), role="tool")
FAILED = Turn(text=RESULT.text + "\nERROR: order 4711 was refused by db-3\nexit code 1", role="tool")
NOW = Turn(text="And what is the total now?", role="user")


def strong(turns: list[Turn], **rest: object) -> Folded:
    folded = compress(turns, pieces.folding("strong", **rest))
    texts = [expand(text, folded.blobs.get) for text in folded.texts if text is not None]
    assert "\n".join(texts) == "\n".join(turn.text for turn in turns)
    return folded


def tokens(*turns: Turn) -> int:
    return sum(o200k(turn.text) for turn in turns)


def test_an_old_result_keeps_the_lines_that_say_most() -> None:
    folded = strong([FAILED, NOW], max_tokens=300, recent=1)
    text = folded.texts[0] or ""
    assert [cut.strategy for cut in folded.cuts] == ["mask"] and folded.reached
    assert "ERROR: order 4711 was refused by db-3" in text and "exit code 1" in text
    assert "row 0 of the table" in text and "row 100 of the table" not in text


def test_what_later_turns_speak_of_stays() -> None:
    later = Turn(text="Look at /var/lib/shop/orders-77.db again, please.", role="user")
    middle = RESULT.text.replace("row 100 ", "found /var/lib/shop/orders-77.db\nrow 100 ")
    folded = strong([Turn(text=middle, role="tool"), later], max_tokens=300, recent=1)
    assert "found /var/lib/shop/orders-77.db" in (folded.texts[0] or "")


def test_the_oldest_results_are_masked_first_and_no_more_than_needed() -> None:
    turns = [Turn(text=RESULT.text + f"\n{at}", role="tool") for at in range(3)]
    turns = [Turn(text=turn.text.replace("things", f"things{at}"), role="tool") for at, turn in enumerate(turns)]
    folded = strong([*turns, NOW], max_tokens=tokens(*turns) - 500, recent=0, strategies=("mask",))
    assert [cut.turn for cut in folded.cuts] == [0] and folded.reached


def test_recent_results_are_not_masked() -> None:
    folded = strong([FAILED, NOW], max_tokens=300, recent=2, strategies=("mask",))
    assert not folded.cuts and not folded.reached and folded.short == tokens(FAILED, NOW) - 300


def test_masked_json_stays_json() -> None:
    document = json.dumps({"total": 3, "items": pieces.records(60)})
    folded = strong([Turn(text=document, role="tool"), NOW], max_tokens=60, recent=1, strategies=("mask",))
    assert json.loads(folded.texts[0] or "")["$v"] == {"total": 3, "items": "60 items"}


def test_without_a_budget_nothing_is_masked_unless_it_is_asked_for_by_name() -> None:
    assert not strong([RESULT, OLD, NOW], recent=1).cuts
    assert [cut.strategy for cut in strong([RESULT, OLD, NOW], recent=1, strategies=("mask",)).cuts] == ["mask"]


def test_below_strong_nothing_is_masked_or_left_out() -> None:
    folded = compress([FAILED, OLD, NOW], pieces.folding("safe", max_tokens=50, recent=0))
    assert not {"mask", "history"} & set(folded.saved) and None not in folded.texts
    assert not folded.reached and folded.short == folded.after - 50


def test_the_oldest_turns_go_into_one_marker() -> None:
    turns = [Turn(text=OLD.text + f" Number {at}.", role="assistant") for at in range(6)]
    folded = strong([*turns, NOW], max_tokens=tokens(*turns[3:], NOW) + 40, recent=1, strategies=("history",))
    assert folded.reached
    assert (folded.texts[0] or "").endswith(" 3 older messages left out]")
    assert folded.texts[1:3] == (None, None) and folded.texts[3] == turns[3].text


def test_decisions_go_last() -> None:
    folded = strong([DECIDED, OLD, OLD, NOW], max_tokens=tokens(DECIDED, NOW) + 40, recent=1, strategies=("history",))
    assert folded.reached and folded.texts[0] == DECIDED.text and folded.texts[2] is None


def test_system_pinned_cached_and_recent_turns_never_go() -> None:
    turns = [
        Turn(text=OLD.text, role="assistant"),
        Turn(text=OLD.text, role="system"),
        Turn(text=OLD.text, pinned=True),
        OLD,
        NOW,
    ]
    folded = strong(turns, max_tokens=1, cached=1, recent=2, strategies=("history",))
    assert list(folded.texts) == [turn.text for turn in turns]
    assert not folded.reached and folded.short == folded.after - 1


def test_a_run_of_left_out_turns_that_begins_with_json_leaves_json() -> None:
    document = Turn(text=pieces.document(9), role="tool")
    folded = strong([document, OLD, NOW], max_tokens=60, recent=1, strategies=("history",))
    assert json.loads(folded.texts[0] or "")["$v"] == "2 older messages left out"


def test_what_is_salient_is_told_by_what_a_turn_says() -> None:
    assert salience(OLD, 0, {}) == Salience(False, 2)  # it asks, and names a file
    assert salience(DECIDED, 0, {}).decides
    assert salience(Turn(text="Hello."), 0, {}).weight == 1
    assert salience(FAILED, 0, {}).weight > salience(RESULT, 0, {}).weight == 0
    named = Turn(text="see ORD-1234", role="tool")
    assert salience(named, 0, mentions([named, Turn(text="What of ORD-1234 now")])).weight == 1
    assert order_of_leaving([OLD, DECIDED, RESULT, FAILED], [0, 1, 2, 3]) == [2, 3, 0, 1]
