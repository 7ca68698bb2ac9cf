"""A machine answers: it is hung up on, or it records the message from its first word to its last."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.messages import MachineAnswered
from actors.policy import CallPolicy, Wording
from agents.roster import default_roster
from agents.sentences import Sentences
from simulators.scenario import parse_scenario
from testkit.harness import OUTBOUND_CALL, Played, play
from tests.examples import one_in

MESSAGE = "Hello, this is Alex from Acme. You asked us to call. Please call us back when it suits you. Goodbye."
POLICY = CallPolicy(wording=Wording(voicemail=MESSAGE))
MACHINE = parse_scenario("""
[caller]
hangs_up = false
[[caller.line]]
says = "You have reached the voicemail of Ada Lovelace. Please leave a message after the tone."
barge_in = 0.4
[[caller.line]]
silent = 90.0

[agents.qualifier]
prompt_contains = "You are Alex"
fallback = ["Hello Ada, this is Alex.", "Is now a good time to talk?"]
[[agents.qualifier.turn]]
hears = "never said by anybody"
says = ["Never."]
""")


def tell(*verdicts: tuple[float, str]) -> Callable[[Played], Awaitable[None]]:
    """Give these verdicts, each at its second of the call."""

    async def give(played: Played) -> None:
        for (before, _), (at, verdict) in pairwise([(0.0, ""), *verdicts]):
            await trio.sleep(at - before)
            played.intercom.tell(played.call_sid, MachineAnswered(verdict))

    return give


def end_of_greeting(played: Played) -> float:
    return max(spoke.end for spoke in played.facts(facts.CallerSpoke))


@pytest.mark.parametrize(
    "verdicts",
    [
        ((3.0, "machine_start"),),
        ((3.0, "machine_start"), (7.0, "machine_end_beep")),
        ((7.0, "machine_end_beep"),),
        ((1.0, "machine_start"), (1.2, "machine_start")),
    ],
    ids=["start", "start and end", "end", "start twice"],
)
async def test_the_message_is_left_after_the_greeting_from_its_first_word_to_its_last(
    verdicts: tuple[tuple[float, str], ...], autojump_clock: MockClock
) -> None:
    played = await play(MACHINE, policy=POLICY, meanwhile=tell(*verdicts))

    assert played.the_record.outcome == "voicemail_left"
    assert played.heard_of_agents()[-1] == MESSAGE
    first = next(spoke.start for spoke in played.facts(facts.AgentSpoke)[::-1])
    assert first > end_of_greeting(played)
    assert [asked for asked, _ in played.line.asked] == ["hang_up"]


async def test_between_the_verdict_and_the_beep_nothing_of_the_agent_is_heard(autojump_clock: MockClock) -> None:
    played = await play(MACHINE, policy=POLICY, meanwhile=tell((3.0, "machine_start")))

    message = played.times(facts.GoodbyeStarted)[0]
    assert message > end_of_greeting(played)
    assert [] == [spoke for spoke in played.facts(facts.AgentSpoke) if spoke.end > 3.1 and spoke.start < message]


@pytest.mark.parametrize("verdict", ["machine_start", "fax"])
async def test_without_a_message_a_machine_is_hung_up_on(verdict: str, autojump_clock: MockClock) -> None:
    policy = POLICY if verdict == "fax" else CallPolicy()
    played = await play(MACHINE, policy=policy, meanwhile=tell((3.0, verdict)))

    assert played.the_record.outcome == "machine"
    known = 3.0 if verdict == "fax" else played.times(facts.TurnHeard)[0]
    assert played.the_record.duration == pytest.approx(known + 0.05, abs=0.1)
    assert [asked for asked, _ in played.line.asked] == ["hang_up"]


@pytest.mark.parametrize("verdict", one_in(4, ["machine_start", "machine_end_silence", "unknown", "human"]))
async def test_a_late_verdict_never_interrupts_a_person_who_has_spoken(verdict: str, autojump_clock: MockClock) -> None:
    played = await play("busy_caller", policy=POLICY, meanwhile=tell((12.0, verdict)))

    assert played.the_record.outcome == "completed"
    assert [fact.believed for fact in played.facts(facts.MachineDetected)] == [False]


async def test_where_no_agent_can_leave_it_the_telephone_network_does(autojump_clock: MockClock) -> None:
    played = await play(MACHINE, ["deepgram: mute after 1 s"], policy=POLICY, meanwhile=tell((3.0, "machine_start")))

    ((asked, twiml),) = played.line.asked
    assert (played.the_record.outcome, asked) == ("voicemail_left", "redirect")
    assert MESSAGE in twiml


async def test_an_agent_may_have_the_message_in_its_own_language(autojump_clock: MockClock) -> None:
    """Where it cannot say it, Twilio's voice does in this language; without VOICEMAIL_MESSAGE none is left."""
    shipped, says = default_roster(), Sentences(language="de-DE", voicemail="Bitte rufen Sie uns zurück.")
    german = attrs.evolve(shipped.agents[shipped.first], sentences=says)
    roster = attrs.evolve(shipped, agents={**shipped.agents, shipped.first: german})
    silent = attrs.evolve(POLICY, wording=attrs.evolve(POLICY.wording, voicemail=""))
    told = tell((7.0, "machine_end_beep"))

    said = await play(MACHINE, policy=POLICY, roster=roster, meanwhile=told)
    by_twilio = await play(MACHINE, ["deepgram: mute after 1 s"], policy=POLICY, roster=roster, meanwhile=told)
    hung_up = await play(MACHINE, policy=silent, roster=roster, meanwhile=told)

    assert said.heard_of_agents()[-1] == says.voicemail
    assert f'<Say language="de-DE">{says.voicemail}</Say>' in by_twilio.line.asked[0][1]
    assert hung_up.the_record.outcome == "machine"


