"""Long chats: people and an assistant that weigh things and decide; a document that is written and written again."""

import random

from cca.bench.tokens.transcripts.briefs import ASSISTANT
from cca.bench.tokens.transcripts.prose import THOUGHTS, paragraph
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import Words, fill, person

ASKED = (
    "What would you do about the $adj $things?",
    "Can we put that off until the $package work is through?",
    "Why does the $part need the $field at all?",
    "Remind me what speaks against a second $thing table.",
    "How would we find out that a $thing was lost?",
    "Is $small minutes enough for the $verb run?",
    "I talked to $Person, and they would rather keep the $field. Does that change your view?",
    "What happens to a $thing that $phrase halfway?",
)
DECIDED = (
    "Decision: we keep the $field on the $thing, and drop $field2 in version $small.",
    "Agreed, then: $Person owns the $package migration, and it must be done before the $small2th.",
    "OK, let's go with $small partitions and a retention of $small2 days.",
    "We decided in the call: no new service; the $part2 gets a table `$things_$field` instead.",
    "Settled: $adj $things are put to $verb after $small hours, never earlier.",
    "Let us fix the budget at $large euros a month; above that $Person has to sign.",
    "Final answer from legal: $field must not leave the $package database.",
    "We go with option B, the one with the $thing2 queue, and review it after $small weeks.",
    "The name is decided: it will be called `$verb-$thing2`, and the flag `$field-v$small`.",
)


def _answer(rng: random.Random) -> str:
    parts = [paragraph(rng, rng.randint(3, 6))]
    if rng.random() < 0.5:
        parts.append(
            "\n".join(f"{number}. {fill(rng.choice(THOUGHTS), Words(rng))}" for number in range(1, rng.randint(3, 6)))
        )
    if rng.random() < 0.4:
        parts.append(paragraph(rng, rng.randint(1, 3)))
    return "\n\n".join(parts)


def architecture(seed: str) -> Transcript:
    """Sixty exchanges about how something should be built, with decisions among them."""
    script = Script(seed)
    rng = script.rng
    script.system(ASSISTANT)
    decisions = rng.sample(DECIDED, 9)
    places = sorted(rng.sample(range(2, 60), len(decisions)))
    for number in range(60):
        words = Words(rng)
        asked = fill(rng.choice(ASKED), words)
        if number in places:
            decision = fill(decisions[places.index(number)], words)
            script.user(f"{paragraph(rng, rng.randint(0, 2))} {decision} {asked if rng.random() < 0.5 else ''}".strip())
            script.fact("decision", decision)
        else:
            script.user(f"{paragraph(rng, rng.randint(0, 3))} {asked}".strip())
        script.say(_answer(rng))
    return script.end("chat-architecture", "chat")


def document(seed: str) -> Transcript:
    """A design document that is written in seven rounds, each time as a whole."""
    script = Script(seed)
    rng = script.rng
    words = Words(rng)
    script.system(ASSISTANT)
    heads = [
        "Context",
        "Goals",
        "Not goals",
        "Data model",
        "Flow",
        "Failure modes",
        "Migration",
        "Observability",
        "Costs",
        "Open questions",
    ]
    parts = {
        head: "\n\n".join(paragraph(rng, rng.randint(3, 6), THOUGHTS, words) for _ in range(rng.randint(1, 3)))
        for head in heads
    }
    script.user(
        fill("Write a design document for moving $things out of the $package service. Ask me where you need to.", words)
    )
    for number in range(7):
        script.say(
            "\n\n".join(
                [fill("# Moving $things out of $package", words), *(f"## {head}\n\n{parts[head]}" for head in heads)]
            )
        )
        if number == 6:
            break
        head = rng.choice(heads)
        about = Words(rng)
        decision = fill(rng.choice(DECIDED), about)
        script.user(f"{paragraph(rng, rng.randint(1, 2))} {decision} Please work that into {head}.")
        script.fact("decision", decision)
        parts[head] = f"{parts[head]}\n\n{paragraph(rng, rng.randint(1, 3), THOUGHTS, about)}"
        if rng.random() < 0.5:
            parts[rng.choice(heads)] = paragraph(rng, rng.randint(3, 6))
        if rng.random() < 0.5:
            added = rng.choice(("Security", "Testing", "Rollback", "Glossary"))
            if added not in heads:
                heads.insert(rng.randint(3, len(heads)), added)
                parts[added] = paragraph(rng, rng.randint(2, 5))
    script.user(f"Good. {person(rng)} approves it if the migration takes less than {rng.randint(3, 30)} hours.")
    script.fact("decision", script.turns[-1].text.removeprefix("Good. "))
    script.user(f"It is ticket {rng.choice(('PLAT', 'CORE', 'DATA'))}-{rng.randint(1_000, 9_999)}, by the way.")
    script.fact("id", script.turns[-1].text.split(" ")[3].rstrip(","))
    return script.end("chat-document", "chat")


def support(seed: str) -> Transcript:
    """A shorter chat with pasted errors and numbers."""
    script = Script(seed)
    rng = script.rng
    script.system(ASSISTANT)
    for number in range(11):
        words = Words(rng)
        if number % 3 == 1:
            error = fill(f"$package.$part.$ThingError: $thing {rng.randint(1_000, 99_999)} $phrase", words)
            script.user(
                f"{paragraph(rng, 1)} I get this:\n\n```\nTraceback (most recent call last):\n  "
                f'File "/srv/{words["package"]}/{words["part"]}.py", line {rng.randint(9, 400)}, in '
                f"{words['verb']}\n    raise {words['Thing']}Error(message)\n{error}\n```\nWhat does it want?"
            )
            script.fact("error", error)
        elif number % 3 == 2:
            decision = fill(rng.choice(DECIDED), words)
            script.user(f"{decision} {fill(rng.choice(ASKED), words)}")
            script.fact("decision", decision)
        else:
            told = fill(f"we have {rng.randint(110, 990)} $things in $adj, p99 is {rng.randint(210, 3000)} ms", words)
            script.user(f"For the record, {told}. {fill(rng.choice(ASKED), words)}")
            script.fact("number", told)
        script.say(_answer(rng))
    return script.end("chat-support", "chat")
