"""The `cca` command: what there is, loaded when it is called, and the one place where errors become exit codes."""

import os
import sys
from typing import Any

import click

from cca import __version__
from cca.cli.parts import Entry, Parts
from cca.errors import Busy, CcaError, Misconfigured, Refused, Unreadable

COMMANDS = {
    "up": Entry("cca.cli.stack:up", "Start the stack: NATS, PostgreSQL and every service."),
    "down": Entry("cca.cli.stack:down", "Stop the stack in good order."),
    "status": Entry("cca.cli.stack:status", "Show the processes of the stack."),
    "doctor": Entry("cca.cli.stack:doctor", "Check this machine and the stack, and say what to do."),
    "env": Entry("cca.cli.stack:env", 'Print what a client needs, for: eval "$(cca env)".'),
    "task": Entry("cca.cli.task:task", "Submit, list, watch and cancel tasks.", client=True),
    "agent": Entry("cca.cli.agent:agent", "Run a worker, and list those that live.", client=True),
    "rl": Entry("cca.cli.rl:rl", "How routing is learned: status, settings, reasons, comparisons.", client=True),
    "tokens": Entry("cca.cli.tokens:tokens", "Count and compress text; what agents spend and could save.", client=True),
    "context": Entry("cca.cli.context:context", "Values that agents share: set, watch, keep, put back.", client=True),
    "memory": Entry("cca.cli.memory:memory", "What agents remember: store, search, rate, move.", client=True),
    "code": Entry("cca.cli.code:code", "Index code, and find it by meaning and words.", client=True),
    "events": Entry("cca.cli.events:events", "Follow the log, and look at its events.", client=True),
    "dead": Entry("cca.cli.dead:dead", "Look at dead letters and send them again.", client=True),
    "projections": Entry("cca.cli.projections:projections", "State, rebuild and proof of the tables.", client=True),
    "schemas": Entry("cca.cli.schemas:schemas", "Write or check the schemas of all messages."),
    "bench": Entry("cca.cli.bench:bench", "Measure the bus against raw NATS on this machine."),
    "demo": Entry("cca.cli.demo:demo", "Let a fleet audit a code base."),
}

EPILOG = """\b
Exit codes:
  0    done; a task that was waited for is completed
  1    failed; or the task failed, was canceled or rejected
  2    bad input, wrong configuration, or a request that is refused
  3    NATS, PostgreSQL or the gateway cannot be reached or is too busy
  4    the task is not over yet
  130  interrupted
"""


class Commands(Parts):
    """All commands; those that speak to a stack find the one here first."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.parts.get(cmd_name)
        if entry is not None and entry.client and not ctx.resilient_parsing:
            # Heavy only where needed: msgspec and the configuration.
            from cca.stack.environment import adopt

            adopt(os.environ)
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, parts=COMMANDS, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="%(prog)s %(version)s")
def cca() -> None:
    """The control plane for fleets of AI coding agents."""


def exit_code(error: CcaError) -> int:
    """What the process ends with after an error."""
    if isinstance(error, Busy):
        return 3
    return 2 if isinstance(error, Refused | Misconfigured | Unreadable) else 1


def main(arguments: list[str] | None = None) -> Any:
    """Run a command and end the process."""
    try:
        result = cca.main(arguments, prog_name="cca", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except CcaError as error:
        _say(str(error))
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`head`, `less`) has seen enough. Python would complain again while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("CCA_LOG_LEVEL") == "debug":
            raise
        _say(f"unforeseen: {type(error).__name__}: {error} (CCA_LOG_LEVEL=debug shows where)")
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


def _say(text: str) -> None:
    from cca.cli.text import visible

    print(f"Error: {visible(text)}", file=sys.stderr)


if __name__ == "__main__":
    main()
