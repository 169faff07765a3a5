"""Questions are asked in each mode, and only what was answered in that mode is counted."""

from collections.abc import Sequence
from pathlib import Path

from cca.bench.search.code import PROJECT, copied, paths
from cca.bench.search.quality import MODES, active, ask
from cca.bench.search.ranking import Quality
from cca.bench.search.written import code_questions
from cca.contracts.search import EmbedderInfo, Mode

QUESTIONS = [(f"question {number}", {str(number)}) for number in range(10)]


async def test_each_mode_has_its_own_quality() -> None:
    async def found(text: str, mode: Mode) -> tuple[Mode, Sequence[str]]:
        return mode, [text.split()[1]] if mode == "dense" else ["none", text.split()[1]]

    measured = await ask(QUESTIONS, found)
    assert tuple(measured) == MODES
    assert measured["dense"] == Quality(1.0, 1.0, 10)
    assert round(measured["hybrid"].ndcg, 4) == 0.6309 and measured["hybrid"].recall == 1


async def test_what_was_answered_by_words_alone_does_not_count_for_another_mode() -> None:
    async def found(text: str, mode: Mode) -> tuple[Mode, Sequence[str]]:
        return "lexical" if mode == "dense" or text.endswith("7") else mode, []

    assert await ask(QUESTIONS, found) == {"lexical": Quality(0.0, 0.0, 10)}


def test_the_embedder_is_the_one_that_searches_use() -> None:
    lexical = EmbedderInfo("", "", 0, "lexical")
    building, used = EmbedderInfo("new", "1", 3, "building"), EmbedderInfo("old", "1", 3, "active")
    assert active([lexical]) is None and active([building]) is None
    assert active([building, used]) is used


def test_the_files_that_hold_the_answers_can_be_copied_alone(tmp_path: Path) -> None:
    questions = code_questions(3)
    target = copied(tmp_path, [*paths(questions), "not_there.py"])
    assert target == tmp_path / PROJECT
    assert {path.name for path in target.rglob("*")} == {"shlex.py", "textwrap.py"}
