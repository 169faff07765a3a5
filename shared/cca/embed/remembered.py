"""Vectors of queries, remembered: people and tasks ask the same again, and several of them at once."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from cca.embed.embedder import Embedder, Kind, Rows, none_of

MOST = 2_000
"""Vectors that are kept: 3 MB of those with 384 numbers."""

_Asking = asyncio.Task[dict[bytes, Rows]]


class Remembered:
    """An embedder that remembers the vectors of the queries that were asked last; documents it just passes on.

    The same query from several sides is asked once. Who goes away does not take it from the others, and when all
    have gone it is not asked any longer.

    Attributes:
        asked: queries that the embedder has been asked; `known`: that were remembered, or asked already by others.
    """

    def __init__(self, embedder: Embedder, most: int = MOST) -> None:
        self._embedder, self._most = embedder, most
        self._vectors: OrderedDict[bytes, Rows] = OrderedDict()
        self._asking: dict[bytes, _Asking] = {}
        self._waiting: Counter[_Asking] = Counter()
        self.asked = self.known = 0

    @property
    def id(self) -> str:
        return self._embedder.id

    @property
    def revision(self) -> str:
        return self._embedder.revision

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    async def embed(self, texts: Sequence[str], kind: Kind) -> Rows:
        """See `Embedder.embed`."""
        if kind != "query" or not texts:
            return await self._embedder.embed(texts, kind) if texts else none_of(self.dimension)
        keys = [_key(text) for text in texts]
        found: dict[bytes, Rows] = {}
        new: dict[bytes, str] = {}
        tasks: dict[_Asking, None] = {}
        for key, text in zip(keys, texts, strict=True):
            if key in self._vectors:
                self._vectors.move_to_end(key)
                found[key] = self._vectors[key]
            elif key in self._asking:
                tasks[self._asking[key]] = None
            else:
                new[key] = text
        self.asked, self.known = self.asked + len(new), self.known + len(texts) - len(new)
        if new:
            task = asyncio.create_task(self._ask(new))
            self._asking |= dict.fromkeys(new, task)
            task.add_done_callback(self._done)
            tasks[task] = None
        for task in tasks:
            self._waiting[task] += 1
        try:
            for task in tasks:
                found |= await asyncio.shield(task)
        finally:
            for task in tasks:
                self._waiting[task] -= 1
                if not self._waiting[task]:
                    del self._waiting[task]
                    self._give_up(task)
        rows = np.stack([found[key] for key in keys])
        rows.flags.writeable = False
        return rows

    async def _ask(self, new: dict[bytes, str]) -> dict[bytes, Rows]:
        rows = await self._embedder.embed(list(new.values()), "query")
        return dict(zip(new, rows, strict=True))

    def _give_up(self, task: _Asking) -> None:
        """Nobody waits for it any longer; who asks from now on is not to meet what is about to end."""
        self._asking = {key: asking for key, asking in self._asking.items() if asking is not task}
        task.cancel()  # nothing happens when it is done

    def _done(self, task: _Asking) -> None:
        self._asking = {key: asking for key, asking in self._asking.items() if asking is not task}
        if task.cancelled() or task.exception() is not None:
            return  # errors are not remembered, only told to those who wait
        self._vectors.update(task.result())
        while len(self._vectors) > self._most:
            self._vectors.popitem(last=False)

    async def close(self) -> None:
        """See `Embedder.close`."""
        await self._embedder.close()


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
