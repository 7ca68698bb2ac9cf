"""What the next agent, or a restarted one, is told of the call so far."""

import attrs
import pytest

from actors.line.reply import Reply
from actors.record.conversation import Conversation, Stretch
from actors.record.packed import BLOCK, VOLUME
from agents.quoting import SpokenTurn
from protocol.deepgram import CompletedCall, HistoryCalls, HistoryText
from tests.actors.notebook import said

CALL = CompletedCall("fc1", "record_satisfaction", True, '{"rating": 5}', '{"recorded": true}')


def half_said(agent: str, text: str) -> Reply:
    """A reply that is being played: neither complete nor cut."""
    reply = said(agent, text, heard=0.5)
    reply.cut = reply.whole = False
    return reply


def conversation(*things: str | Reply | CompletedCall) -> Conversation:
    talk = Conversation()
    for thing in things:
        match thing:
            case str():
                talk.add_caller(thing)
            case Reply():
                talk.add_reply(thing)
            case CompletedCall():
                talk.add_function(thing, {})
    return talk


def test_turns_are_what_the_caller_said_and_what_the_caller_heard() -> None:
    talk = conversation(
        said("qualifier", "Good morning."), "Hello.", CALL, said("qualifier", "one two three four", heard=0.5), "Stop."
    )

    assert talk.turns() == (
        SpokenTurn("qualifier", "Good morning."),
        SpokenTurn("caller", "Hello."),
        SpokenTurn("qualifier", "one two"),
        SpokenTurn("caller", "Stop."),
    )


def test_what_nobody_heard_was_not_said() -> None:
    talk = conversation("Hello.", said("qualifier", "Never heard.", heard=0.0))

    assert talk.turns() == (SpokenTurn("caller", "Hello."),)
    assert talk.history() == (HistoryText("user", "Hello."),)


def test_a_bookmark_divides_what_one_agent_said_from_what_the_next_says() -> None:
    talk = conversation("Hello.", said("qualifier", "Good morning."))
    bookmark = talk.length
    talk.add_caller("Who are you?")

    assert talk.turns(bookmark) == (SpokenTurn("caller", "Who are you?"),)
    assert talk.history(bookmark) == ()  # it is unanswered
    assert talk.length == bookmark + 1


def test_a_reply_is_one_thing_however_many_sentences_it_has() -> None:
    reply = said("qualifier", "One.")
    talk = conversation(reply, reply, CALL, CALL, CALL, "Yes.", reply)

    assert talk.length == 5


def test_two_replies_in_the_same_words_are_two() -> None:
    assert conversation(said("qualifier", "Pardon?"), said("qualifier", "Pardon?")).length == 2


def test_a_turn_is_unanswered_until_a_reply_to_it_was_heard_or_interrupted() -> None:
    assert conversation("Hello.").unanswered() == "Hello."
    assert conversation("Hello.", CALL).unanswered() == "Hello."
    assert conversation("Hello.", half_said("qualifier", "Good morning.")).unanswered() == "Hello."
    looked = conversation("Hello.", said("qualifier", "Let me see."), CALL)
    assert looked.unanswered() == "Hello."
    looked.add_reply(said("qualifier", "Yes."))
    assert looked.unanswered() is None
    assert conversation("Hello.", said("qualifier", "Good morning.")).unanswered() is None
    assert conversation("Hello.", said("qualifier", "Good morning.", heard=0.5)).unanswered() is None
    assert conversation().unanswered() is None


def test_a_turn_before_the_bookmark_is_not_this_agents_to_answer() -> None:
    assert conversation("Hello.").unanswered(since=1) is None


def test_history_leaves_out_the_turn_that_will_be_asked_again_but_not_what_was_done_for_it() -> None:
    talk = conversation(
        said("closer", "How was it?"), "Five.", CALL, half_said("closer", "Thank you very much indeed.")
    )

    assert talk.history() == (HistoryText("assistant", "How was it?"), HistoryCalls((CALL,)))


def test_history_of_an_answered_conversation_is_all_of_it() -> None:
    talk = conversation("Five.", CALL, said("closer", "Thank you."))

    assert talk.history() == (
        HistoryText("user", "Five."),
        HistoryCalls((CALL,)),
        HistoryText("assistant", "Thank you."),
    )


MALFORMED = ['{"rating": ', "[5]", '"5"', "null", "five", '{"rating": "' + "5" * 20_000 + '"}']


