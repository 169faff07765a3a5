"""What is around the texts of a request, by the figures that providers and others have published."""

from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.tokens import Turn
from cca.tokens.chat import overhead
from cca.tokens.counting import counter

# The examples of OpenAI's cookbook, for which it shows what the API answered.
JARGON = (
    Turn(
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        role="system",
    ),
    Turn("New synergies will help drive top-line growth.", role="system", name="example_user"),
    Turn("Things working well together will increase revenue.", role="system", name="example_assistant"),
    Turn(
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        role="system",
        name="example_user",
    ),
    Turn("Let's talk later when we're less busy about how to do better.", role="system", name="example_assistant"),
    Turn("This late pivot means we don't have time to boil the ocean for the client deliverable."),
)
WEATHER = (
    Turn("You are a helpful assistant that can answer to questions about the weather.", role="system"),
    Turn("What's the weather like in San Francisco?"),
)
SCHEMA = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {
            "type": "string",
            "description": "The unit of temperature to return",
            "enum": ["celsius", "fahrenheit"],
        },
    },
    "required": ["location"],
}
ABOUT = {"name": "get_current_weather", "description": "Get the current weather in a given location"}
OPENAI = {"type": "function", "function": {**ABOUT, "parameters": SCHEMA}}
ANTHROPIC = {**ABOUT, "input_schema": SCHEMA}


def request(turns: tuple[Turn, ...], tools: tuple[dict[str, Any], ...], model: str) -> int:
    return sum(counter(model).count_many(turn.text for turn in turns)) + overhead(turns, tools, model)


@pytest.mark.parametrize(("model", "tokens"), [("gpt-3.5-turbo", 129), ("gpt-4", 129), ("gpt-4o", 124)])
def test_messages_cost_what_the_api_of_openai_answers(model: str, tokens: int) -> None:
    assert request(JARGON, (), model) == tokens


@pytest.mark.parametrize(("model", "tokens"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101)])
def test_tools_cost_what_the_api_of_openai_answers(model: str, tokens: int) -> None:
    assert request(WEATHER, (OPENAI,), model) == tokens


@pytest.mark.parametrize(("model", "frame"), [("claude-sonnet-4", 7), ("claude-opus-4-7", 7), ("claude-sonnet-5", 6)])
def test_a_single_message_to_claude_has_the_frame_that_was_measured(model: str, frame: int) -> None:
    assert overhead((Turn("hello"),), (), model) == frame


@pytest.mark.parametrize(("model", "least"), [("claude-sonnet-4", 366), ("claude-sonnet-4-5", 549)])
def test_the_first_tool_brings_a_prompt_of_claudes_provider_with_it(model: str, least: int) -> None:
    none = overhead(WEATHER, (), model)
    one = overhead(WEATHER, ({"name": "x"},), model)
    two = overhead(WEATHER, ({"name": "x"}, {"name": "x"}), model)
    assert one - none == least + counter(model).count("x")
    assert two - one == 53 + counter(model).count("x")


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4", "gemini-2.5-pro"])
def test_a_tool_costs_the_same_in_the_shapes_of_either_provider(model: str) -> None:
    whole = overhead(WEATHER, (OPENAI,), model)
    assert whole == overhead(WEATHER, (ANTHROPIC,), model) == overhead(WEATHER, (OPENAI["function"],), model)  # type: ignore[arg-type]  # a dict of mixed values


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4"])
def test_what_lies_deeper_in_a_schema_costs_as_well(model: str) -> None:
    inner = {"type": "object", "properties": {"street": {"type": "string", "description": "Where they live."}}}
    flat = {"name": "x", "input_schema": {"type": "object", "properties": {"address": {"type": "object"}}}}
    deep = {"name": "x", "input_schema": {"type": "object", "properties": {"address": inner}}}
    many = {"name": "x", "input_schema": {"properties": {"address": {"type": "array", "items": inner}}}}
    assert overhead((), (flat,), model) < overhead((), (deep,), model)
    assert overhead((), (flat,), model) < overhead((), (many,), model)


KEYS = st.sampled_from(
    ["name", "description", "function", "parameters", "input_schema", "properties", "items", "enum", "type", "anyOf"]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
TURNS = st.lists(st.builds(Turn, st.text(max_size=5), name=st.none() | st.text(max_size=5)), max_size=4)


@settings(deadline=None)
@forall(
    TURNS, st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=3), st.sampled_from(["gpt-4o", "claude-5", "x"])
)
def test_whatever_stands_in_a_tool_its_cost_is_a_number_and_no_bargain(
    turns: list[Turn], tools: list[dict[str, Any]], model: str
) -> None:
    alone = overhead(turns, (), model)
    assert 0 < alone <= overhead(turns, tools, model)


def test_a_number_that_has_no_end_is_no_text() -> None:
    tool = {"name": 10**5_000, "input_schema": {"properties": {"x": {"enum": [10**5_000, float("nan"), True]}}}}
    assert 0 < overhead((), (tool,), "gpt-4o") < 100


def test_a_schema_that_is_deep_without_end_is_looked_at_so_far() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        schema = {"properties": {"x": schema}}
    assert 0 < overhead((), ({"name": "x", "input_schema": schema},), "gpt-4o") < 1_000
