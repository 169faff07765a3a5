"""Where nats-server prepares atomic batches: in memory, so that a group commit costs one sync and not four.

The server writes each batch to files of its own before it writes it to the stream, to be able to finish it after its
process was killed. Files in memory survive that. After a power cut they are gone, and a batch that was being written,
which nobody was told of, may be there with its beginning only; the router finishes or drops such commands at its start,
as it does for single publishes (ADR 0013).
"""

import hashlib
import os
import shutil
import stat
from pathlib import Path

MEMORY = Path("/dev/shm")
BATCHES = "batches"


class Staging:
    """The place in memory for the batches of one stream of one server.

    Args:
        stream: the stream's directory in the server's store; it need not exist yet.
        memory: a file system in memory.
    """

    def __init__(self, stream: Path, memory: Path = MEMORY) -> None:
        self._link = stream / BATCHES
        name = hashlib.sha256(os.fsencode(stream.absolute())).hexdigest()[:16]
        self._memory = memory
        self.place = memory / f"cca-{os.geteuid()}-{name}"

    def possible(self) -> bool:
        """Whether there is memory to be used, and nobody else has taken our place in it."""
        if not os.access(self._memory, os.W_OK | os.X_OK):
            return False
        try:
            found = self.place.lstat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        # The directory above is everybody's: what was there before us may be a trap.
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077

    def link(self) -> bool:
        """Let the server prepare batches in memory from now on; False when it must be tried again later.

        The server removes the link whenever it starts, after it has looked behind it. While batches are prepared on
        disk their directory cannot be replaced; that waits for a moment without one.
        """
        try:
            if not self._link.parent.is_dir():
                return False
            self.place.mkdir(mode=0o700, exist_ok=True)  # also when somebody has swept the memory
            if not self.possible():
                return False
            if self._link.is_symlink():
                return True
            if self._link.is_dir():
                self._link.rmdir()
            for left in self.place.iterdir():
                shutil.rmtree(left, ignore_errors=True)
            self._link.symlink_to(self.place, target_is_directory=True)
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Give the memory back; after the server has ended in good order."""
        if self._link.is_symlink():
            self._link.unlink()
        shutil.rmtree(self.place, ignore_errors=True)
