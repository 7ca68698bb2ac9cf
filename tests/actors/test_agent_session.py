"""One session alone: the service on one side, the call's state and the mailboxes on the other."""

import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import attrs
import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.errors import AgentUnavailable
from actors.facts import (
    BargeIn,
    FrameRefused,
    FunctionAnswered,
    FunctionCalled,
    FunctionWithdrawn,
    GoodbyeHeard,
    GoodbyeStarted,
    HandoffAsked,
    LatencyReported,
    ReplyEnded,
    ReplyText,
    SessionReady,
    TurnCutOff,
    TurnHeard,
    Unrecognised,
    UserStartedSpeaking,
    WarningReported,
)
from actors.messages import AskHandoff, ToSupervisor, WithdrawHandoff, WriteBrief
from actors.policy import CallPolicy, Deadlines, RestartPolicy
from actors.session.agent_session import AgentSession
from actors.session.opening import AgentOnCall, Opening, SettingsForm
from actors.supervision import Crashed, RestartBudget, contain
from actors.turn.effects import (
    EndConversation,
    Gate,
    Listening,
)
from actors.turn.events import FloorGiven, KeysEntered, Signal, VoiceEnded
from agents.functions import HandOff
from agents.sentences import ENGLISH
from agents.spec import AS_THE_SERVER, AgentOptions
from protocol.audio import FRAME_BYTES, SILENCE, silence
from protocol.deepgram import (
    AgentAudioDone,
    AgentThinking,
    CancelledCall,
    ClientMessage,
    CompletedCall,
    EndOfTurn,
    ErrorReported,
    ForceEndTurn,
    FunctionCallCancelled,
    FunctionCallResponse,
    HistoryCalls,
    HistoryText,
    InjectionRefused,
    InjectUserMessage,
    KeepAlive,
    LatencyReport,
    ServerMessage,
    ServiceWarning,
    Settings,
    SettingsApplied,
    Welcome,
)
from protocol.deepgram import (
    UserStartedSpeaking as SpeechStarted,
)
from protocol.deepgram.messages import IGNORED
from simulators.memory import MemoryWebSocket
from tests.actors.fakes import (
    END,
    HAND_OFF,
    PATIENCE,
    ROSTER,
    FarEnd,
    Line,
    Service,
    Speaker,
    Watched,
    calls,
    heard,
    says,
    speech,
    words,
)
from tests.examples import one_in

LATE_VOICE = CallPolicy().deadlines.late_voice
ASKED = '{"error":"no"}'


@attrs.define(eq=False)
class Scene:
    """One session, and everything around it."""

    watched: Watched
    line: Line
    session: AgentSession
    service: Service
    far: FarEnd = attrs.field(init=False)
    outcome: Crashed | None = None
    over: trio.Event = attrs.field(factory=trio.Event)

    @property
    def supervisor(self) -> trio.MemoryReceiveChannel[ToSupervisor]:
        return self.watched.state.mail.supervisor

    @property
    def summarizer(self) -> trio.MemoryReceiveChannel[WriteBrief]:
        return self.watched.state.mail.summarizer

    async def run(self) -> None:
        self.outcome = await contain(self.session.run, self._take_floor)
        self.over.set()

    def _take_floor(self) -> None:
        state, opening = self.watched.state, self.session.opening
        state.ledger.grant(self.session.voice)
        state.turn.session, state.turn.speaker = self.session, self.session.agent
        state.turn.put(FloorGiven(opening.owes, opening.ask or ""))

    async def ended(self) -> Crashed | None:
        with trio.fail_after(PATIENCE):
            await self.over.wait()
        return self.outcome

    async def concluded(self) -> EndConversation:
        with trio.fail_after(PATIENCE):
            return await self.watched.concluded()

    async def settle(self) -> None:
        await wait_all_tasks_blocked()

    def begin_voice(self) -> None:
        """Let the caller's line become loud."""
        self.watched.state.turn.put(Signal.VOICE_BEGAN)

    def end_voice(self) -> None:
        """Let it fall silent."""
        self.watched.state.turn.put(VoiceEnded(trio.current_time()))

    async def asked_handoff(self) -> AskHandoff:
        with trio.fail_after(PATIENCE):
            message = await self.supervisor.receive()
        assert isinstance(message, AskHandoff)
        return message

    @property
    def replies(self) -> list[str]:
        return [fact.heard for fact in self.watched.facts(ReplyEnded)]


def set_scene(
    policy: CallPolicy | None = None,
    *,
    ask: str | None = None,
    deaf: bool = False,
    options: AgentOptions = AS_THE_SERVER,
) -> Scene:
    watched, service = Watched(policy or CallPolicy(), caller_turns=1), Service()
    agent = attrs.evolve(ROSTER.agents["first"], options=options)

    async def settings() -> Settings:
        await trio.lowlevel.checkpoint()
        return SettingsForm("CA1").fresh(agent, None)

    on_call = AgentOnCall(agent, RestartBudget(RestartPolicy(), Random(0)))
    session = AgentSession(watched.state, on_call, 1, Opening(settings, lambda: 0, ask), service.connect)
    line = Line(watched.state.ledger, watched.state.turn, deaf)
    return Scene(watched, line, session, service)


