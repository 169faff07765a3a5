"""What changed in files that tools write: names and versions, of all the lines of a lock file's diff."""

import re
from collections.abc import Sequence

_GENERATED = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lock|Cargo\.lock|poetry\.lock"
    r"|uv\.lock|pdm\.lock|Pipfile\.lock|composer\.lock|Gemfile\.lock|go\.sum|flake\.lock|mix\.lock|pubspec\.lock"
    r"|Podfile\.lock|packages\.lock\.json|gradle\.lockfile)$"
    r"|\.(?:min\.(?:js|css|mjs)|(?:js|css)\.map|snap|pb\.go|pb\.cc|pb\.h)$|_pb2(?:_grpc)?\.pyi?$"
)
_NAME = re.compile(
    r'\s*"(?:[^"]*node_modules/)?((?:@[^/"\s]+/)?[^/"\s]+)": \{'  # package-lock.json, Pipfile.lock
    r'|\s*"?name"? ?[=:] "([^"]+)"'  # Cargo, poetry, uv, composer
    r'|"?((?:@[^/"\s]+/)?[^@"\s]+)@[^\s"]+.*:'  # yarn
    r"|exports\[`([^`]+)`\]"  # the name of a snapshot
)
_VERSION = re.compile(r'\s*"?version"?(?: ?[=:])? "([^"]+)"')
_BOTH = re.compile(
    r"(\S+) (v\d\S*?)(?:/go\.mod)? h1:"  # go.sum
    r"|\s+([\w.-]+) \((\d[\w.-]*)\)"  # Gemfile.lock
    r"|\s+'?/?((?:@[^/\s]+/)?[^@\s'/]+)@(\d[^:(']*)[^\s]*:"  # pnpm-lock.yaml
)
_WANTED = re.compile(r'\s*"((?:@[^/"\s]+/)?[^/"\s]+)": "([~^<>=]*\d[^"\s]*)",?$')


def is_generated(path: str) -> bool:
    """Whether a tool writes this file, so that only what it says about versions is of interest."""
    return _GENERATED.search(path) is not None


def changes(lines: Sequence[str]) -> list[str]:
    """One line for each name whose version changed, came or went. `lines` are those of hunks, with their signs."""
    old: dict[str, list[str]] = {}
    new: dict[str, list[str]] = {}
    was = now = ""  # the name that lines of each side are about
    for line in lines:
        sign, text = line[:1], line[1:2_000]
        if sign == "@":
            text = text.rpartition("@@ ")[2]
            was = now = ""
        if found := _NAME.match(text):
            name = found[1] or found[2] or found[3] or found[4]
            was, now = was if sign == "+" else name, now if sign == "-" else name
            if found[4] and sign in ("+", "-"):
                (new if sign == "+" else old).setdefault(name, [])
        if sign not in ("+", "-"):
            continue
        side, name = (new, now) if sign == "+" else (old, was)
        if (found := _VERSION.match(text)) and name:
            _say(side, name, found[1])
        elif found := _WANTED.match(text):
            _say(side, f"{found[1]} wanted", found[2])
        elif found := _BOTH.match(text):
            parts = [part for part in found.groups() if part]
            _say(side, parts[0], parts[1])
    return [line for name in dict.fromkeys((*old, *new)) if (line := _change(name, old.get(name), new.get(name)))]


def _say(side: dict[str, list[str]], name: str, version: str) -> None:
    versions = side.setdefault(name, [])
    if version not in versions:
        versions.append(version)


def _change(name: str, old: list[str] | None, new: list[str] | None) -> str:
    before, after = ", ".join(old or ()), ", ".join(new or ())
    if old is None:
        return f"+{name} {after}".rstrip()
    if new is None:
        return f"-{name} {before}".rstrip()
    return f" {name} {before} → {after}" if before != after else ""
