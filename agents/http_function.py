"""A function that asks an HTTP service, as data: `http_function(name, description, url, …)`.

Arguments take the places of `{blanks}` in the path and the query of the URL, escaped; those without a blank are sent as
the query of a GET, or as the JSON body of everything else. Blanks in capitals, in the URL and in headers, are settings
(`CallContext.env`). No argument can change the scheme, the host or the folder that is asked, and no redirect is
followed. What goes wrong is told to the model in a sentence; nothing is asked twice.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, cast, get_args
from urllib.parse import quote

import attrs
import httpx
import orjson
import trio

from agents.arguments import json_names, json_of
from agents.context import CallContext
from agents.functions import MAYBE_DONE, Answer, FunctionFailed, FunctionSpec, Outcome
from agents.spec import blanks_of
from agents.spec_types import problem_with
from protocol.fields import JSON, split_url, text_or_json, why_no_headers

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

LARGEST_RESPONSE: Final = 65_536
LONGEST_TEXT: Final = 4_000
_UNSENT: Final = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
    *(httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError),
)
"""The last one is of a host's name."""
_DONE: Final[JSON] = {"done": True}
_ENV: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_ORIGIN: Final = re.compile(r"https?://[^/?#{}@\s]+(?=[/?]|$)|\{[A-Z][A-Z0-9_]*\}(?=[/?]|$)")


@attrs.frozen
class _HttpRequest:
    """How one function asks its service."""

    name: str
    url: str
    method: Method
    headers: Mapping[str, str]
    timeout: float
    facts: Mapping[str, str]

    async def __call__(self, arguments: object, context: CallContext) -> Outcome:
        """Ask, and tell the model what the service answered. *Raises* `FunctionFailed`."""
        given = cast("Mapping[str, JSON]", json_of(arguments))
        sent = {name: value for name, value in given.items() if value is not None}
        url = self._filled(self.url, sent, context)
        headers = {name: self._filled(value, {}, context) for name, value in self.headers.items()}
        if why := why_no_headers(headers):
            raise FunctionFailed(f"{self.name} is not set up.", f"headers: {why}")
        rest = {name: value for name, value in sent.items() if name not in blanks_of(self.url)}
        content = self._read(*await self._ask(url, headers, rest, context.http))
        told = content if isinstance(content, dict) else {}
        facts = {fact: text_or_json(told[key]) for fact, key in self.facts.items() if told.get(key) not in (None, "")}
        return Answer(content, facts)

    async def _ask(
        self, url: str, headers: Mapping[str, str], rest: Mapping[str, JSON], http: httpx.AsyncClient
    ) -> tuple[str, str]:
        try:
            if self.method == "GET":
                query = {name: text_or_json(value) for name, value in rest.items()}
                request = http.build_request(self.method, httpx.URL(url).copy_merge_params(query), headers=headers)
            else:
                request = http.build_request(self.method, url, headers=headers, json=dict(rest) if rest else None)
            with trio.move_on_after(self.timeout):
                return await self._send(request, http)
        except (*_UNSENT, httpx.HTTPError) as exc:
            unsure = "" if isinstance(exc, _UNSENT) else self._unsure
            raise FunctionFailed(f"The service of {self.name} cannot be reached.{unsure}", type(exc).__name__) from exc
        raise FunctionFailed(f"The service of {self.name} did not answer within {self.timeout:g} s.{self._unsure}")

    @property
    def _unsure(self) -> str:
        """Words for the model, where what was asked for may have been done."""
        return "" if self.method == "GET" else f" {MAYBE_DONE}"

    async def _send(self, request: httpx.Request, http: httpx.AsyncClient) -> tuple[str, str]:
        response = await http.send(request, stream=True, follow_redirects=False)
        try:
            if not response.is_success:
                why = f"{response.status_code} {response.reason_phrase}".rstrip()
                unsure = self._unsure if response.is_server_error else ""
                raise FunctionFailed(f"The service of {self.name} answered {why}.{unsure}")
            body = b""
            async for chunk in response.aiter_bytes():
                if len(body) <= LARGEST_RESPONSE:
                    body += chunk
        finally:
            await response.aclose()
        if len(body) > LARGEST_RESPONSE:
            if self.method != "GET":
                return "", ""
            raise FunctionFailed(f"The service of {self.name} answered more than can be told.")
        return _decoded(body, response.charset_encoding or "utf-8"), response.headers.get("content-type", "")

    def _read(self, text: str, content_type: str) -> JSON:
        if not text.strip():
            return _DONE
        try:
            value: JSON = orjson.loads(text)
        except orjson.JSONDecodeError as exc:
            if content_type.startswith("text/plain"):
                return text[:LONGEST_TEXT]
            if self.method != "GET":  # whatever it says, it has done it
                return _DONE
            raise FunctionFailed("The service answered something that cannot be read.", content_type) from exc
        return value

    def _filled(self, template: str, sent: Mapping[str, JSON], context: CallContext) -> str:
        values = {name: _escaped(name, value, template) for name, value in sent.items() if name in blanks_of(template)}
        for name in blanks_of(template):
            if _ENV.fullmatch(name):
                if not context.env.get(name):
                    raise FunctionFailed(f"{self.name} is not set up.", f"the setting {name} is missing")
                values[name] = context.env[name].rstrip("/")
            elif name not in values:
                raise FunctionFailed(f"{self.name} cannot be done without `{name}`.")
        return template.format(**values)


