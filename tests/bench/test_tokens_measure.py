"""The measure: what is counted, what is judged, and what a person reads of it."""

import io
import json
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from cca.bench.report import Line
from cca.bench.spread import Spread
from cca.bench.tokens import headroom, measure, speed
from cca.bench.tokens.facts import Fact
from cca.bench.tokens.measure import Findings, Result, middle, restored, shown
from cca.bench.tokens.speed import Speeds, mixture
from cca.bench.tokens.table import Report
from cca.bench.tokens.transcripts.catalogue import transcripts
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.cli.bench_tokens import tokens_bench
from cca.contracts.tokens import Turn
from cca.tokens.markers import marker, ref_of


def result(kind: str = "logs", way: str = "safe", after: int = 20, hidden: int = 0, **more: object) -> Result:
    facts = tuple(Fact(1, "error", f"error {number}") for number in range(hidden))
    fields = {"literal": 9, "reformatted": 1, "cuts": 2, "retrievable": 2, "exact": True, "seconds": 0.5, "size": 400}
    return Result(f"{kind}-a", kind, way, 100, after, hidden=facts, **(fields | more))  # type: ignore[arg-type]  # by name


def report(*results: Result, notes: tuple[str, ...] = ()) -> Report:
    found: dict[str, list[Result]] = {}
    for each in results:
        found.setdefault(each.way, []).append(each)
    return Report(Findings(0, found, notes))


def said(one: Report | Speeds, **how: bool) -> str:
    text = io.StringIO()
    one.show(Console(file=text, width=170, color_system=None), **how)
    return text.getvalue()


# ------------------------------------------------------------------------------------------- one transcript


def told() -> Transcript:
    script = Script("t")
    script.user("Why?")
    script.bash("tail log", "routine 1\nERROR pool exhausted: 20 of 20\nroutine 2")
    script.fact("error", "pool exhausted: 20 of 20")
    script.fact("number", "routine 2")
    script.say("It says: pool exhausted: 20 of 20.")
    return script.end("told", "logs")


def test_what_the_agent_repeats_does_not_make_a_fact_visible() -> None:
    one = told()
    texts = [turn.text for turn in one.turns]
    texts[2] = "[ctx:aaaaaaaaaaaaaaaaaaaa 3 lines]"
    found = measure._judged(one, "safe", texts)
    assert [fact.text for fact in found.hidden] == ["pool exhausted: 20 of 20", "routine 2"]
    assert measure._judged(one, "safe", [turn.text for turn in one.turns]).hidden == ()


def test_tokens_are_those_of_all_turns() -> None:
    one = told()
    found = measure._judged(one, "safe", [None, *(turn.text for turn in one.turns[1:])])
    assert found.before - found.after == 2  # `Why?`
    assert found.facts == 2 and found.literal == 2
    assert 0 < found.reduction < 1


def test_texts_that_expand_to_something_else_are_not_exact() -> None:
    turns = [Turn(text="one\ntwo"), Turn(text="three")]
    ref = ref_of("one\ntwo")
    assert restored(turns, [marker(ref, "2 lines"), "three"], {ref: "one\ntwo"})
    assert not restored(turns, [marker(ref, "2 lines"), "three"], {ref: "one\ntwo\n"})
    assert not restored(turns, [marker(ref, "2 lines"), "three"], {})
    both = ref_of("one\ntwo\nthree")
    assert restored(turns, [marker(both, "2 turns"), None], {both: "one\ntwo\nthree"})
    assert not restored(turns, [marker(both, "2 turns"), None], {both: "one\ntwo"})


def test_a_level_is_measured_on_every_transcript() -> None:
    heard: list[tuple[int, int, str]] = []
    found = measure.measure(1, ["tests"], ["lossless"], others=False, progress=lambda *each: heard.append(each))
    assert list(found.results) == ["lossless"]
    assert [each.transcript for each in found.of("lossless")] == [one.name for one in transcripts(1, ["tests"])]
    assert all(each.exact and each.retrievable == each.cuts for each in found.of("lossless"))
    assert [done for done, _, _ in heard] == [1, 2, 3] and {total for _, total, _ in heard} == {3}
    assert found.notes == ()


def test_headroom_is_told_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headroom, "installed", lambda: False)
    found = measure.measure(1, ["chat"], ["lossless"])
    assert list(found.results) == ["lossless"]
    assert found.notes == ("headroom-ai is not installed, so it is not compared.",)


# ------------------------------------------------------------------------------------------- headroom


def test_what_a_tool_answers_belongs_to_a_call() -> None:
    found = headroom.messages(told().turns)
    assert [each["role"] for each in found] == ["user", "assistant", "tool", "assistant"]
    call = found[1]["tool_calls"][0]
    assert call["id"] == found[2]["tool_call_id"]
    assert call["function"] == {"name": "Bash", "arguments": '{"command": "tail log"}'}
    assert "tool_calls" not in found[3]


def test_headroom_is_measured_beside_us_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headroom.py").write_text(
        "import os\n"
        "class Done:\n    def __init__(self, messages): self.messages = messages\n"
        "def compress(messages, model):\n"
        "    print('hello')\n"
        "    assert os.environ['HEADROOM_OFFLINE'] == '1' and 'cca-headroom-' in os.environ['HOME']\n"
        "    return Done([dict(each, content=each['content'][:50]) for each in messages])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "headroom", ModuleType("headroom"))
    monkeypatch.setattr(headroom, "installed", lambda: True)
    found = measure.measure(1, ["docs"], ["lossless"])
    assert list(found.results) == ["lossless", "headroom"]
    assert all(each.reduction > 0.5 and each.exact is None for each in found.of("headroom"))
    assert "headroom" in said(Report(found))


