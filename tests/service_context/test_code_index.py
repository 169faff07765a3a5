"""The index of code on real servers: what jobs do, and what becomes of them when something goes wrong."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cca.config import ContextSettings, NatsSettings, PostgresSettings
from cca.contracts.code import (
    CancelCodeJob,
    CodeHits,
    CodeIndexProgressed,
    CodeJob,
    DropCode,
    GetCodeJob,
    GetCodeStats,
    IndexCode,
    ListCodeJobs,
    SearchCode,
)
from cca.errors import Busy, Refused
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import setup, subjects
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca.pool.pool import Pool
from cca.postgres.migrate import migrate
from cca.postgres.tables import Tables
from cca.postgres.tables import connect as connect_tables
from cca.testing.servers import PostgresServer
from cca_context.code_answers import Code
from cca_context.corpus import CODE
from cca_context.search import Searcher
from cca_context.vectors import Vectors


def meta() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC))


class Instance:
    """One instance of the service's part, and who asks it."""

    def __init__(self, code: Code, tables: Tables, log: JetStreamLog) -> None:
        self.code, self.tables, self.log = code, tables, log

    async def is_ready(self) -> bool:
        """Whether the tables are there."""
        with contextlib.suppress(Busy):
            await self.chunks()
            return True
        return False

    async def index(self, path: Path, **how: Any) -> CodeJob:
        return await self.over((await self.code.index(IndexCode(str(path), **how), meta())).job)

    async def over(self, job: str) -> CodeJob:
        async with asyncio.timeout(30):
            while (found := await self.job(job)).state in ("waiting", "running"):
                await asyncio.sleep(0.02)
        return found

    async def job(self, job: str) -> CodeJob:
        return await self.code.job(GetCodeJob(job), meta())

    async def search(self, query: str, **limits: Any) -> CodeHits:
        return await self.code.search(SearchCode(query, mode="lexical", **limits), meta())

    async def chunks(self) -> dict[str, int]:
        """The keys of all chunks by path and name."""
        rows = await self.tables.rows("SELECT chunk, path, name, start_line FROM cca.code_chunks")
        return {f"{row['path']}:{row['name']}:{row['start_line']}": row["chunk"] for row in rows}


@asynccontextmanager
async def instance(nats: NatsSettings, postgres: PostgresSettings, roots: Path | str) -> AsyncIterator[Instance]:
    async with (
        connect(nats, "cca_context", echo=False) as bus,
        connect_tables(postgres, "cca_context", lambda connection: prepared(connection)) as tables,
    ):
        await setup.ensure(bus)
        log, pool = JetStreamLog(bus, announce=True), Pool("cca.code.jobs.do", workers=1)
        vectors = Vectors(tables, None, CODE)
        searcher = Searcher(tables, CODE, vectors)
        code = Code(bus, log, tables, tables, pool, searcher, vectors, ContextSettings(roots=str(roots)))
        await code.start()
        one = Instance(code, tables, log)
        try:
            await until(one.is_ready)
            yield one
        finally:
            await code.stop()
            await searcher.close()
            await pool.close()


async def prepared(connection: Any) -> None:
    await migrate(connection, "cca_context")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "src").mkdir(parents=True)
    (root / "src" / "cart.py").write_text(
        "def total_price(items):\n    return sum(items)\n\n\nclass Cart:\n    def add(self, item):\n        pass\n"
    )
    (root / "src" / "pay.rs").write_text("fn charge_card(amount: u64) -> bool {\n    amount > 0\n}\n")
    (root / "README.md").write_text("# Shop\n\nSells.\n\n## Refunds\n\nMoney goes back.\n")
    return root


@pytest.fixture
async def one(nats: NatsSettings, postgres: PostgresSettings, root: Path) -> AsyncIterator[Instance]:
    async with instance(nats, postgres, root) as instance_:
        yield instance_


async def test_a_directory_is_indexed_and_its_code_is_found(one: Instance, root: Path) -> None:
    job = await one.index(root)
    assert (job.state, job.project, job.problem) == ("completed", "shop", "")
    assert (job.tally.files, job.tally.done, job.tally.indexed, job.tally.failed) == (3, 3, 3, 0)
    assert job.tally.chunks == job.tally.added == 6
    hits = await one.search("total price")
    assert (hits.items[0].path, hits.items[0].name, hits.items[0].start_line) == ("src/cart.py", "total_price", 1)
    assert (await one.search("charge", languages=("python",))).items == ()
    assert [hit.name for hit in (await one.search("refunds", kinds=("section",))).items] == ["Shop > Refunds"]
    assert (await one.search("charge", path="src/")).items[0].language == "rust"
    stats = await one.code.stats(GetCodeStats(), meta())
    assert stats.roots == (str(root),)
    assert stats.projects[0].languages == {"markdown": 2, "python": 3, "rust": 1}


