"""Sentences as engineers write them, in chats, reviews and manuals."""

import random

from cca.bench.tokens.transcripts.words import Words, fill

THOUGHTS = (
    (
        "The $thing $part currently assumes that every $thing2 has a $field, and that stopped being "
        "true when we let partners $verb them directly."
    ),
    (
        "I would rather keep the $field on the $thing than recompute it, because the nightly $verb "
        "run already takes most of its window."
    ),
    (
        "If a $thing $phrase, the $package service answers with the last known $field, which is fine "
        "for display but wrong for anything that moves money."
    ),
    (
        "We tried that in spring with the $package2 team and rolled it back after two days, mostly "
        "because of the $adj $things."
    ),
    "There is one more caller: the $package $part reads $things by $field and never looks at $field2.",
    "Splitting the $thing table by $field would buy us about a year at the present growth.",
    "Nobody has touched the $part2 since the migration, so I would not trust its tests too far.",
    "A $adj $thing should never block the queue; it should be set aside and shown to whoever is on duty.",
    (
        "The cost is one extra round trip per $thing, roughly $small ms at the median, and nothing "
        "at all when the $field is cached."
    ),
    "What worries me more is the order of events: a $thing can be put to $verb before its $thing2 has arrived.",
    "We could make the $field nullable first, ship that, and tighten it once the backfill is through.",
    "Most of the complexity comes from two places that both think they own the $field.",
    "My reading of the code is that the retry only covers the first call, not the $verb step behind it.",
    "It is worth checking with $Person, who wrote the original $part and knows why $adj $things are skipped.",
    (
        "The dashboards for the $package service do not separate $adj from $adj2 $things, so the "
        "effect is invisible there."
    ),
    "From the outside both look the same: the request succeeds, and the $thing shows up a few minutes later.",
    "An index on ($field, $field2) would serve the list view, but not the export, which sorts by $field3.",
    "That said, I do not think we need a new service for it; a table and a job are enough.",
    (
        "The contract with $package2 says that a $thing is final once its $field is set, so we must "
        "not change it afterwards."
    ),
    "Let us measure before we decide: the $verb path is instrumented, the $verb2 path is not.",
    "In the worst case we lose the last $small $things of a batch, and those can be replayed from the log.",
    "Customers notice this as a $thing that appears twice in the list until the next refresh.",
    "The test suite covers the happy path well and the $adj one not at all.",
    "We agreed earlier that the $package service owns the $field, and I see no reason to reopen that now.",
    "Half of the $things in staging are $adj, which is why the problem never showed up there.",
    "It reads $field from the configuration at start and never again, so a change needs a restart of all workers.",
    "Whoever calls $verb twice gets two $things, and the second one wins without a word.",
    "The simplest fix is to compare versions before the write and to give up on conflict.",
    "I am not convinced that a longer timeout helps; it hides the $adj $things for another $small seconds.",
    "With that in place the $part3 becomes a thin layer over the $thing2 store, and can go later.",
)

MANUAL = (
    "A $thing is created when the first $thing2 arrives, and closed when its $field reaches zero.",
    "Set `$field` to choose how many $things are kept before the oldest are dropped.",
    "Requests that $phrase are answered with status 422 and a list of fields.",
    "The $package client retries $adj requests on its own; disable this with `$field2: false`.",
    (
        "Every $thing belongs to exactly one $thing2. Moving it to another creates a new version and "
        "leaves the old one readable."
    ),
    "Use the `$verb` command to bring $adj $things back; it needs the role `$thing-admin`.",
    "Pagination works with cursors: pass the value of `next_cursor` from one page as `cursor` of the next.",
    "When `$field` is absent, the $package service takes the value of the enclosing $thing2.",
    "Note that $things are ordered by `$field2`, not by time; two of them may carry the same value.",
    "Older versions called this setting `$field3`. The old name still works and logs a warning at start.",
    "The default is chosen for small installations. Larger ones should raise it together with `$field2`.",
    "A $adj $thing counts towards the limit until it is collected, which happens once per $small minutes.",
    "Do not rely on the text of an error; the `code` is stable between releases, the `message` is not.",
    "To $verb many $things at once, send them as one array; the answer lists the outcome of each in the same order.",
    "Webhooks are signed with the $thing's secret. Compare signatures in constant time.",
    "The $part runs in its own process and may be restarted at any time without losing $things.",
    "Fields that are not documented here may change without notice.",
    "You can watch the effect in the $package dashboard under *$Things by $field*.",
    "If two settings contradict each other, the one that is closer to the $thing wins.",
    "Deleting a $thing2 deletes its $things as well, after a grace period of $small days.",
    "This page describes the behaviour since the last major release; see the notes there for what changed.",
    "The server never sends more than $large $things in one answer, whatever the client asks for.",
    "Clients should treat unknown values of `$field` as `$adj`.",
    "Times are in UTC and follow RFC 3339; durations are whole seconds unless a unit is given.",
)


def paragraph(rng: random.Random, sentences: int, store: tuple[str, ...] = THOUGHTS, words: Words | None = None) -> str:
    """So many different sentences, about one subject if `words` are given."""
    chosen = rng.sample(store, min(sentences, len(store)))
    own = words if words is not None else Words(rng)
    return " ".join(fill(each, own if rng.random() < 0.5 else Words(rng)) for each in chosen)
