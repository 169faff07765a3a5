"""What a person reads of the figures, and what they are judged by."""

import io

import msgspec
from msgspec.structs import replace
from rich.console import Console

from cca.bench.search.code import CodeFigures, Size
from cca.bench.search.measure import Figures
from cca.bench.search.quality import Filled, Measured
from cca.bench.search.ranking import Quality
from cca.bench.search.speed import Speed, Timed
from cca.bench.search.table import Report, taken
from cca.bench.search.vectors import Codec, Searches, VectorFigures
from cca.contracts.search import Mode


def measured(name: str, lexical: float, dense: float, hybrid: float) -> Measured:
    scores: dict[Mode, float] = {"lexical": lexical, "dense": dense, "hybrid": hybrid}
    return Measured(name, 300, {mode: Quality(score, score, 150) for mode, score in scores.items()})


CODE = CodeFigures(
    files=10,
    bytes=1_000_000,
    chunks=100,
    languages={"python": 100},
    failed=0,
    indexed_s=2.0,
    embedded_s=20.0,
    embedder="minilm",
    unchanged_s=(0.5, 0.6, 0.4),
    changed_s=(0.9, 1.0, 5.0),
    found=True,
    sizes=(Size("code_chunks", 1_000_000, 500_000),),
)
VECTORS = VectorFigures(
    rows=100_000,
    dimension=384,
    m=16,
    ef_construction=64,
    ef_search=200,
    inserted_s=1_000,
    copied_s=10_000,
    built_s=60,
    index_bytes=80_000_000,
    searches=(
        Searches("everything", "index", 0.97, 2, 5),
        Searches("a tenth", "index", 0.98, 3, 8),
        Searches("a tenth", "exact", 1.0, 20, 30),
        Searches("a hundredth", "index", 0.5, 30, 60),
        Searches("a hundredth", "exact", 1.0, 1, 2),
    ),
    codecs=(Codec("binary", 40_000, 200_000), Codec("text", 2_000, 20_000)),
)
SPEED = Speed("memories", Timed(100, 20.0, 40.0, 0.0, 0, 100, 8.0), Timed(2_000, 0.3, 0.5, 1.0, 2_000, 0, 0.0))


def figures() -> Figures:
    return Figures(
        parts=("quality", "vectors", "code"),
        quick=False,
        embedder="minilm",
        sets=[measured("docstring", 0.7, 0.8, 0.82), measured("paraphrase", 0.0, 0.6, 0.5)],
        filled=Filled(600, 1_000.0, 30.0, 1),
        code=CODE,
        vectors=VECTORS,
        speeds=[SPEED],
        notes=["commit → diff is left out: there is no git history."],
    )


def said(report: Report) -> str:
    text = io.StringIO()
    report.show(Console(file=text, width=150, color_system=None))
    return text.getvalue()


def wrong(report: Report) -> list[str]:
    return [verdict.what.split(" (")[0] for verdict in report.verdicts if not verdict.met]


def test_hybrid_is_compared_with_the_better_of_the_two_means() -> None:
    report = Report(figures())
    assert round(report.means["dense"].ndcg, 3) == 0.7
    assert wrong(report) == ["hybrid, mean nDCG@10"] and not report.met


def test_a_mode_that_some_set_was_not_searched_in_has_no_mean() -> None:
    one = figures()
    one.sets[0].modes.pop("dense")
    report = Report(one)
    assert "dense" not in report.means and "hybrid" in report.means
    assert "–" in said(report)


def test_every_goal_can_be_missed() -> None:
    one = figures()
    one.sets = [measured("paraphrase", 0.0, 0.3, 0.4)]
    one.code = replace(CODE, found=False)
    one.vectors = replace(
        VECTORS, codecs=VECTORS.codecs[::-1], searches=(Searches("everything", "index", 0.97, 2, 10.5),)
    )
    one.speeds = [replace(SPEED, again=replace(SPEED.again, transactions=7.0))]
    assert wrong(Report(one)) == [
        "paraphrase, nDCG@10",
        "vectors, unfiltered",
        "binary codec against text",
        "after one changed file",
        "memories: a repeated search makes no SQL",
    ]


def test_filtered_searches_are_judged_in_the_way_that_the_service_takes() -> None:
    found = [(one.filter, one.way) for one in VECTORS.searches if taken(one, VECTORS.rows)]
    assert found == [("everything", "index"), ("a tenth", "index"), ("a hundredth", "exact")]


def test_a_quick_run_judges_nothing() -> None:
    one = figures()
    one.quick = True
    report = Report(one)
    assert report.verdicts == [] and report.met
    assert "its figures say nothing" in said(report)


def test_all_that_was_measured_is_shown() -> None:
    text = said(Report(figures()))
    for part in ("docstring", "0.820", "50 chunks/s", "5 texts/s", "code_chunks", "binary", "no git history", "2,000"):
        assert part in text, part


def test_what_was_not_measured_is_not_shown() -> None:
    report = Report(Figures(parts=(), quick=False))
    assert said(report) == "" and report.met and report.means == {}


def test_the_figures_are_json_with_means_and_goals() -> None:
    found = msgspec.json.decode(msgspec.json.encode(Report(figures()).document()))
    assert round(found["means"]["hybrid"]["ndcg"], 6) == 0.66
    assert {goal["met"] for goal in found["goals"]} == {True, False}
    assert found["vectors"]["searches"][0]["recall"] == 0.97
