"""Settings: environment (`CCA_*`) over `cca.toml` over defaults; what is not understood stops the start."""

import difflib
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Struct

from cca.errors import Misconfigured

SECRETS = frozenset({"nats.password", "postgres.password", "http.pepper", "client.api_key", "context.embedder_key"})
"""Keys whose values are never shown, and may be read from a file instead (`password_file`, `CCA_…_FILE`)."""

FILE_NAME = "cca.toml"
# Names with our prefix that are not settings: where settings are, which stack is meant, what a run is told.
_OTHER_NAMES = frozenset({"CCA_CONFIG", "CCA_DIR"})
_OTHER_PREFIXES = ("CCA_TASK_",)
# Client-side names are short because people type them.
_SHORT_NAMES = {"client.http_url": "CCA_HTTP_URL", "client.api_key": "CCA_API_KEY"}

Port = Annotated[int, Meta(ge=0, le=65535)]


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        hidden = {key.partition(".")[2] for key in SECRETS}
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = (f"{n}={'***' if n in hidden and v is not None else repr(v)}" for n, v in values)
        return f"{type(self).__name__}({', '.join(shown)})"


class NatsSettings(_Section, frozen=True, kw_only=True):
    """Where NATS is and who we are there. `url` may name several servers, separated by commas."""

    url: str = "nats://127.0.0.1:4222"
    user: str | None = None
    password: str | None = None


class PostgresSettings(_Section, frozen=True, kw_only=True):
    """Where PostgreSQL is. `url` holds no password; `statement_timeout_s` is in seconds, 0 for none."""

    url: str = "postgresql://cca@127.0.0.1:5432/cca"
    password: str | None = None
    pool_size: Annotated[int, Meta(ge=1, le=1000)] = 4
    statement_timeout_s: Annotated[float, Meta(ge=0, le=86_400)] = 10


class HttpSettings(_Section, frozen=True, kw_only=True):
    """Where the gateway listens, and whom it knows: keys file and pepper of its digests (`cca.keys`)."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8580
    keys_file: str | None = None
    pepper: str | None = None


class LogSettings(_Section, frozen=True, kw_only=True):
    """How the log is written and how we log.

    Attributes:
        batch_from: this many waiting messages leave as one atomic batch, fewer as single publishes; 0 for never.
        level: the least urgent level that is logged.
        format: `console` for people, `json` for machines.
    """

    batch_from: Annotated[int, Meta(ge=0, le=1000)] = 12
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class ClientSettings(_Section, frozen=True, kw_only=True):
    """What a client needs: the gateway, and the API key, also the password of the NATS user `admin`."""

    http_url: str = "http://127.0.0.1:8580"
    api_key: str | None = None


class TokensSettings(_Section, frozen=True, kw_only=True):
    """What tokens cost: `prices` is a file with prices of one's own, in the form of `cca/tokens/prices.toml`."""

    prices: str | None = None


class ContextSettings(_Section, frozen=True, kw_only=True):
    """How texts become vectors, and which directories may be indexed.

    Attributes:
        embedder: `minilm` (on this machine; needs the extra `embeddings`), an `openai`-compatible, `ollama` or `voyage`
            endpoint, or `none`: searches go by words alone.
        embedder_url: of the endpoint, when it is not its provider's own (Ollama: http://127.0.0.1:11434).
        embedder_model, embedder_dimension: which one, and how long its vectors are to be; its own when not set.
        embedder_key: what the endpoint asks for.
        roots: directories below which code may be indexed, with `:` between.
        cache_s: seconds for which the answer of a search may be used again while nothing has changed.
    """

    embedder: Literal["minilm", "openai", "ollama", "voyage", "none"] = "minilm"
    embedder_url: str | None = None
    embedder_model: str | None = None
    embedder_dimension: Annotated[int, Meta(ge=1, le=4_000)] | None = None
    embedder_key: str | None = None
    roots: str = ""
    cache_s: Annotated[float, Meta(ge=0, le=86_400)] = 60


class Settings(_Section, frozen=True, kw_only=True):
    """Everything that can be set. `replicas` is the number of copies of each stream (1, 3 or 5)."""

    nats: NatsSettings = NatsSettings()
    postgres: PostgresSettings = PostgresSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    client: ClientSettings = ClientSettings()
    tokens: TokensSettings = TokensSettings()
    context: ContextSettings = ContextSettings()
    replicas: Literal[1, 3, 5] = 1
    otel_endpoint: str | None = None


def names() -> Iterator[str]:
    """Every key that can be set: `nats.url`, `http.port`, `replicas`, …"""
    for name, kind in typing.get_type_hints(Settings).items():
        if isinstance(kind, type) and issubclass(kind, Struct):
            yield from (f"{name}.{field}" for field in kind.__struct_fields__)
        else:
            yield name


def variable(key: str) -> str:
    """The environment variable of a key: `http.port` is `CCA_HTTP_PORT`."""
    return _SHORT_NAMES.get(key) or "CCA_" + key.replace(".", "_").upper()


