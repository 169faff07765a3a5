"""The folder `schemas/`: what belongs in it, writing it, and what is wrong with it."""

import json
import subprocess
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from cca.errors import Misconfigured
from cca.schemas import asyncapi, samples
from cca.schemas.bodies import FOLDERS, bodies
from cca.schemas.compatibility import breaks

OPENAPI_GROUP = "cca.openapi"
"""Entry points that return an OpenAPI document. The library knows no service; a service makes itself known."""


def text(document: Any) -> str:
    """A document as it is committed: sorted, indented, with a line break at the end."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def documents() -> dict[str, str]:
    """Every generated file by its path below `schemas/`."""
    found = {path: text(schema) for path, schema in bodies().items()}
    found["asyncapi.json"] = text(asyncapi.document())
    for entry in entry_points(group=OPENAPI_GROUP):
        found["openapi.json"] = text(entry.load()())
    return found


def write(root: Path) -> list[str]:
    """Bring the folder up to date; returns the paths that were new or different."""
    changed = []
    for path, content in documents().items():
        file = root / path
        if not file.exists() or file.read_text(encoding="utf-8") != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
            changed.append(path)
    return changed


def problems(root: Path, base: str | None) -> list[str]:
    """All that is wrong with the folder, a sentence each: out of date, incompatible with `base`, no samples.

    `base` is a git revision; None compares with nothing. Raises `Misconfigured` when there is no such revision.
    """
    now = documents()
    found = _stale(root, now) + samples.problems(root)
    if base is not None:
        found += _incompatible(root, base, now)
    return found


def _stale(root: Path, now: dict[str, str]) -> list[str]:
    found = []
    for path, content in now.items():
        file = root / path
        if not file.exists():
            found.append(f"{path} is missing: run `make schemas`")
        elif file.read_text(encoding="utf-8") != content:
            found.append(f"{path} is out of date: run `make schemas`")
    there = {f"{folder}/{file.name}" for folder in FOLDERS.values() for file in (root / folder).glob("*")}
    there |= {file.name for file in root.glob("*.json")}
    return found + [f"{path} belongs to nothing in the code" for path in sorted(there - now.keys())]


def _incompatible(root: Path, base: str, now: dict[str, str]) -> list[str]:
    found = []
    for path, content in published(root, base).items():
        if path not in now:
            found.append(f"{path} is gone since {base}: what was said once can be read for ever")
        elif path.split("/")[0] in FOLDERS.values():
            found += [f"{path}{each}, since {base}" for each in breaks(json.loads(content), json.loads(now[path]))]
    return found


def published(root: Path, base: str) -> dict[str, str]:
    """The generated files as they were in a git revision. Raises `Misconfigured` when there is no such revision."""
    listed = _git(root, "ls-tree", "-r", "--name-only", base, "--", ".").splitlines()
    kept = [path for path in listed if path.endswith(".json") and not path.startswith("samples/")]
    return {path: _git(root, "show", f"{base}:./{path}") for path in kept}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True, encoding="utf-8")
    except FileNotFoundError:
        raise Misconfigured("git is needed to compare with a revision") from None
    except subprocess.CalledProcessError as error:
        raise Misconfigured(f"git {arguments[0]}: {error.stderr.strip()}") from None
    return done.stdout
