"""How a model counts is told from its name, however its provider or a gateway spells it."""

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.tokens.models import CL100K, NEW_CLAUDE, O200K, UNKNOWN, claude_version, plain, way_of


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "gpt-4o-mini-2024-07-18",
        "GPT-4.1",
        "gpt-4.1-nano",
        "gpt-4.5-preview",
        "openai/gpt-5-mini",
        "gpt-5.1-codex",
        "o1",
        "o3-mini",
        "o4-mini-2025-04-16",
        "chatgpt-4o-latest",
        "codex-mini-latest",
        "gpt-oss-120b",
        "azure/gpt-4o",
        "ft:gpt-4o-2024-08-06:org::id",
    ],
)
def test_newer_models_of_openai_count_with_o200k(model: str) -> None:
    assert way_of(model) == O200K


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4",
        "gpt-4-turbo",
        "gpt-4-1106-preview",
        "gpt-4-0125-preview",
        "gpt-4-32k",
        "gpt-3.5-turbo",
        "gpt-35-turbo",
        "text-embedding-3-small",
        "text-embedding-ada-002",
        "ft:gpt-3.5-turbo:org",
    ],
)
def test_older_models_of_openai_count_with_cl100k(model: str) -> None:
    assert way_of(model) == CL100K


@pytest.mark.parametrize(
    ("model", "generation"),
    [
        ("claude-3-opus-20240229", "3"),
        ("claude-3-5-sonnet-latest", "3"),
        ("anthropic/claude-3.5-sonnet", "3"),
        ("claude-sonnet-4", "3"),
        ("claude-sonnet-4-20250514", "3"),
        ("Claude-Opus-4-1", "3"),
        ("claude-4-sonnet", "3"),
        ("claude-sonnet-4-5[1m]", "3"),
        ("claude-opus-4-6", "3"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "3"),
        ("bedrock/eu.anthropic.claude-3-5-sonnet-20241022-v2:0", "3"),
        ("claude-3-opus@20240229", "3"),
        ("claude-opus-4-7", "4.7"),
        ("claude-opus-4.7", "4.7"),
        ("claude-opus-4-8", "4.8"),
        ("anthropic.claude-opus-4-8-v1:0", "4.8"),
        ("claude-sonnet-5", "4.8"),
        ("claude-fable-5", "4.8"),
        ("opus-4-8", "4.8"),
    ],
)
def test_claude_counts_by_its_version(model: str, generation: str) -> None:
    way = way_of(model)
    assert (way.family, way.generation, way.known) == ("claude", generation, True)


@pytest.mark.parametrize("model", ["opus", "claude", "sonnet", "claude-opus-6", "claude-sonnet-5-1"])
def test_a_claude_that_nobody_has_counted_with_is_taken_for_the_newest_but_not_for_known(model: str) -> None:
    assert way_of(model) == NEW_CLAUDE
    assert not NEW_CLAUDE.known and NEW_CLAUDE.error > 0.3


@pytest.mark.parametrize("model", ["claude-2.1", "claude-instant-1.2"])
def test_the_first_claudes_are_estimated(model: str) -> None:
    way = way_of(model)
    assert way.generation is None and not way.known and way.error


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("vertex_ai/gemini-2.5-pro", "gemini"),
        ("gemma-3-27b", "gemini"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama"),
        ("ollama/llama3:8b", "llama"),
        ("Qwen2.5-Coder", "qwen"),
        ("qwq-32b", "qwen"),
        ("deepseek-chat", "deepseek"),
        ("mistral-large-latest", "mistral"),
        ("mixtral-8x7b", "mistral"),
        ("llama-2-7b", "unknown"),
        ("grok-4", "unknown"),
    ],
)
def test_models_of_other_makers_are_estimated_with_a_ratio_and_an_error_of_their_own(model: str, family: str) -> None:
    way = way_of(model)
    assert way.family == family and not way.known and 0 < way.error < 0.5 and 0.5 < way.ratio < 2


def test_a_model_of_openai_that_is_not_out_yet_is_no_certainty() -> None:
    assert not way_of("gpt-6").known and not way_of("o5").known


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (" OpenAI/GPT-4.1 ", "gpt-4-1"),
        ("us.anthropic.Claude-Sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514-v1"),
        ("ft:gpt-4o:org", "gpt-4o"),
    ],
)
def test_a_name_is_made_plain(model: str, name: str) -> None:
    assert plain(model) == name


def test_a_date_is_no_version() -> None:
    assert claude_version("claude-opus-4-20250514") == (4, 0)
    assert claude_version("claude-opus-4-1-20250805") == (4, 1)
    assert claude_version("gpt-4o") is None


@forall(st.text() | st.from_regex(r"(claude|gpt|o|gemini)[-./@:a-z0-9]{0,30}"))
def test_every_text_is_the_name_of_a_model(model: str) -> None:
    way = way_of(model)
    assert way.known or way.error > 0 or way.generation


@pytest.mark.parametrize("model", ["", " ", "💥", "x" * 10_000, "claude-" * 5_000, "a." * 5_000, "/" * 5_000])
def test_a_strange_name_is_a_model_that_nobody_knows(model: str) -> None:
    assert way_of(model) in (UNKNOWN, NEW_CLAUDE)
