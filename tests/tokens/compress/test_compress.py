"""Which strategies are used, what the budget asks for, and what is promised between processes."""

import hashlib
import subprocess
import sys

import pytest
from tests.tokens.compress import pieces
from tests.tokens.compress.pieces import o200k

from cca.contracts.tokens import Level, Turn
from cca.errors import Refused
from cca.tokens.compress import compress
from cca.tokens.level import ORDER, chosen
from cca.tokens.markers import LEGEND, expand
from cca.tokens.strategies.registry import NAMES, STRATEGIES, by_name

SOME = [
    Turn(text=pieces.log(90), role="tool", name="bash"),
    Turn(text=pieces.document(40), role="tool", name="http"),
    Turn(text="See:\n\n" + pieces.TESTS, role="tool", name="pytest"),
    Turn(text=pieces.log(90), role="tool", name="bash"),
    Turn(text=pieces.PROSE),
]


def test_the_strategies_are_those_that_users_know() -> None:
    assert set(NAMES) == {
        "duplicates", "delta", "json", "table", "search", "noise", "logs", "tests", "build", "traces", "listing",
        "diff", "comments", "skeleton", "mask", "history", "rows", "brief", "digests",
    }  # fmt: skip
    assert len(NAMES) == len(set(NAMES)) == len(STRATEGIES)
    for name, strategy in by_name.items():
        assert strategy.name == name and strategy.summary.endswith(".") and strategy.level in ORDER


@pytest.mark.parametrize("level", ORDER)
def test_a_level_has_all_strategies_of_those_before_it(level: Level) -> None:
    reach = ORDER[: ORDER.index(level) + 1]
    assert chosen(pieces.folding(level)).names == {each.name for each in STRATEGIES if each.level in reach}


def test_only_the_strategies_that_are_named_are_used_whatever_their_level() -> None:
    folded = compress(SOME, pieces.folding("lossless", strategies=("logs",)))
    assert set(folded.saved) == {"logs"} and {cut.turn for cut in folded.cuts} == {0, 3}


def test_a_strategy_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=r"'magic'; there are duplicates, delta, .*history") as refused:
        compress(SOME, pieces.folding(strategies=("logs", "magic")))
    assert refused.value.code == "unknown-strategy"


def test_each_kind_is_folded_by_what_knows_it() -> None:
    folded = compress(SOME, pieces.folding())
    assert [(cut.turn, cut.strategy, cut.kind) for cut in folded.cuts] == [
        (0, "logs", "log"), (1, "json", "json"), (2, "tests", "tests"), (3, "duplicates", "log")
    ]  # fmt: skip
    assert folded.after < 0.4 * folded.before
    assert "assert 1.25 == 1.24" in (folded.texts[2] or "")


def test_the_legend_stands_before_the_first_turn_that_is_folded() -> None:
    turns = [Turn(text=pieces.PROSE), SOME[1], SOME[0], SOME[2]]
    folded = compress(turns, pieces.folding(legend=True))
    assert [(text or "").startswith(LEGEND) for text in folded.texts] == [False, False, True, False]
    assert [expand(text or "", folded.blobs.get) for text in folded.texts] == [turn.text for turn in turns]
    assert not compress(turns[:1], pieces.folding(legend=True)).cuts


def test_a_share_of_the_tokens_is_saved_when_that_can_be() -> None:
    folded = compress(SOME, pieces.folding("strong", target_reduction=0.8, recent=1))
    assert folded.reached and folded.after <= 0.2 * folded.before
    folded = compress(SOME, pieces.folding("safe", target_reduction=0.99))
    assert not folded.reached and folded.short == folded.after - int(folded.before * 0.01)


def test_a_cached_turn_can_be_referred_to() -> None:
    folded = compress(SOME, pieces.folding(cached=3))
    assert folded.texts[:3] == tuple(turn.text for turn in SOME[:3])
    assert "same as message 1" in (folded.texts[3] or "")


def test_another_counter_is_asked_when_there_is_one() -> None:
    folded = compress(SOME, pieces.folding(), len)
    assert folded.before == sum(len(turn.text) for turn in SOME)
    assert folded.after == sum(len(text or "") for text in folded.texts)
    assert sum(folded.saved.values()) == folded.before - folded.after


def test_code_that_a_tool_has_numbered_loses_its_numbers_and_is_known_again() -> None:
    def numbered(lines: list[str]) -> str:
        return "\n".join(f"{at:6d}\t{line}" for at, line in enumerate(lines, 1))

    lines = pieces.CODE.split("\n")
    first, second = numbered(lines), numbered(["# a new line", *lines])
    folded = compress([Turn(text=first), Turn(text=second)], pieces.folding("lossless"))
    shown = (folded.texts[0] or "").split("\n")
    assert shown[0].endswith(" 28 lines of code from 1; next 28]") and shown[1:] == lines
    assert (folded.texts[1] or "").endswith(" lines 2-29, as in message 1]")


def test_json_that_is_a_log_is_summed_up_and_json_that_is_data_is_not() -> None:
    logged = "\n".join(
        f'{{"time":"2026-11-22T14:00:{at % 60:02d}Z","level":"info","msg":"GET /items/{at}","ms":{at % 9}}}'
        for at in range(90)
    )
    data = pieces.rows(90)
    folded = compress([Turn(text=logged), Turn(text=data)], pieces.folding())
    assert [cut.strategy for cut in folded.cuts] == ["logs", "json"]


def test_every_process_says_the_same() -> None:
    program = (
        "import hashlib\n"
        "from tests.tokens.compress import pieces\n"
        "from tests.tokens.compress.test_compress import digest\n"
        "print(digest())\n"
    )
    told = set()
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(done.stdout.strip())
    assert told == {digest()}


def digest() -> str:
    """Of everything that comes out at every level."""
    turns = [*SOME, *(Turn(text=text, role="tool") for text in pieces.FRAGMENTS)]
    out = hashlib.sha256()
    for level in ORDER:
        folded = compress(turns, pieces.folding(level, max_tokens=2_000, recent=2))
        out.update(repr((folded.texts, folded.cuts, folded.saved)).encode("utf-8", "surrogatepass"))
    return out.hexdigest()


def test_tokens_of_the_model_are_counted() -> None:
    assert compress(SOME, pieces.folding()).before == sum(o200k(turn.text) for turn in SOME)
