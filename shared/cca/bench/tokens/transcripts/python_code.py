"""Python as people write it: modules of a service, put together from functions of many shapes with changing names."""

import random
from collections.abc import Sequence

from cca.bench.tokens.transcripts.words import Words, fill

FUNCTIONS = (
    '''
def $verb_$thing($thing_id: str, *, $field: int = $small) -> $Thing | None:
    """$Verb one $thing, or return None when it $phrase."""
    row = _rows.get($thing_id)
    if row is None:
        log.debug("$thing %s $phrase", $thing_id)
        return None
    if row["$field"] > $field:
        raise $ThingError(f"$thing {$thing_id} $phrase")
    return $Thing(**row)
''',
    """
async def $verb_$things(session: AsyncSession, $field: str, limit: int = $small) -> list[$Thing]:
    statement = (
        select($Thing)
        .where($Thing.$field == $field, $Thing.$field2.is_not(None))
        .order_by($Thing.$field3.desc())
        .limit(limit)
    )
    result = await session.execute(statement)
    return list(result.scalars())
""",
    """
def _$verb_$field(value: str) -> int:
    # Some partners send "$small $field2" with a no-break space, others nothing at all.
    cleaned = value.replace("\\u00a0", " ").strip()
    if not cleaned:
        return 0
    number, _, unit = cleaned.partition(" ")
    factor = {"": 1, "k": 1_000, "m": 1_000_000}.get(unit.lower())
    if factor is None:
        raise ValueError(f"{value!r} $phrase")
    return int(float(number) * factor)
""",
    '''
def group_by_$field($things: Iterable[$Thing]) -> dict[str, list[$Thing]]:
    """All $things by their $field; those without one come under the empty name."""
    groups: defaultdict[str, list[$Thing]] = defaultdict(list)
    for $thing in $things:
        groups[$thing.$field or ""].append($thing)
    for members in groups.values():
        members.sort(key=lambda each: (each.$field2, each.id))
    return dict(groups)
''',
    """
@contextmanager
def $adj_$thing(path: Path) -> Iterator[$Thing]:
    lock = path.with_suffix(".lock")
    handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        os.write(handle, str(os.getpid()).encode())
        yield $Thing.parse(path.read_text(encoding="utf-8"))
    finally:
        os.close(handle)
        lock.unlink(missing_ok=True)
""",
    """
def $verb_with_retry(call: Callable[[], T], attempts: int = $FIELD_ATTEMPTS, pause: float = 0.$small) -> T:
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except (ConnectionError, TimeoutError) as error:
            if attempt == attempts:
                raise
            delay = pause * 2 ** (attempt - 1) * (1 + random.random() / 4)
            log.warning("attempt %d of %d: %s; again in %.2f s", attempt, attempts, error, delay)
            time.sleep(delay)
    raise AssertionError("unreachable")
""",
    '''
def merge_$things(left: Sequence[$Thing], right: Sequence[$Thing]) -> list[$Thing]:
    """Both lists in order of $field, each $thing once; the later $field2 wins."""
    newest: dict[str, $Thing] = {}
    for $thing in (*left, *right):
        known = newest.get($thing.id)
        if known is None or known.$field2 < $thing.$field2:
            newest[$thing.id] = $thing
    return sorted(newest.values(), key=attrgetter("$field"))
''',
    """
def to_csv($things: Iterable[$Thing], out: TextIO) -> int:
    writer = csv.DictWriter(out, fieldnames=["id", "$field", "$field2", "$field3"], extrasaction="ignore")
    writer.writeheader()
    count = 0
    for count, $thing in enumerate($things, start=1):
        row = asdict($thing)
        row["$field2"] = row["$field2"].isoformat() if row["$field2"] else ""
        writer.writerow(row)
    return count
""",
    """
async def handle_$thing_$verb(request: web.Request) -> web.Response:
    try:
        body = $Verb$Thing.model_validate_json(await request.read())
    except ValidationError as error:
        return web.json_response({"errors": error.errors()}, status=422)
    actor = request["actor"]
    if not actor.may("$thing:$verb", body.$field):
        return web.json_response({"error": "forbidden"}, status=403)
    async with request.app["db"].begin() as session:
        done = await $verb_$thing(session, body, actor=actor.id)
    return web.json_response(done.public(), status=201 if done.created else 200)
""",
    '''
def $field_of($thing: $Thing, on: date) -> Decimal:
    """What counts on a day: the newest $field that is not after it.

    Raises `LookupError` when the $thing $phrase.
    """
    candidates = [each for each in $thing.$field2 if each.since <= on]
    if not candidates:
        raise LookupError(f"{$thing.id} on {on:%Y-%m-%d} $phrase")
    newest = max(candidates, key=lambda each: each.since)
    return (newest.value * (1 - $thing.$field3)).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
''',
    """
def walk_$things(root: Path, suffix: str = ".$thing") -> Iterator[Path]:
    waiting = deque([root])
    while waiting:
        folder = waiting.popleft()
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and not entry.name.startswith("."):
                waiting.append(entry)
            elif entry.suffix == suffix and entry.stat().st_size < $large_000:
                yield entry
""",
    """
async def $verb_loop(queue: asyncio.Queue[$Thing], stop: asyncio.Event) -> None:
    pending: list[$Thing] = []
    while not stop.is_set():
        try:
            pending.append(await asyncio.wait_for(queue.get(), timeout=$small / 10))
        except TimeoutError:
            if pending:
                await _$verb_all(pending)
                pending.clear()
            continue
        if len(pending) >= $FIELD_SIZE:
            await _$verb_all(pending)
            pending = []
""",
    '''
def $verb_signature(body: bytes, header: str, secret: bytes, tolerance: int = $large) -> bool:
    """Whether a webhook is from the $thing partner and not older than `tolerance` seconds."""
    $field = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    stamp, given = $field.get("t", ""), $field.get("v$small", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > tolerance:
        return False
    wanted = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, given)
''',
    """
def diff_$things(before: Mapping[str, $Thing], after: Mapping[str, $Thing]) -> Changes:
    added = after.keys() - before.keys()
    removed = before.keys() - after.keys()
    changed = {key for key in before.keys() & after.keys() if before[key].$field != after[key].$field}
    return Changes(
        added=[after[key] for key in sorted(added)],
        removed=[before[key] for key in sorted(removed)],
        changed=[(before[key], after[key]) for key in sorted(changed)],
    )
""",
    """
def percentile_$field($things: Sequence[$Thing], percent: float) -> float:
    values = sorted(each.$field for each in $things if each.$field is not None)
    if not values:
        return math.nan
    $adj = (len(values) - 1) * percent / 100
    below, above = math.floor($adj), math.ceil($adj)
    return values[below] + (values[above] - values[below]) * ($adj - below)
""",
    """
def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="$verb-$things", description="$Verb $things that a $thing2 $phrase.")
    parser.add_argument("$things", nargs="+", type=Path, help="files to read, - for standard input")
    parser.add_argument("--$field", default="$adj", choices=["$adj", "$adj2", "$adj3"])
    parser.add_argument("--limit", type=int, default=$large, metavar="N")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")
    parser.set_defaults(run=run_$verb)
    return parser
""",
    """
def is_$adj($thing: $Thing, now: datetime) -> bool:
    if $thing.$field is None or $thing.$field2 == "$adj2":
        return False
    age = now - $thing.$field
    # $Adj $things of the old system carry no $field3; they were checked when they were imported.
    if $thing.$field3 is None:
        return age > timedelta(days=$small)
    return age > timedelta(hours=$small2) or $thing.$field3 in CLOSED
""",
    """
def $verb_in_batches($things: Sequence[$Thing], size: int = $small) -> Iterator[Sequence[$Thing]]:
    if not 1 <= size <= $large:
        raise ValueError(f"batches of {size} $things")
    for start in range(0, len($things), size):
        yield $things[start : start + size]
""",
    '''
def upsert_$thing(connection: Connection, $thing: $Thing) -> bool:
    """Write a $thing; False when the one that is stored is newer."""
    cursor = connection.execute(
        """
        INSERT INTO $things (id, $field, $field2, version)
        VALUES (%(id)s, %($field)s, %($field2)s, %(version)s)
        ON CONFLICT (id) DO UPDATE
           SET $field = excluded.$field, $field2 = excluded.$field2, version = excluded.version
         WHERE $things.version < excluded.version
        """,
        asdict($thing),
    )
    return cursor.rowcount == 1
''',
    """
def parse_$thing(line: str, number: int) -> $Thing:
    parts = line.rstrip("\\n").split(";")
    match parts:
        case [identifier, $field, ""]:
            return $Thing(identifier, $field, None)
        case [identifier, $field, $field2]:
            return $Thing(identifier, $field, _parse_$field2($field2))
        case []:
            raise ParseError(number, "empty line")
        case _:
            raise ParseError(number, f"{len(parts)} columns instead of 3")
""",
    '''
async def fetch_$things(client: httpx.AsyncClient, since: datetime) -> AsyncIterator[$Thing]:
    """All $things that changed, page by page."""
    cursor: str | None = None
    while True:
        query = {"since": since.isoformat(), "limit": "$large"} | ({"cursor": cursor} if cursor else {})
        answer = await client.get("/v2/$things", params=query, timeout=$small)
        answer.raise_for_status()
        page = answer.json()
        for item in page["items"]:
            yield $Thing.model_validate(item)
        cursor = page.get("next_cursor")
        if cursor is None:
            return
''',
    '''
def assign_$things($things: list[$Thing], $thing2s: list[$Thing2]) -> dict[str, str]:
    """Give every $thing to the $thing2 with most room, largest first."""
    room = {each.id: each.$field for each in $thing2s}
    chosen: dict[str, str] = {}
    for $thing in sorted($things, key=lambda each: -each.$field2):
        best = max(room, key=lambda name: (room[name], name))
        if room[best] < $thing.$field2:
            raise $Thing2Full(f"no $thing2 has {$thing.$field2} left for {$thing.id}")
        room[best] -= $thing.$field2
        chosen[$thing.id] = best
    return chosen
''',
)

