"""Coding sessions with many tools: search, read, edit, read again, test, look at the diff."""

import random
import re

from cca.bench.tokens.transcripts.briefs import CODER, onwards, opening
from cca.bench.tokens.transcripts.edits import edit
from cca.bench.tokens.transcripts.project import Project, grep, numbered, project, unified
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.test_output import Suite, cargo_output, go_output, jest_output, pytest_output, suite
from cca.bench.tokens.transcripts.words import Words, fill, hexadecimal, person

RUNNERS = {"python": "pytest", "go": "go", "typescript": "jest", "rust": "cargo"}
COMMANDS = {"python": "pytest -v", "go": "go test -v ./...", "typescript": "npx jest --verbose", "rust": "cargo test"}
COMMITS = ("$Verb $adj $things", "Fix $field of $thing", "$Package: $verb $things in one place", "Bump $part")
_CONSTANT = re.compile(r"^\s*(?:const |pub const |var |export const )?\w*[A-Z][\w: ]* = [\d.]+;?$")
_DEFINED = re.compile(
    r"^(?:async def|def|func|export async function|export function|function|pub fn|pub async fn|fn) .*$"
)


def _ran(rng: random.Random, language: str, tests: Suite, failing: int) -> str:
    wrong = tests.failures[:failing]
    if language == "python":
        return pytest_output(rng, tests, wrong)
    if language == "go":
        return go_output(rng, tests, wrong)
    if language == "rust":
        return cargo_output(rng, tests, wrong)
    return jest_output(rng, tests, wrong)


class _Session:
    """An agent in a repository. What it reads is shown with line numbers or as it is, always in the same way."""

    def __init__(self, script: Script, repository: Project, numbers: bool) -> None:
        self.script, self.repository, self.numbers = script, repository, numbers
        self.before = dict(repository.files)

    def read(self, path: str, say: str = "", start: int = 1, lines: int | None = None) -> None:
        text = self.repository.files[path]
        if self.numbers:
            shown = numbered(text, start, lines)
            where = {} if lines is None else {"offset": start, "limit": lines}
            self.script.call("Read", shown, say, file_path=f"{self.repository.root}/{path}", **where)
        else:
            whole = text if lines is None else "\n".join(text.split("\n")[start - 1 : start - 1 + lines])
            command = f"cat {path}" if lines is None else f"sed -n {start},{start + lines - 1}p {path}"
            self.script.bash(command, whole, say)

    def edit(self, path: str, say: str = "") -> str:
        """Change a file; returns the first new line."""
        old, new, text = edit(self.script.rng, self.repository.files[path], self.repository.language)
        self.repository.files[path] = text
        where = f"{self.repository.root}/{path}"
        answer = f"The file {where} has been updated."
        if self.numbers:
            at = text[: text.index(new)].count("\n") + 1
            snippet = numbered(text, max(at - 4, 1), 9 + new.count("\n"))
            answer += f" Here's the result of running `cat -n` on a snippet of the edited file:\n{snippet}"
        self.script.call("Edit", answer, say, file_path=where, old_string=old, new_string=new)
        return next((line for line in new.split("\n") if line not in old.split("\n")), new.split("\n")[0])

    def diff(self) -> str:
        parts = [
            unified(path, self.before[path].split("\n"), text.split("\n"))
            for path, text in sorted(self.repository.files.items())
        ]
        return "\n".join(part for part in parts if part)


def _facts_of_file(script: Script, path: str, text: str) -> None:
    """A constant and a definition of a file that was just read."""
    lines = text.split("\n")
    constants = [line.strip() for line in lines if _CONSTANT.match(line)]
    defined = [line for line in lines if _DEFINED.match(line)]
    if constants:
        script.fact("number", script.rng.choice(constants))
    if defined:
        script.fact("name", script.rng.choice(defined))