def http_function(
    name: str,
    description: str,
    url: str,
    *,
    arguments: type[object],
    method: Method = "GET",
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
    facts: Mapping[str, str] | None = None,
    defer_until_eot: bool | None = None,
) -> FunctionSpec:
    """Make a function of an agent that asks an HTTP service; `timeout` is in seconds.

    `facts` names the facts to keep for the next agents, each by its key in the service's answer. What is not a GET
    cannot be taken back: it waits for the end of the caller's turn unless `defer_until_eot` says otherwise.

    *Raises* `ValueError` for a URL whose scheme or host an argument could change, blanks that are no arguments, another
    method, or no time.
    """
    if method not in get_args(Method):
        raise ValueError(f"method: {method!r} is not one of {', '.join(get_args(Method))}")
    if problem_with(timeout, "timeout", float) or not timeout > 0:
        raise ValueError(f"timeout: {timeout!r} is not more than 0 seconds")
    for field, given in (("headers", headers), ("facts", facts)):
        if problem_with(given or {}, field, Mapping[str, str]):
            raise ValueError(f"{field}: {given!r} is no dict of texts")
    _refuse_url(url, arguments)
    if why := why_no_headers(headers or {}):
        raise ValueError(f"headers: {why}")
    for value in (headers or {}).values():
        if odd := [blank for blank in blanks_of(value) if not _ENV.fullmatch(blank)]:
            raise ValueError(f"headers: {{{odd[0]}}} is no setting: no argument is sent in a header")
    request = _HttpRequest(name, url, method, dict(headers or {}), timeout, dict(facts or {}))
    return FunctionSpec(
        name=name,
        description=description,
        arguments=arguments,
        handler=request,
        defer_until_eot=method != "GET" if defer_until_eot is None else defer_until_eot,
        deadline=timeout + 1.0,
    )


def settings_of(function: FunctionSpec) -> Sequence[str]:
    """Return the names of the settings that a function of `http_function` needs; of another function, none."""
    request = function.handler
    texts = (request.url, *request.headers.values()) if isinstance(request, _HttpRequest) else ()
    return list(filter(_ENV.fullmatch, dict.fromkeys(blank for text in texts for blank in blanks_of(text))))


def _refuse_url(url: str, arguments: type[object]) -> None:
    try:
        blanks = blanks_of(url)
    except ValueError as error:
        raise ValueError(f"url: {url!r} cannot be read: {error}") from error
    origin = _ORIGIN.match(url)
    if origin is None:
        wanted = "begin with https://HOST/ or {A_SETTING}/, and put blanks for arguments behind the host"
        raise ValueError(f"url: {url!r}: {wanted}")
    if not origin[0].startswith("{"):
        split_url(origin[0], ("https", "http"), f"url: {url!r} has no host that can be asked")
    known = json_names(arguments)
    for blank in blanks:
        if not _ENV.fullmatch(blank) and blank not in known:
            raise ValueError(f"url: {{{blank}}} is no argument of {arguments.__name__}")


def _escaped(name: str, value: JSON, template: str) -> str:
    text = text_or_json(value)
    in_path = f"{{{name}}}" in template.partition("?")[0]
    if in_path and text.strip(".") == "":
        raise FunctionFailed(f"`{name}` cannot be {text!r}.")
    return quote(text, safe="")


def _decoded(body: bytes, charset: str) -> str:
    """Decode what was answered; some services put a byte order mark before it, or name a charset that there is not."""
    try:
        text = body.decode(charset, errors="replace")
    except (LookupError, UnicodeError):
        text = body.decode(errors="replace")
    return text.removeprefix("\ufeff")
