"""A command for `--exec`: the task as JSON on standard input, its audit as JSON on standard output.

`cca agent worker backend --exec 'python -m cca.demo.audit backend'` runs ruff on the task's file;
`… performance` measures the complexity of its functions. Exit code 2 when the input is not a task.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

import msgspec

from cca.demo import trees
from cca.demo.findings import UNPARSABLE, Audit, of_ruff, path_of, unreadable

_RULES = "E9,F,B,PLE"


class Given(msgspec.Struct):
    """What of a task is needed here."""

    description: str
    input: dict[str, object] | None = None


def backend(path: str) -> Audit:
    """Bugs and dead code in one file, by ruff. The file's text goes in, so that its name can be no option."""
    try:
        text = Path(path).read_bytes()
    except UNPARSABLE as error:
        return unreadable(path, "ruff", error)
    bundled = Path(sysconfig.get_path("scripts")) / "ruff"
    ruff = str(bundled) if bundled.exists() else "ruff"
    fixed = ("check", "--isolated", "--no-cache", "--quiet", "--output-format=json", f"--select={_RULES}")
    done = subprocess.run([ruff, *fixed, "-"], input=text, capture_output=True)
    if done.returncode not in (0, 1):
        return unreadable(path, "ruff", done.stderr.decode(errors="replace").strip())
    return of_ruff(path, done.stdout.decode())


def main() -> int:
    """Run one audit. Returns the exit code."""
    audits = {"backend": backend, "performance": trees.performance}
    role = sys.argv[1] if len(sys.argv) == 2 else ""
    if role not in audits:
        print(f"say which audit: {' or '.join(audits)}", file=sys.stderr)
        return 2
    try:
        given = msgspec.json.decode(sys.stdin.buffer.read(), type=Given)
    except msgspec.DecodeError as error:
        print(f"standard input is not a task: {error}", file=sys.stderr)
        return 2
    found = audits[role](path_of(given.description, given.input))
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
