"""What will run follows from what was asked, what is set, and what ran before."""

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cca import config
from cca.errors import Misconfigured
from cca.stack import context, credentials, environment, plan
from cca.stack.layout import Layout, State
from cca.stack.plan import Plan, Wish
from cca.stack.postgres_server import socket_directory_in
from cca.stack.program import Mark
from cca.stack.services import ServiceProcess

SERVICE = ServiceProcess("cca_router")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def made(tmp_path: Path, before: State | None = None, environ: dict[str, str] | None = None, **wish: object) -> Plan:
    layout = Layout(tmp_path / ".cca")
    layout.make()
    return plan.make(Wish(directory=layout.directory, **wish), before, environ or {})  # type: ignore[arg-type]  # any of its fields


def state(**more: object) -> State:
    known: dict[str, object] = {
        "supervisor": Mark(1, ""),
        "started": 0.0,
        "durability": "always",
        "http_url": "http://127.0.0.1:8580",
        "nats_url": "nats://127.0.0.1:4222",
        "nats_user": "admin",
        "nats_context": "cca",
        "postgres_url": "postgresql://cca@/cca",
    }
    return State(**(known | more))  # type: ignore[arg-type]  # any of its fields


# ------------------------------------------------------------------------------------------ ports


def test_the_ports_of_last_time_are_taken_again(tmp_path: Path) -> None:
    first = made(tmp_path, http_port=0, nats_port=0)
    assert first.nats is not None
    again = made(tmp_path, state(http_url=first.http_url, nats_url=first.nats.url))
    assert again.nats is not None
    assert (again.http_port, again.nats.port) == (first.http_port, first.nats.port)
    assert again.notes == ()


def test_a_port_that_is_taken_is_replaced_and_that_is_said(tmp_path: Path, taken: int) -> None:
    found = made(tmp_path, state(http_url=f"http://127.0.0.1:{taken}"))
    assert found.http_port != taken
    assert f"port {taken} is taken: HTTP is on {found.http_port}" in found.notes


def test_a_port_that_was_asked_for_and_is_taken_stops_the_start(tmp_path: Path, taken: int) -> None:
    with pytest.raises(Misconfigured, match=f"port {taken}, wanted for NATS, is taken"):
        made(tmp_path, nats_port=taken)
    with pytest.raises(Misconfigured, match=f"port {taken}, wanted for HTTP, is taken"):
        made(tmp_path, environ={"CCA_HTTP_PORT": str(taken)})


# ------------------------------------------------------------------------------------------ services


@pytest.mark.covers("SEC-006")
def test_a_service_is_told_files_and_never_a_secret(tmp_path: Path) -> None:
    found = made(tmp_path, environ={"CCA_API_KEY": "another", "CCA_LOG_LEVEL": "debug", "PATH": "/bin"})
    program = found.service(SERVICE)
    secrets = [path.read_text().strip() for path in found.credentials.directory.iterdir()]
    assert not set(secrets) & set(program.env.values())
    assert not any(secret in " ".join(program.argv) for secret in secrets)
    assert "CCA_API_KEY" not in program.env
    assert (program.env["CCA_LOG_LEVEL"], program.env["PATH"]) == ("debug", "/bin")
    assert Path(program.env["CCA_NATS_PASSWORD_FILE"]).read_text().strip() == found.credentials.service_password


def test_a_settings_file_here_is_read_by_services_that_work_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cca.toml").write_text("[log]\nlevel = 'debug'\n")
    assert made(tmp_path).service(SERVICE).env["CCA_CONFIG"] == str(tmp_path / "cca.toml")


