"""What happens in a call besides talk: silence, keys, and the end of the longest call, from the caller's chair."""

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import facts
from actors.policy import CallPolicy, Deadlines
from agents.sentences import ENGLISH
from simulators.scenario import parse_scenario
from testkit.harness import OUTBOUND_CALL, Played, play
from tests.calls.test_transfer import FakeTransfers
from tests.examples import one_in

POLICY = CallPolicy()

# A silent caller


async def test_a_caller_who_goes_silent_is_asked_twice_and_said_goodbye_to(autojump_clock: MockClock) -> None:
    played = await play("goes_silent")

    record = played.the_record
    assert record.outcome == "caller_silent"
    assert played.heard_of_agents()[-3:] == [
        ENGLISH.still_there,
        ENGLISH.still_there,
        ENGLISH.silent_goodbye,
    ]
    assert [asked for asked, _ in played.line.asked] == ["hang_up"]
    assert [fact.seconds for fact in played.facts(facts.CallerSilent)] == 2 * [
        pytest.approx(POLICY.deadlines.caller_silence)
    ]
    assert record.duration < 50


@pytest.mark.slow
async def test_one_who_comes_back_is_asked_once_and_goes_on(autojump_clock: MockClock) -> None:
    played = await play("comes_back")

    assert played.the_record.outcome == "completed"
    assert [fact.asked for fact in played.facts(facts.CallerSilent)] == [1]


@pytest.mark.parametrize("scenario", one_in(2, ["busy_caller", "barges_in"]))
async def test_nobody_who_talks_is_asked(scenario: str, autojump_clock: MockClock) -> None:
    assert (await play(scenario)).facts(facts.CallerSilent) == []


async def test_a_session_that_is_lost_meanwhile_does_not_begin_the_count_anew(autojump_clock: MockClock) -> None:
    played = await play("goes_silent", ["deepgram: drop after 30 s"])

    assert played.facts(facts.SessionCrashed)
    assert [fact.asked for fact in played.facts(facts.CallerSilent)] == [1, 2]
    assert played.the_record.outcome == "caller_silent"


# The longest call


@pytest.mark.slow
async def test_the_longest_call_is_warned_and_said_goodbye_to(autojump_clock: MockClock) -> None:
    """In the middle of a sale, which would take two minutes."""
    played = await play(policy=CallPolicy(deadlines=Deadlines(longest_call=60.0, length_notice=30.0)))

    record, heard = played.the_record, played.heard_of_agents()
    warned = next(turn.at for turn in record.transcript if turn.heard == ENGLISH.length_warning)
    assert record.outcome == "max_length"
    assert heard[-1] == ENGLISH.length_goodbye
    assert 30 <= warned < 41
    assert 60 < record.duration < 60 + POLICY.deadlines.longest_closing
    assert [asked for asked, _ in played.line.asked] == ["hang_up"]


async def test_one_call_may_be_shorter_than_others(autojump_clock: MockClock) -> None:
    played = await play(
        policy=CallPolicy(deadlines=Deadlines(longest_call=600.0)), plan=attrs.evolve(OUTBOUND_CALL, longest=20.0)
    )

    assert played.the_record.outcome == "max_length"
    assert played.the_record.duration < 20 + POLICY.deadlines.longest_closing


# Keys

TYPES = parse_scenario("""
[caller]
hangs_up = false
[[caller.line]]
says = "Yes, I can talk now."
[[caller.line]]
digits = "4711"
[[caller.line]]
says = "That is all, thank you. Goodbye."

[agents.qualifier]
prompt_contains = "You are Alex"
fallback = ["Sorry, could you say that again?"]
[[agents.qualifier.turn]]
hears = "yes i can talk now"
says = ["Please type in your customer number."]
[[agents.qualifier.turn]]
hears = "the caller pressed 4 7 1 1 on the keypad"
says = ["Thank you, I have found you."]
[[agents.qualifier.turn]]
hears = "that is all thank you goodbye"
says = ["Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "customer_goodbye" } }]
""")


async def test_an_agent_is_told_of_the_keys_once_and_answers(autojump_clock: MockClock) -> None:
    played = await play(TYPES)

    assert played.the_record.outcome == "completed"
    assert played.said_by_caller() == ["Yes, I can talk now.", "(pressed 4 keys)", "That is all, thank you. Goodbye."]
    assert "Thank you, I have found you." in played.heard_of_agents()


async def test_no_key_is_in_record_or_journal(autojump_clock: MockClock) -> None:
    played = await play(TYPES)

    kept = f"{played.the_record} {[entry.fact for entry in played.entries]}"
    assert [text for text in ("4711", "4 7 1 1", "DigitPressed(digit='4')") if text in kept] == []


