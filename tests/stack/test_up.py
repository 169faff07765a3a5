"""`cca up` and its companions, as a person uses them: real servers, real services, real processes."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest

from cca.config import NatsSettings, PostgresSettings
from cca.stack.layout import Layout, State
from cca.stack.program import Mark
from cca.stack.services import SERVICES
from cca.testing.servers import NatsServer, PostgresServer

PARTS = ["nats", "postgres", *(service.package for service in SERVICES)]
EXAMPLE = Path(__file__).parents[2] / "cca.example.toml"
Until = Callable[[Callable[[], bool]], None]


class Machine:
    """A home directory, and the stack in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.layout = Layout(home / ".cca")
        self.environ = {"HOME": str(home), "PATH": os.environ["PATH"], "CCA_DIR": str(self.layout.directory)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cca.cli.main", *arguments]

    def run(self, *arguments: str, code: int = 0, environ: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.home,
            env=self.environ | (environ or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stderr if code else done.stdout

    def up(self, environ: dict[str, str] | None = None) -> str:
        return self.run("up", "--detach", "--http-port", "0", "--nats-port", "0", environ=environ)

    def json(self, *arguments: str) -> Any:
        done = subprocess.run(
            self.command(*arguments, "--json"), cwd=self.home, env=self.environ, capture_output=True, check=False
        )
        return json.loads(done.stdout)

    def state(self) -> State:
        state = self.layout.read()
        assert state is not None
        return state

    def processes(self) -> list[Mark]:
        state = self.state()
        return [state.supervisor, *(part.process for part in state.parts if part.process)]

    def is_ready(self) -> bool:
        state = self.state()
        return state.ready_s is not None and all(part.state == "ready" for part in state.parts)

    def logs(self) -> str:
        folder = self.layout.logs
        files = sorted(folder.iterdir()) if folder.exists() else []
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A stack that runs for all tests of this file; they run in order, and the last one stops it."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    said = machine.up()
    assert said.startswith("ready in ")
    yield machine
    machine.run("down")


def get(url: str, key: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_a_plain_client_gets_in_with_what_is_printed_and_nobody_without(machine: Machine) -> None:
    printed = machine.json("env")
    connection = await nats_py.connect(printed["nats"], user=printed["nats_user"], password=printed["api_key"])
    answer = await connection.request("$SRV.PING.cca_router", timeout=5)
    assert json.loads(answer.data)["name"] == "cca_router"
    await connection.close()
    tasks = f"{printed['http']}/api/v1/tasks"
    assert await asyncio.to_thread(get, tasks, printed["api_key"]) == 200
    assert await asyncio.to_thread(get, tasks) == 401
    assert await asyncio.to_thread(get, tasks, printed["api_key"][:-1] + "_") == 401


def test_the_exports_are_the_same_and_can_be_evaluated(machine: Machine) -> None:
    printed = machine.json("env")
    script = 'eval "$1"; printf "%s\\n" "$CCA_HTTP_URL" "$CCA_NATS_URL" "$CCA_NATS_USER" "$CCA_API_KEY" "$NATS_CONTEXT"'
    shown = subprocess.run(["sh", "-c", script, "sh", machine.run("env")], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [printed[name] for name in ("http", "nats", "nats_user", "api_key", "nats_context")]


def test_the_nats_tool_finds_its_context(machine: Machine) -> None:
    printed = machine.json("env")
    path = machine.home / ".config" / "nats" / "context" / f"{printed['nats_context']}.json"
    context = json.loads(path.read_text())
    assert (context["url"], context["user"], context["password"]) == (
        printed["nats"],
        printed["nats_user"],
        printed["api_key"],
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_everything_is_ready_and_small(machine: Machine) -> None:
    status = machine.json("status")
    assert status["ready"]
    assert {part["name"]: part["state"] for part in status["parts"]} == dict.fromkeys(PARTS, "ready")
    assert status["memory_bytes"] < 600_000_000
    assert "cca_router" in machine.run("status")


def test_the_doctor_finds_nothing_that_has_to_be_done(machine: Machine) -> None:
    findings = machine.json("doctor")
    assert [finding for finding in findings if finding["result"] == "fail"] == []
    assert {"streams", "projection tasks", "gateway", "PostgreSQL"} <= {finding["check"] for finding in findings}


@pytest.mark.covers("SEC-006")
def test_no_secret_is_in_a_log_or_in_an_argument(machine: Machine) -> None:
    secrets = [path.read_text().strip() for path in machine.layout.secrets.iterdir() if path.suffix != ".json"]
    logs = machine.logs()
    arguments = "".join(
        Path(f"/proc/{process.pid}/cmdline").read_text() for process in machine.processes() if sys.platform == "linux"
    )
    assert len(secrets) == 5
    assert not [secret for secret in secrets if secret in logs or secret in arguments]


def test_a_second_stack_in_the_same_place_is_refused(machine: Machine) -> None:
    for arguments in (("up",), ("up", "--detach")):
        said = machine.run(*arguments, code=2)
        assert said.count("\n") == 1 and "a stack already runs in" in said
    assert machine.is_ready()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_killed_is_started_again(machine: Machine, until: Until, name: str) -> None:
    part = next(part for part in machine.state().parts if part.name == name)
    assert part.process is not None
    part.process.signal(signal.SIGKILL)

    def is_back() -> bool:
        now = next(part for part in machine.state().parts if part.name == name)
        return now.restarts == part.restarts + 1 and machine.is_ready()

    until(is_back)
    printed = machine.json("env")
    until(lambda: get(f"{printed['http']}/readyz") == 200)


@pytest.mark.covers("SEC-011")
def test_a_supervisor_that_was_killed_leaves_nothing_in_the_way(machine: Machine, until: Until) -> None:
    before, processes = machine.json("env"), machine.processes()
    machine.state().supervisor.signal(signal.SIGKILL)
    said = machine.run("up", "--detach")
    assert said.startswith("ready in ")
    assert not any(process.alive() for process in processes)
    assert machine.json("env") == before  # the same ports and the same key


def test_down_stops_everything(machine: Machine) -> None:
    processes = machine.processes()
    assert machine.run("down").startswith("stopped in ")
    assert not any(process.alive() for process in processes)
    assert machine.run("status", code=3) == f"no stack runs in {machine.layout.directory}; start one with `cca up`\n"
    assert machine.run("down").startswith("no stack runs")


@pytest.mark.covers("STAB-005", "H18")
def test_a_stack_in_the_foreground_with_the_example_settings_ends_in_good_order_with_ctrl_c(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.environ["CCA_CONFIG"] = str(EXAMPLE)
    with subprocess.Popen(
        machine.command("up", "--json", "--http-port", "0", "--nats-port", "0", "--durability", "interval"),
        cwd=machine.home,
        env=machine.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["dir"] == str(machine.layout.directory)
        assert machine.state().durability == "interval"
        processes = machine.processes()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait() == 0
        assert b"Traceback" not in process.stderr.read()
    assert not any(its.alive() for its in processes)
    assert "was ended by" not in machine.logs() and "Traceback" not in machine.logs()


@pytest.mark.covers("H7")
def test_servers_elsewhere_are_used_and_waited_for(
    tmp_path: Path, nats_server: NatsServer, postgres_server: PostgresServer, until: Until
) -> None:
    machine = Machine(tmp_path)
    postgres = postgres_server.settings()
    machine.environ |= {
        "CCA_NATS_URL": nats_server.settings.url,
        "CCA_NATS_USER": str(nats_server.settings.user),
        "CCA_NATS_PASSWORD": str(nats_server.settings.password),
        "CCA_POSTGRES_URL": postgres.url,
        "CCA_POSTGRES_PASSWORD": str(postgres.password),
    }
    for server in (nats_server, postgres_server):
        server.kill()
    command = machine.command("up", "--detach", "--http-port", "0")
    with subprocess.Popen(command, cwd=tmp_path, env=machine.environ, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: all(service.package in machine.logs() for service in SERVICES) and "trying" in machine.logs())
        nats_server.start()
        postgres_server.start()
        said, _ = process.communicate()
    assert process.returncode == 0, machine.logs()
    try:
        assert f"note: uses the NATS server at {nats_server.settings.url} (CCA_NATS_URL)" in said
        assert [part.name for part in machine.state().parts] == [service.package for service in SERVICES]
        assert [finding for finding in machine.json("doctor") if finding["result"] == "fail"] == []
    finally:
        machine.run("down")


def test_credentials_that_a_server_elsewhere_refuses_stop_the_start(
    tmp_path: Path, nats: NatsSettings, postgres: PostgresSettings
) -> None:
    elsewhere = {"CCA_NATS_URL": nats.url, "CCA_NATS_USER": "nobody", "CCA_NATS_PASSWORD": "wrong"}
    assert f"NATS at {nats.url} does not accept" in Machine(tmp_path).run("up", "-d", code=2, environ=elsewhere)
    elsewhere = {"CCA_POSTGRES_URL": postgres.url, "CCA_POSTGRES_PASSWORD": "wrong"}
    assert "does not accept these credentials" in Machine(tmp_path).run("up", "-d", code=2, environ=elsewhere)


def test_the_doctor_looks_at_a_machine_without_a_stack(tmp_path: Path) -> None:
    findings = Machine(tmp_path).json("doctor")
    assert [finding for finding in findings if finding["result"] == "fail"] == []
    assert findings[-1] == {
        "check": "stack",
        "result": "warn",
        "text": f"none runs in {tmp_path / '.cca'}",
        "do": "start it: cca up",
    }


def test_the_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.layout.make()
    machine.layout.directory.chmod(0o755)
    machine.environ["CCA_HTP_PORT"] = "1"
    wrong = {finding["check"]: finding for finding in machine.json("doctor") if finding["result"] == "fail"}
    assert wrong.keys() == {"settings", "directory"}
    assert wrong["directory"]["do"] == f"chmod go= {machine.layout.directory}"
    machine.run("doctor", code=1)


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["up"], {"CCA_HTP_PORT": "1"}, "CCA_HTP_PORT is not a known variable"),
        (["up"], {"CCA_HTTP_PORT": "x"}, "CCA_HTTP_PORT: expected int, got str"),
        (["up", "-d"], {"CCA_LOG_LEVEL": "loud"}, "CCA_LOG_LEVEL: expected one of"),
        (["up", "--http-port", "70000"], {}, "70000"),
        (["up", "--durability", "never"], {}, "never"),
        (["up", "--dir", "/proc/nowhere"], {}, "/proc/nowhere cannot be used"),
        (["nonsense"], {}, "nonsense"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], said: str
) -> None:
    complaint = Machine(tmp_path).run(*arguments, code=2, environ=environ)
    assert said in complaint.splitlines()[-1]
    assert "Traceback" not in complaint


def test_the_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    text = Machine(tmp_path).run("--help")
    for word in ("up", "down", "status", "doctor", "env", "task", "agent", "Exit codes", "130"):
        assert word in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_run_a_stack() -> None:
    somebody = 12345  # whom the system need not know by name

    def as_somebody(command: list[str], **more: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, user=somebody, group=somebody, extra_groups=[], capture_output=True, text=True, check=False, **more
        )

    with tempfile.TemporaryDirectory(prefix="cca-home-") as home:
        os.chown(home, somebody, somebody)
        machine = Machine(Path(home))
        try:
            reachable = as_somebody(machine.command("--version"), cwd=home, env=machine.environ).returncode == 0
        except PermissionError:
            reachable = False
        if not reachable:
            pytest.skip("this Python is out of an ordinary user's reach")
        up = machine.command("up", "--detach", "--http-port", "0", "--nats-port", "0")
        done = as_somebody(up, cwd=home, env=machine.environ)
        assert done.returncode == 0, done.stderr + machine.logs()
        assert {path.stat().st_uid for path in machine.layout.directory.rglob("*")} == {somebody}
        assert as_somebody(machine.command("down"), cwd=home, env=machine.environ).returncode == 0