METHODS = (
    """
    def add(self, $thing: $Thing) -> None:
        if $thing.id in self._$things:
            raise Duplicate($thing.id)
        self._$things[$thing.id] = $thing
        self._by_$field.setdefault($thing.$field, set()).add($thing.id)
""",
    """
    def remove(self, $thing_id: str) -> $Thing:
        $thing = self._$things.pop($thing_id)
        members = self._by_$field[$thing.$field]
        members.discard($thing_id)
        if not members:
            del self._by_$field[$thing.$field]
        return $thing
""",
    '''
    @property
    def $field2(self) -> int:
        """In all, without $adj ones."""
        return sum(each.$field2 for each in self._$things.values() if not each.is_$adj)
''',
    """
    async def $verb(self, $thing_id: str) -> None:
        async with self._lock:
            $thing = await self._store.get($thing_id)
            if $thing.$field == "$adj":
                return
            await self._store.put(replace($thing, $field="$adj", version=$thing.version + 1))
        self._metrics.increment("$thing.$verb", tags={"$field": $thing.$field})
""",
    '''
    def $verb_all(self, limit: int | None = None) -> Iterator[$Thing]:
        """Each that is not $adj2, oldest first."""
        ordered = sorted(self._$things.values(), key=lambda each: each.$field3)
        for $thing in islice(ordered, limit):
            if $thing.$field != "$adj2":
                yield $thing
''',
    """
    def _expire(self, now: float) -> int:
        gone = [key for key, (_, until) in self._cache.items() if until <= now]
        for key in gone:
            del self._cache[key]
        if gone:
            log.info("%d $things expired", len(gone))
        return len(gone)
""",
    """
    def __contains__(self, $thing_id: object) -> bool:
        return $thing_id in self._$things

    def __len__(self) -> int:
        return len(self._$things)
""",
)

