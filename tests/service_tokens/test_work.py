"""What processes do, as functions: whatever they are given, an answer comes out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service_tokens.conftest import LOG

from cca import codec
from cca.contracts.ledger import RolePolicy
from cca.contracts.tokens import (
    Analysis,
    AnalyzeTokens,
    CompressTokens,
    CondenseContext,
    CountTokens,
    Folding,
    TokenCounts,
    Turn,
)
from cca.errors import Busy, Refused
from cca.pool import answers
from cca.pool.answers import Unforeseen
from cca.tokens import markers
from cca.tokens.markers import LEGEND, expand, marker, ref_of
from cca_tokens import expansion, work
from cca_tokens.corrections import Corrections, factors
from cca_tokens.jobs import Condensation, Costs, Folds, Job

ESTIMATED = "nobody-knows-it"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def done(job: Job, kind: type[answers.T]) -> answers.T:
    return answers.answer(work.do(answers.asked(job)), kind)


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from(["gpt-5", ESTIMATED]), st.floats(0.5, 2.0))
def test_whatever_is_counted_the_numbers_add_up(texts: list[str], model: str, correction: float) -> None:
    command = CountTokens(tuple(map(Turn, texts)), model)
    counts = done(Job("count", codec.encode(command), correction), TokenCounts)
    assert counts.tokens == sum(counts.each) and len(counts.each) == len(texts)
    assert counts.correction == (1.0 if counts.exact else correction)
    plain = done(Job("count", codec.encode(command)), TokenCounts)
    for now, before in zip(counts.each, plain.each, strict=True):
        assert now == before if counts.exact else abs(now - before * correction) <= 1


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT | st.just(LOG[:3_000]), min_size=1, max_size=3), st.sampled_from(["lossless", "safe", "strong"]))
def test_whatever_is_folded_comes_back_from_what_is_to_be_stored(texts: list[str], level: str) -> None:
    how = Folding(level, model="gpt-5")  # type: ignore[arg-type]  # one of them, by name
    job = Job("compress", codec.encode(CompressTokens(tuple(map(Turn, texts)), how)))
    folds = done(job, Folds)
    known = {ref: original.text for ref, original in folds.originals.items()}
    assert all(ref_of(text) == ref for ref, text in known.items())
    for text, folded in zip(texts, folds.reply.texts, strict=True):
        if folded is not None and folded != text:
            assert expand(folded, known.get) == text
    assert folds.originals[folds.reply.original].text == "\n".join(texts)
    assert {cut.ref for cut in folds.reply.cuts} <= folds.originals.keys()
    assert folds.size == len(codec.encode(folds.reply))
    assert done(job, Folds) == folds


def test_a_context_is_condensed_or_left_as_it_is() -> None:
    def condensed(context: str, policy: RolePolicy, correction: float = 1.0) -> Condensation:
        command = CondenseContext("t", "backend", context)
        return done(Job("condense", codec.encode(command), correction, policy, 7), Condensation)

    folded = condensed(f"Look at this:\n\n{LOG}", RolePolicy(2_000, "gpt-5"))
    text = folded.reply.context
    assert text is not None and text.startswith(LEGEND) and folded.reply.version == 7
    assert set(folded.reply.refs) | {folded.reply.original} == folded.originals.keys()
    assert folded.originals[folded.reply.original].strategy == "original"
    same = condensed("short", RolePolicy(2_000, "gpt-5"))
    assert same.reply.context is None and same.originals == {} and same.reply.reached
    prose = condensed("nothing of this can be folded", RolePolicy(1, "gpt-5"))
    assert prose.reply.context is None and prose.originals == {} and not prose.reply.reached
    estimated = condensed("some words", RolePolicy(2, ESTIMATED)).reply.before
    assert condensed("some words", RolePolicy(2, ESTIMATED), 2.0).reply.before == 2 * estimated


def test_what_goes_wrong_is_an_answer() -> None:
    with pytest.raises(Refused) as refused:
        done(Job("check", policy=RolePolicy(1, strategies=("logs", "magic"))), type(None))
    assert refused.value.code == "unknown-strategy"
    done(Job("check", policy=RolePolicy(1, strategies=("logs",))), type(None))
    done(Job("check", policy=RolePolicy(1)), type(None))
    with pytest.raises(Unforeseen) as unforeseen:
        done(Job("count", b"{"), TokenCounts)
    assert isinstance(unforeseen.value, Busy) and "Unreadable" in unforeseen.value.trace
    assert work.do(b"\xff") != b"" and work.do(answers.NOTHING) == answers.DONE


def test_more_text_than_is_looked_at_is_refused() -> None:
    most = "x" * 50_000_001
    turns = (Turn(most),)
    for function in (
        lambda: work.count(CountTokens(turns, "gpt-5"), 1.0),
        lambda: work.compress(CompressTokens(turns, Folding(model="gpt-5")), 1.0),
        lambda: work.analyze(AnalyzeTokens(turns, Folding(model="gpt-5")), 1.0),
        lambda: work.condense(CondenseContext("t", "r", most), RolePolicy(1), 0, 1.0),
        lambda: work.fits((Turn("漢" * 16_666_668),)),
    ):
        with pytest.raises(Refused) as refused:
            function()
        assert refused.value.code == "too-large"
    work.fits((Turn("漢" * 16_666_666), Turn("x")))


def test_what_compression_would_save_is_weighed_text_by_text() -> None:
    how = Folding(model="gpt-5")
    costs = done(Job("weigh", codec.encode(CompressTokens((Turn(LOG), Turn(LOG), Turn("x")), how))), Costs)
    one = done(Job("weigh", codec.encode(CompressTokens((Turn(LOG),), how))), Costs)
    assert (costs.before, costs.after) == (2 * one.before + 1, 2 * one.after + 1)
    assert one.after * 2 < one.before


def test_an_analysis_counts_as_it_is_corrected() -> None:
    command = AnalyzeTokens((Turn("some words of prose"),), Folding(model=ESTIMATED))
    plain = done(Job("analyze", codec.encode(command)), Analysis)
    double = done(Job("analyze", codec.encode(command), 2.0), Analysis)
    assert plain.tokens > 0 and double.tokens == 2 * plain.tokens


# ------------------------------------------------------------------------------------------ expansion


@st.composite
def nests(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A text with markers that stand for texts with markers, some of which are not known."""
    known: dict[str, str] = {}
    refs = ["a" * 20]
    text = ""
    for _ in range(draw(st.integers(1, 6))):
        lines = draw(st.lists(st.sampled_from(["line", "", "漢字"]) | st.sampled_from(refs), max_size=5))
        following = draw(st.integers(0, 2))
        text = "\n".join(marker(line, "more", following) if line in refs else line for line in lines)
        known[ref_of(text)] = text
        refs.append(ref_of(text))
    return draw(st.sampled_from(["", LEGEND + "\n"])) + text, known


