"""The comparison: the same seeds give the same document, and goals are judged by what is in it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cca.bench import rl
from cca.bench.rl import prompts
from cca.bench.rl.report import Report
from cca.bench.rl.results import Cell, Mean, Result

WHO = ["linear-pm", "round-robin", "predecessor"]
WHERE = ["drift", "escalation"]


def shown(report: Report) -> str:
    text = io.StringIO()
    report.show(Console(file=text, width=160, color_system=None))
    return text.getvalue()


def result(policy: str, seed: int = 0, bed: str = "prompts", **values: float) -> Result:
    return Result(bed, seed, policy, **({"reward": 0.8, "normalised": 0.8, "regret": 0.2, "settled": 1.0} | values))


def report(*results: Result) -> Report:
    beds: dict[str, list[Result]] = {}
    for one in results:
        beds.setdefault(one.bed, []).append(one)
    for bed, found in beds.items():
        found[:0] = [result(mark, bed=bed) for mark in ("random", "fixed", "linear", "oracle")]
    return Report((0,), dict.fromkeys(beds, 100), beds)


# ------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def quick() -> Report:
    told: list[tuple[int, int, str]] = []
    found = rl.run(2, WHERE, WHO, quick=True, progress=lambda *each: told.append(each))
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert {total for _, total, _ in told} == {4}
    return found


def test_the_same_seeds_give_the_same_document(quick: Report) -> None:
    again = rl.run(2, WHERE, WHO, quick=True)
    assert msgspec.json.encode(again.document()) == msgspec.json.encode(quick.document())


def test_the_document_says_what_was_played_and_how_it_went(quick: Report) -> None:
    found = json.loads(msgspec.json.encode(quick.document()))
    assert found["seeds"] == [0, 1]
    assert list(found["beds"]) == WHERE
    bed = found["beds"]["drift"]
    assert bed["tasks"] == 300
    assert list(bed["policies"]) == WHO
    assert len(bed["policies"]["linear-pm"]["reward_by_seed"]) == 2
    assert (bed["random"]["normalised"], bed["linear"]["normalised"], bed["oracle"]["regret"]) == (0, 1, 0)
    assert bed["random"]["regret"] == 1


def test_a_quick_run_judges_no_goal(quick: Report) -> None:
    assert quick.document()["goals"] == []
    assert quick.met
    assert "goal" not in shown(quick)


def test_the_table_has_a_row_for_everybody_and_the_marks_below(quick: Report) -> None:
    lines = shown(quick).splitlines()
    rows = [line.split("  ")[0].strip() for line in lines]
    assert all(name in rows for name in WHO)
    assert rows.index("chance") > max(rows.index(name) for name in WHO)
    assert any("±" in line for line in lines if line.startswith("linear-pm"))


def test_a_name_that_does_not_exist_is_refused_before_anything_is_played() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        rl.run(1, ["nowhere"])
    with pytest.raises(ValueError, match="nobody"):
        rl.run(1, ["drift"], ["nobody"])


def test_without_the_prompts_the_other_beds_are_played_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "PACKAGE", "a-package-that-nobody-has")
    prompts.prompts.cache_clear()
    names, notes = rl._beds(None)
    assert names == ["drift", "drift-late", "escalation"]
    assert "cca[rl]" in notes[0]
    with pytest.raises(ImportError):
        rl.run(1, ["prompts"], WHO, quick=True)


def test_it_runs_as_a_program_and_writes_the_document(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    asked = ["--seeds", "1", "--set", "drift", "--policy", "round-robin", "--quick", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "cca.cli.main", "rl", "simulate", *asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "round-robin" in done.stdout
    assert list(json.loads(file.read_bytes())["beds"]) == ["drift"]


# ------------------------------------------------------------------------------------------- goals


def test_all_goals_are_met_by_figures_that_are_good_enough() -> None:
    found = report(result("linear-pm"), result("linucb"), result("linear-pm", bed="drift-late", regret=0.2))
    assert len(found.verdicts) == 4
    assert found.met
    assert shown(found).count("✓") == 4


@pytest.mark.parametrize(
    "missed",
    [
        report(result("linear-pm", normalised=0.64)),
        report(result("linear-pm"), result("vw-regcb", normalised=0.84)),
        report(result("linear-pm", settled=0.96)),
        report(result("linear-pm", bed="drift-late", regret=0.21)),
    ],
)
def test_each_goal_can_be_missed(missed: Report) -> None:
    assert not missed.met
    assert shown(missed).count("✗") == 1


def test_the_marks_of_hindsight_are_no_learners() -> None:
    found = report(result("linear-pm", normalised=0.7))
    assert found.policies == ["linear-pm"]
    assert found.met  # the marks say 0.8 here


def test_an_error_is_that_of_the_mean_over_seeds() -> None:
    found = Mean.of([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.error == pytest.approx((1 / 3) ** 0.5)
    assert Mean.of([0.5]) == Mean(0.5, 0.0)
    cell = Cell.of([result("linear-pm", seed, reward=0.1 * seed) for seed in range(3)])
    assert cell.reward.value == pytest.approx(0.1)
