"""How a transcript is written: turn by turn, with the facts that it holds."""

import json
import random
from typing import Any

from msgspec import Struct

from cca.bench.tokens.facts import Fact, FactKind
from cca.contracts.tokens import Turn


class Transcript(Struct, frozen=True):
    """What an agent and its tools said, and what in it somebody needs later.

    Attributes:
        kind: what most of it is about, one of `catalogue.KINDS`.
    """

    name: str
    kind: str
    turns: tuple[Turn, ...]
    facts: tuple[Fact, ...]


class Script:
    """A transcript that is being written."""

    def __init__(self, seed: str) -> None:
        # A seed that is a text is hashed by random itself, the same in every process.
        self.rng = random.Random(seed)
        self.turns: list[Turn] = []
        self.facts: list[Fact] = []

    def system(self, text: str) -> None:
        """What the agent is told before everything else."""
        self.turns.append(Turn(text=text, role="system"))

    def user(self, text: str) -> None:
        """What the person says."""
        self.turns.append(Turn(text=text, role="user"))

    def say(self, text: str) -> None:
        """What the agent says."""
        self.turns.append(Turn(text=text, role="assistant"))

    def call(self, tool: str, result: str, say: str = "", **arguments: Any) -> int:
        """The agent calls a tool, after a sentence or none, and gets its answer; returns the answer's turn."""
        asked = f"{tool} {json.dumps(arguments, ensure_ascii=False)}"
        self.turns.append(Turn(text=f"{say}\n\n{asked}" if say else asked, role="assistant", name=tool))
        self.turns.append(Turn(text=result, role="tool", name=tool))
        return len(self.turns) - 1

    def bash(self, command: str, result: str, say: str = "") -> int:
        """The agent runs a command in a shell."""
        return self.call("Bash", result, say, command=command)

    def fact(self, kind: FactKind, text: str, *forms: str, turn: int | None = None) -> None:
        """Something in the last turn, or in another, that somebody needs later.

        Raises `ValueError` when it does not stand there: a fault of the program that makes the transcript.
        """
        place = len(self.turns) - 1 if turn is None else turn
        if text not in self.turns[place].text:
            raise ValueError(f"{text!r} does not stand in turn {place}: {self.turns[place].text[:200]!r}")
        self.facts.append(Fact(place, kind, text, forms))

    def end(self, name: str, kind: str) -> Transcript:
        """The transcript as it is now."""
        return Transcript(name, kind, tuple(self.turns), tuple(self.facts))
