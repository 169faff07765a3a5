"""What a client of a stack needs to know, as `CCA_*` variables: for `cca env`, and for the commands run beside it."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from cca import config
from cca.errors import CcaError
from cca.stack import credentials
from cca.stack.layout import DEFAULT, Layout, State


def directory(environ: Mapping[str, str]) -> Path:
    """The stack that is meant when none is named: `CCA_DIR`, else `.cca` here."""
    return Path(environ.get("CCA_DIR") or DEFAULT)


def exports(layout: Layout, state: State) -> dict[str, str]:
    """The variables for a person's shell. Raises `Misconfigured` when the key is not ours to read."""
    found = {
        "CCA_DIR": str(layout.directory),
        "CCA_HTTP_URL": state.http_url,
        "CCA_NATS_URL": state.nats_url,
        "CCA_NATS_USER": state.nats_user,
        "CCA_API_KEY": credentials.read(layout.secrets, "admin_key"),
        "NATS_CONTEXT": state.nats_context,
    }
    return {name: value for name, value in found.items() if value is not None}


def description(layout: Layout, state: State) -> dict[str, str | None]:
    """The same for programs."""
    return {
        "http": state.http_url,
        "nats": state.nats_url,
        "nats_user": state.nats_user,
        "api_key": credentials.read(layout.secrets, "admin_key"),
        "nats_context": state.nats_context,
        "dir": str(layout.directory),
        "postgres": state.postgres_url,
    }


def adopt(environ: MutableMapping[str, str]) -> None:
    """Let a command speak to the stack that runs here, unless its environment or `cca.toml` names another.

    A directory that somebody else could have written to is not believed.
    """
    try:
        _, sources = config.load_with_sources(environ)
    except CcaError:
        return  # the command itself will say what is wrong
    layout = Layout(directory(environ))
    if not layout.is_private() or not layout.is_taken() or (state := layout.read()) is None:
        return
    found = exports(layout, state)
    named = {"nats.url", "client.http_url", "client.api_key"} & sources.keys()
    if any(environ.get(config.variable(key)) != found.get(config.variable(key)) for key in named):
        return  # another one; what `cca env` has printed names this one
    if not {"postgres.url", "postgres.password"} & sources.keys():
        found["CCA_POSTGRES_URL"] = state.postgres_url
        if "postgres" not in state.external:
            found["CCA_POSTGRES_PASSWORD_FILE"] = str(layout.secrets / "postgres-password")
    for name, value in found.items():
        environ.setdefault(name, value)
