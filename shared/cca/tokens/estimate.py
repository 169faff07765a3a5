"""What another tokenizer would count, estimated from what one of OpenAI's counts, by the kind of content.

Claude's vocabularies hold fewer words, so besides a ratio for each kind there is a price for each letter. The weights,
and the errors beside them, are what `python -m tests.tokens.count.measure` prints.
"""

import string
from collections.abc import Iterator, Mapping

from msgspec import Struct

from cca.contracts.tokens import ContentKind
from cca.tokens.kinds import classify
from cca.tokens.models import Generation
from cca.tokens.vocabularies import Vocabulary


class Weights(Struct, frozen=True):
    """What an estimate adds up.

    Attributes:
        ratios: tokens for each of the vocabulary, by kind; a kind that is not there counts as prose.
        small, capital, other: tokens for each ASCII letter, and for each character that is not ASCII.
        error: 95th percentile of the relative error, over texts of 3,000 characters that nothing was fitted to.
    """

    ratios: Mapping[ContentKind, float]
    small: float
    capital: float
    other: float
    error: float = 0.0


# Errors on the half that was held out, median and 95th percentile in percent (generations 3 / 4.7 and 4.8). A third of
# the prose is in 15 other languages, which have the largest errors.
#   prose 6 21 / 9 28    code 4 18 / 5 15    json 3 9 / 2 10      log 3 7 / 3 7     table 4 13 / 4 14   diff 4 17 / 6 14
#   search 4 11 / 4 14   tests 6 10 / 5 12   listing 2 12 / 3 10  build 3 11 / 3 7  trace 5 13 / 3 8    all 4 12 / 4 12
_SINCE_4_7 = Weights(
    {
        **{"prose": 0.98, "code": 1.14, "json": 1.1, "log": 1.06, "table": 1.0, "diff": 1.165},
        **{"search": 1.07, "tests": 1.205, "listing": 1.1, "build": 1.1, "trace": 1.15},
    },
    small=0.188,
    capital=0.639,
    other=0.156,
    error=0.125,
)
CLAUDE: Mapping[Generation, Weights] = {
    "3": Weights(
        {
            **{"prose": 1.02, "code": 1.16, "json": 1.05, "log": 1.03, "table": 1.0, "diff": 1.17},
            **{"search": 1.12, "tests": 1.19, "listing": 1.13, "build": 1.1, "trace": 1.16},
        },
        small=0.047,
        capital=0.218,
        other=0.134,
        error=0.125,
    ),
    "4.7": _SINCE_4_7,
    "4.8": _SINCE_4_7,  # the same vocabulary; only what is around a message differs
}

_BLOCK = 4_000
"""A kind is told for each so many characters; up to the end of a line, unless that is far off."""
_LINES = 10
"""It is told from so many lines: all of them would tell it no better, and take eight times as long."""
_LONGEST = 20_000
_SMALL, _CAPITAL, _BEYOND = string.ascii_lowercase.encode(), string.ascii_uppercase.encode(), bytes(range(128, 256))


def blocks(text: str) -> Iterator[str]:
    """The text in pieces, each of one kind. All but the last are the same whatever comes after them."""
    start = 0
    while start < len(text):
        end = block_end(text, start) or len(text)
        yield text[start:end]
        start = end


def block_end(text: str, start: int = 0) -> int:
    """Where the block that begins at `start` ends; 0 while that depends on what comes."""
    end = text.find("\n", start + _BLOCK, start + _LONGEST) + 1
    if not end and len(text) - start >= _LONGEST:
        end = start + _LONGEST
    return end


def kind_of(block: str) -> ContentKind:
    """What a block is taken for."""
    return classify(block.split("\n", _LINES)[:_LINES])


def letters(block: str) -> tuple[int, int, int]:
    """How many small and how many capital ASCII letters there are, and how many characters that are not ASCII."""
    body = block.encode()
    small, capital = (len(body) - len(body.translate(None, those)) for those in (_SMALL, _CAPITAL))
    return small, capital, len(block) - len(body.translate(None, _BEYOND))


class Estimate:
    """Estimates from one of OpenAI's vocabularies.

    Args:
        weights: a number is the one ratio that holds for every kind.
    """

    def __init__(self, vocabulary: Vocabulary, weights: Weights | float) -> None:
        self._vocabulary, self._weights = vocabulary, weights

    def count(self, text: str) -> int:
        """Tokens of a well-formed text; 0 for none."""
        return rounded(sum(map(self.weigh, blocks(text))))

    def weigh(self, block: str) -> int:
        """Thousandths of tokens of one block: whole numbers, so that their sum does not depend on their order."""
        tokens, weights = self._vocabulary.count(block), self._weights
        if not isinstance(weights, Weights):
            return round(1_000 * tokens * weights)
        ratio = weights.ratios.get(kind_of(block), weights.ratios["prose"])
        small, capital, other = letters(block)
        tokens_of_letters = small * weights.small + capital * weights.capital + other * weights.other
        return round(1_000 * (tokens * ratio + tokens_of_letters))


def rounded(thousandths: int) -> int:
    """Tokens, from thousandths; something is never nothing."""
    return max((thousandths + 500) // 1_000, 1 if thousandths else 0)