async def test_only_what_has_changed_is_read_again_and_the_rest_keeps_its_keys(one: Instance, root: Path) -> None:
    old = (datetime.now().timestamp() - 60,) * 2
    for file in root.rglob("*.*"):
        os.utime(file, old)
    await one.index(root)
    before = await one.chunks()
    again = await one.index(root)
    assert (again.tally.unchanged, again.tally.indexed, again.tally.added) == (3, 0, 0)
    (root / "src" / "pay.rs").unlink()
    cart = root / "src" / "cart.py"
    cart.write_text("import os\n\n\n" + cart.read_text().replace("pass", "return item"))
    third = await one.index(root)
    assert (third.tally.unchanged, third.tally.indexed, third.tally.removed) == (1, 1, 1)
    assert (third.tally.kept, third.tally.added, third.tally.dropped) == (2, 2, 2)
    after = await one.chunks()
    assert after["src/cart.py:total_price:4"] == before["src/cart.py:total_price:1"]
    assert after["src/cart.py:Cart.add:9"] != before["src/cart.py:Cart.add:6"]
    forced = await one.index(root, force=True)
    assert (forced.tally.indexed, forced.tally.kept, forced.tally.added) == (2, 6, 0)
    assert await one.chunks() == after


async def test_a_file_that_was_touched_a_moment_ago_is_read_again_but_not_cut(one: Instance, root: Path) -> None:
    await one.index(root)
    again = await one.index(root)
    assert (again.tally.unchanged, again.tally.indexed) == (3, 0)
    (root / "src" / "pay.rs").write_text("fn charge_cord(amount: u64) -> bool {\n    amount > 0\n}\n")  # the same size
    assert (await one.index(root)).tally.indexed == 1


async def test_a_part_of_a_project_can_be_indexed_alone(one: Instance, root: Path) -> None:
    await one.index(root)
    (root / "src" / "new.py").write_text("def fresh():\n    pass\n")
    (root / "README.md").unlink()
    job = await one.index(root / "src" / "new.py", project="shop")
    assert (job.tally.files, job.tally.indexed, job.tally.removed) == (1, 1, 0)
    assert (await one.search("fresh")).items[0].path == "src/new.py"
    assert {hit.path for hit in (await one.search("refunds")).items} == {"README.md"}


async def test_a_repeated_search_is_answered_from_memory_until_something_changes(one: Instance, root: Path) -> None:
    await one.index(root)
    assert not (await one.search("charge card")).cached
    assert (await one.search("charge card")).cached
    (root / "src" / "more.py").write_text("def charge_card_twice():\n    pass\n")
    await one.index(root)
    found = await one.search("charge card")
    assert not found.cached and len(found.items) == 2


async def test_the_same_job_is_asked_for_once_and_another_directory_cannot_take_the_name(
    one: Instance, root: Path, tmp_path: Path
) -> None:
    first, second = await asyncio.gather(
        *(one.code.index(IndexCode(str(root), requester=who), meta()) for who in ("a", "b"))
    )
    assert first.job == second.job
    await one.over(first.job)
    (root / "a").mkdir()
    (root / "b").mkdir()
    await one.index(root / "a", project="x")
    with pytest.raises(Refused, match="another directory") as refused:
        await one.code.index(IndexCode(str(root / "b"), project="x"), meta())
    assert refused.value.code == "project-exists"


@pytest.mark.covers("H15")
@pytest.mark.parametrize("path", ["/etc", "..", "src/../../", "out"])
async def test_nothing_outside_the_roots_is_indexed(one: Instance, root: Path, path: str) -> None:
    (root / "out").symlink_to("/etc")
    with pytest.raises(Refused) as refused:
        await one.code.index(IndexCode(os.path.join(root, path)), meta())
    assert refused.value.code == "not-allowed" and "etc" not in str(refused.value)
    assert (await one.code.jobs(ListCodeJobs(), meta())).items == ()


async def test_files_that_cannot_be_read_or_understood_do_no_harm(one: Instance, root: Path) -> None:
    (root / "src" / "bin.py").write_bytes(b"\0\1\2")
    (root / "src" / "large.js").write_bytes(b"a();\n" * 300_000)
    (root / "src" / "latin.c").write_bytes("/* Grüße */\nint main(void)\n{\n}\n".encode("latin-1"))
    (root / "src" / "broken.go").write_text("package x\nfunc f( {\n" + "{" * 5_000)
    (root / "src" / "wide.ts").write_text("const grüße = '\U0001f600';\nfunction 名前() {\n  return 1;\n}\n")
    (root / "src" / "line.js").write_text("var a=1;" * 20_000)
    job = await one.index(root)
    assert (job.state, job.tally.skipped, job.tally.failed, job.tally.done) == ("completed", 2, 0, job.tally.files)
    assert (await one.search("Grüße")).items
    assert (await one.search("名前")).items[0].name == "名前"
    again = await one.index(root)
    assert (again.tally.skipped, again.tally.unchanged) == (2, job.tally.files - 2)


async def test_a_project_is_dropped_and_can_be_indexed_anew(one: Instance, root: Path) -> None:
    await one.index(root)
    assert (await one.search("refunds")).items
    left = await one.code.drop(DropCode("shop"), meta())
    assert left.projects == () and await one.chunks() == {}
    assert (await one.search("refunds")).items == ()
    with pytest.raises(Refused, match="no project"):
        await one.code.drop(DropCode("shop"), meta())
    assert (await one.index(root)).tally.added == 6