@asynccontextmanager
async def on_the_floor(
    policy: CallPolicy | None = None,
    *,
    ask: str | None = None,
    deaf: bool = False,
    options: AgentOptions = AS_THE_SERVER,
) -> AsyncIterator[Scene]:
    """Play a session that has the floor; whatever is left of it at the end of the test is cancelled."""
    scene = set_scene(policy, ask=ask, deaf=deaf, options=options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        nursery.start_soon(scene.line.run)
        nursery.start_soon(scene.watched.state.turn.run)
        scene.far = await scene.service.live()
        yield scene
        nursery.cancel_scope.cancel(reason="end of the test")


def answer(message: FunctionCallResponse) -> dict[str, object]:
    content: dict[str, object] = orjson.loads(message.content)
    return content


# Getting ready


async def test_a_session_is_ready_when_its_settings_are_applied_and_says_how_long_it_took(
    autojump_clock: MockClock,
) -> None:
    scene = set_scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        far = await scene.service.answer()
        await trio.sleep(0.25)
        await far.say(Welcome("request-7"))
        settings = await far.hear(Settings)
        await trio.sleep(0.5)

        assert scene.watched.facts(SessionReady) == []
        assert scene.watched.state.ledger.floor is None
        await far.say(SettingsApplied())
        await scene.settle()
        assert [SessionReady("first", 1, "request-7", 0.75)] == scene.watched.facts(SessionReady)
        assert scene.watched.state.ledger.floor is scene.session.voice
        assert settings.agent is not None
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("early", one_in(4, [3, 1, 2, 0]))
async def test_what_comes_before_the_settings_are_applied_is_heard_all_the_same(
    early: int, autojump_clock: MockClock
) -> None:
    greeting: list[ServerMessage] = [words(0.5), says("Hello there."), words(0.5), AgentAudioDone()]
    scene = set_scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        nursery.start_soon(scene.line.run)
        nursery.start_soon(scene.watched.state.turn.run)
        far = await scene.service.answer()
        await far.say(Welcome("request"))
        await far.hear(Settings)
        await far.say(*greeting[:early], SettingsApplied(), *greeting[early:])
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert (scene.line.played, scene.replies) == (1.0, ["Hello there."])


async def test_nothing_but_the_settings_is_said_before_they_are_applied(autojump_clock: MockClock) -> None:
    scene = set_scene()
    scene.watched.state.tape.append(speech(8))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        far = await scene.service.answer()
        await far.hear_for(3)
        unwelcomed = list(far.heard)
        await far.say(Welcome("request"))
        await far.hear_for(3)
        nursery.cancel_scope.cancel()

    assert unwelcomed == []
    assert [Settings] == [type(message) for message in far.heard]
    assert not far.audio


@pytest.mark.parametrize("welcomed", [False, True])
async def test_a_session_that_never_gets_ready_waits_until_its_starter_gives_up(
    welcomed: bool, autojump_clock: MockClock
) -> None:
    scene = set_scene()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(5) as starter:
            nursery.start_soon(_welcome_only if welcomed else _stay_mute, scene)
            await scene.run()

    assert starter.cancelled_caught
    assert trio.current_time() == pytest.approx(5)
    assert scene.service.open == 0


async def _stay_mute(scene: Scene) -> None:
    await scene.service.answer()


async def _welcome_only(scene: Scene) -> None:
    far = await scene.service.answer()
    await far.say(Welcome("request"))


@pytest.mark.parametrize(
    ("said", "retryable"),
    [
        (ErrorReported("INTERNAL_SERVER_ERROR", "sorry"), True),
        (ErrorReported("INVALID_SETTINGS", "bad voice"), False),
    ],
)
async def test_an_error_instead_of_settings_applied_is_raised_as_it_is(
    said: ErrorReported, retryable: bool, autojump_clock: MockClock
) -> None:
    scene = set_scene()

    async def refuse() -> None:
        far = await scene.service.answer()
        await far.say(Welcome("request"))
        await far.hear(Settings)
        await far.say(said)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(AgentUnavailable, match=f"{said.code}: {said.description}") as raised:
            await scene.session.run(lambda: None)

    assert raised.value.retryable is retryable


# The caller's voice


async def test_the_caller_is_heard_from_the_frame_on_that_the_opening_says(autojump_clock: MockClock) -> None:
    scene = set_scene()
    scene.session.opening = attrs.evolve(scene.session.opening, start=lambda: 4)
    scene.watched.state.tape.append(speech(12))
    assert scene.session.cursor == 4
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        far = await scene.service.live()
        sent = await far.hear_audio(8)
        cursor = scene.session.cursor
        nursery.cancel_scope.cancel()

    assert sent == speech(8, first=4)
    assert cursor == 12


async def test_the_line_to_the_service_never_falls_silent(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(deadlines=Deadlines(silence_budget=1e6, caller_silence=math.inf))) as scene:
        await scene.far.hear_for(21)

        assert len(scene.far.said(KeepAlive)) == 5
        assert bytes(scene.far.audio) == silence(4 * 10)


async def test_a_peer_that_stops_reading_is_a_crash_after_the_stall_deadline(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(deadlines=Deadlines(send_stall=3.0, keep_alive=0.01))) as scene:
        scene.far.socket._incoming.limit = 8
        outcome = await scene.ended()

    assert isinstance(outcome, Crashed)
    assert "has read nothing for 3 s" in outcome.reason


# Turns


async def test_a_turn_of_the_caller_is_noted_committed_and_passed_on_to_the_summarizer(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.tape.append(speech(8) + silence(12))
        await scene.far.hear_audio(20)
        await scene.far.take_turn("I need a pension.")
        await scene.settle()

        assert [UserStartedSpeaking("first")] == scene.watched.facts(UserStartedSpeaking)
        assert [TurnHeard("first", "I need a pension.")] == scene.watched.facts(TurnHeard)
        assert scene.watched.state.tape.committed == 20
        asked = scene.summarizer.receive_nowait()
        assert (asked.reader, asked.reply_to) == ("second", None)
        assert [(turn.speaker, turn.text) for turn in scene.watched.state.conversation.turns()] == [
            ("caller", "I need a pension.")
        ]


async def test_an_empty_turn_is_committed_but_is_no_turn(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.tape.append(speech(4) + silence(12))
        await scene.far.hear_audio(16)
        await scene.far.say(heard("  "))
        await scene.settle()

        assert scene.watched.state.tape.committed == 16
        assert scene.watched.facts(TurnHeard) == []
        assert scene.summarizer.statistics().current_buffer_used == 0


async def test_an_agent_without_successors_wants_no_brief(autojump_clock: MockClock) -> None:
    scene = set_scene()
    scene.session.on_call.agent = ROSTER.agents["second"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run)
        far = await scene.service.live()
        await far.take_turn("Hello.")
        await scene.settle()
        nursery.cancel_scope.cancel()

    assert scene.summarizer.statistics().current_buffer_used == 0


async def test_a_dead_summarizer_does_not_hurt_the_session(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        scene.summarizer.close()
        await scene.far.take_turn("Still there?")
        await scene.far.greet("Yes.")
        await trio.sleep(2)

        assert not scene.over.is_set()
        assert scene.replies == ["Yes."]


async def test_while_a_session_waits_it_keeps_nothing_of_what_it_has_read(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        audio = words(2.0).data
        before = sys.getrefcount(audio)
        await scene.far.socket.send_message(audio)
        await trio.sleep(5.0)

        assert scene.line.played == 2.0
        assert sys.getrefcount(audio) == before


async def test_what_the_agent_says_is_played_and_heard(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet("Hello there.", 1.5)
        await trio.sleep(2)

        assert scene.line.played == pytest.approx(1.5)
        assert [ReplyEnded("first", 1, "Hello there.", "Hello there.", complete=True)] == scene.watched.facts(
            ReplyEnded
        )
        assert [(turn.speaker, turn.text) for turn in scene.watched.state.conversation.turns()] == [
            ("first", "Hello there.")
        ]


@pytest.mark.parametrize(
    ("spoke", "expected"), [(False, [0.0, 0.05, 0.12, 0.0]), (True, [0.0, 0.05, 0.06, 0.0])], ids=["silent", "loud"]
)
async def test_agent_audio_gathers_for_a_part_of_what_the_caller_has_left_to_hear(
    spoke: bool, expected: list[float], autojump_clock: MockClock
) -> None:
    """For half of it, and no longer than a stride while the service may be about to say that the caller speaks."""
    async with on_the_floor(CallPolicy(deadlines=Deadlines(stride=0.06))) as scene:
        strides = []
        if spoke:
            scene.watched.state.turn.put_voice(is_voiced=True, spoke=None)
        await trio.sleep(1.5)
        for seconds in (0.02, 0.1, 0.4):
            await scene.far.say(words(seconds))
            await wait_all_tasks_blocked()
            strides.append(round(scene.far.stride, 3))
        await trio.sleep(1)
        await scene.far.say(words(0.02))
        await wait_all_tasks_blocked()
        strides.append(scene.far.stride)

    assert strides == expected


async def test_a_caller_who_has_fallen_silent_may_still_be_heard_by_the_service(autojump_clock: MockClock) -> None:
    """A word is over before the service says that they speak: then that is not to be read later than it was."""
    async with on_the_floor(CallPolicy(deadlines=Deadlines(stride=0.06))) as scene:
        await trio.sleep(1.5)
        journal, turn, strides = scene.watched.state.journal, scene.watched.state.turn, []
        turn.put_voice(is_voiced=True, spoke=None)
        await trio.sleep(0.8)
        turn.put_voice(is_voiced=False, spoke=(journal.now - 0.8, journal.now - 0.4))
        for _ in range(2):
            await scene.far.say(words(1))
            await wait_all_tasks_blocked()
            strides.append(round(scene.far.stride, 3))
            await trio.sleep(0.7)

    assert strides == [0.06, 0.12]


async def test_audio_that_leaves_no_lead_is_gathered_exactly(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it adds to what the caller hears is not rounded up to a tick of all calls."""
    asked: list[tuple[bool, bool]] = []

    def gather(_: MemoryWebSocket, seconds: float, /, *, exactly: bool = False) -> None:
        asked.append((seconds > 0.0, exactly))

    async with on_the_floor() as scene:
        monkeypatch.setattr(MemoryWebSocket, "gather", gather)
        for _ in range(100):
            await scene.far.say(words(0.02))
            await trio.sleep(0.02)

    assert (True, True) in asked
    assert (False, True) not in asked


async def test_the_first_words_of_a_reply_are_not_gathered_as_the_last_ones_were(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(deadlines=Deadlines(stride=0.06))) as scene:
        await scene.far.say(words(1))
        await trio.sleep(0.1)
        during = scene.far.stride
        await trio.sleep(5)
        await scene.far.say(AgentThinking("before the audio"))
        await trio.sleep(0.01)

        assert (during, scene.far.stride) == (0.12, 0.0)


async def test_a_turn_asked_again_is_put_to_the_model_and_its_echo_is_no_new_turn(autojump_clock: MockClock) -> None:
    async with on_the_floor(ask="What does it cost?") as scene:
        asked = await scene.far.hear(InjectUserMessage)
        scene.watched.state.tape.append(speech(8))
        await scene.far.hear_audio(8)
        await scene.far.say(heard("What does it cost?"))
        await scene.settle()
        echoed = scene.watched.facts(TurnHeard)
        committed = scene.watched.state.tape.committed
        await scene.far.take_turn("What does it cost?")
        await scene.settle()

        assert asked == InjectUserMessage("What does it cost?")
        assert echoed == []
        assert committed == 0
        assert [TurnHeard("first", "What does it cost?")] == scene.watched.facts(TurnHeard)


# Barge-in


GATES: list[ServerMessage] = [
    heard("Wait."),
    EndOfTurn("model"),
    AgentThinking("hm"),
    calls("look_up"),
]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: type(gate).__name__)
@pytest.mark.parametrize("done", [True, False], ids=["with AgentAudioDone", "without"])
async def test_after_a_barge_in_nothing_of_the_old_reply_is_heard_until_something_new_begins(
    gate: ServerMessage, done: bool, autojump_clock: MockClock
) -> None:
    """1 s of a 4 s reply is heard; then late audio and a late sentence come, then the gate, then a new reply."""
    async with on_the_floor() as scene:
        await scene.far.say(words(2), says("One two three four."), words(2))
        await trio.sleep(1)
        await scene.far.say(SpeechStarted())
        if done:
            await scene.far.say(AgentAudioDone())
        await scene.far.say(words(0.5), says("Late words."), words(0.5))
        await trio.sleep(1)
        sent_of_the_old = scene.line.played
        await scene.far.say(gate, words(1), says("Something new."), AgentAudioDone())
        await trio.sleep(3)

        assert scene.line.clears == [pytest.approx(1)]
        assert sent_of_the_old < 2
        assert scene.line.played - sent_of_the_old == pytest.approx(1)
        assert [text.text for text in scene.watched.facts(ReplyText)] == ["One two three four.", "Something new."]
        assert [BargeIn("first", 1, 1.0, 3.0)] == scene.watched.facts(BargeIn)
        assert scene.replies[-1] == "Something new."


async def test_what_may_be_the_agents_words_carried_back_cuts_none_of_them_and_is_kept_as_the_callers(
    autojump_clock: MockClock,
) -> None:
    """A caller may have read them back."""
    async with on_the_floor() as scene:
        said = "We have a few slots on Tuesday and on Friday."
        await scene.far.say(words(2), says(said), AgentAudioDone())
        await trio.sleep(0.5)
        await scene.far.say(SpeechStarted())
        await trio.sleep(0.8)
        await scene.far.say(heard(echo := "few slots on tuesday and on friday"))
        await trio.sleep(3)

        assert [fact.code for fact in scene.watched.facts(WarningReported)] == ["AGENT_ECHO"]
        assert [fact.text for fact in scene.watched.facts(TurnHeard)] == [echo]
        assert [turn.text for turn in scene.watched.state.conversation.turns()] == [said, echo]
        assert [(fact.heard, fact.complete) for fact in scene.watched.facts(ReplyEnded)] == [(said, True)]


async def test_text_of_the_agent_does_not_open_the_gate(autojump_clock: MockClock) -> None:
    """Until it is known that nobody has spoken: then it belongs to what goes on."""
    async with on_the_floor() as scene:
        await scene.far.say(words(2), says("One two three."))
        await trio.sleep(0.5)
        await scene.far.say(SpeechStarted())
        await scene.settle()
        sent = scene.line.played
        for _ in range(3):
            await scene.far.say(says("And another thing."), words(1))
        await trio.sleep(2)

        assert scene.line.played == sent
        assert len(scene.watched.facts(ReplyText)) == 1

        await trio.sleep(10)
        assert len(scene.watched.facts(ReplyText)) == 4
        assert scene.line.played == pytest.approx(sent + 5 - 0.5, abs=0.5)


async def test_a_caller_who_spoke_long_ago_waits_though_the_service_hears_them_begin(autojump_clock: MockClock) -> None:
    """4 s of the caller's are heard again, and then the service falls silent: that is no turn of the caller's now."""
    async with trio.open_nursery() as nursery:
        scene = set_scene()
        scene.watched.state.tape.append(speech(200))
        nursery.start_soon(scene.run)
        nursery.start_soon(scene.watched.state.turn.run)
        far = await scene.service.live()
        await far.say(SpeechStarted())
        ended = await scene.ended()
        nursery.cancel_scope.cancel(reason="end of the test")

    assert isinstance(ended, Crashed)
    assert "it gives no sign of life" in ended.reason
    assert trio.current_time() == pytest.approx(7, abs=0.1)


# Functions


async def test_a_function_is_answered_with_what_it_found_and_its_facts_are_kept(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls("look_up"))
        response = await scene.far.hear(FunctionCallResponse)

        assert response == FunctionCallResponse("id-look_up", "look_up", '{"found":true}')
        assert trio.current_time() == pytest.approx(1)
        assert scene.watched.state.conversation.facts == {"need": "a pension"}
        assert [FunctionCalled("first", "id-look_up", "look_up", "{}")] == scene.watched.facts(FunctionCalled)
        answered = FunctionAnswered(
            "first", "id-look_up", "look_up", '{"found":true}', ok=True, took=1.0, facts={"need": "a pension"}
        )
        assert [answered] == scene.watched.facts(FunctionAnswered)


async def test_functions_of_one_request_run_side_by_side(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls("look_up", "dawdle", "break"))
        responses = [(await scene.far.hear(FunctionCallResponse), trio.current_time()) for _ in range(3)]

        assert [(response.name, at) for response, at in responses] == [("break", 0), ("look_up", 1), ("dawdle", 5)]


async def test_a_request_that_comes_twice_is_carried_out_once(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls("look_up"), calls("look_up"))
        await scene.far.hear_for(5)

        assert len(scene.far.said(FunctionCallResponse)) == 1
        assert len(scene.watched.facts(FunctionCalled)) == 1


async def test_a_call_repeated_within_one_turn_gets_the_answer_it_got(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(heard("Look it up."), calls("look_up"))
        first = await scene.far.hear(FunctionCallResponse)
        again_at = trio.current_time()
        await scene.far.say(calls("look_up"))
        second = await scene.far.hear(FunctionCallResponse)
        same_moment = trio.current_time() - again_at
        await scene.far.greet("It is there.", 0.2)
        await trio.sleep(1)
        await scene.far.say(heard("And again."), calls("look_up"))
        await scene.far.hear(FunctionCallResponse)

        assert first == second
        assert same_moment == 0
        assert trio.current_time() - again_at == pytest.approx(2)


@pytest.mark.parametrize(
    ("name", "arguments", "problem", "seconds"),
    [
        ("fly", "{}", "There is no function 'fly'. You have: look_up, count,", 0),
        ("", "{}", "There is no function ''. You have: look_up, count,", 0),
        ("count", "[1]", "", 0),
        ("count", "{}", "word", 0),
        ("count", "not JSON", "", 0),
        ("count", "", "word", 0),
        ("break", "{}", "break did not work. Apologise briefly and go on.", 0),
        ("dawdle", "{}", "dawdle took longer than 5 seconds. Go on without it.", 5),
    ],
)
async def test_a_function_that_cannot_be_done_is_answered_in_words_for_the_model(
    name: str, arguments: str, problem: str, seconds: float, autojump_clock: MockClock
) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls(name, arguments=arguments))
        response = await scene.far.hear(FunctionCallResponse)
        await scene.far.greet("Never mind.")
        await trio.sleep(2)

        assert problem in str(answer(response)["error"])
        assert scene.replies == ["Never mind."]
        assert [(False, seconds)] == [(fact.ok, fact.took) for fact in scene.watched.facts(FunctionAnswered)]


async def test_why_a_handler_broke_is_for_the_journal_and_not_for_the_model(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls("break"))
        response = await scene.far.hear(FunctionCallResponse)

        assert "the handler is broken" not in response.content
        assert "ValueError: the handler is broken" in scene.watched.facts(FunctionAnswered)[0].result


@pytest.mark.parametrize("first", [["dawdle"], ["dawdle", "dawdle"]], ids=["once", "twice at once"])
async def test_what_failed_may_be_tried_again_in_the_same_turn(first: list[str], autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(heard("Go."), calls(*first))
        for _ in first:
            await scene.far.hear(FunctionCallResponse)
        await scene.far.say(calls("dawdle"))
        await scene.far.hear(FunctionCallResponse)

        assert trio.current_time() == pytest.approx(10)


async def test_a_function_the_service_runs_itself_is_left_to_it(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls("look_up", client_side=False))
        await scene.far.hear_for(3)

        assert scene.far.said(FunctionCallResponse) == []
        assert scene.watched.facts(FunctionCalled) == []


async def test_echoes_and_history_change_nothing(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        done = CompletedCall("id-look_up", "look_up", True, "{}", "{}", None)
        await scene.far.say(
            FunctionCallResponse("id-look_up", "look_up", "{}"),
            HistoryText("user", "Hello."),
            HistoryCalls((done,)),
            LatencyReport(total_latency=0.5),
        )
        await scene.far.hear_for(3)

        assert scene.watched.state.conversation.length == 0
        assert [type(entry.fact) for entry in scene.watched.entries] == [SessionReady, LatencyReported]
        assert scene.far.said(FunctionCallResponse) == []


async def test_remarks_of_the_service_are_noted(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(ServiceWarning("SLOW_THINK_REQUEST", "5 seconds"), InjectionRefused("busy"))
        for _ in range(3):  # it may be a report that comes ten times a second
            ignored = (f'{{"type":"{name}"}}' for name in IGNORED)
            odd = ('{"type": "Novelty"}', "[]", '{"type":"ConversationText","role":"system","content":"Hm"}')
            for text in (*ignored, *odd):
                await scene.far.say_text(text)
        await scene.settle()

        assert [
            WarningReported("first", "SLOW_THINK_REQUEST", "5 seconds"),
            WarningReported("first", "INJECTION_REFUSED", "busy"),
        ] == scene.watched.facts(WarningReported)
        novelties = [Unrecognised("deepgram", what) for what in ("Novelty", "ConversationText of system")]
        assert novelties == scene.watched.facts(Unrecognised)
        assert [FrameRefused("deepgram", "a JSON object is wanted, not an array")] == scene.watched.facts(FrameRefused)


async def test_a_speculative_function_may_come_before_the_words_that_caused_it(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(SpeechStarted(), calls("look_up"), heard("Look it up."))
        response = await scene.far.hear(FunctionCallResponse)
        await scene.far.greet("Found it.")
        await trio.sleep(2)

        assert response.content == '{"found":true}'
        assert scene.replies == ["Found it."]


async def test_a_cancelled_function_is_not_answered(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(calls("look_up"))
        await trio.sleep(0.5)
        await scene.far.say(SpeechStarted(), cancelled("look_up", "unheard-of"), heard("Or rather not."))
        await scene.far.hear_for(3)

        assert scene.far.said(FunctionCallResponse) == []
        assert [FunctionWithdrawn("first", "id-look_up", "look_up")] == scene.watched.facts(FunctionWithdrawn)
        assert scene.watched.state.conversation.facts == {}


def cancelled(*names: str) -> FunctionCallCancelled:
    return FunctionCallCancelled(tuple(CancelledCall(f"id-{name}", name) for name in names))


# Handing the call on


async def test_asking_for_a_handoff_silences_and_deafens_the_agent_and_withholds_the_answer(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.tape.append(speech(8))
        await scene.far.hear_audio(8)
        await scene.far.say(HAND_OFF)
        asked = await scene.asked_handoff()
        scene.watched.state.tape.append(speech(40, first=8))
        await scene.far.say(words(1), says("One moment."))
        await scene.far.hear_for(2)

        assert (asked.wanted, scene.session.cursor, asked.call) == (
            HandOff("second", "asked for it"),
            8,
            HAND_OFF.functions[0],
        )
        assert [HandoffAsked("first", "second", "asked for it", "", 8)] == scene.watched.facts(HandoffAsked)
        assert scene.session.cursor == 8
        held = bytes(scene.far.audio[8 * FRAME_BYTES :])
        assert held.count(silence(4)) == pytest.approx(2 / 0.08, abs=1)
        assert set(held) == {SILENCE}
        assert scene.line.played == 0
        assert scene.far.said(FunctionCallResponse) == []


async def test_what_the_caller_is_hearing_already_plays_out(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(3), says("I will put you through."), HAND_OFF)
        await trio.sleep(4)

        assert scene.line.clears == []
        assert scene.line.played == pytest.approx(3)


async def test_a_refused_handoff_is_answered_with_an_error_and_the_agent_goes_on_where_it_stopped(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.tape.append(speech(8))
        await scene.far.hear_audio(8)
        await scene.far.say(HAND_OFF)
        asked = await scene.asked_handoff()
        scene.watched.state.tape.append(speech(8, first=8))
        await trio.sleep(0.5)
        asked.refuse("Nobody there.")
        response = await scene.far.hear(FunctionCallResponse)
        await scene.far.greet("Then I will help you myself.")
        await scene.far.hear_for(3)

        assert answer(response) == {"error": "Nobody there."}
        assert scene.replies == ["Then I will help you myself."]
        assert bytes(scene.far.audio).replace(silence(4), b"") == speech(16)
        assert [fact.ok for fact in scene.watched.facts(FunctionAnswered)] == [False]


async def test_a_cancelled_handoff_is_withdrawn_and_the_agent_goes_on_where_it_stopped(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.tape.append(speech(8))
        await scene.far.hear_audio(8)
        await scene.far.say(HAND_OFF)
        await scene.asked_handoff()
        scene.watched.state.tape.append(speech(8, first=8))
        await trio.sleep(0.5)
        await scene.far.say(SpeechStarted(), cancelled("handoff_to_next_agent"))
        withdrawn = await scene.supervisor.receive()
        await scene.far.say(heard("Wait, one question."))
        await scene.far.greet("Yes?")
        await scene.far.hear_for(3)

        assert withdrawn == WithdrawHandoff(1, 1)
        assert scene.far.said(FunctionCallResponse) == []
        assert bytes(scene.far.audio).replace(silence(4), b"") == speech(16)
        assert scene.replies == ["Yes?"]


async def hand_off_while_heard(scene: Scene, audio: bytes, text: str) -> None:
    """Have the caller speak, the agent ask for a handoff, and the service transcribe them only then."""
    scene.watched.state.tape.append(audio)
    await scene.far.hear_audio(len(audio) // len(speech(1)))
    await scene.far.say(HAND_OFF)
    await scene.asked_handoff()
    await scene.far.say(heard(text))
    await scene.settle()


async def test_a_turn_that_a_handoff_cuts_off_is_nobodys(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await hand_off_while_heard(scene, speech(8), "When")

        assert [TurnCutOff("first", "When")] == scene.watched.facts(TurnCutOff)
        assert scene.watched.state.conversation.turns() == ()
        assert scene.watched.state.tape.resume_point(scene.session.cursor) == 0


async def test_a_turn_that_was_over_when_the_handoff_was_asked_for_counts(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await hand_off_while_heard(scene, speech(8) + silence(12), "Yes please.")

        assert [TurnHeard("first", "Yes please.")] == scene.watched.facts(TurnHeard)
        assert scene.watched.state.tape.resume_point(scene.session.cursor) == 20


async def test_an_agent_that_goes_on_hears_the_turn_again_that_its_handoff_cut_off(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        scene.watched.state.tape.append(speech(8))
        await scene.far.hear_audio(8)
        await scene.far.say(HAND_OFF)
        asked = await scene.asked_handoff()
        scene.watched.state.tape.append(speech(8, first=8))
        await scene.far.say(heard("When"))
        await scene.settle()
        asked.refuse("Nobody there.")
        await scene.far.hear(FunctionCallResponse)
        await scene.far.hear_for(1)
        await scene.far.say(heard("When are you open?"))
        await scene.settle()

        assert bytes(scene.far.audio).replace(silence(4), b"") == speech(8) + speech(16)
        assert [TurnHeard("first", "When are you open?")] == scene.watched.facts(TurnHeard)


async def test_a_second_handoff_is_refused_and_does_not_undo_the_first(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(HAND_OFF)
        first = await scene.asked_handoff()
        again = attrs.evolve(HAND_OFF.functions[0], id="again", arguments='{"reason": "really"}')
        await scene.far.say(attrs.evolve(HAND_OFF, functions=(again,)))
        await scene.far.hear(FunctionCallResponse)
        scene.watched.state.tape.append(speech(8))
        await scene.far.say(words(1), says("Still here."))
        await scene.far.hear_for(2)
        undone = scene.watched.state.ledger.gate, scene.session.cursor, scene.line.played
        first.refuse("Nobody there.")
        await scene.far.hear(FunctionCallResponse)

        assert undone == (Gate.SHUT, 0, 0)
        assert [asked.reason for asked in scene.watched.facts(HandoffAsked)] == ["asked for it"]
        assert scene.watched.state.ledger.floor is scene.session.voice


# Ending it


async def test_a_goodbye_is_heard_to_its_last_word(autojump_clock: MockClock) -> None:
    """3 s of goodbye come at once and take 3 s to play."""
    async with on_the_floor() as scene:
        await scene.far.say(words(3), says("Goodbye, and thank you."), AgentAudioDone(), END)
        outcome = await scene.concluded()

        assert outcome == EndConversation("completed", "task_complete", heard=True)
        assert trio.current_time() == pytest.approx(3 + LATE_VOICE, abs=0.1)
        assert [GoodbyeStarted("first", "task_complete")] == scene.watched.facts(GoodbyeStarted)
        assert [GoodbyeHeard("first", complete=True)] == scene.watched.facts(GoodbyeHeard)
        assert scene.far.said(FunctionCallResponse) == []


async def test_a_goodbye_that_the_function_overtakes_is_waited_for(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(1), says("It is settled."), AgentAudioDone(), END)
        await trio.sleep(0.6)
        await scene.far.say(words(2), says("Goodbye."), AgentAudioDone())
        await scene.concluded()

        assert scene.replies == ["It is settled.", "Goodbye."]
        assert trio.current_time() == pytest.approx(3 + LATE_VOICE, abs=0.1)
        assert [GoodbyeHeard("first", complete=True)] == scene.watched.facts(GoodbyeHeard)


async def test_a_goodbye_whose_rest_the_function_overtakes_is_waited_for(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(0.5), says("Good"), END)
        await trio.sleep(1.5)
        await scene.far.say(words(1), says("bye."), AgentAudioDone())
        await scene.concluded()

        assert scene.replies == ["Good bye."]
        assert [GoodbyeHeard("first", complete=True)] == scene.watched.facts(GoodbyeHeard)


async def test_an_agent_that_ends_without_a_goodbye_is_asked_to_say_one(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(heard("Bye."), END)
        response = await scene.far.hear(FunctionCallResponse)
        await scene.far.greet("Goodbye.", 1)
        outcome = await scene.concluded()

        assert "Say goodbye now" in str(answer(response)["next"])
        assert scene.replies == ["Goodbye."]
        assert outcome == EndConversation("completed", "task_complete", heard=True)


async def test_a_goodbye_that_never_comes_does_not_keep_the_call_open(autojump_clock: MockClock) -> None:
    async with on_the_floor(CallPolicy(deadlines=Deadlines(silence_budget=4.0))) as scene:
        await scene.far.say(heard("Bye."), END)
        outcome = await scene.concluded()

        assert outcome == EndConversation("completed", "task_complete", unsaid=ENGLISH.farewell)
        assert trio.current_time() == pytest.approx(10)
        assert [GoodbyeHeard("first", complete=False)] == scene.watched.facts(GoodbyeHeard)


async def test_a_goodbye_without_an_end_is_played_out_at_most(autojump_clock: MockClock) -> None:
    """No AgentAudioDone: once its 10 s were played it is not waited for."""
    async with on_the_floor() as scene:
        await scene.far.say(words(10), says("Goodbye."), END)
        await scene.concluded()

        assert trio.current_time() == pytest.approx(10, abs=0.1)
        assert scene.line.played == pytest.approx(10)
        assert [GoodbyeHeard("first", complete=False)] == scene.watched.facts(GoodbyeHeard)


async def test_a_goodbye_whose_mark_never_comes_back_ends_at_its_deadline(autojump_clock: MockClock) -> None:
    """1 s for a next reply, then what is left of 3 s of audio, 2 s for its mark, and 0.3 s for a late voice."""
    async with on_the_floor(deaf=True) as scene:
        await scene.far.say(words(3), says("Goodbye."), AgentAudioDone(), END)
        outcome = await scene.concluded()

        assert outcome == EndConversation("completed", "task_complete", heard=True)
        assert trio.current_time() == pytest.approx(5 + LATE_VOICE, abs=0.1)
        assert [GoodbyeHeard("first", complete=False)] == scene.watched.facts(GoodbyeHeard)


async def test_a_caller_who_speaks_over_the_goodbye_does_not_cut_it_and_is_answered(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(4), says("Goodbye, and thank you."), AgentAudioDone(), END)
        await trio.sleep(0.5)
        await scene.far.say(SpeechStarted())
        await trio.sleep(0.3)
        await scene.far.say(heard("When are you open?"))
        response = await scene.far.hear(FunctionCallResponse)
        await scene.far.say(words(1), says("From nine to five. Goodbye."), AgentAudioDone(), END)

        assert answer(response)["ended"] is False
        assert await scene.concluded() == EndConversation("completed", "task_complete", heard=True)
        assert scene.line.clears == []
        assert scene.replies == ["Goodbye, and thank you.", "From nine to five. Goodbye."]
        assert trio.current_time() == pytest.approx(5 + LATE_VOICE, abs=0.1)
        assert [GoodbyeHeard("first", complete=True)] == scene.watched.facts(GoodbyeHeard)


WITHDRAWN = cancelled("end_conversation")


@pytest.mark.parametrize("said", [(SpeechStarted(), WITHDRAWN), (WITHDRAWN, SpeechStarted())], ids=["first", "last"])
async def test_a_goodbye_cancelled_by_the_service_is_cut_and_the_conversation_goes_on(
    said: tuple[ServerMessage, ...], autojump_clock: MockClock
) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(3), says("Goodbye."), AgentAudioDone(), END)
        await trio.sleep(0.5)
        await scene.far.say(*said, heard("One more thing."))
        await scene.far.greet("Yes?")
        await trio.sleep(10)

        assert not scene.over.is_set()
        assert scene.line.clears == [pytest.approx(0.5)]
        assert scene.replies[-1] == "Yes?"


async def test_a_goodbye_that_is_cancelled_while_it_is_being_asked_for_cuts_no_frame(autojump_clock: MockClock) -> None:
    """The service does not read for 3 s; half a frame would be the last thing it could read."""
    async with on_the_floor(CallPolicy(deadlines=Deadlines(keep_alive=0.001))) as scene:
        await trio.sleep(2)
        await scene.far.say(heard("Bye."), END)
        await trio.sleep(0.5)
        await scene.far.say(SpeechStarted(), WITHDRAWN)
        await trio.sleep(0.5)
        response = await scene.far.hear(FunctionCallResponse)

        assert "Say goodbye now" in str(answer(response)["next"])
        assert not scene.over.is_set()


# Growing old


AGED = ServiceWarning("MAXIMUM_SESSION_LENGTH_APPROACHING", "five minutes left")


async def test_a_session_that_is_old_leaves_when_it_is_the_callers_turn_and_nobody_speaks(
    autojump_clock: MockClock,
) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet("Hello there.", 1)
        await trio.sleep(2)
        await scene.far.say(AGED)

        assert await scene.ended() is None
        assert trio.current_time() == pytest.approx(2)
        assert [fact.code for fact in scene.watched.facts(WarningReported)] == [AGED.code]


async def test_a_session_that_is_old_says_first_what_it_is_saying(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(words(3), says("What can I do for you?"))
        await trio.sleep(1)
        await scene.far.say(AGED, AgentAudioDone())

        assert await scene.ended() is None
        assert trio.current_time() == pytest.approx(3, abs=0.1)
        assert scene.replies == ["What can I do for you?"]


async def test_a_session_that_is_old_answers_first_what_it_was_asked(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet("Hello there.", 1)
        await trio.sleep(1.5)
        await scene.far.say(heard("Look it up."), calls("look_up"), AGED, AgentAudioDone())
        await scene.far.hear(FunctionCallResponse)
        await trio.sleep(0.5)
        assert not scene.over.is_set()
        await scene.far.greet("Found it.", 1)

        assert await scene.ended() is None
        assert scene.replies == ["Hello there.", "Found it."]


async def test_a_session_that_is_old_does_not_leave_a_caller_who_is_speaking(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.greet("Hello there.", 1)
        await trio.sleep(2)
        scene.begin_voice()
        await scene.far.say(AGED)
        await trio.sleep(1)

        assert not scene.over.is_set()


# Crashes


async def test_a_socket_that_closes_is_a_crash_that_may_be_mended(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.socket.aclose(1011, "sorry")
        outcome = await scene.ended()

        assert isinstance(outcome, Crashed)
        assert outcome.is_retryable
        assert "code 1011, sorry" in outcome.reason
        assert scene.service.open == 0


async def test_an_error_is_a_crash_that_says_whether_it_can_be_mended(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(ErrorReported("USER_AUDIO_FORMAT", "no mulaw"))
        outcome = await scene.ended()

        assert isinstance(outcome, Crashed)
        assert not outcome.is_retryable
        assert "USER_AUDIO_FORMAT: no mulaw" in outcome.reason


async def test_taking_the_floor_away_ends_functions_and_socket(autojump_clock: MockClock) -> None:
    scene = set_scene()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as floor:
            nursery.start_soon(_cancel_during_a_function, scene, floor)  # noqa: ASYNC111 -- the task cancels it
            await scene.run()

    assert floor.cancelled_caught
    assert scene.service.open == 0
    assert scene.watched.facts(FunctionAnswered) == []


async def _cancel_during_a_function(scene: Scene, floor: trio.CancelScope) -> None:
    far = await scene.service.live()
    await far.say(calls("dawdle"), HAND_OFF)
    await scene.settle()
    floor.cancel()


# Keys end the turn that the service hears


async def pressed_while_speaking(scene: Scene) -> list[type[ClientMessage]]:
    await scene.far.greet()
    await scene.far.say(SpeechStarted())
    await trio.sleep(2)
    scene.watched.state.turn.put(KeysEntered("42"))
    await scene.far.hear(InjectUserMessage)
    return [type(message) for message in scene.far.heard if isinstance(message, ForceEndTurn | InjectUserMessage)]


async def test_what_was_said_before_the_keys_is_understood_before_them(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        told = await pressed_while_speaking(scene)

        assert told == [ForceEndTurn, InjectUserMessage]


async def test_a_recogniser_that_finds_no_ends_of_turns_is_not_told_one(autojump_clock: MockClock) -> None:
    async with on_the_floor(options=AgentOptions(listen_model="nova-3")) as scene:
        told = await pressed_while_speaking(scene)

        assert told == [InjectUserMessage]


@pytest.mark.parametrize("is_understood", [True, False])
async def test_a_service_that_ends_the_session_over_it_is_not_told_again(
    is_understood: bool, autojump_clock: MockClock
) -> None:
    async with on_the_floor() as scene:
        await pressed_while_speaking(scene)
        if is_understood:
            await scene.far.say(heard("My number is"))
        await scene.far.say(ErrorReported("UNPARSABLE_CLIENT_MESSAGE", "no such message"))
        await scene.settle()
        turn, following = scene.watched.state.turn, Speaker()
        turn.session = following
        turn.put(FloorGiven(owes=False))
        for event in (Signal.VOICE_BEGAN, Signal.CALLER_STARTED_SPEAKING, KeysEntered("7")):
            turn.put(event)

        assert (Listening.END_CALLERS_TURN in following.performed) is is_understood
