"""Originals in a folder of this machine: a file for each, under its reference."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cca.errors import Refused, Unreadable
from cca.tokens.markers import decoded, encoded, is_ref, ref_of


class LocalStore:
    """A folder of originals. It is made when the first is put in, for its owner alone.

    A file is there whole or not at all, and what has changed since is not taken for the original.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_all(self, texts: Mapping[str, str]) -> None:
        """Keep texts under their references. Raises `Refused` when the folder cannot be written to."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for ref, text in texts.items():
                self._put(self._folder / ref, encoded(text))
        except OSError as error:
            raise Refused("store", f"{self._folder}: cannot be written to ({error.strerror or error})") from None

    def get(self, ref: str) -> str | None:
        """The text of a reference; None when it is not here.

        Raises:
            Unreadable: the file is not what was put there.
            Refused: it cannot be read.
        """
        if is_ref(ref) != ref:
            return None
        path = self._folder / ref
        try:
            text = decoded(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Refused("store", f"{path}: cannot be read ({error.strerror or error})") from None
        except UnicodeDecodeError:
            text = ""
        if ref_of(text) != ref:
            raise Unreadable(f"{path}: is not the text that was stored there")
        return text

    def _put(self, path: Path, body: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            if path.read_bytes() == body:
                return
        # Beside it, so that renaming is one step; such a file is readable by its owner alone.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
