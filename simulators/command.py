"""`switchboard simulate`: one service on a port, by its options, until it is cancelled.

It says where the service listens as the setting that leads there, one line each. An option of another service is a
`SimulateError`, as are a scenario, a fault or a certificate that cannot be had (`ScenarioError`, `FaultError`,
`TlsError`). `until_stopped` ends such a program: the first SIGINT or SIGTERM cancels it, the second ends the process at
once. Neither is a `KeyboardInterrupt`, which comes out wherever the program happens to be: hypercorn drops one that is
raised in a request or in a nursery of its own, and the rest of the program goes on. Nor is there one in a process that
a script runs in the background: shells have such a process ignore SIGINT.
"""

import signal
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import ExitStack
from functools import partial
from types import FrameType
from typing import Literal, TypeAlias

import attrs
import trio

from simulators.asgi import HOST, serve_app
from simulators.deepgram import DeepgramKnobs, SpeakSimulator, serve_deepgram
from simulators.deepgram.server import PATH
from simulators.faults import Fault, FaultPlan, parse_faults
from simulators.groq import MODELS, serve_groq
from simulators.scenario import Scenario, load_scenario
from simulators.tls import Certificate, certificate
from simulators.twilio.exchange import TwilioKnobs
from simulators.twilio.serving import api_keys_from, credentials_from, serve_twilio

Service: TypeAlias = Literal["deepgram", "twilio", "groq"]

LAST_PORT = 65535
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SimulateError(Exception):
    """The options do not fit together; the message says which."""


@attrs.frozen(kw_only=True)
class SimulateOptions:
    """Options of one simulator, by the names that they have on the command line."""

    service: Service
    port: int = 0
    scenario: str = "sale"
    fault: Collection[str] | None = None
    tls: bool = False
    no_end_of_turn: bool = attrs.field(default=False, metadata={"of": ("deepgram",)})
    no_latency_reports: bool = attrs.field(default=False, metadata={"of": ("deepgram",)})
    any_flux_version: bool = attrs.field(default=False, metadata={"of": ("deepgram",)})
    cancel_any_call: bool = attrs.field(default=False, metadata={"of": ("deepgram",)})
    forget_on_update: bool = attrs.field(default=False, metadata={"of": ("deepgram",)})
    no_force_end_turn: bool = attrs.field(default=False, metadata={"of": ("deepgram",)})
    plaintext_streams: bool = attrs.field(default=False, metadata={"of": ("twilio",)})
    retire: Collection[str] | None = attrs.field(default=None, metadata={"of": ("deepgram", "groq")})
    offer: Collection[str] | None = attrs.field(default=None, metadata={"of": ("groq",)})

    def check(self) -> None:
        """Refuse a flag of another service.

        *Raises* `SimulateError`.
        """
        for field in attrs.fields(SimulateOptions):
            owners = field.metadata.get("of", (self.service,))
            if getattr(self, field.name) and self.service not in owners:
                flag, owned = field.name.replace("_", "-"), " and ".join(owners)
                raise SimulateError(f"--{flag} is a flag of `switchboard simulate {owned}`, not of {self.service}")


@attrs.frozen
class _Simulation:
    options: SimulateOptions
    environ: Mapping[str, str]
    say: Callable[[str], None]
    scenario: Scenario
    faults: tuple[Fault, ...]
    certificate: Certificate | None

    def origin(self, port: int, scheme: str = "http") -> str:
        return f"{scheme}{'s' if self.certificate else ''}://{HOST}:{port}"

    async def deepgram(self, nursery: trio.Nursery) -> None:
        options, port = self.options, self.options.port
        knobs = DeepgramKnobs(
            sends_end_of_turn=not options.no_end_of_turn,
            sends_latency_reports=not options.no_latency_reports,
            any_flux_version=options.any_flux_version,
            cancels_deferred_calls=options.cancel_any_call,
            think_keeps_history=not options.forget_on_update,
            takes_force_end_turn=not options.no_force_end_turn,
            retired=frozenset(options.retire or ()),
        )
        context = self.certificate.server_context() if self.certificate else None
        serve = partial(serve_deepgram, self.scenario, knobs=knobs, faults=FaultPlan(self.faults), ssl_context=context)
        agents: int = await nursery.start(partial(serve, port=port))
        self.say(f"DEEPGRAM_AGENT_URL={self.origin(agents, 'ws')}{PATH}")
        beside = port + 1 if 0 < port < LAST_PORT else 0
        speak = partial(serve_app, SpeakSimulator(), port=beside, certificate=self.certificate)
        speaks: int = await nursery.start(speak)
        self.say(f"DEEPGRAM_SPEAK_URL={self.origin(speaks)}/v1/speak")

    async def twilio(self, nursery: trio.Nursery) -> None:
        sid, token = credentials_from(self.environ)
        ours = self.environ.get("LEAD_SERVER_EXTERNAL_URL", "").rstrip("/")
        knobs = TwilioKnobs(
            voice_url=f"{ours}/twilio/voice" if ours else "", dials_plaintext=self.options.plaintext_streams
        )
        serve = partial(
            serve_twilio,
            self.scenario,
            account_sid=sid,
            auth_token=token,
            api_keys=api_keys_from(self.environ),
            faults=self.faults,
            knobs=knobs,
        )
        bound: int = await nursery.start(partial(serve, port=self.options.port, certificate=self.certificate))
        self.say(f"TWILIO_API_URL={self.origin(bound)}")
        self.say(f"TWILIO_ACCOUNT_SID={sid}")

    async def groq(self, nursery: trio.Nursery) -> None:
        serve = partial(serve_groq, port=self.options.port, faults=self.faults, certificate=self.certificate)
        offered = (*MODELS, *(self.options.offer or ()))
        bound: int = await nursery.start(partial(serve, offered=offered, retired=self.options.retire or ()))
        self.say(f"GROQ_BASE_URL={self.origin(bound)}")


async def serve_simulator(options: SimulateOptions, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Serve as the options say until cancelled; `say` is given a line for each setting that leads there.

    *Raises* `SimulateError`, `ScenarioError`, `FaultError` or `TlsError`, and `OSError` for a port that is taken.
    """
    options.check()
    scenario = load_scenario(options.scenario)
    faults = (*scenario.faults, *parse_faults(options.fault or ()))
    with ExitStack() as stack:
        issued = stack.enter_context(certificate()) if options.tls else None
        simulation = _Simulation(options, environ, say, scenario, faults, issued)
        starts: Mapping[Service, Callable[[trio.Nursery], Awaitable[None]]] = {
            "deepgram": simulation.deepgram,
            "twilio": simulation.twilio,
            "groq": simulation.groq,
        }
        async with trio.open_nursery() as nursery:
            await starts[options.service](nursery)
            if issued is not None:
                say(f"SSL_CERT_FILE={issued.authority}")


async def until_stopped(work: Callable[[], Awaitable[None]]) -> bool:
    """Run `work` until it is done or a signal cancels it; return whether one did. For the main thread only."""
    scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)  # which waits for nobody, were the loop blocked
        token.run_sync_soon(partial(scope.cancel, reason="a signal"))

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        with scope:
            await work()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return scope.cancelled_caught
