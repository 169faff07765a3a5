"""A context of the `nats` command line tool, so that `nats --context cca sub 'cca.>'` works."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from cca.keys import write_private
from cca.stack.layout import DEFAULT, Layout

NAME = "cca"
_DESCRIPTION = "CCA stack in "


def directory(environ: Mapping[str, str]) -> Path:
    """Where the `nats` tool keeps its contexts."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(base) / "nats" / "context"


def write(layout: Layout, url: str, user: str, password: str, environ: Mapping[str, str]) -> str | None:
    """Write the context of a stack, readable by its owner alone, and return its name; None if it cannot be written.

    A stack in the usual place is `cca`, unless another stack that runs, or somebody else's context, has that name.
    """
    folder = directory(environ)
    own = f"{NAME}-{hashlib.sha256(os.fsencode(layout.directory)).hexdigest()[:8]}"
    name = NAME if layout.directory.name == DEFAULT and _is_free(folder / f"{NAME}.json", layout) else own
    context = {
        "description": f"{_DESCRIPTION}{layout.directory}",
        "url": url,
        "user": user,
        "password": password,
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / f"{name}.json", json.dumps(context, indent=2) + "\n")
    except OSError:
        return None
    return name


def _is_free(path: Path, layout: Layout) -> bool:
    try:
        description = str(json.loads(path.read_text(encoding="utf-8"))["description"])
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not description.startswith(_DESCRIPTION):
        return False
    owner = Layout(Path(description.removeprefix(_DESCRIPTION)))
    return owner.directory == layout.directory or not owner.is_taken()
