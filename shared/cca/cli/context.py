"""`cca context`: values that agents share under a scope and a key."""

import click

from cca.cli.parts import Entry, Parts

PARTS = {
    "set": Entry("cca.cli.context_values:set_", "Put a value under a key."),
    "get": Entry("cca.cli.context_values:get", "Print a value."),
    "delete": Entry("cca.cli.context_values:delete", "Remove keys."),
    "list": Entry("cca.cli.context_values:list_", "List the keys of a scope."),
    "history": Entry("cca.cli.context_changes:history", "Show what a key held before."),
    "watch": Entry("cca.cli.context_changes:watch", "Follow the keys of a scope."),
    "snapshot": Entry("cca.cli.context_snapshots:snapshot", "Keep how a scope is now."),
    "snapshots": Entry("cca.cli.context_snapshots:snapshots", "List the snapshots of a scope."),
    "restore": Entry("cca.cli.context_snapshots:restore", "Put a scope back to how it was."),
    "stats": Entry("cca.cli.context_stats:stats", "Show how the context service is."),
}


@click.group(cls=Parts, parts=PARTS)
def context() -> None:
    """Values that agents share: set them, watch them, keep how they are, and put that back.

    SCOPE says whose they are: task:ID, tree:ID (of the task at its root), session:ID, agent:NAME, role:NAME or
    project:NAME. A KEY is words of letters, digits, - and _, with dots between: files.main_py.summary.
    """
