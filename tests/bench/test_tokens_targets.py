"""What compression has to reach on transcripts that were made without knowledge of it. Counts only, so no luck."""

import pytest

from cca.bench.tokens.measure import Findings, measure, middle, shown
from cca.bench.tokens.table import LEAST_HEAVY, LEAST_REDUCTION, LEAST_SHOWN, Report
from cca.bench.tokens.transcripts.catalogue import HEAVY


@pytest.fixture(scope="module")
def findings() -> Findings:
    return measure(0, levels=["safe"], others=False)


def hidden(findings: Findings) -> list[str]:
    return [f"{each.transcript}: {fact.text}" for each in findings.of("safe") for fact in each.hidden]


def test_every_cut_can_be_had_again(findings: Findings) -> None:
    assert sum(each.cuts for each in findings.of("safe")) > 100
    assert [each.transcript for each in findings.of("safe") if each.retrievable != each.cuts] == []


def test_every_transcript_expands_to_what_it_was(findings: Findings) -> None:
    assert [each.transcript for each in findings.of("safe") if not each.exact] == []


def test_nothing_gets_more_tokens(findings: Findings) -> None:
    assert [each.transcript for each in findings.of("safe") if each.after > each.before] == []


def test_half_of_the_tokens_go(findings: Findings) -> None:
    assert middle(findings.of("safe")) >= LEAST_REDUCTION


@pytest.mark.parametrize("kind", HEAVY)
def test_three_quarters_go_of_what_machines_wrote(findings: Findings, kind: str) -> None:
    assert middle(findings.of("safe", [kind])) >= LEAST_HEAVY


def test_what_matters_stays_visible(findings: Findings) -> None:
    assert shown(findings.of("safe")) >= LEAST_SHOWN, hidden(findings)


def test_what_matters_stays_visible_in_every_kind(findings: Findings) -> None:
    kinds = Report(findings).kinds
    weak = {kind: shown(findings.of("safe", [kind])) for kind in kinds}
    assert {kind: share for kind, share in weak.items() if share < 0.9} == {}, hidden(findings)