async def test_unless_that_is_wanted(autojump_clock: MockClock) -> None:
    played = await play(TYPES, policy=CallPolicy(keep_digits=True))

    assert "The caller pressed 4 7 1 1 on the keypad." in played.said_by_caller()


@pytest.mark.slow
async def test_keys_survive_a_session_that_is_lost_with_them(autojump_clock: MockClock) -> None:
    """The session drops when the agent has just been told: the next one is asked again, and answers."""
    told = (await play(TYPES)).times(facts.TurnHeard)[1]
    taken = next(iter((await play(TYPES)).times(facts.SessionReady)))
    played = await play(TYPES, [f"deepgram: drop after {told - taken + 0.1:.2f} s"])

    assert played.facts(facts.SessionCrashed)
    assert "Thank you, I have found you." in played.heard_of_agents()
    assert played.said_by_caller().count("(pressed 4 keys)") == 1


HANDOFF = parse_scenario("""
[caller]
hangs_up = false
patience = 20.0
[[caller.line]]
says = "Yes, I want to talk to an advisor."

[agents.qualifier]
prompt_contains = "You are Alex"
[[agents.qualifier.turn]]
hears = "yes i want to talk to an advisor"
says = ["One moment, I will connect you."]
calls = [{ name = "handoff_to_next_agent", arguments = { reason = "asked for it" } }]

[agents.advisor]
[[agents.advisor.turn]]
hears = "the caller pressed 1 2 3 on the keypad"
says = ["You pressed one, two, three. Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "task_complete" } }]
""")


def press(keys: str, every: float) -> Callable[[Played], Awaitable[None]]:
    """Press keys on the wire as soon as a handoff is asked for."""

    async def fingers(played: Played) -> None:
        await played.wait_fact(facts.HandoffAsked)
        for key in keys:
            assert played.caller is not None
            await played.caller.press(key)
            await trio.sleep(every)

    return fingers


@pytest.mark.parametrize("every", [0.05, 0.2])
async def test_keys_pressed_during_a_handoff_are_the_next_agents(every: float, autojump_clock: MockClock) -> None:
    """None is lost, none is told to the old agent, and the greeting is heard before they are answered."""
    played = await play(HANDOFF, ["deepgram: slow settings 1 s"], meanwhile=press("123#", every))

    order = [type(entry.fact) for entry in played.entries if isinstance(entry.fact, WATCHED)]
    assert order == [*WATCHED]
    assert [turn.agent for turn in played.facts(facts.TurnHeard)] == ["qualifier", "advisor"]
    assert played.heard_of_agents()[-1] == "You pressed one, two, three. Goodbye."
    assert played.the_record.outcome == "completed"


WATCHED = (facts.HandoffAsked, facts.KeysPressed, facts.HandoffCommitted)


WISHES = parse_scenario("""
[caller]
hangs_up = false
[[caller.line]]
digits = "0"

[agents.qualifier]
prompt_contains = "You are Alex"
[[agents.qualifier.turn]]
hears = "the caller pressed 0 on the keypad they want to speak to a person"
says = ["Somebody will call you. Goodbye."]
calls = [{ name = "end_conversation", arguments = { reason = "customer_request" } }]
""")
ZERO = CallPolicy(human_digit="0")


async def test_the_key_for_a_person_is_told_as_a_wish(autojump_clock: MockClock) -> None:
    played = await play(WISHES, policy=ZERO)

    assert played.heard_of_agents()[-1] == "Somebody will call you. Goodbye."


async def test_where_there_is_a_person_it_puts_the_caller_through(autojump_clock: MockClock) -> None:
    """The model is not asked; the caller hears what happens, to the last word."""
    transfers = FakeTransfers(Played())
    played = await play(WISHES, policy=ZERO, played=transfers.played, transfers=transfers)

    ((_, order),) = transfers.asked
    assert (played.the_record.outcome, order.reason) == ("transferring", "The caller pressed 0 for a person")
    assert played.heard_of_agents()[-1] == ENGLISH.putting_through
    assert played.facts(facts.TurnHeard) == []


async def test_where_nobody_can_be_reached_the_agent_is_told_and_goes_on(autojump_clock: MockClock) -> None:
    transfers = FakeTransfers(Played(), refusal=OSError("no line"))
    played = await play(WISHES, policy=ZERO, played=transfers.played, transfers=transfers)

    assert played.facts(facts.TransferFailed)
    assert played.the_record.outcome == "completed"
    assert played.heard_of_agents()[-2:] == [ENGLISH.putting_through, "Somebody will call you. Goodbye."]


async def test_a_service_that_is_mute_does_not_keep_the_caller_from_the_person(autojump_clock: MockClock) -> None:
    transfers = FakeTransfers(Played())
    await play(WISHES, ["deepgram: mute after 9 s"], policy=ZERO, played=transfers.played, transfers=transfers)

    assert len(transfers.asked) == 1