# ------------------------------------------------------------------------------------------ cut short


def many(root: Path, count: int = 150) -> None:
    for number in range(count):
        text = "".join(f"def f{number}_{n}(a):\n    return a + {n}\n\n\n" for n in range(30))
        (root / f"m{number:03}.py").write_text(text)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.01)


async def test_a_job_is_canceled_and_what_it_has_indexed_stays(one: Instance, root: Path) -> None:
    many(root)
    job = await one.code.index(IndexCode(str(root)), meta())

    async def begun() -> bool:
        return bool(await one.chunks())

    await until(begun)
    canceled = await one.code.cancel(CancelCodeJob(job.job, "me"), meta())
    assert (canceled.state, canceled.requester) == ("canceled", None)
    assert (await one.code.cancel(CancelCodeJob(job.job), meta())).state == "canceled"
    left = await one.index(root)  # it waits until the other has let go
    assert left.state == "completed" and left.tally.indexed < 153
    assert left.tally.chunks == len(await one.chunks())


async def test_another_instance_goes_on_with_what_a_dead_one_left(
    nats: NatsSettings, postgres: PostgresSettings, root: Path
) -> None:
    many(root)
    async with instance(nats, postgres, root) as first:
        job = (await first.code.index(IndexCode(str(root), force=True), meta())).job

        async def begun() -> bool:
            return bool(await first.chunks())

        await until(begun)
    async with instance(nats, postgres, root) as second:
        assert (await second.job(job)).state == "running"
        done = await second.over(job)
        assert (done.state, done.resumed) == ("completed", 1)
        assert (done.tally.indexed, done.tally.done, done.tally.files) == (153, 153, 153)
        # What the first has written is not written again.
        assert done.tally.kept == 0 and done.tally.chunks == len(await second.chunks())
        events = [raw async for raw in second.log.scan(subjects.events("code", job))]
        resumed = [raw for raw in events if b'"resumed":true' in raw.body]
        assert len(resumed) == 1 and resumed[0].headers["ce-type"] == "cca.code.index-progressed.v1"


async def test_a_job_whose_process_was_killed_is_finished_by_another(
    nats: NatsSettings, postgres: PostgresSettings, root: Path
) -> None:
    many(root)
    async with instance(nats, postgres, root) as watching:
        await watching.code.stop()
        script = str(Path(__file__).with_name("code_serving.py"))
        settings = [msgspec.json.encode(one).decode() for one in (nats, postgres)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, script, *settings, str(root), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            job = (await process.stdout.readline()).decode().strip()

            async def begun() -> bool:
                return bool(await watching.chunks())

            await until(begun)
        finally:
            process.kill()
            await process.wait()
        assert (await watching.job(job)).state == "running"
        await watching.code.start()
        done = await watching.over(job)
        assert (done.state, done.resumed, done.tally.indexed, done.tally.done) == ("completed", 1, 153, 153)
        assert done.tally.kept == 0 and done.tally.chunks == len(await watching.chunks())


async def test_of_two_instances_one_works_and_either_may_cancel(
    nats: NatsSettings, postgres: PostgresSettings, root: Path
) -> None:
    many(root)
    async with instance(nats, postgres, root) as first, instance(nats, postgres, root) as second:
        job = (await first.code.index(IndexCode(str(root)), meta())).job

        async def begun() -> bool:
            return (await second.job(job)).state == "running"

        await until(begun)
        assert (await second.code.cancel(CancelCodeJob(job), meta())).state == "canceled"
        assert (await first.job(job)).state == "canceled"
        done = await second.index(root)
        assert done.state == "completed" and done.tally.chunks == len(await second.chunks())


async def test_a_job_waits_for_postgres_and_goes_on(
    nats: NatsSettings, postgres_server: PostgresServer, root: Path
) -> None:
    many(root)
    async with instance(nats, postgres_server.settings(), root) as one:

        async def begun() -> bool:
            with contextlib.suppress(Busy):
                return bool(await one.chunks())
            return False

        job = (await one.code.index(IndexCode(str(root)), meta())).job
        await until(begun)
        await asyncio.to_thread(postgres_server.kill)
        assert (await one.job(job)).state == "running"
        with pytest.raises(Busy):
            await one.search("anything")
        await until(partial(started, postgres_server))
        done = await one.over(job)
        assert done.state == "completed" and done.resumed >= 1
        assert done.tally.chunks == len(await one.chunks())


async def started(server: PostgresServer) -> bool:
    """Start it, once what was left of the one before is gone."""
    with contextlib.suppress(RuntimeError):
        await asyncio.to_thread(server.start)
        return True
    return False


async def test_progress_is_told_now_and_then_and_not_for_every_file(one: Instance, root: Path) -> None:
    many(root, 60)
    job = await one.index(root)
    events = [raw async for raw in one.log.scan(subjects.events("code", job.job))]
    told = [raw for raw in events if raw.headers["ce-type"] == CodeIndexProgressed.__struct_config__.tag]
    assert 2 <= len(told) <= 3 + job.duration_s / 0.5
