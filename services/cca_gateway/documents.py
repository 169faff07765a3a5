"""The interface described: for programs as OpenAPI, for people as one page that needs nothing from elsewhere."""

from html import escape
from typing import Any

import msgspec
from aiohttp import web

from cca_gateway.call import Call
from cca_gateway.gateway import Gateway

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; --edge: #8885; --soft: #8882; --blue: #2563eb; --green: #15803d; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.85rem/1.5 ui-monospace, monospace; } pre { overflow: auto; background: var(--soft); padding: 1rem; }
details { border: 1px solid var(--edge); border-radius: 6px; margin: 0.4rem 0; padding: 0.4rem 0.8rem; }
summary { cursor: pointer; } summary code { font-weight: 600; } h2 { margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--edge); padding: 0.3rem 0.6rem 0.3rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; }
.get { color: var(--blue); } .post { color: var(--green); }
"""


async def openapi_json(gateway: Gateway, call: Call) -> web.Response:
    """The OpenAPI document."""
    return call.answer(gateway.openapi, headers={"Cache-Control": "private, max-age=60"})


async def page(gateway: Gateway, call: Call) -> web.Response:
    """The page. Its policy lets it run and load nothing."""
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return call.answer(gateway.docs, headers=headers, media_type="text/html; charset=utf-8")


def html(document: dict[str, Any]) -> bytes:
    """The page that shows an OpenAPI document."""
    info = document["info"]
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
        f"<p>{escape(info['summary'])}</p><p>{_prose(info['description'])}</p>"
        f'<p>As a document: <a href="openapi.json">openapi.json</a> (OpenAPI {escape(document["openapi"])}).</p>'
        f"<h2>Routes</h2>{''.join(operations)}<h2>Schemas</h2>{''.join(schemas)}</body></html>"
    )
    return text.encode()


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        _row(f"{one['name']} ({one['in']})", one.get("description") or _type(one["schema"]))
        for one in operation.get("parameters", ())
    ]
    if body := operation.get("requestBody"):
        rows += [_row("body", _type(content["schema"])) for content in body["content"].values()]
    rows += [_row(status, _answer(answer)) for status, answer in operation["responses"].items()]
    return (
        f'<details><summary><code class="{escape(method)}">{escape(method.upper())}</code> '
        f"<code>{escape(path)}</code> — {_prose(operation['summary'])}</summary>"
        f"<p>{_prose(operation['description'])}</p><table>{''.join(rows)}</table></details>"
    )


def _answer(answer: dict[str, Any]) -> str:
    if "$ref" in answer:
        return f"a problem: {answer['$ref'].rpartition('/')[2]}"
    content = answer.get("content", {})
    forms = [f"{form}: {_type(one['schema'])}" if one["schema"] else form for form, one in content.items()]
    return ", ".join([str(answer["description"]), *forms])


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "allOf" in schema:
        return ", with ".join([_type(schema["allOf"][0]), *(f"`{name}`" for name in schema.get("required", ()))])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limits = [f"{name} {schema[name]}" for name in ("minimum", "maximum", "maxLength", "pattern") if name in schema]
    return ", ".join([str(schema.get("description") or schema.get("type", "anything")), *limits])


def _schema(name: str, schema: dict[str, Any]) -> str:
    text = msgspec.json.format(msgspec.json.encode(schema)).decode()
    return f"<details><summary><code>{escape(name)}</code></summary><pre>{escape(text)}</pre></details>"


def _row(name: str, text: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{_prose(text)}</td></tr>"


def _prose(text: str) -> str:
    """Text with code between backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
