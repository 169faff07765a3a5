"""What is read once and handed on gives the same as what is read again."""

import pytest
from tests.tokens.compress import pieces

from cca.contracts.tokens import Level, Turn
from cca.tokens.compress import compress
from cca.tokens.reading import Reading
from cca.tokens.sections import sections

TURNS = [
    Turn(text=pieces.log(60), role="tool"),
    Turn(text="Look at this:\n```python\ndef f(x):\n    # it is there\n    return [x, x]\n```\n" + pieces.log(30)),
    Turn(text=pieces.log(60), role="tool", name="app.log"),
]


@pytest.mark.parametrize("level", ["lossless", "safe", "strong"])
def test_turns_that_were_read_before_are_compressed_alike(level: Level) -> None:
    how = pieces.folding(level=level)
    readings = [Reading(turn) for turn in TURNS]
    assert compress(TURNS, how, readings=readings) == compress(TURNS, how)
    assert compress(TURNS, how, readings=readings) == compress(TURNS, how), "and reading them has not changed them"


def test_the_sections_of_a_reading_are_those_of_the_turn_but_for_the_language_of_code() -> None:
    for turn in TURNS:
        found = [(each.start, each.end, each.section.kind) for each in Reading(turn).placed]
        assert found == [(each.start, each.end, each.section.kind) for each in sections(turn)]
        assert all(each.section.language is None for each in Reading(turn).placed)
