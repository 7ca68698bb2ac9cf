from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.deepgram import (
    TRANSITIONS,
    AgentDialogue,
    CallerAudio,
    ClientMessage,
    ConversationText,
    DialogueState,
    ErrorReported,
    FunctionCallResponse,
    KeepAlive,
    ServerMessage,
    Settings,
    SettingsApplied,
    UnknownMessage,
    Welcome,
    encode_client,
)
from protocol.errors import LocalProtocolError, RemoteProtocolError
from simulators.deepgram.dialogue import SERVER_TRANSITIONS, AgentServerDialogue, ServerState, encode_server
from simulators.deepgram.strict import decode_client
from tests.protocol.samples import REPORTS, REQUESTS, SETTINGS, settings
from tests.protocol.strategies import STATEFUL

AUDIO = CallerAudio(b"\xff" * 160)


def conversing() -> tuple[AgentDialogue, AgentServerDialogue]:
    """Open a session between the two halves."""
    ours, theirs = AgentDialogue(), AgentServerDialogue()
    ours.receive(theirs.send(REPORTS[Welcome]))
    theirs.receive(ours.send(SETTINGS))
    ours.receive(theirs.send(SettingsApplied()))
    return ours, theirs


def test_a_session_opens_in_three_steps() -> None:
    ours, theirs = conversing()

    assert (ours.state, theirs.state) == (DialogueState.CONVERSING, ServerState.CONVERSING)


@pytest.mark.parametrize("kind", REQUESTS)
def test_we_say_only_what_the_table_allows(kind: type[ClientMessage]) -> None:
    for state in DialogueState:
        dialogue = AgentDialogue(state)
        following = TRANSITIONS[state].requests.get(kind)

        if following is None:
            with pytest.raises(LocalProtocolError, match=f"{kind.__name__} while {state.name}"):
                dialogue.send(REQUESTS[kind])
        else:
            assert dialogue.send(REQUESTS[kind]) == encode_client(REQUESTS[kind])

        assert dialogue.state is (following or state), state


@pytest.mark.parametrize("kind", REPORTS)
def test_we_take_whatever_the_table_allows(kind: type[ServerMessage]) -> None:
    for state in DialogueState:
        dialogue = AgentDialogue(state)
        following = TRANSITIONS[state].reports.get(kind)

        if following is None:
            with pytest.raises(RemoteProtocolError, match=f"{kind.__name__} while {state.name}"):
                dialogue.receive(encode_server(REPORTS[kind]))
        else:
            assert dialogue.receive(encode_server(REPORTS[kind])) == REPORTS[kind]

        assert dialogue.state is (following or state), state


@pytest.mark.parametrize("state", [state for state in DialogueState if state is not DialogueState.AWAITING_WELCOME])
def test_after_welcome_nothing_early_or_late_ends_a_call(state: DialogueState) -> None:
    assert [kind for kind in REPORTS if kind is not SettingsApplied and kind not in TRANSITIONS[state].reports] == []


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (DialogueState.AWAITING_WELCOME, SETTINGS),
        (DialogueState.AWAITING_WELCOME, KeepAlive()),
        (DialogueState.CONFIGURING, AUDIO),
        (DialogueState.CONFIGURING, KeepAlive()),
        (DialogueState.APPLYING, AUDIO),
        (DialogueState.APPLYING, SETTINGS),
        (DialogueState.CONVERSING, SETTINGS),
        (DialogueState.FAILED, AUDIO),
    ],
    ids=str,
)
def test_what_the_service_would_end_a_session_over_is_never_sent(state: DialogueState, message: ClientMessage) -> None:
    with pytest.raises(LocalProtocolError):
        AgentDialogue(state).send(message)


def test_a_message_that_cannot_be_written_changes_nothing() -> None:
    dialogue = AgentDialogue(DialogueState.CONFIGURING)

    with pytest.raises(LocalProtocolError):
        dialogue.send(settings(prompt="\ud800"))

    assert dialogue.state is DialogueState.CONFIGURING


def test_an_error_is_the_end_of_what_we_say_but_not_of_what_we_hear() -> None:
    ours, theirs = conversing()
    late = encode_server(ConversationText("assistant", "as I was saying"))

    ours.receive(theirs.send(ErrorReported("SERVER_GOING_AWAY", "bye")))

    assert ours.state is DialogueState.FAILED
    assert ours.receive(late) == ConversationText("assistant", "as I was saying")
    assert ours.state is DialogueState.FAILED


def test_a_service_that_has_closed_a_session_says_nothing() -> None:
    _, theirs = conversing()
    theirs.close()

    with pytest.raises(LocalProtocolError):
        theirs.send(REPORTS[ConversationText])


def test_an_echoed_answer_is_heard_in_every_state_it_can_come_in() -> None:
    ours, theirs = conversing()
    answer = REQUESTS[FunctionCallResponse]

    assert theirs.receive(ours.send(answer)) == answer
    assert isinstance(ours.receive(theirs.send(FunctionCallResponse("call_1", "ping", "{}"))), UnknownMessage)


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_service_takes_what_its_table_allows(kind: type[ClientMessage]) -> None:
    for state in ServerState:
        dialogue = AgentServerDialogue(state=state)
        following = SERVER_TRANSITIONS[state].requests.get(kind)

        if following is None:
            with pytest.raises(RemoteProtocolError, match=f"{kind.__name__} while {state.name}"):
                dialogue.receive(encode_client(REQUESTS[kind]))
        else:
            assert dialogue.receive(encode_client(REQUESTS[kind])) == REQUESTS[kind]

        assert dialogue.state is (following or state), state


