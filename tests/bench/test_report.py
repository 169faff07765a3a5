"""The document that programs read and the table that people read say the same."""

import io

import msgspec
from rich.console import Console

from cca.bench import report
from cca.bench.results import Side, document


def _side(ours: tuple[float, ...] = (2_500.0, 2_400.0, 2_600.0), raw: tuple[float, ...] = (2_000.0,) * 3) -> Side:
    side = Side()
    for value in ours:
        side.add("end_to_end_per_s@64", value)
        side.add("end_to_end_per_s@16", value / 2)
    for value in raw:
        side.add("raw_end_to_end_per_s@64", value)
    side.cpu_s["end_to_end@64"] = [{"router": 1.0, "wall": 2.0}]
    return side


def test_the_figures_that_the_bench_promises_are_where_it_promises_them() -> None:
    always = _side()
    for name in ("trip_p50_ms", "trip_p99_ms", "submit_http_p50_ms", "http_end_to_end_per_s"):
        always.add(name, 4.0)
    always.add("submit_per_s", 7_000.0)
    found = document({"always": always, "interval": _side()}, {"cpus": 2}, {"repetitions": 3})

    for durability in ("always", "interval"):
        assert found[durability]["end_to_end_per_s"] == 2_500
        assert found[durability]["raw_end_to_end_per_s"] == 2_000
        assert found[durability]["ratio_to_raw"] == 1.25
        assert found[durability]["by_concurrency"]["16"]["end_to_end_per_s"] == 1_250
    assert found["always"]["by_concurrency"]["64"]["end_to_end_cpu_s"] == [{"router": 1.0, "wall": 2.0}]
    assert found["always"]["submit_per_s"] == 7_000
    assert found["trip_p50_ms"] == 4
    assert found["machine"] == {"cpus": 2}
    assert found["repetitions"] == 3
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_what_was_not_measured_is_left_out() -> None:
    side = Side()
    side.add("append_per_s", 9_000.0)
    found = document({"always": side}, {}, {})
    assert found["always"] == {"append_per_s": 9_000}
    assert list(report.lines("always", Side())) == []


def test_a_goal_is_reached_or_missed_by_the_median_and_by_the_ratio() -> None:
    basis = {line.what: line for line in report.lines("always", _side())}["end to end, worker concurrency 64"]
    assert basis.reached is True
    slow = list(report.lines("always", _side(ours=(2_200.0, 2_250.0, 9_000.0))))
    assert [line.reached for line in slow if line.what.endswith("64")] == [False]
    beside_a_fast_raw_loop = list(report.lines("always", _side(raw=(2_400.0,))))
    assert [line.reached for line in beside_a_fast_raw_loop if line.what.endswith("64")] == [False]


def test_interval_is_held_to_its_ratio_alone() -> None:
    line = {line.what: line for line in report.lines("interval", _side(raw=(6_000.0,)))}[
        "end to end, worker concurrency 64"
    ]
    assert (line.at_least, line.ratio_at_least, line.reached) == (None, 0.35, True)


def test_the_table_shows_median_spread_ratio_and_goal() -> None:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    console.print(report.table("always", list(report.lines("always", _side()))))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert "2,500/s (2,400–2,600)" in shown
    assert "1.25" in shown
    assert "≥ 2,300, ≥ 1.1 × raw" in shown
    assert report.missed({"always": _side()}) == []
