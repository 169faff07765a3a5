"""What tokens cost."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.contracts.task import Usage
from cca.errors import Misconfigured
from cca.tokens.prices import NO_PRICES, Price, Prices, load

TABLE = load()


@pytest.mark.parametrize(
    ("model", "like"),
    [
        ("claude-sonnet-4", "claude-sonnet-4"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("Claude-Sonnet-4-5", "claude-sonnet-4"),
        ("anthropic/claude-opus-4.1", "claude-opus-4"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-4o", "gpt-4o"),
        ("openrouter/openai/gpt-5", "gpt-5"),
    ],
)
def test_a_model_is_known_by_how_its_name_begins(model: str, like: str) -> None:
    assert TABLE.of(model) is TABLE.of(like) is not None


@pytest.mark.parametrize("model", ["", "gpt-4", "gpt-4omega", "claude", "llama-3", "o3000", "my-gpt-4o"])
def test_a_model_that_only_looks_like_one_has_no_price(model: str) -> None:
    assert TABLE.of(model) is None


def test_each_sort_of_token_has_its_price_and_cached_ones_cost_as_input_when_none_is_said() -> None:
    usage = Usage(1_000_000, 2_000_000, cache_read_tokens=3_000_000, cache_write_tokens=4_000_000)
    assert Price(1, 10, 0.1, 1.25).cost(usage) == pytest.approx(1 + 20 + 0.3 + 5)
    assert Price(1, 10).cost(usage) == pytest.approx(1 + 20 + 3 + 4)


def test_what_the_worker_says_goes_before_the_table_and_an_unknown_model_costs_nothing_for_certain() -> None:
    prices = Prices({"m": Price(1, 1)})
    assert prices.priced(Usage(1_000_000, model="m", cost_usd=7)) == Usage(
        1_000_000, model="m", cost_usd=7, cost_from="reported"
    )
    assert prices.priced(Usage(1_000_000, model="m")) == Usage(1_000_000, model="m", cost_usd=1, cost_from="table")
    assert prices.priced(Usage(1_000_000, model="x", cost_from="table")) == Usage(1_000_000, model="x")
    assert NO_PRICES.priced(Usage(5)) == Usage(5)


@given(st.builds(Usage, *[st.integers(0, 2**63)] * 2, model=st.sampled_from(["gpt-4o", "x"])))
def test_pricing_twice_is_pricing_once_and_costs_are_finite(usage: Usage) -> None:
    once = TABLE.priced(usage)
    assert math.isfinite(once.cost_usd)
    assert once.cost_usd == 0 or once.cost_from == "table"
    again = TABLE.priced(once)
    assert again.cost_usd == once.cost_usd


def test_a_file_of_ones_own_goes_before_ours(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[models]\n"gpt-4o" = { input = 1, output = 2 }\n"mine" = { input = 3, output = 4 }\n')
    prices = load(str(own))
    assert prices.of("gpt-4o") == Price(1, 2)
    assert prices.of("mine-large") == Price(3, 4)
    assert prices.of("gpt-5") == TABLE.of("gpt-5")


@pytest.mark.parametrize(
    "text", ["models = 3", "[models]\nx = {input = -1, output = 1}", "[models]\nx = {input = 1}", "=", "\udcff"]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Misconfigured, match=r"prices\.toml"):
        load(str(own))
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(str(tmp_path / "nowhere.toml"))
