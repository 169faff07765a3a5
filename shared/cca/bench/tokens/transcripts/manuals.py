"""Pages of a product's manual as a fetching tool brings them: the frame of the site, prose, tables, examples."""

import random
from collections.abc import Sequence

from msgspec import Struct

from cca.bench.tokens.transcripts.prose import MANUAL, paragraph
from cca.bench.tokens.transcripts.words import ADJECTIVES, FIELDS, THINGS, Words, fill, hexadecimal, pascal, plural

HEADS = ("$Verb a $thing", "How $things are kept", "$Things and $things2", "Before you $verb", "What can go wrong")


class Site(Struct):
    """A product and the titles of its pages."""

    product: str
    version: str
    pages: list[str]


def site(rng: random.Random) -> Site:
    """A product with some thirty pages."""
    words = Words(rng)
    titles = ["Introduction", "Installation", "Quick start", "Concepts", "Command line", "Changelog", "Troubleshooting"]
    for thing in rng.sample(THINGS, 14):
        titles.append(
            rng.choice(("{}s", "Working with {}s", "{} settings", "Limits of {}s", "{} API")).format(pascal(thing))
        )
    return Site(words["Package"], f"{rng.randint(2, 9)}.{rng.randint(0, 30)}", titles)


class Page(Struct):
    """A page, and what in it is worth remembering."""

    title: str
    text: str
    limit: str
    setting: str
    default: str
    note: str


def page(rng: random.Random, of: Site, title: str, sections: int) -> Page:
    """A page with its frame."""
    words = Words(rng)
    lines = [
        (
            f"[Skip to content](#content)\n\n[{of.product}](/) Docs  v{of.version}  [Search](/search) "
            f" [GitHub](https://forge.example/{of.product.lower()})\n"
        )
    ]
    lines += [f"- [{name}](/docs/{name.lower().replace(' ', '-')})" for name in of.pages]
    lines += ["", f"# {title}", "", paragraph(rng, 4, MANUAL, words), ""]
    limit, setting, default = "", "", ""
    note = ""
    for number in range(sections):
        about = Words(rng)
        lines += [
            f"## {fill(rng.choice(HEADS), about)}",
            "",
        ]
        for _ in range(rng.randint(2, 4)):
            lines += [paragraph(rng, rng.randint(2, 5), MANUAL, about), ""]
        what = rng.random()
        if number == 0:
            table, limit = _limits(rng)
            lines += [*table, ""]
        elif number == 1:
            table, setting, default = _settings(rng)
            lines += [*table, ""]
        elif what < 0.4:
            lines += ["```yaml", *_example(rng), "```", ""]
        elif what < 0.6:
            lines += [f"- {fill(rng.choice(MANUAL), Words(rng))}" for _ in range(rng.randint(3, 6))] + [""]
        elif what < 0.8:
            lines += [
                "```console",
                fill("$ $package $verb $thing --$field=$large --wait", about),
                fill("$thing $thing-$small: $adj ($large ms)", about),
                "```",
                "",
            ]
        if number == sections // 2:
            note = fill(
                (
                    f"Since {of.version} a $thing is {rng.choice(('closed', 'dropped', 'locked'))} "
                    f"after {rng.randint(3, 48)} hours without a $thing2; before, it was kept for ever."
                ),
                Words(rng),
            )
            lines += [f"> **Warning**\n> {note}", ""]
    lines += [
        "---",
        (
            f"Was this page helpful? [Yes](#) [No](#)   [Edit this page](https://forge.example/"
            f"{of.product.lower()}/edit/main/docs/{hexadecimal(rng, 6)}.md)"
        ),
        "",
        (
            f"© 2025 {of.product} contributors. Licensed under Apache-2.0. [Privacy](/privacy) "
            f"[Imprint](/imprint) [Status](https://status.example)"
        ),
    ]
    return Page(title, "\n".join(lines), limit, setting, default, note)


def _limits(rng: random.Random) -> tuple[list[str], str]:
    rows = [
        (
            f"| {plural(thing).capitalize()} per {other} | "
            f"{rng.randint(2, 90) * rng.choice((10, 25, 100)):,} | "
            f"{rng.randint(2, 90) * rng.choice((100, 1000)):,} | {rng.choice(('hard', 'soft', 'on request'))} |"
        )
        for thing, other in zip(rng.sample(THINGS, 7), rng.sample(THINGS, 7), strict=True)
    ]
    return ["| Limit | Free | Business | Kind |", "|---|---:|---:|---|", *rows], rng.choice(rows)


def _settings(rng: random.Random) -> tuple[list[str], str, str]:
    rows = []
    for name in rng.sample(FIELDS, rng.randint(6, 11)):
        default = rng.choice(
            (str(rng.randint(2, 5_000)), "true", "false", f"{rng.randint(1, 90)}s", f'"{rng.choice(ADJECTIVES)}"')
        )
        rows.append(
            (
                f"`{name}`",
                f"`{default}`",
                fill(
                    rng.choice(
                        (
                            "How many $things are kept.",
                            "What happens to $adj $things.",
                            "The $field of a new $thing.",
                            "Whether to $verb on start.",
                        )
                    ),
                    Words(rng),
                ),
            )
        )
    numbers = [row for row in rows if row[1].strip("`")[0].isdigit()] or rows
    chosen = rng.choice(numbers)
    table = [
        "| Setting | Default | Meaning |",
        "|---|---|---|",
        *(f"| {name} | {default} | {meaning} |" for name, default, meaning in rows),
    ]
    return table, f"| {chosen[0]} | {chosen[1]} |", chosen[1].strip("`")


def _example(rng: random.Random) -> Sequence[str]:
    words = Words(rng)
    return [
        fill(line, words)
        for line in (
            "$package:",
            "  $field: $small",
            "  $things:",
            "    - name: $adj-$thing",
            "      $field2: $large",
            "      $field3: $adj2",
            "    - name: default",
        )
    ]
