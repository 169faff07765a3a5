"""The interface as an OpenAPI 3.1 document, made from the route table. `python -m cca_gateway.openapi` prints it."""

import inspect
import re
import sys
import typing
from typing import Any

import msgspec
from msgspec import Struct

from cca import __version__
from cca.contracts.task import SubmitTask
from cca.message import Command
from cca_gateway.call import EVENT_STREAM, JSON
from cca_gateway.events import LoggedEvent
from cca_gateway.output import OutputPart
from cca_gateway.paths import PARAMETERS
from cca_gateway.problems import KINDS, MEDIA_TYPE, TYPE, ProblemDetails
from cca_gateway.route import Route
from cca_gateway.routes import BASE, ROUTES

Schema = dict[str, Any]

ALWAYS = ("not-authenticated", "not-acceptable", "internal", "busy")
WITH_BODY = ("unreadable", "too-large", "unsupported-media-type", "invalid")
REASONS = {
    200: "Done",
    201: "Created",
    202: "Accepted",
    204: "Nothing more will come",
    503: "Not possible at the moment",
}
UNCHANGED = "As the one that `If-None-Match` names"
TEMPLATE = "#/components/schemas/{name}"


def document() -> Schema:
    """The whole document."""
    kinds = _kinds()
    found, components = msgspec.json.schema_components(kinds, ref_template=TEMPLATE)
    schemas = dict(zip(map(repr, kinds), found, strict=True))
    components = {_name(long): schema for long, schema in components.items()}
    for kind in (SubmitTask, *(route.body for route in ROUTES)):
        if isinstance(kind, type) and issubclass(kind, Command):
            _forget_type(components[kind.__name__])
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        paths.setdefault(BASE + route.path, {})[route.method.lower()] = _operation(route, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "CCA",
            "version": __version__,
            "summary": (
                "Tasks for fleets of AI coding agents: submit, follow, cancel, look; routing, tokens, shared context, "
                "memory, and code search."
            ),
            "description": (
                "Every answer carries `X-Request-Id`; errors are RFC 9457 problem details whose `type` is stable "
                f"(`{TYPE}<code>`). `/livez`, `/readyz` and `/metrics` are also offered without `{BASE}`."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {_problem_name(status): _problem(status) for status in _statuses()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password."},
            },
        },
    }
    return typing.cast(Schema, _portable(document))


def _name(name: str) -> str:
    """What a type is called. Two of the same name come with their modules: ours has been published without."""
    module, _, own = name.rpartition(".")
    return own if module.partition(".")[0] in ("", "cca_gateway") else module.rpartition(".")[2].capitalize() + own


def _forget_type(schema: Schema) -> None:
    """A command need not say what it is: the path says it."""
    if "type" in (required := schema["required"]):
        required.remove("type")
    if not required:
        del schema["required"]


def _kinds() -> list[Any]:
    kinds: list[Any] = [ProblemDetails, LoggedEvent, OutputPart]
    for route in ROUTES:
        kinds += [kind for kind in route.answers.values() if not isinstance(kind, str)]
        kinds += [route.body] * (route.body is not None)
    return list({repr(kind): kind for kind in kinds}.values())


def _operation(route: Route, schemas: Schema) -> Schema:
    operation: Schema = {
        "operationId": f"{route.handle.__module__.rpartition('.')[2]}_{route.handle.__name__}",
        "summary": route.summary,
        "description": inspect.getdoc(route.handle) or "",
        "tags": [route.path.split("/")[1].partition(".")[0]],
    }
    if route.open:
        operation["security"] = [{}, {"bearer": []}, {"apiKey": []}]
    elif route.browser:
        operation["security"] = [{"bearer": []}, {"apiKey": []}, {"basic": []}]
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        content: Schema = {JSON: {"schema": _body(route, schemas)}}
        operation["requestBody"] = {"required": not route.optional_body, "content": content}
    operation["responses"] = _responses(route, schemas)
    return operation


def _body(route: Route, schemas: Schema) -> Schema:
    schema: Schema = schemas[repr(route.body)]
    if route.path == "/tasks":  # on `cca.tasks.<role>` the subject says it; here nothing else does
        return {"allOf": [schema], "required": ["role"]}
    return schema


def _parameters(route: Route) -> list[Schema]:
    found: list[Schema] = []
    for name in re.findall(r"{(\w+)}", route.path):
        one = PARAMETERS[name]
        found.append(
            {"name": name, "in": "path", "required": True, "description": one.description, "schema": one.schema}
        )
    if route.query is not None:
        found += _query_parameters(route.query)
    for name, description in route.headers.items():
        found.append({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
    return found


def _query_parameters(kind: type[Struct]) -> list[Schema]:
    _, components = msgspec.json.schema_components([kind], ref_template=TEMPLATE)
    found = []
    for name, schema in components[kind.__name__]["properties"].items():
        default = schema.pop("default", None)
        # What may be left out need not be null as well.
        schema = next((one for one in schema.get("anyOf", ()) if one != {"type": "null"}), schema)
        description = schema.pop("description", None)
        if default not in (None, [], ()):
            schema["default"] = default
        parameter: Schema = {"name": name, "in": "query", "schema": schema}
        if description:
            parameter["description"] = description
        found.append(parameter)
    return found


def _responses(route: Route, schemas: Schema) -> Schema:
    found: Schema = {}
    for status, kind in route.answers.items():
        media_type, schema = (kind, {}) if isinstance(kind, str) else (JSON, schemas[repr(kind)])
        content = {media_type: {"schema": schema}}
        if route.streams:
            content[EVENT_STREAM] = {"schema": {"type": "string"}}
        found[str(status)] = {"description": REASONS[status], "content": content}
        if route.gives:
            texts = {name: {"description": text, "schema": {"type": "string"}} for name, text in route.gives.items()}
            found[str(status)]["headers"] = texts
    if route.method == "GET" and "ETag" in route.gives:
        found["304"] = {"description": UNCHANGED}
    if route.streams:
        found["204"] = {"description": REASONS[204] + ": do not reconnect"}
    codes: tuple[str, ...] = ("internal",) if route.open else ALWAYS
    codes += WITH_BODY * (route.body is not None) + ("invalid",) * (route.query is not None) + route.refusals
    for status in sorted({KINDS[code][0] for code in codes}):
        found.setdefault(str(status), {"$ref": f"#/components/responses/{_problem_name(status)}"})
    return found


def _statuses() -> list[int]:
    return sorted({status for status, _ in KINDS.values()})


def _problem_name(status: int) -> str:
    return f"Problem{status}"


def _problem(status: int) -> Schema:
    kinds = [f"`{TYPE}{code}`: {title.lower()}" for code, (number, title) in KINDS.items() if number == status]
    schema = {"$ref": TEMPLATE.format(name="ProblemDetails")}
    return {"description": "; ".join(kinds), "content": {MEDIA_TYPE: {"schema": schema}}}


def _portable(value: Any) -> Any:
    """Without what belongs to Python: the indentation of docstrings, its own way to end a pattern, and modules."""
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: inspect.cleandoc(item)
        if key == "description" and isinstance(item, str)
        else item.replace(r"$(?!\n)", "$")
        if key == "pattern" and isinstance(item, str)
        else TEMPLATE.format(name=_name(item.removeprefix(TEMPLATE.format(name=""))))
        if key == "$ref" and item.startswith(TEMPLATE.format(name=""))
        else _portable(item)
        for key, item in value.items()
    }


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document())).decode() + "\n")
