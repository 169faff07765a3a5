"""`cca memory`: what agents remember."""

import click

from cca.cli.parts import Entry, Parts

PARTS = {
    "store": Entry("cca.cli.memory_change:store", "Remember a text."),
    "search": Entry("cca.cli.memory_find:search", "Find memories by meaning and words."),
    "list": Entry("cca.cli.memory_find:list_", "List memories, newest first."),
    "show": Entry("cca.cli.memory_find:show", "Show a memory."),
    "rate": Entry("cca.cli.memory_change:rate", "Say whether a memory helped."),
    "forget": Entry("cca.cli.memory_change:forget", "Remove memories."),
    "export": Entry("cca.cli.memory_files:export", "Write memories into a file."),
    "import": Entry("cca.cli.memory_files:import_", "Store the memories of a file."),
    "stats": Entry("cca.cli.memory_find:stats", "Show how many there are, and how searches work."),
    "policy": Entry("cca.cli.memory_policy:policy", "What is remembered of which roles' tasks, and put before them."),
    "bench": Entry("cca.cli.memory_bench:memory_bench", "Measure how well and how fast memories and code are found."),
}


@click.group(cls=Parts, parts=PARTS)
def memory() -> None:
    """What agents remember: kept from finished tasks by policy or by hand, found again, and rated by what came of it.

    Secrets are taken out of a text before it is kept.
    """
