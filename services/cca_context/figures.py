"""How the service is: what it holds, whether PostgreSQL answers, and what its caches are worth."""

from collections.abc import Callable

from cca.contracts.context import ContextStats, GetContextStats
from cca.errors import Busy
from cca.message import Meta
from cca.postgres.tables import Tables

_HELD = "SELECT count(DISTINCT scope), count(*), coalesce(sum(size), 0)::bigint FROM cca.contexts"


class FiguresOfService:
    """Answers `cca.rpc.context.stats`.

    Args:
        caches: the figures of each cache; they are added up.
    """

    def __init__(self, tables: Tables, *caches: Callable[[], dict[str, int]]) -> None:
        self._tables, self._caches = tables, caches

    async def stats(self, command: GetContextStats, meta: Meta) -> ContextStats:
        """How it is now. Without PostgreSQL what it holds is not known."""
        scopes = keys = size = None
        try:
            ((scopes, keys, size),) = await self._tables.rows(_HELD)
        except Busy:
            pass  # the state of the breaker says so
        total: dict[str, int] = {}
        for figures in self._caches:
            for name, count in figures().items():
                total[name] = total.get(name, 0) + count
        return ContextStats(scopes, keys, size, self._tables.breaker.state, total)
