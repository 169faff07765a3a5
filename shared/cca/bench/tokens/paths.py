"""Whether a path is still to be seen in a text that says it in parts: below its folder, in a tree, in braces."""

import re
from itertools import product

_DECORATION = re.compile(r"^[\s│├└─|`*+-]*")
_BRACES = re.compile(r"[\w./@+-]*\{[\w./@+,\s-]+\}[\w./@+-]*")
_TOKEN = re.compile(r"[\w./@+-]+")
_NUMBER = re.compile(r"^\s*(\d+)(?:[:\-|\s]|$)")


def shows_path(path: str, text: str, line: str | None = None) -> bool:
    """Whether a path can be put together from a text; with `line`, also that this line number stands below it.

    Names may stand on lines of their own below the folder that they are in, indented or not, several on a line.
    """
    folder, _, name = path.rpartition("/")
    if line is None and (_in_tree(path, text) or _in_braces(path, text)):
        return True
    lines = text.split("\n")
    if line is not None:
        return any(_numbered(lines, at, line) for at, head in enumerate(lines) if path in _tokens(head))
    if not folder:
        return False
    return any(_below(lines, at, folder, name) for at, head in enumerate(lines) if folder in _tokens(head))


def _tokens(line: str) -> set[str]:
    return {token.rstrip("/").removeprefix("./") for token in _TOKEN.findall(line)} | set(_TOKEN.findall(line))


def _below(lines: list[str], at: int, folder: str, name: str) -> bool:
    """The name stands on the line of its folder, after it, or on one of the next that name no other folder."""
    place = lines[at].find(folder)
    if name in _tokens(lines[at][place + len(folder) :]):
        return True
    for line in lines[at + 1 :]:
        if not line.strip():
            return False
        if "/" in line and any("/" in token for token in _tokens(line)):
            return False
        if name in _tokens(line):
            return True
    return False


def _numbered(lines: list[str], at: int, number: str) -> bool:
    """The line number stands first on one of the lines below a path, up to the next line without one."""
    for line in lines[at + 1 :]:
        found = _NUMBER.match(line)
        if found is None:
            return False
        if found[1] == number:
            return True
    return False


def _in_tree(path: str, text: str) -> bool:
    """Lines that are indented below those that they belong to, as `tree` draws them."""
    name = path.rpartition("/")[2]
    above: list[tuple[int, str]] = []
    for line in text.split("\n"):
        start = _DECORATION.match(line)
        indent = start.end() if start else 0
        said = line[indent:].rstrip()
        while above and above[-1][0] >= indent:
            above.pop()
        if not said:
            continue
        prefix = "/".join(part for _, part in above)
        tokens = _TOKEN.findall(said)
        if name in tokens or any(token.endswith("/" + name) for token in tokens):
            for token in tokens:
                whole = f"{prefix}/{token}" if prefix else token
                if whole == path or whole.endswith("/" + path) or whole.removeprefix("./") == path:
                    return True
        # Deeper than this nobody nests; without a limit a text of steps would be looked at again and again.
        if len(above) < 40 and tokens:
            above.append((indent, tokens[0].strip("/").removeprefix("./")))
    return False


def _in_braces(path: str, text: str) -> bool:
    """`src/{a,b}/c.py`, as a shell reads it."""
    for word in _BRACES.findall(text):
        parts = [part.split(",") for part in re.split(r"[{}]", word)]
        if sum(len(part) for part in parts) < 1_000 and any(
            "".join(each.strip() for each in chosen).removeprefix("./") == path for chosen in product(*parts)
        ):
            return True
    return False