async def test_a_call_may_have_a_message_of_its_own(autojump_clock: MockClock) -> None:
    mine = attrs.evolve(POLICY, wording=attrs.evolve(POLICY.wording, voicemail=""))
    played = await play(
        MACHINE,
        policy=mine,
        plan=attrs.evolve(OUTBOUND_CALL, voicemail=MESSAGE),
        meanwhile=tell((7.0, "machine_end_beep")),
    )

    assert played.heard_of_agents()[-1] == MESSAGE


EARLY = parse_scenario("""
[caller]
hangs_up = false
[[caller.line]]
says = "You have reached Ada."
barge_in = 0.1
[[caller.line]]
says = "I cannot come to the phone right now, so please leave your name and your number after the tone."
barge_in = 0.1
[[caller.line]]
silent = 90.0

[agents.qualifier]
prompt_contains = "You are Alex"
fallback = ["Hello Ada, this is Alex, and I am calling about your request."]
[[agents.qualifier.turn]]
hears = "never said by anybody"
says = ["Never."]
""")


@pytest.mark.parametrize(("message", "outcome"), [(MESSAGE, "voicemail_left"), ("", "machine")])
@pytest.mark.parametrize("at", one_in(3, [3.5, 5.0, 8.0]))
async def test_a_greeting_that_is_transcribed_before_the_verdict_is_no_person(
    at: float, message: str, outcome: str, autojump_clock: MockClock
) -> None:
    played = await play(
        EARLY,
        policy=attrs.evolve(POLICY, wording=attrs.evolve(POLICY.wording, voicemail=message)),
        meanwhile=tell((at, "machine_start")),
    )

    assert played.times(facts.TurnHeard)[0] < at
    assert played.the_record.outcome == outcome
    assert [fact.believed for fact in played.facts(facts.MachineDetected)] == [True]


SCREENED = parse_scenario("""
[caller]
hangs_up = false
[[caller.line]]
says = "Hi, the person you are calling uses a screening service. Please say your name and why you are calling."
barge_in = 0.2
[[caller.line]]
says = "Hello Alex, this is Ada."
pause = 6
[[caller.line]]
says = "Goodbye."

[agents.qualifier]
prompt_contains = "You are Alex"
fallback = ["One moment."]
[[agents.qualifier.turn]]
hears = "this is ada"
says = ["Hello Ada."]
[[agents.qualifier.turn]]
hears = "goodbye"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "customer_goodbye" } }]
""")


@pytest.mark.parametrize("message", [MESSAGE, ""])
@pytest.mark.parametrize("verdict", one_in(3, ["machine_start", "human", "unknown"]))
async def test_a_call_screen_is_told_who_calls_and_the_call_goes_on(
    verdict: str, message: str, autojump_clock: MockClock
) -> None:
    played = await play(
        SCREENED,
        policy=attrs.evolve(POLICY, wording=attrs.evolve(POLICY.wording, voicemail=message)),
        meanwhile=tell((1.0, verdict)),
    )

    heard = played.heard_of_agents()
    assert played.the_record.outcome == "completed"
    assert heard[-2:] == ["Hello Ada.", "Goodbye."]
    assert MESSAGE not in heard
    assert ("calling because you asked us to get in touch." in " ".join(heard)) == (verdict == "machine_start")
    assert len(played.facts(facts.CallScreened)) == (verdict == "machine_start")


MAILBOXES = (
    "This person is not available. Please leave your message after the tone.",
    "Sorry, the person you called cannot take your call. At the tone, please record your message.",
)
PERSON = "Hello, this is Ada, I saw that it is you, so I thought that I would rather take it at once."


@pytest.mark.parametrize("words", [*MAILBOXES, PERSON])
@pytest.mark.parametrize("message", [MESSAGE, ""])
async def test_a_mailbox_behind_a_call_screen_is_a_machine_and_a_person_is_none(
    message: str, words: str, autojump_clock: MockClock
) -> None:
    screen, callee, _ = SCREENED.caller.lines
    waits = attrs.evolve(callee, says="Thanks. Please stay on the line while I see if they are available.")
    caller = attrs.evolve(SCREENED.caller, lines=(screen, waits, attrs.evolve(callee, says=words, pause=9.0)))
    played = await play(
        attrs.evolve(MACHINE, caller=caller),
        policy=attrs.evolve(POLICY, wording=attrs.evolve(POLICY.wording, voicemail=message)),
        meanwhile=tell((1.0, "machine_start")),
    )

    left = "voicemail_left" if message else "machine"
    assert (played.the_record.outcome == left) is (words in MAILBOXES)
    assert (MESSAGE in played.heard_of_agents()) is (words in MAILBOXES and message != "")