def test_servers_elsewhere_are_used_and_not_started(tmp_path: Path) -> None:
    environ = {
        "CCA_NATS_URL": "nats://there:4222",
        "CCA_NATS_USER": "me",
        "CCA_NATS_PASSWORD": "p",
        "CCA_POSTGRES_URL": "postgresql://me@there/db",
    }
    found = made(tmp_path, environ=environ)
    assert (found.nats, found.postgres, found.external) == (None, None, ("nats", "postgres"))
    assert [note.split(" (")[1] for note in found.notes] == ["CCA_NATS_URL)", "CCA_POSTGRES_URL)"]
    told = found.service(SERVICE).env
    assert {name: told[name] for name in environ} == environ
    assert not [name for name in told if name.startswith("CCA_NATS_PASSWORD_FILE")]


def test_what_cca_env_printed_is_no_server_elsewhere(tmp_path: Path) -> None:
    first = made(tmp_path)
    printed = environment.exports(first.layout, state())
    again = made(tmp_path, environ=printed)
    assert again.nats is not None and again.external == ()


# ------------------------------------------------------------------------------------------ clients


def test_a_command_finds_the_stack_that_runs_here(tmp_path: Path) -> None:
    found = made(tmp_path)
    lock = found.layout.take()
    found.layout.write(state())
    environ = {"CCA_DIR": str(found.layout.directory)}
    environment.adopt(environ)
    assert environ["CCA_NATS_URL"] == "nats://127.0.0.1:4222"
    assert environ["CCA_API_KEY"] == found.credentials.admin_key
    assert config.load(environ).postgres.password == found.credentials.postgres_password
    named = {"CCA_DIR": environ["CCA_DIR"], "CCA_NATS_URL": "nats://there:4222"}
    environment.adopt(named)
    assert "CCA_API_KEY" not in named  # the key of this stack is for this stack
    printed = environment.exports(found.layout, state())  # as after eval "$(cca env)"
    environment.adopt(printed)
    assert config.load(printed).postgres.password == found.credentials.postgres_password
    found.layout.directory.chmod(0o777)
    distrusted = {"CCA_DIR": environ["CCA_DIR"]}
    environment.adopt(distrusted)
    assert "CCA_API_KEY" not in distrusted
    os.close(lock)


def test_the_nats_tool_gets_a_private_context(tmp_path: Path) -> None:
    found = made(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    name = context.write(found.layout, "nats://127.0.0.1:1", "admin", "key", environ)
    assert name == "cca"
    path = tmp_path / "config" / "nats" / "context" / "cca.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = json.loads(path.read_text())
    assert (written["url"], written["user"], written["password"]) == ("nats://127.0.0.1:1", "admin", "key")


def test_a_context_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    found = made(tmp_path)
    environ = {"HOME": str(tmp_path)}
    folder = context.directory(environ)
    folder.mkdir(parents=True)
    (folder / "cca.json").write_text('{"description": "mine", "url": "nats://elsewhere"}')
    name = context.write(found.layout, "nats://127.0.0.1:1", "admin", "key", environ)
    assert name is not None and name.startswith("cca-")
    assert "elsewhere" in (folder / "cca.json").read_text()


def test_a_second_stack_gets_a_context_of_its_own_while_the_first_runs(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    lock = one.layout.take()
    assert context.write(one.layout, "nats://127.0.0.1:1", "admin", "key", environ) == "cca"
    second = context.write(two.layout, "nats://127.0.0.1:2", "admin", "key", environ)
    assert second is not None and second.startswith("cca-")
    os.close(lock)
    assert context.write(two.layout, "nats://127.0.0.1:2", "admin", "key", environ) == "cca"


# ------------------------------------------------------------------------------------------ sockets


def test_a_socket_whose_path_would_be_too_long_is_among_the_temporary_files(tmp_path: Path) -> None:
    assert socket_directory_in(tmp_path / "run") == tmp_path / "run"
    for awkward in ("x" * 100, "a,b", 'a"b', "a'b"):
        elsewhere = socket_directory_in(tmp_path / awkward)
        assert tmp_path not in elsewhere.parents
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
        elsewhere.rmdir()


def test_credentials_that_another_user_made_are_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="admin-key cannot be read"):
        credentials.read(tmp_path, "admin_key")
