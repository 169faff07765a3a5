"""How providers want to be asked, and what they answer: OpenAI and those that copy it, Ollama, Voyage."""

import binascii
from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from msgspec import Struct

from cca.embed.embedder import Kind, Rows


class Malformed(ValueError):
    """An answer that is no list of vectors."""


class Wire(Protocol):
    """A provider's format.

    Attributes:
        name: as in `context.embedder`.
        home: the URL of its own.
        path: what comes after the base URL; `needs`: what the base must end with, when it has no path at all.
        model: the one that is meant when none is set; `keyed`: whether its own URL asks for a key.
        texts, tokens: at most, in one request; `width`: requests at once.
    """

    name: str
    home: str
    path: str
    needs: str
    model: str
    keyed: bool
    texts: int
    tokens: int
    width: int

    def question(self, model: str, dimension: int | None, texts: Sequence[str], kind: Kind) -> bytes:
        """The body of a request."""
        ...

    def rows(self, body: bytes, count: int) -> Rows:
        """The vectors of an answer, in the order of the texts. Raises `Malformed`."""
        ...

    def learns(self, complaint: str) -> bool:
        """Whether it asks otherwise from now on, after what the provider has complained about."""
        ...


class _Item(Struct):
    index: int
    embedding: list[float] | str


class _Data(Struct):
    data: list[_Item]


class _Embeddings(Struct):
    embeddings: list[list[float]]


class OpenAI:
    """`POST /v1/embeddings`, as OpenAI, vLLM, llama.cpp, LM Studio, Text Embeddings Inference and others have it."""

    name, home, path, needs = "openai", "https://api.openai.com/v1", "/embeddings", "/v1"
    model, keyed = "text-embedding-3-small", True
    # 2,048 texts and 300,000 tokens would be allowed; an answer in numbers is to be read within 20 ms, though.
    texts, tokens, width = 64, 100_000, 4

    def __init__(self) -> None:
        # A quarter of the size, and nothing to parse; but not everybody who copies the rest has copied this.
        self._base64 = True

    def question(self, model: str, dimension: int | None, texts: Sequence[str], kind: Kind) -> bytes:
        encoding = "base64" if self._base64 else "float"
        asked: dict[str, object] = {"model": model, "input": texts, "encoding_format": encoding}
        return msgspec.json.encode(asked if dimension is None else asked | {"dimensions": dimension})

    def rows(self, body: bytes, count: int) -> Rows:
        return _by_index(body, count)

    def learns(self, complaint: str) -> bool:
        self._base64, before = self._base64 and "encoding_format" not in complaint, self._base64
        return self._base64 != before


class Ollama:
    """`POST /api/embed`. It would cut long texts silently; we do that ourselves, and rather hear of it."""

    name, home, path, needs = "ollama", "http://127.0.0.1:11434", "/api/embed", ""
    model, keyed = "nomic-embed-text", False
    texts, tokens, width = 16, 16_000, 1

    def question(self, model: str, dimension: int | None, texts: Sequence[str], kind: Kind) -> bytes:
        asked: dict[str, object] = {"model": model, "input": texts, "truncate": False}
        return msgspec.json.encode(asked if dimension is None else asked | {"dimensions": dimension})

    def rows(self, body: bytes, count: int) -> Rows:
        try:
            found = msgspec.json.decode(body, type=_Embeddings).embeddings
        except msgspec.MsgspecError:
            raise Malformed("it is no list of vectors") from None
        return _stacked([np.array(each, np.float32) for each in found], count)

    def learns(self, complaint: str) -> bool:
        return False


class Voyage:
    """`POST /v1/embeddings` of Voyage AI, which tells queries from documents."""

    name, home, path, needs = "voyage", "https://api.voyageai.com/v1", "/embeddings", "/v1"
    model, keyed = "voyage-code-3", True
    texts, tokens, width = 64, 100_000, 4  # 1,000 texts would be allowed, and 120,000 tokens by its own count

    def question(self, model: str, dimension: int | None, texts: Sequence[str], kind: Kind) -> bytes:
        asked: dict[str, object] = {
            "model": model,
            "input": texts,
            "input_type": kind,
            "truncation": True,  # by its own count: after our cut that is rarely anything
            "encoding_format": "base64",
        }
        return msgspec.json.encode(asked if dimension is None else asked | {"output_dimension": dimension})

    def rows(self, body: bytes, count: int) -> Rows:
        return _by_index(body, count)

    def learns(self, complaint: str) -> bool:
        return False


def _by_index(body: bytes, count: int) -> Rows:
    try:
        data = msgspec.json.decode(body, type=_Data).data
        found = [_numbers(item.embedding) for item in sorted(data, key=lambda item: item.index)]
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise Malformed("it is no list of vectors") from None
    if [item.index for item in data] != list(range(count)) and {item.index for item in data} != set(range(count)):
        raise Malformed(f"it has vectors for other texts than the {count} that were sent")
    return _stacked(found, count)


def _numbers(embedding: list[float] | str) -> Rows:
    if isinstance(embedding, str):
        return np.frombuffer(binascii.a2b_base64(embedding), "<f4").astype(np.float32, copy=False)
    return np.array(embedding, np.float32)


def _stacked(rows: list[Rows], count: int) -> Rows:
    widths = {len(row) for row in rows}
    if len(rows) != count:
        raise Malformed(f"it has {len(rows)} vectors for {count} texts")
    if len(widths) != 1 or 0 in widths:
        raise Malformed("its vectors are of different lengths, or empty")
    return np.stack(rows)
