"""A small bench on a real stack: every part runs, adds up, and reports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cca.bench.measure import PARTS, Options, measure, steps
from cca.bench.report import lines
from cca.bench.results import document

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")


def _cca(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")}
    return subprocess.run(
        [sys.executable, "-m", "cca.cli.main", "bench", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=environ,
        cwd=folder,
    )


async def test_every_part_of_the_bench_runs_on_a_real_stack() -> None:
    told: list[str] = []
    options = Options(tasks=50, repetitions=1, concurrencies=(16,), trips=10, durabilities=("always",), settle_s=0.1)
    sides = await measure(options, told.append)

    assert len(told) == steps(options)
    found = document(sides, {}, {})
    promised = {
        *("trip_p50_ms", "trip_p99_ms", "submit_http_p50_ms", "submit_nats_p50_ms", "http_end_to_end_per_s"),
        *("projection_events_per_s", "stack_pss_mb", "fsync_p50_ms"),
    }
    assert promised <= found.keys()
    always = found["always"]
    assert {"end_to_end_per_s", "raw_end_to_end_per_s", "ratio_to_raw", "submit_per_s", "append_per_s"} <= always.keys()
    used = always["by_concurrency"]["16"]["end_to_end_cpu_s"][0]
    services = {"router", "learner", "tokens", "context", "projector", "gateway"}
    assert used.keys() == {"nats", "postgres", "worker", "submitter", "wall"} | services
    assert all(line.ours.median > 0 for line in lines("always", sides["always"]))


def test_the_command_writes_its_figures_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = _cca("--only", "append", "--tasks", "50", "--repetitions", "2", "--json", str(file), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found["always"].keys() == found["interval"].keys() == {"append_per_s", "raw_append_per_s"}
    assert len(found["samples"]["always"]["append_per_s"]) == 2
    assert found["machine"]["cpus"] >= 1
    assert "log appends, 64 in flight" in done.stdout


@pytest.mark.parametrize(
    "words, said",
    [
        (("--only", "nonsense"), f"nonsense: not one of {', '.join(PARTS)}"),
        (("--concurrency", "many"), "not a list of numbers"),
        (("--concurrency", "0"), "between 1 and 1000"),
        (("--tasks", "1"), "--tasks"),
        (("--json", "no/such/folder/figures.json"), "there is no folder"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = _cca(*words, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
