"""Providers of embeddings as they document themselves: OpenAI and its like, Ollama, Voyage. Real servers, small models.

Their model is a bag of words: texts that share words are near to each other. They are strict, and can be told to fail.
"""

import asyncio
import base64
import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer

KEY = "sk-test-0123456789abcdefghij"
LIMIT = 8_191
"""Tokens of a text, as the provider counts them."""

Answer = web.Response | float
"""What a request gets instead of vectors: an answer, or none for so many seconds."""


def tokens(text: str) -> int:
    """A strict count: text without blanks is dense, as base64 is for a real tokenizer."""
    return sum(len(word) // 8 + 1 if len(word) < 40 else len(word) for word in text.split())


def vector(text: str, dimension: int) -> list[float]:
    found = np.zeros(dimension, np.float64)
    for word in re.findall(r"\w+|\S", text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=16).digest()
        found[int.from_bytes(digest[:8], "big") % dimension] += 1.0 if digest[8] & 1 else -1.0
        found[int.from_bytes(digest[9:], "big") % dimension] += 0.5
    return [float(x) for x in (found * 3.0).astype(np.float32)]  # not of length 1: that is our affair


class Refusal(Exception):
    """The provider says no."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.response = says(status, body)


class Provider:
    """One server.

    Attributes:
        asked: the requests that came, as decoded JSON.
        next: what the next requests get instead of vectors.
        poison: texts with this in them are refused in the given way.
        most: requests that were there at once.
    """

    path = "/"
    home = ""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.next: deque[Answer] = deque()
        self.poison: tuple[str, web.Response] | None = None
        self.changes: Callable[[list[list[float]]], list[list[float]]] = lambda rows: rows
        self.url = ""
        self.here = self.most = 0

    def check(self, asked: dict[str, Any]) -> tuple[list[str], int]:
        """Texts and dimension of a request. Raises `Refusal`."""
        raise NotImplementedError

    def answer(self, rows: list[list[float]], asked: dict[str, Any]) -> object:
        raise NotImplementedError

    def problem(self, status: int, text: str) -> Refusal:
        return Refusal(status, {"error": text})

    async def handle(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read())
        self.asked.append(asked)
        self.headers.append(dict(request.headers))
        self.here += 1
        self.most = max(self.most, self.here)
        try:
            await asyncio.sleep(0)
            if self.next:
                instead = self.next.popleft()
                if isinstance(instead, web.Response):
                    return instead
                await asyncio.sleep(instead)
            self.authorize(request)
            texts, dimension = self.check(asked)
            if self.poison and any(self.poison[0] in text for text in texts):
                return copy(self.poison[1])
            rows = self.changes([vector(text, dimension) for text in texts])
            return web.Response(body=msgspec.json.encode(self.answer(rows, asked)), content_type="application/json")
        except Refusal as refusal:
            return refusal.response
        finally:
            self.here -= 1

    def authorize(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            raise self.problem(401, f"Incorrect API key provided: {request.headers.get('Authorization')}.")

    @property
    def texts(self) -> list[str]:
        """All texts that came, in order."""
        return [text for asked in self.asked for text in asked["input"]]


class OpenAI(Provider):
    path, home = "/v1/embeddings", "/v1"

    def __init__(self, dimension: int = 1_536, base64: bool = True) -> None:
        super().__init__(dimension)
        self.base64 = base64

    def problem(self, status: int, text: str) -> Refusal:
        return Refusal(status, {"error": {"message": text, "type": "invalid_request_error", "code": None}})

    def check(self, asked: dict[str, Any]) -> tuple[list[str], int]:
        extra = set(asked) - {"model", "input", "encoding_format", "dimensions"}
        texts = asked["input"]
        if extra or not 1 <= len(texts) <= 2_048 or not all(isinstance(text, str) and text for text in texts):
            raise self.problem(400, "'$.input' is invalid. Please check the API reference.")
        if asked["model"] != "text-embedding-3-small":
            raise self.problem(404, f"The model `{asked['model']}` does not exist or you do not have access to it.")
        if asked.get("encoding_format") == "base64" and not self.base64:
            raise self.problem(400, "unknown value for encoding_format: base64")
        for text in texts:
            if tokens(text) > LIMIT:
                many = f"you requested {tokens(text)} tokens"
                raise self.problem(400, f"This model's maximum context length is {LIMIT + 1} tokens, however {many}.")
        if sum(map(tokens, texts)) > 300_000:
            raise self.problem(400, "Requested more than max 300000 tokens per request")
        return texts, asked.get("dimensions") or self.dimension

    def answer(self, rows: list[list[float]], asked: dict[str, Any]) -> object:
        packed: Sequence[object] = rows
        if asked["encoding_format"] == "base64":
            packed = [base64.b64encode(np.array(row, "<f4").tobytes()).decode() for row in rows]
        data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(packed)]
        # The documentation promises an index, and no order.
        return {"object": "list", "data": data[::-1], "model": asked["model"], "usage": {"total_tokens": 1}}


class Voyage(OpenAI):
    def __init__(self) -> None:
        super().__init__(1_024)

    def problem(self, status: int, text: str) -> Refusal:
        return Refusal(status, {"detail": text})

    def check(self, asked: dict[str, Any]) -> tuple[list[str], int]:
        assert asked["input_type"] in ("query", "document") and asked["encoding_format"] == "base64"
        texts = [
            text if tokens(text) <= 32_000 or not asked["truncation"] else text[:16_000] for text in asked["input"]
        ]
        if not 1 <= len(texts) <= 1_000 or not all(texts) or sum(map(tokens, texts)) > 120_000:
            raise self.problem(400, "The request is too large, or empty.")
        if asked["model"] != "voyage-code-3":
            raise self.problem(400, f"Model {asked['model']} is not supported.")
        if asked.get("output_dimension", 1_024) not in (256, 512, 1_024, 2_048):
            raise self.problem(400, "output_dimension is not supported by this model.")
        return texts, asked.get("output_dimension") or self.dimension


class Ollama(Provider):
    path = "/api/embed"

    def __init__(self, status: int = 400) -> None:
        super().__init__(768)
        self.status = status

    def authorize(self, request: web.Request) -> None:
        """Everybody may."""

    def check(self, asked: dict[str, Any]) -> tuple[list[str], int]:
        assert asked["truncate"] is False, "the default cuts silently"
        if asked["model"] != "nomic-embed-text":
            raise self.problem(404, f'model "{asked["model"]}" not found, try pulling it first')
        if any(tokens(text) > 2_048 for text in asked["input"]):
            raise self.problem(self.status, "the input length exceeds the context length")
        return asked["input"], asked.get("dimensions") or self.dimension

    def answer(self, rows: list[list[float]], asked: dict[str, Any]) -> object:
        return {"model": asked["model"], "embeddings": rows, "total_duration": 1, "prompt_eval_count": 1}


def says(status: int, body: object = None, headers: dict[str, str] | None = None) -> web.Response:
    """An answer with something else than vectors."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(status=status, body=raw, content_type="application/json", headers=headers)


def copy(response: web.Response) -> web.Response:
    """An answer can be sent once."""
    return web.Response(status=response.status, body=response.body, content_type="application/json")


@asynccontextmanager
async def serving(provider: Provider, port: int | None = None) -> AsyncIterator[Provider]:
    """A server for it, on a port of its own."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post(provider.path, provider.handle)
    async with TestServer(app, port=port) as server:
        provider.url = f"http://127.0.0.1:{server.port}"
        yield provider
