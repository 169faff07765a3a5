"""Places where a text may be cut so that its parts, counted each by itself, add up to the whole."""

import re

# After a letter that no mark follows, before what is certainly neither letter, mark nor apostrophe. In the vocabularies
# of OpenAI a word ends there and the next piece begins, whatever comes later: their patterns never look behind, and
# forward only over white space. In Claude's no token reaches over the end of a word.
_LETTER = (
    r"A-Za-z\u0400-\u045f\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0905-\u0939"  # of Europe, the Near East, India
    r"\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"  # of Japan, China, Korea
)
_AFTER = r"\n\t\x20-\x26\x28-\x40\x5b-\x60\x7b-\x7e\u3001\u3002\uff0c"
_PLACE = re.compile(f"[{_LETTER}](?=[{_AFTER}])")


def last_cut(text: str, start: int, end: int) -> int:
    """The last place where a text may be cut, after `start` and not after `end`; 0 when there is none.

    It is looked for from the end, so a long text without any costs no more than being read twice.
    """
    end = min(end, len(text) - 1)  # what follows must be seen
    reach = 1_000
    while end > start:
        begin = max(start, end - reach)
        places = [found.end() for found in _PLACE.finditer(text, begin, end + 1)]  # what follows belongs to it
        if places:
            return places[-1]
        if begin == start:
            return 0
        reach *= 4
    return 0
