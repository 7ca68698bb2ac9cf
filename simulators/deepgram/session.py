"""One Voice Agent connection, from the open socket to its end.

`converse` serves one connection: it says `Welcome`, reads the Settings, answers them, and then reads the client's
messages while the mind thinks, the mouth speaks and three clocks run (idleness, the length of the session, the
faults). The nursery in it owns all of that. It returns when the connection is over; a client that
breaks the protocol gets the service's `Error` and a closed socket, never an exception here.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import itemgetter

import attrs
import trio
from trio_websocket import ConnectionClosed

from protocol.deepgram import KeepAlive, ServiceWarning, Settings, SettingsApplied, Welcome
from protocol.errors import RemoteProtocolError
from protocol.wire import WebSocket
from simulators.deepgram.brain import Brain, identify
from simulators.deepgram.calls import OpenCalls
from simulators.deepgram.configuration import Configuration, configure
from simulators.deepgram.conversation import Conversation
from simulators.deepgram.dialogue import ServerState
from simulators.deepgram.ear import MakeHearing, make_ear
from simulators.deepgram.knobs import DeepgramKnobs
from simulators.deepgram.line import ABNORMAL_CLOSURE, Line, SessionOver
from simulators.deepgram.log import Connected, ConnectionLog, ExchangeLog, FaultInjected, Received, Rejected
from simulators.deepgram.messages import FromClient
from simulators.deepgram.models import NOT_AVAILABLE, asks_for_retired
from simulators.deepgram.mouth import Mouth
from simulators.deepgram.thinker import Thinker
from simulators.deepgram.updates import Updates
from simulators.faults import STEPS, Fault, FaultPlan
from simulators.hearing import Recogniser
from simulators.scenario import Scenario
from simulators.sockets import leaves
from simulators.speech import Utterance, synthesise

ODD_MESSAGES = (
    '{"type":"History"}',
    '{"type":"History","role":"user","content":null}',
    '{"type":"History","function_calls":[{"id":"call_1"}]}',
    '{"type":"FunctionCallResponse","id":"call_1","name":"look_up"}',
    '{"type":"FunctionCallResponse","id":1,"name":null,"content":{"ok":true}}',
    '{"type":"LatencyReport","stt_latency":NaN,"total_latency":Infinity}',
    '{"type":"LatencyReport","stt_latency":"soon","tts_latency":[0.1]}',
    '{"type":"AgentThinking"}',
    '{"type":"Warning","code":17}',
    '{"type":"EndOfTurn","trigger":null}',
    '{"type":"PromptUpdated","prompt":{}}',
    '{"type":"TurnPrediction"}',
    '{"type":"ConversationText","content":"Hello."}',
    '{"type":"ConversationText","role":"system","content":"Hello."}',
    '{"type":"FunctionCallRequest","functions":null}',
    '{"type":"FunctionCallCancelled"}',
    "[]",
    "null",
    "",
)
"""What a client cannot act on: reports that are none, and messages without what they must have."""
GARBAGE = '{"type": "ConversationText", "role": "assist'

UNPARSABLE = "UNPARSABLE_CLIENT_MESSAGE"
UNPARSABLE_TEXT = "Text message received from client did not match any of the formats we expect."
SILENT_CLIENT = "We waited too long for a websocket message. "
SEND_AUDIO = "Please ensure that you're sending binary messages containing user speech."
SEND_SETTINGS = "Please ensure that you send a 'Settings' message at the beginning of the session."


class Stalled(Exception):
    """The fault `stall`: from now on nothing is read or said, and the socket stays open."""


def utterances_of(scenario: Scenario) -> tuple[Utterance, ...]:
    caller = scenario.caller
    return tuple(synthesise(line.says, caller.voice) for line in caller.lines if line.says)


@attrs.define(eq=False)
class Session:
    """One connection's life."""

    _line: Line
    _scenario: Scenario
    _make_hearing: MakeHearing
    _conversation: Conversation | None = attrs.field(default=None, init=False)
    _listening: Conversation | None = attrs.field(default=None, init=False)
    """The conversation, once its audio is let through."""
    _configuration: Configuration = attrs.field(factory=Configuration, init=False)
    _settings_read: trio.Event = attrs.field(factory=trio.Event, init=False)
    _open_for_talk: trio.Event = attrs.field(factory=trio.Event, init=False)
    _last_message: float = attrs.field(factory=trio.current_time, init=False)

    async def run(self) -> None:
        """Serve until the connection is over.

        *Raises* groups of `SessionOver`, `Stalled` or `ConnectionClosed`.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._open, nursery)
            nursery.start_soon(self._watch_idleness)
            nursery.start_soon(self._watch_session_length)
            while True:
                frame = await self._line.socket.get_message()
                if self._line.dead:
                    continue
                if isinstance(frame, str):
                    await self._on_text(frame, nursery)
                else:
                    await self._on_audio(frame)

    async def _on_audio(self, audio: bytes) -> None:
        now = self._last_message = trio.current_time()
        self._line.log.audio_received(len(audio), now)
        if self._listening is None:
            self._listening = await self._begin_listening(audio)
        if self._listening is not None:
            await self._listening.hear(audio)

    async def _begin_listening(self, audio: bytes) -> Conversation | None:
        """Admit the first audio of a session: not too early, and in a format that can be heard."""
        if self._line.dialogue.state is not ServerState.CONVERSING:
            await self._take(audio)
        if not self._configuration.input.supported:
            encoding = self._configuration.input.encoding
            await self._line.fail("USER_AUDIO_FORMAT", f"this simulator hears mulaw and linear16, not {encoding}")
        return await self._wait_conversing()

    async def _on_text(self, frame: str, nursery: trio.Nursery) -> None:
        message = await self._take(frame)
        if not isinstance(message, KeepAlive) or self._line.knobs.keep_alive_counts:
            self._last_message = trio.current_time()
        self._line.log.put(Received, message)
        if isinstance(message, Settings):
            self._configuration = configure(message)
            self._conversation = self._make_conversation(self._configuration)
            self._settings_read.set()
        elif not isinstance(message, KeepAlive) and (conversation := await self._wait_conversing()):
            await conversation.receive(message, nursery)

    async def _take(self, frame: str | bytes) -> FromClient:
        """Read one frame by the rules; breaking them ends the session."""
        try:
            message = self._line.dialogue.receive(frame)
            if asks_for_retired(message, self._line.knobs.retired):
                raise RemoteProtocolError(NOT_AVAILABLE, str(frame), code="INVALID_SETTINGS")  # noqa: TRY301 - as if unread
        except RemoteProtocolError as error:
            refusal = error
        else:
            return message
        code = str(refusal.code)
        self._line.log.put(Rejected, code, refusal.reason, refusal.excerpt)
        await self._line.fail(code, UNPARSABLE_TEXT if code == UNPARSABLE else refusal.reason)
        raise refusal

    async def _wait_conversing(self) -> Conversation | None:
        """Leave haste in the queue until the settings are applied; None if a fault prevents that."""
        if not self._open_for_talk.is_set():
            await self._open_for_talk.wait()
        return self._conversation

    def _make_conversation(self, configuration: Configuration) -> Conversation:
        line, mind = self._line, configuration.mind
        line.history = configuration.reports_history
        mouth = Mouth(line, configuration.voice, configuration.output, configuration.experimental)
        brain = Brain(identify(self._scenario, configuration.tags, mind.prompt))
        thinker = Thinker(line, mouth, OpenCalls(line.rng, mind.functions), brain, mind.entries)
        ear = make_ear(self._make_hearing, configuration.input, line.knobs)
        updates = Updates(line, self._scenario, ear, thinker, configuration.flux)
        return Conversation(line, configuration, ear, mouth, thinker, updates)

    async def _open(self, nursery: trio.Nursery) -> None:
        await trio.sleep(self._line.knobs.welcome)
        if self._line.faults.has("no welcome"):
            self._line.log.put(FaultInjected, "no welcome")
            return
        request_id = uuid.UUID(int=self._line.rng.getrandbits(128), version=4)
        await self._line.send(Welcome(request_id=str(request_id)))
        await self._settings_read.wait()
        await trio.sleep(self._line.knobs.settings_applied + self._line.faults.seconds("slow settings"))
        steps = self._line.faults.of(*STEPS)
        instead = [step for step in steps if step.after is None]
        for step in instead:
            await self._act_out(step)
        if instead or self._conversation is None:
            self._conversation = None
            self._open_for_talk.set()
            return
        await self._line.send(SettingsApplied())
        if self._configuration.mind.prompt_too_long:
            await self._line.send(ServiceWarning("PROMPT_TOO_LONG", "the prompt was cut after 25,000 characters"))
        later = sorted(
            ((step.after, step) for step in self._line.faults.of(*STEPS) if step.after is not None), key=itemgetter(0)
        )
        nursery.start_soon(self._act_out_later, later)
        if not any(step.kind == "mute" and not after for after, step in later):
            self._conversation.open(self._line.knobs.greeting + self._line.faults.seconds("slow tts"))
        self._conversation.start(nursery)
        self._open_for_talk.set()

    async def _act_out_later(self, steps: Sequence[tuple[float, Fault]]) -> None:
        applied = trio.current_time()
        for after, step in steps:
            await trio.sleep_until(applied + after)
            await self._act_out(step)

    async def _act_out(self, step: Fault) -> None:
        self._line.log.put(FaultInjected, " ".join(str(part) for part in (step.kind, step.code, step.number) if part))
        match step.kind:
            case "silent drop":
                self._line.fall_silent()
                self._line.dead = True
            case "stall":
                self._line.fall_silent()
                raise Stalled
            case "mute":
                if self._conversation is not None:
                    self._conversation.mute()
            case "garbage":
                await self._line.send_raw(GARBAGE)
            case "odd messages":
                await self._line.send_raw(*ODD_MESSAGES)
            case _:
                await self._end_by(step)

    async def _end_by(self, step: Fault) -> None:
        if step.kind == "error":
            await self._line.fail(step.code, f"{step.code.lower().replace('_', ' ')} (simulated)")
        code = ABNORMAL_CLOSURE if step.kind == "drop" else step.number
        await self._line.close(code, f"{step.kind} by a fault")

    async def _watch_idleness(self) -> None:
        while self._configuration.listens:
            if self._settings_read.is_set() and not self._open_for_talk.is_set():  # its own slowness is no idleness
                await self._open_for_talk.wait()
                self._last_message = trio.current_time()
            deadline = self._last_message + self._line.knobs.idle_timeout
            if trio.current_time() >= deadline:
                hint = SEND_AUDIO if self._settings_read.is_set() else SEND_SETTINGS
                await self._line.fail("CLIENT_MESSAGE_TIMEOUT", SILENT_CLIENT + hint)
            await trio.sleep_until(deadline)

    async def _watch_session_length(self) -> None:
        opened = trio.current_time()
        await trio.sleep_until(opened + self._line.knobs.session_warning)
        approaching = "the session will soon have reached its maximum length"
        await self._line.send(ServiceWarning("MAXIMUM_SESSION_LENGTH_APPROACHING", approaching))
        await trio.sleep_until(opened + self._line.knobs.session_limit)
        await self._line.fail("MAXIMUM_SESSION_LENGTH_REACHED", "the session has reached its maximum length")


async def converse(
    socket: WebSocket,
    scenario: Scenario,
    *,
    connection: int = 1,
    knobs: DeepgramKnobs | None = None,
    faults: FaultPlan | None = None,
    log: ExchangeLog | None = None,
    drop: Callable[[], Awaitable[None]] | None = None,
    fall_silent: Callable[[], None] = lambda: None,
    make_hearing: MakeHearing | None = None,
) -> None:
    """Serve one Voice Agent connection over a WebSocket that is already open, until it is over.

    `make_hearing` makes what understands the caller, if that is to be more than the scenario's lines, byte for byte.
    `drop` loses the TCP connection without a close frame; without it, a dropped connection is closed with 1011.
    `fall_silent` has the socket answer no ping any more.
    *Cancellation* leaves the socket to its owner.
    """
    knobs = knobs or DeepgramKnobs()
    plan = (FaultPlan(scenario.faults) if faults is None else faults).for_connection(connection)
    connection_log = ConnectionLog(log or ExchangeLog(), connection)
    line = Line(socket, knobs, plan, connection_log, drop or partial(socket.aclose, 1011), fall_silent)
    connection_log.put(Connected)
    byte_for_byte: MakeHearing = lambda pause: Recogniser(utterances_of(scenario), pause=pause)  # noqa: E731
    stalled = False
    try:
        await Session(line, scenario, make_hearing or byte_for_byte).run()
    except* SessionOver:
        pass
    except* ConnectionClosed as closed:
        _note_closing(connection_log, closed)
    except* Stalled:
        stalled = True
    finally:
        connection_log.flush()
    if stalled:
        await trio.sleep_forever()


def _note_closing(connection_log: ConnectionLog, group: BaseExceptionGroup[ConnectionClosed]) -> None:
    first = leaves(group)[0]
    reason = first.reason if isinstance(first, ConnectionClosed) else None
    connection_log.closed(reason.code if reason else ABNORMAL_CLOSURE, "client")