@settings(max_examples=150)
@given(nests())
def test_the_size_of_an_expansion_is_known_before_it_is_made(nest: tuple[str, dict[str, str]]) -> None:
    text, known = nest
    assert expansion.size(text, known) == len(expand(text, known.get))


def test_a_store_that_lies_does_not_send_us_round_for_ever() -> None:
    one, other = "a" * 20, "b" * 20
    known = {one: marker(other, "x"), other: marker(one, "x")}
    assert expansion.size(marker(one, "x"), known) < 1_000
    assert markers.expand(marker(one, "x"), known.get)


# ------------------------------------------------------------------------------------------ corrections


class Reports:
    def __init__(self, found: dict[str, tuple[int, int]]) -> None:
        self.found, self.asked, self.wrong = found, 0, False

    async def ratios(self) -> dict[str, tuple[int, int]]:
        self.asked += 1
        if self.wrong:
            raise Busy("away")
        return self.found


def test_what_workers_reported_corrects_estimates() -> None:
    found = factors({"a": (100_000, 130_000), "b": (100, 130), "d": (100_000, 9_000_000), "e": (100_000, 0)})
    assert found["a"] == pytest.approx(1.3) and "b" not in found
    assert (found["d"], found["e"]) == (2.0, 0.5)


async def test_reports_are_looked_at_in_the_background_and_once_a_minute() -> None:
    reports = Reports({"a": (100_000, 130_000)})
    corrections = Corrections(reports)
    assert corrections.of("a") == 1.0
    assert corrections._looking is not None
    await corrections._looking
    assert [corrections.of("a") for _ in range(5)] == [pytest.approx(1.3)] * 5 and corrections.of("b") == 1.0
    assert reports.asked == 1
    corrections._looked -= 61
    reports.wrong = True
    corrections.of("a")
    await corrections._looking
    assert corrections.of("a") == pytest.approx(1.3) and reports.asked == 2
    await corrections.close()
