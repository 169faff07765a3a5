"""Commit → diff: what the commits of a repository say, and what they change."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

import cca
from cca.bench.search.sets import LONGEST, Pair, Set, made, sample

LOOKED_AT = 2_000
"""Commits, the newest."""
FEWEST = 20
"""With fewer the set is left out."""
WORDS = 3
"""Of a subject, at least."""
_READ = 100 * LONGEST
"""Bytes of a change that are read: much of them may be what only tools read."""
_FORMS = re.compile(
    r"index |--- |\+\+\+ |(new|deleted) file |(old|new) mode |(dis)?similarity |(rename|copy) |Binary |\\ No newline"
)


class Left(Exception):
    """There is no history to make a set of; the text says why."""


def commits(queries: int, documents: int, here: Path) -> Set:
    """The set, of the repository around `here`, or of this project if it is a clone. Raises `Left`."""
    reasons: dict[str, None] = {}
    for directory in dict.fromkeys((here.resolve(), Path(cca.__file__).resolve().parents[2])):
        try:
            root = Path(_git(directory, "rev-parse", "--show-toplevel").strip())
            found = sample(subjects(root), max(documents, FEWEST))
        except Left as left:
            reasons[str(left)] = None
            continue
        if len(found) >= FEWEST:
            return made("commit", changes(root, found), queries, documents, note=f"the history of {root.name}")
        reasons[f"{root.name} has {len(found)} commits that say what they change"] = None
    raise Left("; ".join(reasons))


def subjects(root: Path) -> Iterator[Pair]:
    """The newest commits, without merges; their changes are not read yet. Raises `Left`."""
    log = _git(root, "log", "--no-merges", f"--max-count={LOOKED_AT}", "--format=%H %s")
    for line in log.splitlines():
        commit, _, subject = line.partition(" ")
        if len(subject.split()) >= WORDS:
            yield Pair(commit, subject, commit)


def changes(root: Path, found: Iterable[Pair]) -> Iterator[Pair]:
    """The same with their changes; those that change nothing are left out. Raises `Left`."""
    for pair in found:
        shown = ("--format=", "--no-color", "--no-ext-diff", "--no-textconv", "--unified=1")
        change = plain(_git(root, "show", *shown, pair.source)[:_READ])
        if change:
            yield replace(pair, document=change)


def plain(change: str) -> str:
    """A change without what only tools read: the names of the files and the lines stay."""
    kept = []
    for line in change.splitlines():
        if line.startswith("diff --git "):
            kept.append(line.rpartition(" b/")[2])
        elif line.startswith("@@ "):
            kept.append(line.rpartition("@@")[2].strip())
        elif not _FORMS.match(line):
            kept.append(line)
    return "\n".join(line for line in kept if line.strip())


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.quotepath=off", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL, timeout=60)
    except FileNotFoundError:
        raise Left("git is not installed") from None
    except subprocess.CalledProcessError:
        raise Left("there is no git history") from None
    except subprocess.TimeoutExpired:
        raise Left("git takes too long") from None
    return done.stdout.decode("utf-8", "replace")