def test_a_call_that_a_service_would_refuse_is_told_as_it_takes_it() -> None:
    """One malformed call in the history would have every later request refused."""
    asked = [attrs.evolve(CALL, arguments=arguments) for arguments in MALFORMED]
    nameless = [attrs.evolve(CALL, id="fc2", name=name) for name in ("", "look up", "functions.look_up", "é", "x" * 65)]
    talk = conversation("Five.", CALL, *asked, *nameless, attrs.evolve(CALL, id=""), said("closer", "Thank you."))
    told = [each.function_calls[0] for each in talk.history() if isinstance(each, HistoryCalls)]

    assert told[0] == CALL
    assert [call.arguments for call in told[1:]] == ["{}"] * len(asked) + [CALL.arguments]
    assert len({call.id for call in told} - {""}) == len(told)
    assert {call.response for call in told} == {CALL.response}


def test_only_the_last_of_two_turns_is_asked_again() -> None:
    talk = conversation("Hello.", "Are you there?")

    assert (talk.unanswered(), talk.history()) == ("Are you there?", (HistoryText("user", "Hello."),))


def test_a_conversation_is_opened_by_a_turn_or_by_a_reply_that_came_to_an_end() -> None:
    assert not conversation().is_opened()
    assert not conversation(half_said("qualifier", "Good morn")).is_opened()
    assert not conversation(CALL).is_opened()
    assert conversation("Hello.").is_opened()
    assert conversation(said("qualifier", "Good morning.")).is_opened()
    assert conversation(said("qualifier", "Good morning.", heard=0.5)).is_opened()
    assert not conversation("Hello.").is_opened(since=1)


def test_what_functions_recorded_is_kept_and_may_be_corrected() -> None:
    talk = Conversation()
    talk.add_function(CALL, {"name": "Jon", "need": "a loan"})
    talk.add_function(CALL, {"name": "John"})

    assert talk.facts == {"name": "John", "need": "a loan"}


def test_a_function_called_again_in_the_same_turn_gets_the_answer_it_had() -> None:
    talk = conversation("Five.", CALL)

    assert talk.earlier_answer(CALL.name, CALL.arguments) == CALL.response
    assert talk.earlier_answer(CALL.name, '{"rating": 4}') is None
    assert talk.earlier_answer("end_conversation", CALL.arguments) is None


def test_a_function_called_again_when_the_caller_has_heard_of_its_answer_is_run_again() -> None:
    talk = conversation("Five.", CALL, said("qualifier", "Thank you."), "Five, I said.")

    assert talk.earlier_answer(CALL.name, CALL.arguments) is None


def test_words_of_the_callers_before_they_have_heard_of_it_ask_for_nothing_anew() -> None:
    before, unheard = said("qualifier", "Let me note that."), said("qualifier", "Thank you.", heard=0.0)
    talk = conversation("I would say.", before, CALL, unheard, "Five.", "Hello?")

    assert talk.earlier_answer(CALL.name, CALL.arguments) == CALL.response
    talk.add_reply(said("qualifier", "Thank you."))
    assert talk.earlier_answer(CALL.name, CALL.arguments) == CALL.response
    talk.add_caller("Five, I said.")
    assert talk.earlier_answer(CALL.name, CALL.arguments) is None


@pytest.mark.parametrize(
    ("more", "played", "is_heard"),
    [("", 12_000, False), ("It is noted.", 8_000, False), ("It is noted.", 12_000, True)],
)
def test_a_sentence_that_still_came_when_a_function_was_answered_says_nothing_of_it(
    more: str, played: int, is_heard: bool
) -> None:
    reply = Reply("qualifier", 1, 0.0, received=8_000, played=4_000)
    reply.add_text("Let me note that.")
    talk = conversation("Five.", reply, CALL)

    if more:
        reply.add_text(more)
    reply.received, reply.played = 16_000, played
    talk.add_caller("Please.")

    assert talk.earlier_answer(CALL.name, CALL.arguments) == (None if is_heard else CALL.response)


def test_of_two_functions_the_one_is_run_again_that_the_caller_has_heard_of() -> None:
    other = attrs.evolve(CALL, name="schedule_followup")
    talk = conversation("Five.", CALL, said("qualifier", "Thank you."), other, "And on Tuesday.")

    assert talk.earlier_answer(CALL.name, CALL.arguments) is None
    assert talk.earlier_answer(other.name, other.arguments) == other.response