IMPORTS = (
    "import asyncio", "import csv", "import hashlib", "import hmac", "import logging", "import math", "import os",
    "import random", "import time", ("from collections import defaultdict,"
" deque"), "from contextlib import contextmanager",
    "from dataclasses import asdict, dataclass, replace", "from datetime import date, datetime, timedelta",
    "from decimal import ROUND_HALF_EVEN, Decimal", "from itertools import islice", "from operator import attrgetter",
    "from pathlib import Path", "from typing import TextIO, TypeVar",
)  # fmt: skip


def module(rng: random.Random, package: str, part: str, shapes: Sequence[str]) -> str:
    """The text of a module: docstring, imports, constants, a record, functions, a class."""
    words = Words(rng, package=package, part=part)
    thing, field = words["thing"], words["field"]
    head = fill(
        rng.choice(
            (
                '"""$Package: how $things are put to $verb, and what happens when one $phrase."""',
                '"""$Verb $things for the $package service.\n\nCalled by the $part2 and by the nightly $thing2 run."""',
                '"""$Things and their $field."""',
            )
        ),
        words,
    )
    imports = sorted(rng.sample(IMPORTS, rng.randint(5, 9)), key=lambda line: (line.startswith("from"), line))
    own = fill("from $package.$part2 import $Thing2, $ThingError\nfrom $package.$part3 import CLOSED", words)
    constants = fill(
        "log = logging.getLogger(__name__)\n\n$FIELD_ATTEMPTS = $small\n$FIELD_SIZE = $large\n"
        f"TIMEOUT_S = {rng.randint(2, 40) / 4}\n",
        words,
    )
    fields = [words["field" + str(number)] for number in range(2, 2 + rng.randint(3, 7))]
    kinds = ("str", "int", "datetime | None = None", "Decimal | None = None", "str | None = None", "bool = False")
    typed = sorted(((name, rng.choice(kinds)) for name in fields), key=lambda pair: "=" in pair[1])
    record = fill("@dataclass(frozen=True, slots=True)\nclass $Thing:\n", words)
    record += "    id: str\n" + "".join(f"    {name}: {kind}\n" for name, kind in typed)
    bodies = []
    for number, shape in enumerate(shapes):
        # Most of a module is about one thing; every fifth function is about another.
        about = Words(rng, package=package, part=part, **({} if number % 5 == 4 else {"thing": thing}))
        if rng.random() < 0.4:
            about["field"] = field
        bodies.append(fill(shape, about).strip("\n"))
    methods = [fill(shape, words).strip("\n") for shape in rng.sample(METHODS, rng.randint(2, 5))]
    kept = fill(
        "class $Things:\n"
        f'    """{rng.choice(("Keeps", "Knows", "Holds"))} $things by id and by $field."""\n\n'
        "    def __init__(self, store: $ThingStore, metrics: Metrics) -> None:\n"
        "        self._store, self._metrics = store, metrics\n"
        "        self._$things: dict[str, $Thing] = {}\n"
        "        self._by_$field: dict[str, set[str]] = {}\n"
        "        self._cache: dict[str, tuple[$Thing, float]] = {}\n"
        "        self._lock = asyncio.Lock()\n\n",
        words,
    )
    parts = [head, "\n".join(imports) + "\n\n" + own, constants.rstrip(), record.rstrip()]
    return "\n\n".join(parts[:3]) + "\n\n\n" + "\n\n\n".join([parts[3], *bodies, kept + "\n\n".join(methods)]) + "\n"
