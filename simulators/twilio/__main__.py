"""`python -m simulators.twilio [SCENARIO] [PORT]`: the simulated Twilio, by hand.

The account is `TWILIO_ACCOUNT_SID` and `TWILIO_AUTH_TOKEN` of the environment, or the simulator's documented defaults.
"""

import sys
from collections.abc import Sequence
from functools import partial

import trio

from simulators.scenario import load_scenario
from simulators.twilio.log import LogEntry
from simulators.twilio.serving import api_keys_from, credentials_from, serve_twilio

DEFAULTS = ("sale", "8321")


def show(sid: str, entry: LogEntry) -> None:
    """Print one entry of a call's log."""
    print(sid[:10], entry)  # noqa: T201 # run by hand


async def main(arguments: Sequence[str]) -> None:
    """Serve the scenario until interrupted."""
    scenario, port = (*arguments, *DEFAULTS[len(arguments) :])[:2]
    account_sid, auth_token = credentials_from()
    serve = partial(
        serve_twilio,
        load_scenario(scenario),
        port=int(port),
        account_sid=account_sid,
        auth_token=auth_token,
        api_keys=api_keys_from(),
        observe=show,
    )
    async with trio.open_nursery() as nursery:
        bound: int = await nursery.start(serve)
        print(f"TWILIO_API_URL=http://127.0.0.1:{bound} TWILIO_ACCOUNT_SID={account_sid}")  # noqa: T201 # run by hand


if __name__ == "__main__":
    trio.run(main, sys.argv[1:3])
