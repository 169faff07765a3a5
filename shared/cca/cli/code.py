"""`cca code`: an index of code, made from directories and searched."""

import click

from cca.cli.parts import Entry, Parts

PARTS = {
    "index": Entry("cca.cli.code_index:index", "Index a directory or a file."),
    "status": Entry("cca.cli.code_jobs:status", "Show how jobs are getting on."),
    "cancel": Entry("cca.cli.code_jobs:cancel", "Stop jobs."),
    "search": Entry("cca.cli.code_find:search", "Find code by meaning and words."),
    "stats": Entry("cca.cli.code_find:stats", "Show what is in the index."),
    "drop": Entry("cca.cli.code_find:drop", "Take projects out of the index."),
}


@click.group(cls=Parts, parts=PARTS)
def code() -> None:
    """Index code, and find it by meaning and words.

    Python, JavaScript, TypeScript, Rust, Go, Java, C, C++ and Markdown are cut at functions, classes and sections.
    Directories are those of the machine on which the context service runs, below one of the roots that it is allowed.
    """