def test_work_that_goes_on_while_the_caller_speaks_is_known_to_be_broken_off_when_its_session_is() -> None:
    talk = conversation("Five.")
    talk.begin_function(CALL.name, CALL.arguments, 1)

    talk.add_caller("Hello?", session=1)
    assert not talk.is_broken_off(CALL.name, CALL.arguments, 1)
    assert talk.is_broken_off(CALL.name, CALL.arguments, 2)

    talk.add_caller("Is anybody there?", session=2)
    assert talk.is_broken_off(CALL.name, CALL.arguments, 2)
    talk.add_reply(said("qualifier", "I do not know whether it is booked."))
    talk.add_caller("Then do it again, please.", session=2)
    assert not talk.is_broken_off(CALL.name, CALL.arguments, 2)


def test_work_that_its_session_is_still_at_is_known_to_be_broken_off_though_the_caller_has_heard_words_since() -> None:
    talk = conversation("Five.")
    talk.begin_function(CALL.name, CALL.arguments, 1)

    talk.add_reply(said("qualifier", "One moment."))
    talk.add_caller("Hello?", session=1)

    assert talk.is_broken_off(CALL.name, CALL.arguments, 2)


def test_what_was_done_on_an_earlier_stream_is_done_again_for_another_turn() -> None:
    talk = conversation("Five.")
    talk.recall_work(CALL.name, CALL.arguments, CALL.response)
    before = talk.earlier_answer(CALL.name, CALL.arguments)

    talk.add_caller("Five, I said.")

    assert (before, talk.earlier_answer(CALL.name, CALL.arguments)) == (CALL.response, None)


def test_a_function_that_failed_may_be_tried_again() -> None:
    talk = conversation("Five.")

    talk.add_function(CALL, {}, repeatable=True)

    assert talk.earlier_answer(CALL.name, CALL.arguments) is None
    assert talk.length == 2


def test_a_long_conversation_reads_as_it_was_said_however_much_of_it_is_packed() -> None:
    things: list[str | Reply | CompletedCall] = []
    for number in range(VOLUME // 3 + 3 * BLOCK):
        cut = said("qualifier", "one two three four", heard=0.5)
        whole = said("qualifier", f"Answer {number}: “é”.")
        left = said("qualifier", "one two three four", heard=0.5)
        left.whole = left.cut = False
        things += [f"Question {number}?", CALL, cut if number % 3 == 0 else left if number % 3 == 1 else whole]
    for thing in things:
        if isinstance(thing, Reply):
            thing.end()
    long, last = conversation(*things), len(things)

    assert len(long._said.volumes) == 2
    for since in (0, 1, VOLUME - 1, VOLUME, last - 5, last):
        short = conversation(*things[since:])
        assert long.turns(since) == short.turns()
        assert long.history(since) == short.history()
        assert long.unanswered(since) == short.unanswered()
        assert long.is_opened(since) == short.is_opened()
    assert (long.length, long.caller_turns > 0, bool(long.answers())) == (last, True, True)


def test_a_reply_is_not_packed_before_it_is_over() -> None:
    late = Reply("qualifier", 1, at=0.0, received=8000, whole=True)
    late.add_text("one two three four")
    talk = conversation(late, *["More."] * (2 * BLOCK))

    late.played, late.cut = 4000, True
    late.end()
    talk.add_caller("And more.")

    assert talk.turns()[:2] == (SpokenTurn("qualifier", "one two"), SpokenTurn("caller", "More."))
    assert len(talk._said.recent) == BLOCK + 2


def test_an_answer_holds_for_one_turn_of_the_caller() -> None:
    talk = conversation("Five.", CALL)

    assert talk.earlier_answer(CALL.name, CALL.arguments) == CALL.response
    talk.add_reply(said("qualifier", "Thank you."))
    talk.add_caller("Five, I said.")
    assert talk.earlier_answer(CALL.name, CALL.arguments) is None


def test_an_agents_own_conversation_has_a_hole_where_another_had_the_call() -> None:
    conversation = Conversation()
    for text in ("Hello.", "Yes please.", "To the other one.", "Back again."):
        conversation.add_caller(text)
    passed_on = CompletedCall("id", "handoff", True, "{}", "{}")

    history = conversation.history(3, asks_again=False, earlier=(Stretch(0, 2, passed_on),))

    assert history == (
        HistoryText("user", "Hello."),
        HistoryText("user", "Yes please."),
        HistoryCalls((passed_on,)),
        HistoryText("user", "Back again."),
    )
