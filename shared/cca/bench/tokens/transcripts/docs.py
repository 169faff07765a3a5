"""Agents that read documentation: pages of a manual, a changelog, a specification in Markdown."""

from cca.bench.tokens.transcripts.briefs import ASSISTANT, CODER, onwards, opening
from cca.bench.tokens.transcripts.manuals import Page, page, site
from cca.bench.tokens.transcripts.prose import MANUAL, THOUGHTS, paragraph
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import Words, fill, person


def _worth(script: Script, read: Page, turn: int) -> None:
    script.fact("number", read.limit, turn=turn)
    script.fact("name", read.setting, turn=turn)
    script.fact("decision", read.note, turn=turn)


def manual(seed: str) -> Transcript:
    """A question that takes five pages of a manual, one of them read twice."""
    script = Script(seed)
    rng = script.rng
    of = site(rng)
    script.system(ASSISTANT)
    script.user(f"We plan to move to {of.product} {of.version}. Which limits would we hit, and what must we configure?")
    titles = rng.sample(of.pages[7:], 5)
    pages = [page(rng, of, title, rng.randint(6, 9)) for title in titles]
    for number, read in enumerate(pages):
        turn = script.call(
            "WebFetch",
            read.text,
            opening(rng) if number == 0 else onwards(rng),
            url=f"https://docs.example/{of.product.lower()}/{read.title.lower().replace(' ', '-')}",
        )
        if number < 4:
            _worth(script, read, turn)
    script.say("Two of the limits are close to what you use today. Shall I check what happens when they are reached?")
    script.user("Yes please, and look at the first page again, I think there was an exception.")
    script.call(
        "WebFetch",
        pages[0].text,
        url=f"https://docs.example/{of.product.lower()}/{titles[0].lower().replace(' ', '-')}",
    )
    script.say("There is one: soft limits may be raised on request; the hard ones may not.")
    script.user("Fine. We go with the business plan, and ask for twice the first limit before the move.")
    script.fact("decision", "ask for twice the first limit before the move")
    return script.end("docs-manual", "docs")


def changelog(seed: str) -> Transcript:
    """What an upgrade over several versions breaks: a changelog, a migration guide, and our configuration."""
    script = Script(seed)
    rng = script.rng
    of = site(rng)
    script.system(CODER)
    script.user(
        f"Which breaking changes of {of.product} concern us between 3.0 and {of.version}? We set "
        f"few options, see settings.yaml."
    )
    lines = [
        "# Changelog",
        "",
        "All notable changes are listed here. The format follows Keep a Changelog; versions follow SemVer.",
        "",
    ]
    breaking = []
    for major in range(6, 2, -1):
        for minor in range(rng.randint(3, 6), -1, -1):
            lines += [
                f"## [{major}.{minor}.0] - 202{rng.randint(2, 5)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
                "",
            ]
            for head in ("Added", "Changed", "Fixed"):
                lines += [f"### {head}"]
                for _ in range(rng.randint(1, 5)):
                    lines.append(
                        f"- {fill(rng.choice(MANUAL + THOUGHTS), Words(rng))} "
                        f"([#{rng.randint(200, 4_000)}](https://forge.example/issues/"
                        f"{rng.randint(200, 4_000)}), by {person(rng)})"
                    )
                lines.append("")
            if minor == 0:
                broken = fill(
                    (
                        "**Breaking:** `$field` is now counted in "
                        f"{rng.choice(('milliseconds', 'bytes', 'minutes'))} and defaults to "
                        f"{rng.randint(110, 990)}; `$field2` is gone."
                    ),
                    Words(rng),
                )
                breaking.append(broken)
                lines += ["### Breaking", f"- {broken}", ""]
    lines += [f"[{major}.0.0]: https://forge.example/compare/v{major - 1}...v{major}" for major in range(6, 2, -1)]
    script.call(
        "WebFetch", "\n".join(lines), opening(rng), url=f"https://forge.example/{of.product.lower()}/CHANGELOG.md"
    )
    for broken in breaking:
        script.fact("decision", broken)
    guide = page(rng, of, "Migration from 3", 7)
    turn = script.call("WebFetch", guide.text, onwards(rng), url=f"https://docs.example/{of.product.lower()}/migration")
    _worth(script, guide, turn)
    words = Words(rng)
    settings = fill(
        (
            "$package:\n  $field: $large\n  $field2: $small\n  $things:\n    - $adj\n    - $adj2\n  "
            "tls:\n    min_version: '1.2'\n    reload_s: $small3\n"
        ),
        words,
    )
    script.call("Read", settings, "Our settings.", file_path="settings.yaml")
    script.fact("number", fill("$field: $large", words))
    script.fact("number", fill("reload_s: $small3", words))
    script.say("Two of the four breaking changes touch options that are set here.")
    script.user("Upgrade to the last 5.x first, we take 6 after the audit in October.")
    script.fact("decision", "Upgrade to the last 5.x first, we take 6 after the audit in October.")
    return script.end("docs-changelog", "docs")


def specification(seed: str) -> Transcript:
    """A short specification is read, and questions about it are answered."""
    script = Script(seed)
    rng = script.rng
    words = Words(rng)
    lines = [
        fill("# RFC $small: $Things that $verb themselves", words),
        "",
        f"Author: {person(rng)}, {person(rng)}  ",
        f"Status: accepted on {rng.randint(1, 28)} May after review by {person(rng)}",
        "",
    ]
    for head in ("Summary", "Motivation", "Design", "Alternatives", "Roll-out", "Open questions"):
        lines += [
            f"## {head}",
            "",
            paragraph(rng, rng.randint(4, 7), THOUGHTS, words),
            "",
            paragraph(rng, rng.randint(3, 6)),
            "",
        ]
        if head == "Design":
            lines += ["| State | Next | Timeout | On failure |", "|---|---|---|---|"]
            lines += [
                fill(
                    (
                        f"| $adj{number} | $verb{number} | {rng.randint(3, 90)} min | "
                        f"{rng.choice(('retry', 'alert', 'drop', 'ask'))} |"
                    ),
                    words,
                )
                for number in range(2, 8)
            ]
            lines += [
                "",
                fill("A $thing MUST NOT be put to $verb more than $small2 times in $small4 hours.", words),
                "",
            ]
    script.system(ASSISTANT)
    script.user(f"Read the RFC and tell me what would have to change in {words['package2']}.")
    text = "\n".join(lines)
    turn = script.call("Read", text, opening(rng), file_path="docs/rfc/self-service.md")
    script.fact("decision", fill("MUST NOT be put to $verb more than $small2 times in $small4 hours", words))
    script.fact("decision", lines[3])
    script.fact("name", lines[2].strip())
    rows = [line for line in lines if line.startswith("| ") and " min | " in line]
    for row in rng.sample(rows, 3):
        script.fact("number", row, turn=turn)
    for _ in range(7):
        script.user(
            fill(
                rng.choice(
                    (
                        "What does it say about $adj $things?",
                        "Who would have to approve the roll-out?",
                        "And if the $thing2 is gone by then?",
                        "Is there an alternative without $field?",
                    )
                ),
                Words(rng),
            )
        )
        script.say(paragraph(rng, rng.randint(3, 5)))
    script.user("Then we build the design as written, without the second alternative, and Nadia reviews it.")
    script.fact("decision", "we build the design as written, without the second alternative, and Nadia reviews it")
    script.say(paragraph(rng, 2))
    script.user(f"One more thing: the name of the flag is `{words['verb']}-{words['thing']}-v2`.")
    script.fact("name", f"`{words['verb']}-{words['thing']}-v2`")
    return script.end("docs-specification", "docs")
