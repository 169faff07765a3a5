"""The secrets of a stack: made on first run, each in a file that only its owner can read."""

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from cca import keys
from cca.errors import Misconfigured
from cca.keys import write_private

ADMIN = "admin"
SERVICE = "service"


class Credentials(Struct, frozen=True, kw_only=True):
    """Secrets, and the files that hold them: processes are told the files."""

    directory: Path
    admin_key: str
    service_password: str
    postgres_password: str
    postgres_superuser_password: str
    pepper: str

    def __repr__(self) -> str:
        return f"Credentials({self.directory})"

    @property
    def keys_file(self) -> Path:
        return self.directory / "keys.json"

    def file(self, field: str) -> Path:
        return _file(self.directory, field)


def _file(directory: Path, field: str) -> Path:
    return directory / field.replace("_", "-")


def ensure(directory: Path) -> Credentials:
    """The secrets in a directory; what is missing is made. Raises `Misconfigured` for what cannot be read."""
    makers: dict[str, Callable[[], str]] = {
        "pepper": keys.new_pepper,
        "service_password": lambda: secrets.token_urlsafe(32),
        "postgres_password": lambda: secrets.token_urlsafe(32),
        "postgres_superuser_password": lambda: secrets.token_urlsafe(32),
    }
    found = {field: _read_or_make(_file(directory, field), make) for field, make in makers.items()}
    keys_file, key_file = directory / "keys.json", _file(directory, "admin_key")
    if not keys_file.exists() or not key_file.exists():
        text, stored = keys.new_key(found["pepper"], name=ADMIN)
        # The key before its digest: a crash between them leaves a key that opens nothing, and is made anew.
        write_private(key_file, text + "\n")
        keys.save(keys_file, (*_others(keys_file), stored))
    return Credentials(directory=directory, admin_key=read(directory, "admin_key"), **found)


def read(directory: Path, field: str) -> str:
    """One secret. Raises `Misconfigured` when it is not there."""
    path = _file(directory, field)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(f"{path} cannot be read: was the stack started by another user?") from None


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_private(path, make() + "\n")
    return read(path.parent, path.name)


def _others(keys_file: Path) -> tuple[keys.Key, ...]:
    """The keys that are there already, without the admin's, whose text is lost."""
    if not keys_file.exists():
        return ()
    try:
        content = msgspec.json.decode(keys_file.read_bytes(), type=keys.KeysFile)
    except (OSError, msgspec.DecodeError) as error:
        raise Misconfigured(f"{keys_file} cannot be read: {error}") from None
    return tuple(key for key in content.keys if key.name != ADMIN)
