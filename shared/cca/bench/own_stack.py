"""A whole stack of one's own: real servers and services in a directory of their own, on free ports, gone at the end."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct

from cca.bench.server import bare_environment
from cca.config import NatsSettings, PostgresSettings
from cca.errors import Busy
from cca.nats.bus import connect
from cca.stack.plan import Plan, Wish
from cca.stack.services import SERVICES, ServiceProcess
from cca.stack.supervisor import running


class OwnStack(Struct, frozen=True, kw_only=True):
    """How to reach it, as people and agents do, and its processes by name."""

    directory: Path
    nats: NatsSettings
    postgres: PostgresSettings
    http_url: str
    api_key: str
    nats_context: str | None
    ready_s: float
    pids: dict[str, int]
    plan: Plan

    @asynccontextmanager
    async def service(self, package: str) -> AsyncIterator[int]:
        """Run a service that the stack was started without; yields its process id, and ends it with the block.

        What it prints goes to `<package>.log` in the directory. Raises `Busy` when it does not get ready.
        """
        program = self.plan.service(ServiceProcess(package))
        with (self.directory / f"{package}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.command(), env=dict(program.env), cwd=program.cwd, stdout=log, stderr=log
            )
        try:
            async with connect(self.nats, "bench_probe") as bus, asyncio.timeout(30):
                while process.returncode is None:
                    with contextlib.suppress(Busy):
                        await bus.request(f"$SRV.PING.{package}", b"", timeout=0.1)
                        break
                    await asyncio.sleep(0.02)
                else:
                    raise Busy(f"{package} ended while it started")
            yield process.pid
        except TimeoutError:
            raise Busy(f"{package} is not ready after 30 s") from None
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    def environment(self) -> dict[str, str]:
        """The environment of a command that shall speak to this stack and to no other."""
        return clean_environment(self.directory) | {
            "CCA_DIR": str(self.directory),
            "CCA_HTTP_URL": self.http_url,
            "CCA_NATS_URL": self.nats.url,
            "CCA_API_KEY": self.api_key,
        }


def clean_environment(directory: Path) -> dict[str, str]:
    """This process's environment without settings of ours but those of the log, and with an empty settings file."""
    empty = directory / "empty.toml"
    empty.touch(mode=0o600)
    return bare_environment() | {"CCA_CONFIG": str(empty)}


@contextmanager
def folder(kept: Path | None = None) -> Iterator[Path]:
    """A temporary directory, or `kept`, which stays."""
    if kept is not None:
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield kept.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="cca-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@asynccontextmanager
async def own_stack(
    directory: Path, durability: str = "always", *, register: bool = False, without: str = ""
) -> AsyncIterator[OwnStack]:
    """Start a stack in a directory, perhaps without one of its services, and stop it when the block is left.

    `register`: write a context for the `nats` command line tool where that looks for it; otherwise into the
    directory. Raises `Busy` or `Misconfigured` when the stack cannot start.
    """
    environ = clean_environment(directory)
    if not register:
        environ["XDG_CONFIG_HOME"] = str(directory)
    wish = Wish(directory=directory, http_port=0, nats_port=0, durability=durability)
    services = [service for service in SERVICES if service.package != without]
    async with running(wish, asyncio.Event(), services=services, environ=environ) as stack:
        await stack.start()
        plan, key = stack.plan, stack.plan.credentials.admin_key
        yield OwnStack(
            directory=directory,
            nats=NatsSettings(url=plan.nats_url, user=plan.nats_user, password=key),
            postgres=PostgresSettings(url=plan.postgres_url, password=plan.credentials.postgres_password),
            http_url=plan.http_url,
            api_key=key,
            nats_context=stack.context,
            ready_s=stack.ready_s or 0.0,
            pids={part.name.removeprefix("cca_"): part.process.pid for part in stack.parts if part.process is not None},
            plan=plan,
        )
