"""The agents of Acme; the first one answers."""

from agents.extras import Demo

from acme.slots import stand_in

ROSTER = (
    ".front_desk",
    ".planner",
)

ENV_PREFIX = "ACME_"
"""Settings that begin like this are for functions, as `context.env`."""

DEMO = Demo(scenario="../scenarios/delivery.toml", http=stand_in, env={"ACME_URL": "https://slots.example.com"})
"""What `switchboard demo` plays, and what answers the functions there and in tests."""
