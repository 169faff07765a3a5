"""Many real vectors: of short pieces of the Python packages on this machine, made once and kept in a temporary file."""

import hashlib
import multiprocessing
import os
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cca.embed.embedder import normalized
from cca.errors import Misconfigured

LINES, SHORTEST, LONGEST = 2, 24, 160
"""Lines of a snippet, and characters that it has at least and at most: short ones are made ten times as fast."""
PER_JOB = 1_000

Progress = Callable[[int, int], None]
"""Is told how many are done, of how many."""


def snippets(count: int, folders: list[Path] | None = None) -> list[str]:
    """So many distinct snippets, always the same ones of the same packages. Raises `Misconfigured` for too few.

    Args:
        folders: where to look for Python files; the standard library and the installed packages when None.
    """
    paths = sysconfig.get_paths()
    found: dict[str, None] = {}
    for folder in folders or [Path(paths["stdlib"]), Path(paths["purelib"])]:
        for file in sorted(folder.rglob("*.py")):
            found.update(dict.fromkeys(_pieces(file)))
    if len(found) < count:
        raise Misconfigured(f"{count:,} snippets are wanted, and there are {len(found):,} in the packages here")
    # In an order that has nothing to do with where they are: any part of them is a fair sample.
    return sorted(found, key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest())[:count]


def _pieces(file: Path) -> Iterator[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return
    lines = [line for line in lines if len(line) > 3]
    for start in range(0, len(lines), LINES):
        text = "\n".join(lines[start : start + LINES])[:LONGEST]
        if len(text) >= SHORTEST:
            yield text


def vectors(
    texts: list[str], processes: int | None = None, told: Progress = lambda done, of: None
) -> NDArray[np.float32]:
    """MiniLM's vectors of texts as rows. It takes minutes the first time."""
    file = _kept(texts)
    if file.exists():
        kept: NDArray[np.float32] = np.load(file, allow_pickle=False)
        if kept.ndim == 2 and len(kept) == len(texts):
            return kept
    jobs = [texts[start : start + PER_JOB] for start in range(0, len(texts), PER_JOB)]
    parts = []
    context = multiprocessing.get_context("spawn")  # a fork would take the event loop's threads along, half
    with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=context) as pool:
        for part in pool.map(_embedded, jobs):
            parts.append(part)
            told(sum(map(len, parts)), len(texts))
    made = normalized(np.concatenate(parts))
    # Under another name at first: who stops in the middle leaves nothing that looks whole.
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".npy", delete=False) as unfinished:
        np.save(unfinished, made)
    os.replace(unfinished.name, file)
    return made


def _embedded(texts: list[str]) -> NDArray[np.float32]:
    from cca.embed.network import network  # loads a model

    return network().vectors(texts)


def _kept(texts: list[str]) -> Path:
    from cca.embed.network import MODEL

    digest = hashlib.blake2b("\0".join([MODEL, *texts]).encode(errors="replace"), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"cca-bench-vectors-{len(texts)}-{digest}.npy"
