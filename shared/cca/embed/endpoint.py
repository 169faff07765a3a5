"""An embedder that is asked over HTTP."""

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
from yarl import URL

from cca.embed.caller import FIRST_S, Caller, Rejected
from cca.embed.cutting import estimated, fitting, groups
from cca.embed.embedder import BLANK, Kind, Rows, none_of, normalized, readable
from cca.embed.models import known
from cca.embed.together import together
from cca.embed.wires import Wire
from cca.errors import Misconfigured

logger = logging.getLogger("cca.embed")

SCHEME = "1"
"""The way in which texts are prepared: another way makes other vectors, and is another revision."""
QUERY_S, QUERY_EACH_S = 6.0, 5.0
"""Seconds that somebody who searches waits at most: for all tries together, and for one."""
DOCUMENTS_S, DOCUMENTS_EACH_S = 120.0, 60.0
MARGIN = 16
"""Tokens that are kept for what the model wants around a text."""
SHORTEST = 32
"""Characters below which a text that is refused is not cut any further."""


class Endpoint:
    """Embeds by asking a provider.

    Args:
        wire: its format.
        caller: asks it.
        model: which one.
        dimension: how long its vectors are to be; None for what the model has by itself.
        likely: how long they will be then; 0 when only the first answer can tell.
    """

    def __init__(self, wire: Wire, caller: Caller, model: str, dimension: int | None, likely: int = 0) -> None:
        self._wire, self._caller, self._model, self._asked = wire, caller, model, dimension
        self._known = known(model)
        self._sure = dimension is not None
        self._turns = asyncio.Semaphore(wire.width)
        self._dimension = dimension or likely
        self._id = f"{wire.name}:{model}"

    @property
    def id(self) -> str:
        return self._id

    @property
    def revision(self) -> str:
        return SCHEME if self._asked is None else f"{SCHEME}-{self._asked}"

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._known.tokens

    async def embed(self, texts: Sequence[str], kind: Kind) -> Rows:
        """See `Embedder.embed`. Raises `Busy`, `Misconfigured`."""
        if not texts:
            return none_of(self._dimension)
        room = self._known.tokens - min(MARGIN, self._known.tokens // 8)
        wanted = [fitting(readable(text), room) for text in texts]
        distinct = list(dict.fromkeys(wanted))
        parts = groups([estimated(text) for text in distinct], self._wire.texts, self._wire.tokens)
        found = await together([self._group([distinct[number] for number in part], kind) for part in parts])
        rows = np.concatenate(found)
        place = {text: number for number, text in enumerate(distinct)}
        rows = rows[[place[text] for text in wanted]]
        rows.flags.writeable = False
        return rows

    async def close(self) -> None:
        """See `Embedder.close`."""
        await self._caller.close()

    # ------------------------------------------------------------------------ texts that are refused

    async def _group(self, texts: list[str], kind: Kind) -> Rows:
        async with self._turns:
            try:
                return await self._ask(texts, kind)
            except Rejected as rejected:
                await self._innocent(kind, rejected)
                return await self._apart(texts, kind)

    async def _innocent(self, kind: Kind, rejected: Rejected) -> None:
        """See that the texts are to blame. Raises `Misconfigured` when not even the simplest of all is embedded."""
        try:
            await self._ask([BLANK], kind)
        except Rejected:
            where = "context.embedder_model or context.embedder_dimension"
            raise Misconfigured(f"{where}: {self._id} embeds nothing; it {rejected}") from None

    async def _apart(self, texts: list[str], kind: Kind) -> Rows:
        """Texts of which one at least is refused: one half after the other, so that the others get what is theirs."""
        if len(texts) == 1:
            return await self._shorter(texts[0], kind)
        middle = len(texts) // 2
        rows = []
        for half in (texts[:middle], texts[middle:]):
            try:
                rows.append(await self._ask(half, kind))
            except Rejected:
                rows.append(await self._apart(half, kind))
        return np.concatenate(rows)

    async def _shorter(self, text: str, kind: Kind) -> Rows:
        """A text that is refused, as much of it as is embedded. What never is stands for nothing, and harms nobody."""
        size, problem = len(text), ""
        while len(text) > SHORTEST:
            text = readable(text[: len(text) // 2])
            try:
                return await self._ask([text], kind)
            except Rejected as rejected:
                problem = f": it {rejected}"
        logger.warning("a text of %d characters is not embedded by %s%s", size, self._id, problem)
        return await self._ask([BLANK], kind)

    # ------------------------------------------------------------------------------------------ asking

    async def _ask(self, texts: list[str], kind: Kind) -> Rows:
        """Raises `Rejected` when the texts are refused, or get vectors that are none."""
        prefix = self._known.asked(kind)
        asked = [prefix + text for text in texts]
        within, each = (QUERY_S, QUERY_EACH_S) if kind == "query" else (DOCUMENTS_S, DOCUMENTS_EACH_S)
        while True:
            body = self._wire.question(self._model, self._asked, asked, kind)
            try:
                rows = await self._caller.post(
                    body, lambda answer: self._wire.rows(answer, len(asked)), within_s=within, each_s=each
                )
                break
            except Rejected as rejected:
                if not self._wire.learns(str(rejected)):
                    raise
        self._check(rows.shape[1])
        try:
            return normalized(rows)
        except ValueError as error:
            raise Rejected(f"gives {error}") from None

    def _check(self, dimension: int) -> None:
        if self._sure and dimension != self._dimension:
            wanted = f"{dimension} numbers in a vector where {self._dimension} were expected"
            raise Misconfigured(f"context.embedder_dimension: {self._id} has {wanted}")
        self._dimension, self._sure = dimension, True


def endpoint(
    wire: Wire, url: str, key: str | None, model: str, dimension: int | None, *, first_s: float = FIRST_S
) -> Endpoint:
    """An embedder that is posted to at `url`; see `Caller` for the others."""
    name = f"the embedder {wire.name} at {URL(url).authority}"  # a query may hold what is nobody's business
    # Under the name of a model somebody else may have another one.
    likely = known(model).dimension if url.startswith(wire.home) else 0
    return Endpoint(wire, Caller(name, url, key, first_s=first_s), model, dimension, likely)
