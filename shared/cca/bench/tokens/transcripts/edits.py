"""Changes that agents make to source code: a number, a condition, a few new lines."""

import random
import re

from cca.bench.tokens.transcripts.words import Words, fill

NEW = {
    "python": (('if $field is None:\n    log.warning("$thing %s $phrase", $thing_id)\n    '
'return None'), "$field = max($field, $small)  # $adj $things carry none"),
    "go": (('if $fieldc == nil {\n\treturn fmt.Errorf("$thing $phrase: %w", '
'Err$Adj)\n}'), "$fieldc = max($fieldc, $small) // $adj $things carry none"),
    "typescript": (("if ($fieldc === undefined) {\n  log.warn('$thing $phrase');\n  return "
"null;\n}"), "$fieldc = Math.max($fieldc, $small); // $adj $things"),
    "rust": (("if $field.is_none() {\n    tracing::warn!(\"$thing $phrase\");\n    return "
"Ok(());\n}"), "let $field = $field.max($small); // $adj $things carry none"),
}  # fmt: skip

_NUMBER = re.compile(r"(?<![\w.\"'$])\d{2,4}(?![\w.\"'])")


def edit(rng: random.Random, text: str, language: str) -> tuple[str, str, str]:
    """One change: the passage before, the same after, and the whole text after."""
    lines = text.split("\n")
    numbers = [at for at, line in enumerate(lines) if _NUMBER.search(line) and lines.count(line) == 1]
    if numbers and rng.random() < 0.4:
        at = rng.choice(numbers)
        old = lines[at]
        new = _NUMBER.sub(lambda found: str(int(found[0]) + rng.choice((1, 5, 10, 100))), old, count=1)
        return old, new, "\n".join([*lines[:at], new, *lines[at + 1 :]])
    inside = [
        at
        for at, line in enumerate(lines)
        if line.startswith(("    ", "\t", "  "))
        and line.endswith((";", ")", "}", "0", "1", '"'))
        and lines.count(line) == 1
    ]
    at = rng.choice(inside or [len(lines) // 2])
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    added = [indent + line for line in fill(rng.choice(NEW[language]), Words(rng)).split("\n")]
    old, new = lines[at], "\n".join([*added, lines[at]])
    return old, new, "\n".join([*lines[:at], *added, *lines[at:]])
