"""`cca rl` and `cca task rate` against a real stack: what they print, and their exit codes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Stack, run

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
def learned(staffed: Stack) -> Iterator[tuple[Stack, str]]:
    """A stack whose learner knows a completed task, and the task; parameters are reset afterwards."""
    task = staffed.submit("learn", "this", "--kind", "lesson")
    assert staffed.run("task", "result", task, "--wait").code == 0
    deadline = time.monotonic() + 30
    while staffed.run("rl", "explain", task, "--json").json["outcome"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while staffed.run("task", "show", task[-12:]).code != 0:  # the tables, which know short ids, follow later
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield staffed, task
    staffed.run("rl", "algorithm", "linear-pm")
    staffed.run("rl", "params", "--reset")


def test_status_tells_the_policy_and_its_lanes(learned: tuple[Stack, str]) -> None:
    stack, _ = learned
    assert stack.run("rl", "train").code == 0
    ran = stack.run("rl", "status")
    assert ran.code == 0, ran.err
    assert "linear-pm, version" in ran.out
    assert "backend/default" in ran.out
    document = stack.run("rl", "status", "--json").json
    assert document["lanes"]["backend/default"]["n"] >= 1
    assert len(document["digest"]) == 64


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_curves_are_drawn_into_a_file_and_on_the_terminal(
    learned: tuple[Stack, str], tmp_path: Path, suffix: str
) -> None:
    stack, _ = learned
    file = tmp_path / f"curves.{suffix}"
    ran = stack.run("rl", "status", "--plots", "--plot", str(file))
    assert ran.code == 0, ran.err
    assert "share of each lane" in ran.out
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" if suffix == "png" else b"<svg" in file.read_bytes()


def test_a_plot_of_no_known_sort_is_refused(stack: Stack) -> None:
    ran = stack.run("rl", "status", "--plot", "curves.bmp")
    assert ran.code == 2
    assert ".png or .svg" in ran.err


def test_explain_says_what_chose_and_replay_proves_it(learned: tuple[Stack, str]) -> None:
    stack, task = learned
    ran = stack.run("rl", "explain", task[-12:])
    assert ran.code == 0, ran.err
    assert "backend/default" in ran.out
    assert "Outcome: completed" in ran.out
    again = stack.run("rl", "replay", task)
    assert again.code == 0, again.out + again.err
    assert "Equal" in again.out
    assert stack.run("rl", "replay", task, "--json").json["replay"]["equal"] is True


def test_a_task_that_was_never_routed_has_nothing_to_explain(stack: Stack) -> None:
    held = stack.run("task", "submit", "nobody", "wait").out.strip()
    ran = stack.run("rl", "explain", held)
    assert ran.code == 2
    assert "routed" in ran.err
    assert stack.run("rl", "explain", UNKNOWN).code == 2


def test_a_rating_is_part_of_the_reward(learned: tuple[Stack, str]) -> None:
    stack, task = learned
    assert stack.run("task", "rate", task, "0.25", "--comment", "meh").out.split("\t") == [task, "rated 0.25\n"]
    deadline = time.monotonic() + 30
    while stack.run("rl", "explain", task, "--json").json.get("components", {}).get("quality") != 0.25:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "meh" in stack.run("task", "show", task).out
    assert stack.run("task", "rate", task, "2").code == 2


def test_parameters_are_shown_set_and_checked(learned: tuple[Stack, str]) -> None:
    stack, _ = learned
    assert any(line.startswith("reward.success\t0.6") for line in stack.run("rl", "params").lines)
    ran = stack.run("rl", "params", "floor=0.1", "reward.success=0.5", 'budgets={"all": 0.2}', "--json")
    assert ran.code == 0, ran.err
    params = stack.run("rl", "params", "--json").json
    assert params["floor"] == 0.1
    assert params["reward"]["success"] == 0.5
    assert params["budgets"] == {"all": 0.2}
    for wrong in ("floor=2", "floor=x", "floor", "depth=3", "reward=1", "budgets=3"):
        ran = stack.run("rl", "params", wrong)
        assert ran.code == 2, (wrong, ran.out)
        assert "Traceback" not in ran.err
    assert stack.run("rl", "params", "--reset").code == 0
    assert stack.run("rl", "params", "--json").json == {}


def test_another_algorithm_decides_at_once(learned: tuple[Stack, str]) -> None:
    stack, _ = learned
    names = [line.split("\t")[1] for line in stack.run("rl", "algorithm").lines]
    assert {"linear-pm", "linucb", "q-learning", "dqn", "ppo", "static"} <= set(names)
    assert stack.run("rl", "algorithm", "round-robin", "--reason", "a test").code == 0
    assert stack.run("rl", "status", "--json").json["algorithm"] == "round-robin"
    assert stack.run("rl", "algorithm", "astrology").code == 2


def test_policies_are_valued_from_the_log_and_tried_beside_the_live_one(learned: tuple[Stack, str]) -> None:
    stack, _ = learned
    found = stack.run("rl", "evaluate", "--policy", "linucb", "--json")
    assert found.code == 0, found.err
    assert found.json["algorithm"] == "linucb"
    assert "verdict" in stack.run("rl", "evaluate", "--policy", "linucb", "--since", "2h").out.lower()
    assert stack.run("rl", "evaluate", "--policy", "astrology").code == 2
    assert stack.run("rl", "shadow", "start", "--policy", "thompson").code == 0
    assert "thompson" in stack.run("rl", "shadow").out
    assert stack.run("rl", "shadow", "stop").code == 0
    assert "No candidate" in stack.run("rl", "shadow").out
    assert stack.run("rl", "shadow", "start").code == 2


def test_simulate_needs_no_stack(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    arguments = ("--set", "drift", "--policy", "linear-pm", "--policy", "thompson", "--seeds", "1", "--quick")
    ran = run("rl", "simulate", *arguments, "--json", str(file))
    assert ran.code in (0, 1), ran.err  # 1: a few hundred decisions do not reach the targets
    assert "linear-pm" in ran.out
    assert json.loads(file.read_bytes())
