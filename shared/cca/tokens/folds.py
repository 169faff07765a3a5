"""What a strategy is: a named way to say some lines of one kind in fewer tokens."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from cca.contracts.tokens import ContentKind, Level

Count = Callable[[str], int]
"""How many tokens a text is."""


class Section(Struct, frozen=True):
    """Whole lines of a turn that are of one kind.

    Attributes:
        lines: without their line feeds.
        kind: what they are.
        language: of code, by its common name (`python`, `rust`, …), when it is known.
        name: of the tool or file that the turn comes from.
        fenced: they stand between the fences of a code block, which are not among them.
        age: how many turns came after.
    """

    lines: tuple[str, ...]
    kind: ContentKind
    language: str | None = None
    name: str | None = None
    fenced: bool = False
    age: int = 0


class Strategy(Protocol):
    """A way to fold sections. It is pure: the same lines always give the same.

    Attributes:
        name: stable; users choose by it.
        summary: one sentence for them.
        kinds: of the sections that it can fold.
        level: from which level on it is used when nobody chooses.
        old_only: it folds only turns that are not among the recent ones.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def kinds(self) -> frozenset[ContentKind]: ...
    @property
    def level(self) -> Level: ...
    @property
    def old_only(self) -> bool: ...

    def fold(self, section: Section) -> Sequence[str] | None:
        """The lines that stand for the section's, without a marker; None when it has nothing to fold.

        For a section of kind `json` that is one line of JSON. Whether that is worth its marker is not asked here.
        """
        ...


class Fold(Struct, frozen=True):
    """A strategy made of a function."""

    name: str
    summary: str
    kinds: frozenset[ContentKind]
    level: Level
    function: Callable[[Section], Sequence[str] | None]
    old_only: bool = False

    def fold(self, section: Section) -> Sequence[str] | None:
        return self.function(section)