def test_headroom_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headroom.py").write_text("raise ImportError('no model')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no model"):
        headroom.compressed([told().turns])


# ------------------------------------------------------------------------------------------- the report


def test_medians_and_shares() -> None:
    found = [result(after=10), result(after=50), result(after=90, hidden=10)]
    assert middle(found) == pytest.approx(0.5)
    assert shown(found) == pytest.approx(30 / 40)


def test_the_table_has_a_row_for_each_kind_and_one_for_all() -> None:
    text = said(
        report(result("logs"), result("chat", after=100), result("logs", "strong", 5), result("chat", "strong", 9))
    )
    rows = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert rows[1:5] == ["kind", "logs", "chat", "all"]
    assert "80.0%" in text and "strong" in text


def test_details_name_what_is_hidden() -> None:
    one = report(result(hidden=2))
    assert "error 1" not in said(one)
    assert "safe: logs-a, turn 1, error: error 1" in said(one, details=True)


def test_the_goals_are_those_of_the_level_safe() -> None:
    good = report(result("logs"), result("json"), result("chat", after=40))
    assert good.met and len(good.verdicts) == 6
    assert not report(result("logs", after=30), result("json"), result("chat", after=40)).met
    assert not report(result("logs"), result("json"), result("chat", after=40, hidden=2)).met
    assert not report(result("logs", exact=False), result("json"), result("chat", after=40)).met
    assert not report(result("logs", retrievable=1), result("json"), result("chat", after=40)).met
    assert report(result("logs", "strong", after=99)).verdicts == []


def test_the_document_is_json_with_every_figure() -> None:
    one = report(result(hidden=1), notes=("Note.",))
    document = json.loads(msgspec.json.encode(one.document()))
    assert document["ways"]["safe"]["total"] == {
        "transcripts": 1, "before": 100, "after": 20, "saved": 0.8, "reduction": 0.8, "facts": 11, "literal": 9,
        "reformatted": 1, "hidden": 1, "cuts": 2, "retrievable": 2, "cpu_s": 0.5,
    }  # fmt: skip
    assert document["ways"]["safe"]["transcripts"][0]["hidden"] == [{"turn": 1, "kind": "error", "text": "error 0"}]
    assert document["notes"] == ["Note."] and [goal["met"] for goal in document["goals"]][:2] == [True, False]


# ------------------------------------------------------------------------------------------- speed


def test_a_mixture_has_the_size_that_was_asked_for() -> None:
    for size in (10_000, 1_234_567):
        turns = mixture(3, size)
        assert sum(len(turn.text.encode()) for turn in turns) in range(size - 3, size + 1)
    assert [turn.text for turn in mixture(3, 10_000)] != [turn.text for turn in mixture(4, 10_000)]


def test_speed_is_measured_and_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in (("COUNTED", 40_000), ("ANALYZED", 20_000), ("COMPRESSED", 20_000), ("RUNS", 2), ("REPEATS", 2)):
        monkeypatch.setattr(speed, name, small)
    heard: list[str] = []
    found = speed.speeds(progress=lambda done, total, what: heard.append(f"{done}/{total} {what}"))
    assert [line.unit for line in found.lines] == ["MB/s", "MB/s", "ms", "ms", "ms", "MB/s"]
    assert all(line.ours.median > 0 for line in found.lines)
    assert heard[-1] == "4/4 expansion"
    assert [each["what"] for each in found.document()] == [line.what for line in found.lines]
    assert found.lines[0].what in said(found)


def test_a_goal_for_speed_can_be_missed() -> None:
    slow = Line("analyze 1 MB", Spread.of([900.0]), "ms", at_most=500)
    assert not Speeds([slow]).met
    assert "✗" in said(Speeds([slow], ("tiktoken is not installed.",)))


def test_tiktoken_counts_the_same_with_our_ranks() -> None:
    pytest.importorskip("tiktoken")
    from cca.tokens.counting import o200k

    texts = [turn.text for turn in mixture(1, 30_000)]
    theirs = speed._tiktoken(texts)
    assert theirs is not None
    found = theirs()
    assert isinstance(found, list)
    assert [len(ids) for ids in found] == [o200k(text) for text in texts]


# ------------------------------------------------------------------------------------------- the command


def test_the_command_prints_a_table_and_writes_a_file(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = CliRunner().invoke(
        tokens_bench, ["--kind", "chat", "--level", "lossless", "--json", str(file), "--details"], standalone_mode=False
    )
    assert done.exception is None and done.return_value == 0
    assert "chat-architecture" in done.output and "speed" not in done.output
    figures = json.loads(file.read_text())
    assert figures["seed"] == 0 and next(iter(figures["ways"])) == "lossless" and "speed" not in figures


def test_the_command_refuses_what_does_not_exist(tmp_path: Path) -> None:
    done = CliRunner().invoke(tokens_bench, ["--kind", "poetry", "--level", "safe"])
    assert done.exit_code == 2 and "poetry: not one of" in done.output
    done = CliRunner().invoke(tokens_bench, ["--json", str(tmp_path / "no" / "file.json")])
    assert done.exit_code == 2 and "there is no folder" in done.output