def _session(seed: str, language: str, name: str, files: int, rounds: int, tests: int, numbers: bool) -> Transcript:
    script = Script(seed)
    rng = script.rng
    repository = project(rng, language)
    at_work = _Session(script, repository, numbers)
    words = Words(rng)
    chosen = rng.sample(repository.sources, files)
    ticket = f"{rng.choice(('PAY', 'OPS', 'API', 'WEB'))}-{rng.randint(100, 9_999)}"
    script.system(CODER)
    asked = fill(
        (
            f"{ticket}: a $thing that $phrase must not reach the $part. At most $small per minute. Do "
            f"not change the database."
        ),
        words,
    )
    script.user(asked)
    script.fact("id", ticket)
    script.fact("decision", asked.split(": ", 1)[1])
    # In the order of the disk, as `git ls-files` and `rg --files` differ in it, too.
    listing = "\n".join(sorted(repository.files) + sorted(path.replace("src/", "tests/") for path in repository.files))
    script.bash("git ls-files", listing, opening(rng))
    script.fact("path", chosen[0])
    script.fact("path", chosen[1])
    word = rng.choice([word for word in re.findall(r"[A-Z][a-z]{5,}", repository.files[chosen[0]]) if len(word) > 5])
    hits = grep(repository.files, word, 80)
    script.call("Grep", hits, onwards(rng), pattern=word, output_mode="content")
    script.fact(
        "path",
        rng.choice([line for line in hits.split("\n") if line.startswith(tuple(chosen))] or hits.split("\n")).split(
            ":", 2
        )[0],
    )
    for path in chosen:
        at_work.read(path, onwards(rng))
        _facts_of_file(script, path, repository.files[path])
    log = "\n".join(f"{hexadecimal(rng, 9)} {fill(rng.choice(COMMITS), Words(rng))}" for _ in range(12))
    script.bash("git log --oneline -12", log, onwards(rng))
    suspect = rng.choice(log.split("\n"))
    script.fact("id", suspect)
    checks = suite(rng, RUNNERS[language], tests, 2)
    for number in range(rounds):
        path = chosen[number % 2]
        added = at_work.edit(path, onwards(rng))
        if number % 2 == 0:
            at_work.read(path, "Let me see the whole file after the edit.")
        if number == 0:
            script.fact("name", added.strip())
        left = max(2 - number, 0)
        script.bash(COMMANDS[language], _ran(rng, language, checks, left), onwards(rng))
        if left and number < 2:
            failure = checks.failures[left - 1]
            script.fact("name", failure.test)
            script.fact("number", failure.assertion)
    at_work.read(chosen[2], "One of the callers again, before I call it done.", start=10, lines=60)
    diff = at_work.diff()
    script.bash("git diff", diff)
    changed = [
        line for line in diff.split("\n") if line.startswith("+") and not line.startswith("+++") and len(line) > 12
    ]
    script.fact("name", rng.choice(changed))
    script.say(
        fill(
            (
                f"Done. {checks.count} tests pass. The check stands before the $part and counts per "
                f"minute; the database is as it was."
            ),
            words,
        )
    )
    closing = f"Looks good. Please mention {person(rng)} as reviewer, and squash it into one commit."
    script.user(closing)
    script.fact("decision", closing.removeprefix("Looks good. "))
    return script.end(name, "coding")


def python(seed: str) -> Transcript:
    """A Python service: seven files, four rounds; files are read with line numbers."""
    return _session(seed, "python", "coding-python", files=7, rounds=4, tests=70, numbers=True)


def go(seed: str) -> Transcript:
    """A Go service: six files, five rounds; files are read as they are."""
    return _session(seed, "go", "coding-go", files=6, rounds=5, tests=50, numbers=False)


def typescript(seed: str) -> Transcript:
    """A web front end: six files, three rounds; files are read with line numbers."""
    return _session(seed, "typescript", "coding-typescript", files=6, rounds=3, tests=30, numbers=True)


def rust(seed: str) -> Transcript:
    """A worker in Rust: four files, two rounds."""
    return _session(seed, "rust", "coding-rust", files=4, rounds=2, tests=24, numbers=False)