def load(environ: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """The settings of this process.

    The file is `file`, or the one that `CCA_CONFIG` names, or `cca.toml` here if there is one. Raises
    `Misconfigured`, naming the key and where it was set.
    """
    return load_with_sources(environ, file)[0]


def load_with_sources(
    environ: Mapping[str, str] | None = None, file: Path | None = None
) -> tuple[Settings, dict[str, str]]:
    """As `load`, and for each key that was set, where: a variable, or a file and a key in it."""
    environ = os.environ if environ is None else environ
    tree, sources = _from_file(_find(environ, file))
    _overlay(tree, sources, environ)
    for section, schemes in (
        ("nats", ("nats", "tls", "ws", "wss")),
        ("postgres", ("postgresql", "postgres")),
    ):
        _split_credentials(tree, sources, section, schemes)
    _key_is_password(tree, sources)
    try:
        return msgspec.convert(tree, Settings, strict=False), sources
    except msgspec.ValidationError as error:
        raise Misconfigured(_explain(str(error), sources)) from None


def _key_is_password(tree: dict[str, Any], sources: dict[str, str]) -> None:
    nats = tree.get("nats", {})
    if "client.api_key" in sources and "nats.password" not in sources and nats.get("user", "admin") == "admin":
        tree["nats"] = {**nats, "user": "admin", "password": tree["client"]["api_key"]}
        sources["nats.password"] = sources["client.api_key"]
        sources.setdefault("nats.user", sources["client.api_key"])


def _find(environ: Mapping[str, str], file: Path | None) -> Path | None:
    if file is None and environ.get("CCA_CONFIG"):
        file = Path(environ["CCA_CONFIG"])
    if file is None:
        return Path(FILE_NAME) if Path(FILE_NAME).is_file() else None
    return file


def _from_file(file: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    if file is None:
        return {}, {}
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file}: not TOML: {error}") from None
    known = set(names())
    sections = {key.partition(".")[0] for key in known if "." in key}
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for section, value in tree.items():
        if section in sections and not isinstance(value, dict):
            raise Misconfigured(f"{file}: {section} must be a section: [{section}]")
        entries = {f"{section}.{name}": v for name, v in value.items()} if isinstance(value, dict) else {section: value}
        for key, entry in entries.items():
            source = f"{file}: {key}"
            secret = key.removesuffix("_file")
            if key not in known and secret in SECRETS:
                if secret in entries:
                    raise Misconfigured(f"{source} and {secret} are both set: give one of them")
                # Relative to the file that names it, so that the working directory does not matter.
                key, entry = secret, _read_secret(file.parent / str(entry), source)
            if key not in known:
                raise Misconfigured(f"{source} is not a known key{_nearest(key, known)}")
            _put(found, key, entry)
            sources[key] = source
    return found, sources


def _overlay(tree: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> None:
    variables = {variable(key): key for key in names()}
    files = {variable(key) + "_FILE": key for key in SECRETS}
    for name in sorted(environ):
        if not name.startswith("CCA_") or name in _OTHER_NAMES or name.startswith(_OTHER_PREFIXES):
            continue
        if name not in variables and name not in files:
            raise Misconfigured(f"{name} is not a known variable{_nearest(name, variables.keys() | files.keys())}")
        if not environ[name]:
            raise Misconfigured(f"{name} is set but empty")
        if name in variables:
            key, value = variables[name], environ[name]
        else:
            key, value = files[name], _read_secret(Path(environ[name]), name)
            if variable(key) in environ:
                raise Misconfigured(f"{name} and {variable(key)} are both set: give one of them")
        _put(tree, key, value)
        sources[key] = name


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    section, _, name = key.rpartition(".")
    (tree.setdefault(section, {}) if section else tree)[name] = value


def _read_secret(path: Path, source: str) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise Misconfigured(f"{source}: the file {path} cannot be read ({reason})") from None
    if not secret:
        raise Misconfigured(f"{source}: the file {path} is empty")
    return secret


def _split_credentials(tree: dict[str, Any], sources: dict[str, str], section: str, schemes: tuple[str, ...]) -> None:
    """Take a password out of a URL, so that the URL can be logged; and see that it is a URL."""
    source = sources.get(f"{section}.url")
    url = tree.get(section, {}).get("url")
    if source is None or not isinstance(url, str):
        return
    bare = []
    for one in url.split(",") if section == "nats" else [url]:
        try:
            parts = urlsplit(one.strip())
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in schemes:
            raise Misconfigured(f"{source} must be a URL that begins with {schemes[0]}://")
        who, at, where = parts.netloc.rpartition("@")
        user, colon, password = who.partition(":")
        if colon or (at and section == "nats"):
            for field, value in (("user", unquote(user)), ("password", unquote(password))):
                if value and (field != "user" or section == "nats") and f"{section}.{field}" not in sources:
                    tree[section][field] = value
                    sources[f"{section}.{field}"] = source
            kept = f"{user}@{where}" if section == "postgres" and user else where
            parts = parts._replace(netloc=kept)
        bare.append(urlunsplit(parts) if parts.netloc else one.strip())
    tree[section]["url"] = ",".join(bare)


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _explain(text: str, sources: dict[str, str]) -> str:
    """msgspec's complaint about `$.http.port`, said of the variable or the line that caused it."""
    what, _, path = text.partition(" - at `$.")
    key = path.rstrip("`")
    where = sources.get(key) or next((s for k, s in sources.items() if k.startswith(key + ".")), key)
    section, _, name = key.rpartition(".")
    owner = typing.get_type_hints(Settings).get(section, Settings) if section else Settings
    kind = typing.get_type_hints(owner).get(name)
    if typing.get_origin(kind) is Literal:
        what = "expected one of " + ", ".join(str(choice) for choice in typing.get_args(kind))
    what = what.replace("`", "").replace(" | null", "")
    what = what[:1].lower() + what[1:]
    return f"{where}: {what}"
