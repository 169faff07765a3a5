"""Options that commands of `cca tokens` share."""

from collections.abc import Sequence
from typing import get_args

import click

from cca.contracts.tokens import Folding, Level
from cca.errors import Refused

model_option = click.option("--model", default=Folding().model, show_default=True, help="Count as this model does.")
level_option = click.option(
    "--level",
    type=click.Choice(get_args(Level)),
    default=Folding().level,
    show_default=True,
    help="How far it may go: lossless says everything, safe sums up routine, strong lets old things go.",
)
strategy_option = click.option(
    "--strategy", "strategies", multiple=True, metavar="NAME", help="Only this strategy; may be repeated."
)


def chosen(names: Sequence[str]) -> tuple[str, ...] | None:
    """The strategies that are asked for; None for those of the level. Raises `Refused` for one that is not there."""
    if not names:
        return None
    # Heavy: every strategy, with its parsers.
    from cca.tokens.strategies.registry import by_name

    for name in names:
        if name not in by_name:
            raise Refused("unknown-strategy", f"there is no strategy {name}; `cca tokens strategies` lists them")
    return tuple(names)
