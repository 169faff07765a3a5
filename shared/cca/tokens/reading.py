"""A turn, and what is found out about it once however many ask: its lines, its frame, its sections, its signature."""

from functools import cached_property

from cca.contracts.tokens import Turn
from cca.tokens.frame import Part, frame
from cca.tokens.sections import Placed, is_code, sections_of
from cca.tokens.similar import Signature, signature


class Reading:
    """A turn that is looked at. Nobody changes what it gives."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.lines = turn.text.split("\n")

    @cached_property
    def parts(self) -> list[Part]:
        """Code blocks, JSON documents and earlier cuts, and what is between them."""
        return frame(self.lines, is_code(self.turn.name))

    @cached_property
    def placed(self) -> list[Placed]:
        """The sections, as of the newest turn; the languages of code are not looked for."""
        return list(sections_of(self.lines, self.parts, self.turn.name, languages=False))

    @cached_property
    def signature(self) -> Signature | None:
        """What the text is compared to others by."""
        return signature(self.turn.text)