@pytest.mark.parametrize("kind", REPORTS)
def test_the_service_says_what_its_table_allows(kind: type[ServerMessage]) -> None:
    for state in ServerState:
        dialogue = AgentServerDialogue(state=state)
        following = SERVER_TRANSITIONS[state].reports.get(kind)

        if following is None:
            with pytest.raises(LocalProtocolError, match=f"{kind.__name__} while {state.name}"):
                dialogue.send(REPORTS[kind])
        else:
            assert dialogue.send(REPORTS[kind]) == encode_server(REPORTS[kind])

        assert dialogue.state is (following or state), state


def refusal(dialogue: AgentServerDialogue, message: ClientMessage) -> str | int:
    with pytest.raises(RemoteProtocolError) as caught:
        dialogue.receive(encode_client(message))
    return caught.value.code


@pytest.mark.parametrize("state", [ServerState.OPENING, ServerState.CONFIGURING])
@pytest.mark.parametrize("message", [AUDIO, KeepAlive()])
def test_anything_before_settings_has_its_own_code(state: ServerState, message: ClientMessage) -> None:
    assert refusal(AgentServerDialogue(state=state), message) == "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"


@pytest.mark.parametrize("state", [ServerState.APPLYING, ServerState.CONVERSING])
def test_settings_twice_have_their_own_code(state: ServerState) -> None:
    assert refusal(AgentServerDialogue(state=state), SETTINGS) == "SETTINGS_ALREADY_APPLIED"
    assert refusal(AgentServerDialogue(strict=True, state=state), SETTINGS) == "SETTINGS_ALREADY_APPLIED"


def test_haste_is_forgiven_unless_the_service_is_strict() -> None:
    hasty = AgentServerDialogue()
    hasty.receive(encode_client(SETTINGS))
    hasty.send(REPORTS[Welcome])
    hasty.receive(encode_client(AUDIO))
    hasty.send(SettingsApplied())

    assert hasty.state is ServerState.CONVERSING
    assert refusal(AgentServerDialogue(strict=True), SETTINGS) == "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"
    strict = AgentServerDialogue(strict=True, state=ServerState.APPLYING)
    assert refusal(strict, AUDIO) == "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"
    assert strict.receive(encode_client(KeepAlive())) == KeepAlive()


class BothEnds(RuleBasedStateMachine):
    """The service and we, with frames in flight both ways: neither ever refuses what the other may say."""

    def __init__(self) -> None:
        super().__init__()
        self.ours = AgentDialogue()
        self.theirs = AgentServerDialogue()
        self.to_us: list[tuple[str | bytes, ServerMessage]] = []
        self.to_them: list[tuple[str | bytes, ClientMessage]] = []

    @initialize(steps=st.integers(0, 6))
    def open_so_far(self, steps: int) -> None:
        opening: list[Callable[[], None]] = [
            lambda: self.the_service_speaks(Welcome),
            self.we_listen,
            lambda: self.we_speak(Settings),
            self.the_service_listens,
            lambda: self.the_service_speaks(SettingsApplied),
            self.we_listen,
        ]
        for step in opening[:steps]:
            step()

    @rule(kind=st.sampled_from(list(REPORTS)))
    def the_service_speaks(self, kind: type[ServerMessage]) -> None:
        if kind in SERVER_TRANSITIONS[self.theirs.state].reports:
            self.to_us.append((self.theirs.send(REPORTS[kind]), REPORTS[kind]))
        else:
            with pytest.raises(LocalProtocolError):
                self.theirs.send(REPORTS[kind])

    @rule(kind=st.sampled_from(list(REQUESTS)))
    def we_speak(self, kind: type[ClientMessage]) -> None:
        if kind in TRANSITIONS[self.ours.state].requests:
            self.to_them.append((self.ours.send(REQUESTS[kind]), REQUESTS[kind]))
        else:
            with pytest.raises(LocalProtocolError):
                self.ours.send(REQUESTS[kind])

    @precondition(lambda self: self.to_us)
    @rule()
    def we_listen(self) -> None:
        frame, said = self.to_us.pop(0)

        assert self.ours.receive(frame) == said

    @precondition(lambda self: self.to_them)
    @rule()
    def the_service_listens(self) -> None:
        frame, said = self.to_them.pop(0)

        assert self.theirs.receive(frame) == said == decode_client(frame)

    @rule(
        garbage=st.sampled_from(
            ["", "{", "[]", '{"type":"FunctionCallRequest"}', '{"type":"Settings"}', '{"type":"ConversationText"}']
        )
    )
    def the_wire_is_noisy(self, garbage: str) -> None:
        before = (self.ours.state, self.theirs.state)

        for end in (self.ours, self.theirs):
            try:
                end.receive(garbage)
            except RemoteProtocolError:
                continue
            assert garbage == '{"type":"Settings"}'
        assert (self.ours.state, self.theirs.state) == before

    @invariant()
    def we_never_converse_before_the_service_does(self) -> None:
        assert (
            self.ours.state is not DialogueState.CONVERSING or self.theirs.state.value >= ServerState.CONVERSING.value
        )


TestBothEnds = BothEnds.TestCase
TestBothEnds.settings = STATEFUL
