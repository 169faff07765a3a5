"""Scopes and keys as parts of subjects: `project:x` and `files.main` are `project.x.files.main`."""

from cca.nats import subjects


def scope_name(scope: str) -> str:
    """The scope as part of a subject: `project.x`."""
    kind, _, name = scope.partition(":")
    return f"{kind}.{name}"


def key_name(scope: str, key: str) -> str:
    """A key of a scope as part of a subject: `project.x.files.main`."""
    return f"{scope_name(scope)}.{key}"


def parts(name: str) -> tuple[str, str]:
    """The scope and the key of what `key_name` made. Raises `ValueError` for something else."""
    kind, scope, key = name.split(".", 2)
    return f"{kind}:{scope}", key


def key_in(subject: str, scope: str) -> str:
    """The key that a subject of the scope's values or events ends with."""
    return subject.partition(f".{scope_name(scope)}.")[2]


def values_of(scope: str, prefix: str = "") -> str:
    """The subjects of the bucket below which all keys of a scope are that begin with `prefix`, and perhaps others."""
    # Only whole words can be asked for.
    whole = prefix.rpartition(".")[0]
    return subjects.context(f"{scope_name(scope)}.{whole}.>" if whole else f"{scope_name(scope)}.>")


def events_of(scope: str) -> str:
    """The subjects of the log below which all that happened to keys of a scope is."""
    return subjects.events("context", f"{scope_name(scope)}.>")
