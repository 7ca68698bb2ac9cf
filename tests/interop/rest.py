"""HTTP requests and answers against the OpenAPI documents of the services: what was asked, how, and what came back."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs
import httpx
import orjson

from tests.interop.oracle import Difference, Oracle, Schema, Source, read_spec

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@attrs.define(eq=False)
class Recorder(httpx.AsyncBaseTransport):
    """A transport that keeps what goes through it."""

    inner: httpx.AsyncBaseTransport
    kept: list[tuple[httpx.Request, httpx.Response]] = attrs.field(factory=list, init=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on, and keep it with its answer."""
        response = await self.inner.handle_async_request(request)
        await response.aread()
        self.kept.append((request, response))
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(response.content))


@attrs.define(eq=False)
class RestOracle:
    """One OpenAPI document."""

    source: Source
    spec: Schema

    @classmethod
    def of(cls, source: Source, name: str) -> "RestOracle":
        """Read one of the official specs."""
        return cls(source, read_spec(name))

    def differences(self, request: httpx.Request, response: httpx.Response) -> set[Difference]:
        """Compare one exchange: its query, its body, and its answer, if that is no refusal."""
        template = next((path for path in self.spec["paths"] if _matches(path, request.url.path)), "")
        operation = self.spec["paths"].get(template, {}).get(request.method.lower())
        said = f"{request.method} {re.sub(r'.*/Accounts/{AccountSid}', '', template) or request.url.path}"
        if operation is None:
            return {Difference(self.source, said, "", "unknown message")}
        parts = dict(self._parts(operation, request, response))
        schemas = {f"{said} {part}": schema for part, (schema, _) in parts.items()}
        oracle = Oracle(self.source, {"components": self.spec["components"]}, schemas)
        return {
            difference
            for part, (_, value) in parts.items()
            for difference in oracle.differences(f"{said} {part}", value)
        }

    def _parts(
        self, operation: Schema, request: httpx.Request, response: httpx.Response
    ) -> Iterator[tuple[str, tuple[Schema, object]]]:
        query = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        asked = parse_qsl(request.url.query.decode(), keep_blank_values=True)
        yield "query", ({"type": "object", "properties": query or {"": {}}}, self._typed(asked, query))
        content = operation.get("requestBody", {}).get("content", {})
        if FORM in content:
            schema = content[FORM]["schema"]
            form = self._typed(parse_qsl(request.content.decode(), keep_blank_values=True), schema["properties"])
            yield "form", (schema, form)
        elif JSON in content:
            yield "body", (content[JSON]["schema"], orjson.loads(request.content))
        answers = operation["responses"].get(str(response.status_code), {}).get("content", {})
        if JSON in answers and response.headers["content-type"].startswith(JSON):
            yield "answer", (answers[JSON]["schema"], orjson.loads(response.content))

    def _typed(self, pairs: list[tuple[str, str]], properties: Mapping[str, Schema]) -> dict[str, object]:
        """Read the pairs of a form or query as the types that the spec gives them."""
        typed: dict[str, Any] = {}
        for name, text in pairs:
            schema = self._resolved(properties.get(name, {}))
            if schema.get("type") == "array":
                typed.setdefault(name, []).append(text)
            else:
                typed[name] = _value(text, schema)
        return typed

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", template.replace(".", r"\.")), path) is not None


def _value(text: str, schema: Schema) -> object:
    match schema.get("type"):
        case "integer" if re.fullmatch(r"-?[0-9]+", text):
            return int(text)
        case "number" if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
            return float(text)
        case "boolean" if text in {"true", "false"}:
            return text == "true"
        case _:
            return text
