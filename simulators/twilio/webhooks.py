"""Requests from Twilio to the server: signed, form-encoded, patient for fifteen seconds.

`WebhookSender` owns no connection pool: the HTTP client is given, so that tests stay in memory. A server that does not
answer, or answers with an error, is a value (`WebhookAnswer` with status 0 or the error), never an exception.
Signature: https://www.twilio.com/docs/usage/security; limits: https://www.twilio.com/docs/usage/webhooks.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

import attrs
import httpx
import trio
from twilio.request_validator import RequestValidator

from simulators.twilio.log import CallLog, WebhookAnswered

PATIENCE: Final = 15.0


def is_web(url: str) -> bool:
    """Say whether a URL is absolute and can be asked."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are no address, a port that is no number
        return False


@attrs.frozen
class WebhookAnswer:
    """The server's answer; status 0 means that there was none."""

    status: int
    text: str
    url: str

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


@attrs.define
class WebhookSender:
    """Signs and sends webhooks with one account's auth token."""

    client: httpx.AsyncClient
    auth_token: str

    def sign(self, url: str, params: Mapping[str, str]) -> str:
        signature: str = RequestValidator(self.auth_token).compute_signature(url, dict(params))
        return signature

    async def send(
        self, log: CallLog, purpose: str, url: str, params: Mapping[str, str], method: str = "POST"
    ) -> WebhookAnswer:
        target = url.partition("#")[0]
        answer = WebhookAnswer(0, "", target)
        with trio.move_on_after(PATIENCE if is_web(target) else 0.0):
            answer = await self._request(target, params, method)
        log.put(WebhookAnswered(trio.current_time(), purpose, target, answer.status))
        return answer

    async def _request(self, url: str, params: Mapping[str, str], method: str) -> WebhookAnswer:
        if method == "GET":
            url += ("&" if "?" in url else "?") + urlencode(params)
        signed = {} if method == "GET" else params
        headers = {
            "X-Twilio-Signature": self.sign(url, signed),
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": "00000000-0000-0000-0000-000000000000",
        }
        try:
            if method == "GET":
                response = await self.client.get(url, headers=headers)
            else:
                response = await self.client.post(url, data=dict(params), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return WebhookAnswer(0, "", url)
        return WebhookAnswer(response.status_code, response.text, url)
