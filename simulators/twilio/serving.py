"""The simulated Twilio on a real port, for a server that is given `TWILIO_API_URL`.

`serve_twilio` owns the HTTP client for the webhooks, the simulator's calls and the listening port; all end with it.
The webhook deadline is the simulator's own, so the client has none.
"""

import os
import secrets
from collections.abc import Mapping

import httpx
import trio

from simulators.asgi import serve_app
from simulators.faults import Fault
from simulators.scenario import Scenario
from simulators.tls import Certificate
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.rest import TwilioSimulator

DEFAULT_ACCOUNT_SID = "AC" + "0" * 32
DEFAULT_AUTH_TOKEN = "simulated-auth-token"  # noqa: S105 # a documented default of a simulator


def credentials_from(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return the account SID and auth token that the environment names (the newer of two), or documented defaults."""
    return (
        environ.get("TWILIO_ACCOUNT_SID") or DEFAULT_ACCOUNT_SID,
        environ.get("TWILIO_AUTH_TOKEN", "").partition(",")[0].strip() or DEFAULT_AUTH_TOKEN,
    )


def api_keys_from(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the secret of the API key that the environment names, if it names one."""
    sid, secret = environ.get("TWILIO_API_KEY"), environ.get("TWILIO_API_SECRET")
    return {sid: secret} if sid and secret else {}


async def serve_simulator(
    simulator: TwilioSimulator,
    *,
    port: int = 0,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a simulator you keep hold of, calls included, until cancelled; reports the bound port."""
    async with trio.open_nursery() as calls:
        await calls.start(simulator.run)
        await serve_app(simulator, port=port, certificate=certificate, task_status=task_status)


async def serve_twilio(
    scenario: Scenario,
    *,
    port: int = 0,
    account_sid: str = DEFAULT_ACCOUNT_SID,
    auth_token: str = DEFAULT_AUTH_TOKEN,
    api_keys: Mapping[str, str] | None = None,
    knobs: TwilioKnobs | None = None,
    faults: tuple[Fault, ...] | None = None,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a simulated Twilio until cancelled; reports the bound port.

    `certificate` is what the REST API is served with. `faults` replace the scenario's.
    """
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113
        simulator = TwilioSimulator(
            scenario,
            client,
            account_sid,
            auth_token,
            knobs or TwilioKnobs(),
            faults,
            api_keys=api_keys or {},
            seed=secrets.token_hex(8),  # the server may remember the calls of another run by their SIDs
        )
        await serve_simulator(simulator, port=port, certificate=certificate, task_status=task_status)
