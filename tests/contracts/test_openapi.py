"""`openapi.json` is made by the gateway, holds every route, and all its references lead somewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cca_gateway.routes import BASE, ROUTES

FILE = Path(__file__).parents[2] / "schemas" / "openapi.json"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from parts(item)


def operations(document: Any) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_every_route_is_in_the_document_and_nothing_else(document: Any) -> None:
    assert set(operations(document)) == {(route.method, BASE + route.path) for route in ROUTES}


def test_every_operation_has_a_name_of_its_own(document: Any) -> None:
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere(document: Any) -> None:
    for part in parts(document):
        if isinstance(pointer := part.get("$ref"), str):
            found = document
            for word in pointer.removeprefix("#/").split("/"):
                found = found[word]
            assert isinstance(found, dict)


def test_every_parameter_of_a_path_is_described(document: Any) -> None:
    for (_, path), operation in operations(document).items():
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert set(re.findall(r"{(\w+)}", path)) == named


def test_the_schemas_are_valid(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")  # whose schemas are JSON Schema 2020-12
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_operation_says_what_happens_without_a_key(document: Any) -> None:
    for operation in operations(document).values():
        assert "401" in operation["responses"] or {} in operation["security"]
