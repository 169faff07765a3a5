"""API keys, `cca_<env>_<id>_<secret>`: looked up by id, stored as a digest, compared in constant time."""

import contextlib
import hmac
import os
import re
import secrets
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from cca.errors import Misconfigured

_KEY = re.compile(r"cca_[a-z0-9]{1,16}_(?P<id>[a-z0-9]{8,32})_[A-Za-z0-9]{43,86}\Z")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SECRET_LENGTH = 44  # letters of 62: 262 bits
_NO_KEY = "x" * (23 + _SECRET_LENGTH)
_LONGEST = 160  # a header can be long; hashing what cannot be a key would be work for nothing


class Key(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a key. `digest` is the hexadecimal HMAC-SHA-256 of the whole key under the pepper."""

    id: str
    digest: str
    name: str = ""


class KeysFile(Struct, frozen=True):
    """The content of a keys file."""

    keys: tuple[Key, ...] = ()


def new_pepper() -> str:
    """A random pepper: without it, stolen digests are of no use."""
    return secrets.token_hex(32)


def new_key(pepper: str, *, name: str, env: str = "local") -> tuple[str, Key]:
    """A random key: the text, which is shown once, and what is stored of it."""
    identity = secrets.token_hex(6)
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    text = f"cca_{env}_{identity}_{secret}"
    return text, Key(id=identity, digest=_digest(pepper, text), name=name)


def _digest(pepper: str, text: str) -> str:
    return hmac.digest(pepper.encode(), text.encode(), "sha256").hex()


class Keyring:
    """The keys that are valid."""

    def __init__(self, keys: tuple[Key, ...], pepper: str) -> None:
        self._keys = {key.id: key for key in keys}
        self._pepper = pepper
        # What an unknown key is compared with: random, so that nothing is equal to it.
        self._nobody = Key(id="", digest=secrets.token_hex(32))

    def verify(self, text: str) -> Key | None:
        """Whose key this is, or None. An unknown id costs the same work as a wrong secret."""
        match = _KEY.match(text) if len(text) <= _LONGEST else None
        key = self._keys.get(match["id"], self._nobody) if match else self._nobody
        same = hmac.compare_digest(_digest(self._pepper, text if match else _NO_KEY), key.digest)
        return key if same and key is not self._nobody and match is not None else None


def load(path: Path, pepper: str) -> Keyring:
    """The keys of a file. Raises `Misconfigured` when it cannot be read."""
    try:
        content = msgspec.json.decode(path.read_bytes(), type=KeysFile)
    except OSError as error:
        raise Misconfigured(f"the keys file {path} cannot be read ({error.strerror})") from None
    except msgspec.DecodeError as error:
        raise Misconfigured(f"the keys file {path} is not a list of keys: {error}") from None
    return Keyring(content.keys, pepper)


def save(path: Path, keys: tuple[Key, ...]) -> None:
    """Write a keys file, readable by its owner alone, all of it or nothing."""
    write_private(path, msgspec.json.format(msgspec.json.encode(KeysFile(keys))).decode() + "\n")


def write_private(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a file with mode 0600, all of it or nothing: a reader sees the old or the new text.

    `durable` waits until it would survive a power cut.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
