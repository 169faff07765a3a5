"""Code reviews: the diff of a branch, comments on it, the files behind it, the diff after the changes."""

import random

from cca.bench.tokens.transcripts.briefs import CODER, onwards, opening
from cca.bench.tokens.transcripts.edits import edit
from cca.bench.tokens.transcripts.project import Project, numbered, project, unified
from cca.bench.tokens.transcripts.prose import paragraph
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import Words, fill, hexadecimal, person

REMARKS = (
    "`{line}`\nThis is decided twice now, here and in the $part. Which one counts? I'd move it to the $thing2.",
    "`{line}`\nnit: the name says $adj, but the value is the opposite.",
    "`{line}`\nBlocking: when $thing $phrase, we return before the lock is released. See $ticket.",
    "`{line}`\nWhy $small? The agreement with $package was $small2.",
    "`{line}`\nNot for this change, but $Person wanted to get rid of it anyway.",
    "`{line}`\nPlease add a test for the $adj case; the old one passes without this line.",
)


def _branch(rng: random.Random, repository: Project, paths: list[str], least: int, most: int) -> dict[str, str]:
    after = dict(repository.files)
    for path in paths:
        for _ in range(rng.randint(least, most)):
            _, _, after[path] = edit(rng, after[path], repository.language)
    return after


def _diff(before: dict[str, str], after: dict[str, str], context: int = 3) -> str:
    parts = [
        unified(path, before.get(path, "").split("\n"), text.split("\n"), context)
        for path, text in sorted(after.items())
        if before.get(path) != text
    ]
    return "\n".join(parts)


def _added(diff: str) -> list[str]:
    return [
        line
        for line in diff.split("\n")
        if line.startswith("+") and not line.startswith("+++") and len(line.strip("+ \t")) > 14
    ]


def _remarks(rng: random.Random, diff: str, count: int) -> tuple[str, list[str]]:
    """Comments as a forge lists them, and the sentences in them."""
    blocks, said = [], []
    paths = [line[6:] for line in diff.split("\n") if line.startswith("+++ b/")]
    for number, shape in enumerate(rng.sample(REMARKS, count)):
        words = Words(rng, ticket=f"BUG-{rng.randint(100, 9_999)}")
        line = rng.choice(_added(diff))[1:].strip()
        text = fill(shape.replace("$ticket", words["ticket"]), words).replace("{line}", line)
        blocks.append(
            f"#{rng.randint(10**6, 10**7)} {person(rng)} on "
            f"{rng.choice(paths)}:{rng.randint(5, 150)} ({('open', 'open', 'resolved')[number % 3]})\n{text}"
        )
        said.append(text.split("\n", 1)[1])
    return "\n\n".join(blocks), said


def _review(seed: str, language: str, name: str, modules: int, changed: int, reads: int) -> Transcript:
    script = Script(seed)
    rng = script.rng
    repository = project(rng, language, modules=modules)
    paths = rng.sample(repository.sources, changed)
    after = _branch(rng, repository, paths, 3, 7)
    fresh = rng.choice(sorted(set(repository.sources) - set(paths)) or paths)
    before = {path: text for path, text in repository.files.items() if path != fresh}
    words = Words(rng)
    number = rng.randint(200, 4_000)
    script.system(CODER)
    asked = fill(
        f"Please review pull request #{number} by {person(rng)}. Be strict about the $part; ignore the formatting.",
        words,
    )
    script.user(asked)
    script.fact("decision", asked.split(". ", 1)[1])
    head = "\n".join(
        (
            f"title:\t{fill('$Verb $things before they $verb2', words)}",
            "state:\tOPEN",
            f"author:\t{person(rng)}",
            "labels:\tneeds-review",
            f"additions:\t{rng.randint(200, 900)}",
            f"deletions:\t{rng.randint(10, 99)}",
            f"base:\tmain@{hexadecimal(rng, 9)}",
            f"--\n{paragraph(rng, 4)}\n\nCloses #{rng.randint(100, 199)}.",
        )
    )
    script.bash(f"gh pr view {number}", head, opening(rng))
    script.fact("id", next(line for line in head.split("\n") if line.startswith("base:")).split("\t")[1])
    diff = _diff(before, after)
    script.bash(f"gh pr diff {number}", diff, onwards(rng))
    for line in rng.sample(_added(diff), 3):
        script.fact("name", line)
    script.fact("path", paths[0])
    text, said = _remarks(rng, diff, 4)
    script.bash(f"gh api repos/acme/{repository.name}/pulls/{number}/comments", text, "What was said so far.")
    for each in said[:3]:
        script.fact("decision", each)
    for path in paths[:reads]:
        script.call("Read", numbered(after[path]), onwards(rng), file_path=f"{repository.root}/{path}")
    script.say("\n\n".join(f"**{rng.choice(paths)}**: {paragraph(rng, 2)}" for _ in range(4)))
    script.user("The author has pushed again. Does the new version settle it?")
    newer = dict(after)
    for path in paths[:2]:
        _, _, newer[path] = edit(rng, newer[path], language)
    again = _diff(before, newer)
    script.bash(f"gh pr diff {number}", again)
    later = [line for line in _added(again) if line not in diff]
    script.fact("name", rng.choice(later or _added(again)))
    text, said = _remarks(rng, again, 3)
    script.bash(f"gh api repos/acme/{repository.name}/pulls/{number}/comments?since=yesterday", text, onwards(rng))
    script.fact("decision", said[0])
    checks = "\n".join(
        f"{each}\t{'fail' if each == 'lint' else 'pass'}\t{rng.randint(1, 14)}m{rng.randint(0, 59)}s\t"
        f"https://ci.internal/runs/{rng.randint(10**6, 10**7)}"
        for each in ("build", "lint", "unit", "integration", "docs", "licenses")
    )
    script.bash(f"gh pr checks {number}", checks)
    script.fact("error", checks.split("\n")[1])
    script.say(
        "Nearly. The blocking remark is settled; one check is red, and the number in the "
        "agreement is still another one."
    )
    script.user("Then request changes for the number only. The lint we fix on main.")
    script.fact("decision", "request changes for the number only. The lint we fix on main.")
    return script.end(name, "review")


def python(seed: str) -> Transcript:
    """A change of five Python files, three of which are read as a whole."""
    return _review(seed, "python", "review-python", modules=9, changed=5, reads=3)


def typescript(seed: str) -> Transcript:
    """A change of six TypeScript files."""
    return _review(seed, "typescript", "review-typescript", modules=11, changed=6, reads=4)


def go(seed: str) -> Transcript:
    """A small change of a Go service."""
    return _review(seed, "go", "review-go", modules=5, changed=3, reads=1)
