"""Follow a scope as it changes: what is there first, then each change in order, once."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

from cca.context import kept as kept_as
from cca.context.kept import Kept
from cca.context.scopes import events_of, key_in, scope_name, values_of
from cca.contracts.context import ContextEntry, ContextEvent
from cca.errors import Busy, Unknown, Unreadable
from cca.message import Seq
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.follow import last_position
from cca.nats.frames import recorded, rfc3339
from cca.nats.kv import Bucket

POLL_S = 10.0
"""How often is looked without being told: an announcement may be lost."""
RECENT_S = 10.0
"""Who has appended an event has put it in the bucket by then."""
AGAIN_S = 0.5
"""Seconds until it is tried again while NATS is away."""


async def watch(bus: Bus, scope: str, prefix: str = "", now_too: bool = True) -> AsyncGenerator[ContextEntry, None]:
    """The keys of a scope that begin with `prefix`: as they are, and then as they change, for ever.

    A key that was removed or has expired comes as an entry with `there=False`. It outlives restarts of NATS and of the
    service; what happened meanwhile comes after it, nothing twice and nothing left out. Values larger than
    `cca.contracts.context.INLINE` come by their reference. Raises `Busy` when NATS cannot be reached at the start.

    Args:
        now_too: begin with what is there; otherwise only what changes from now on comes.
    """
    news = asyncio.Event()
    heard = await bus.subscribe(subjects.live("context", f"{scope_name(scope)}.>"), lambda _: news.set())
    bus.reconnected.append(news.set)
    try:
        after = Seq(await last_position(bus))
        known: dict[str, int] = {}
        if now_too:
            # What was told to the log just now may not be in the bucket yet, though it is before `after`.
            after = await _recently(bus, scope, after)
            now = datetime.now(UTC)
            for key, kept in await _all(bus, scope, prefix):
                known[key] = kept.revision
                if kept.live(now):
                    yield kept_as.told(scope, key, kept)
        while True:
            news.clear()
            try:
                async for raw in stored.scan(bus, names.EVENTS, events_of(scope), after):
                    after = raw.seq
                    key = key_in(raw.subject, scope)
                    if not key.startswith(prefix) or raw.seq <= known.get(key, 0):
                        continue
                    known.pop(key, None)
                    try:
                        one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
                    except (Unknown, Unreadable):
                        continue  # of a newer version, or of others
                    kept = kept_as.after(cast("ContextEvent", one.event), one.seq, one.meta.time)
                    yield kept_as.told(scope, key, kept)
            except Busy:
                await asyncio.sleep(AGAIN_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await news.wait()
    finally:
        bus.reconnected.remove(news.set)
        await heard.unsubscribe()


async def _all(bus: Bus, scope: str, prefix: str) -> list[tuple[str, Kept]]:
    """The keys of a scope, and those just removed, as the bucket has them."""
    found = await Bucket(bus, names.CONTEXT).all(values_of(scope, prefix), kept_as.read)
    keys = ((key_in(subject, scope), kept) for subject, kept in sorted(found.items()))
    return [(key, kept) for key, kept in keys if key.startswith(prefix)]


async def _recently(bus: Bus, scope: str, last: Seq) -> Seq:
    """The position in the log before what happened in a scope in the last seconds; `last` if nothing did."""
    since = rfc3339(datetime.now(UTC) - timedelta(seconds=RECENT_S))
    request = {"start_time": since, "next_by_subj": events_of(scope), "batch": 1}
    first = await bus.request_many(f"$JS.API.DIRECT.GET.{names.EVENTS}", json.dumps(request).encode(), many=False)
    return Seq(int(first[0].headers["Nats-Sequence"]) - 1) if first else last
