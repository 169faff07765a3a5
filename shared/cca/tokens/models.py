"""By which tokenizer a model counts, told from its name alone."""

import re
from typing import Literal

from msgspec import Struct

from cca.tokens.vocabularies import VocabularyName

Generation = Literal["3", "4.7", "4.8"]
"""Of Claude's tokenizer, by the first version that counts so: up to 4.6, Opus 4.7 alone, and all since."""


class Way(Struct, frozen=True):
    """How the tokens of a model are counted.

    Attributes:
        family: whose tokenizer it is.
        vocabulary: of OpenAI; for other families an estimate starts from it.
        generation: of Claude's tokenizer.
        known: whether it is certain that the model counts so; without, even a count is an estimate.
        ratio: tokens of the model for each of the vocabulary, for an estimate.
        error: of that estimate: the 95th percentile of the relative error over texts of 3,000 characters. Claude's
            stand with the ratios in `cca.tokens.estimate`.
    """

    family: str
    vocabulary: VocabularyName = "o200k_base"
    generation: Generation | None = None
    known: bool = True
    ratio: float = 1.0
    error: float = 0.0


O200K = Way("openai")
CL100K = Way("openai", "cl100k_base")
# Ratios and errors are measured with the vocabularies that the makers publish, on eleven kinds of content.
GEMINI = Way("gemini", known=False, ratio=1.28, error=0.23)
LLAMA3 = Way("llama", known=False, ratio=0.99, error=0.06)
QWEN = Way("qwen", known=False, ratio=1.17, error=0.21)
DEEPSEEK = Way("deepseek", known=False, ratio=1.05, error=0.13)
MISTRAL = Way("mistral", known=False, ratio=1.22, error=0.21)
UNKNOWN = Way("unknown", known=False, error=0.35)
"""The error is a little above that of the families which we could measure, were they counted so."""
NEW_OPENAI = Way("openai", known=False, error=0.35)
NEW_CLAUDE = Way("claude", generation="4.8", known=False, error=0.35)
"""Of these we do not know whether they have a tokenizer of their own; the last change made it a third more tokens."""

_RULES: tuple[tuple[str, Way], ...] = (
    # What a name begins with, and how it is counted; of several that fit, the first.
    (r"gpt-4o|chatgpt|gpt-4-[15](?!\d)|gpt-5|gpt-oss|o[1-4](?![a-z0-9])|codex|computer-use", O200K),
    (r"gpt-[6-9]|o[5-9](?![a-z0-9])", NEW_OPENAI),
    (r"gpt-4|gpt-3-?5|text-embedding-(?:3|ada)|(?:davinci|babbage)-002", CL100K),
    (r"gemini|gemma|palm|learnlm", GEMINI),
    (r"(?:meta-)?llama-?[12](?!\d)|codellama", UNKNOWN),  # an eighth of the words that Llama 3 knows
    (r"(?:meta-)?llama|nemotron|hermes", LLAMA3),
    (r"qw[eq]n?|qvq", QWEN),
    (r"deepseek", DEEPSEEK),
    (r"(?:open-)?(?:mistral|mixtral)|ministral|codestral|devstral|magistral|pixtral", MISTRAL),
)
_STARTS = tuple((re.compile(rule), way) for rule, way in _RULES)

# The number may stand before or after the name: `claude-3-5-sonnet`, `claude-sonnet-4-5`. Eight digits are a date.
_CLAUDE = re.compile(r"(?:claude|opus|sonnet|haiku|fable)(?:-(?!\d)[a-z]+)*(?:-?(\d{1,2})(?!\d)(?:-(\d{1,2})(?!\d))?)?")
_CLAUDES: tuple[tuple[tuple[int, int], Way], ...] = (
    # From which version on, the newest first.
    ((5, 1), NEW_CLAUDE),
    ((4, 8), Way("claude", generation="4.8")),
    ((4, 7), Way("claude", generation="4.7")),
    ((3, 0), Way("claude", generation="3")),
)
OLD_CLAUDE = Way("claude", known=False, ratio=1.06, error=0.25)
"""Before 3, with a tokenizer of its own."""


def plain(model: str) -> str:
    """A name without what it does not depend on: case, makers and regions before it, and what hangs behind it.

    `us.anthropic.Claude-Sonnet-4-20250514-v1:0` becomes `claude-sonnet-4-20250514-v1`, `gpt-4.1` becomes `gpt-4-1`.
    """
    name = model.strip().lower()[:200]
    name = name.rsplit("/", 1)[-1].removeprefix("ft:")
    name = re.sub(r"^(?:[a-z-]+\.)+(?=[a-z])", "", name)
    name = re.sub(r"[@:\[ ].*", "", name, flags=re.DOTALL)
    return re.sub(r"[._]", "-", name)


def way_of(model: str) -> Way:
    """How a model is counted; any text is a name, and one that we do not know is counted as `UNKNOWN`."""
    name = plain(model)
    if _CLAUDE.match(name) is None:
        return next((way for start, way in _STARTS if start.match(name)), UNKNOWN)
    version = claude_version(model)
    if version is None:  # an alias such as `sonnet`: it moves on with the newest
        return NEW_CLAUDE
    return next((way for least, way in _CLAUDES if version >= least), OLD_CLAUDE)


def claude_version(model: str) -> tuple[int, int] | None:
    """The version of Claude that a name tells, `(4, 0)` for `claude-sonnet-4`; None when it tells none."""
    found = _CLAUDE.match(plain(model))
    return (int(found[1]), int(found[2] or 0)) if found and found[1] else None
