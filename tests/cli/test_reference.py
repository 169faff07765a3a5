"""`docs/cli.md` says what the commands say."""

from pathlib import Path

import click

from cca.cli import reference
from cca.cli.exits import MEANINGS, Exit
from cca.cli.main import EPILOG

PAGE = Path(__file__).parents[2] / reference.PAGE


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "run: python -m cca.cli.reference"


def test_every_exit_code_is_on_the_page_and_in_the_help() -> None:
    page = reference.page()
    for code in Exit:
        assert f"| {code.value} | {MEANINGS[code]} |" in page
        assert f"\n  {code.value} " in EPILOG


def test_every_command_and_option_says_what_it_is_for() -> None:
    for names, command in reference.commands():
        assert command.help, names
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{' '.join(names)} {option.opts[0]}"


def test_examples_are_blocks_to_copy() -> None:
    page = reference.page()
    assert "\n```\ncca context set project:web plan '{\"step\": 1}' --ttl 2h\n" in page
    assert "\x08" not in page
    assert page.count("\n```") % 2 == 0
