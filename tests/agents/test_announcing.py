"""What an agent has told the caller it is about to do."""

from time import process_time

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.announcing import announced, asks_for_time, asks_to_wait, is_courtesy, is_farewell, why_never
from agents.functions import (
    END_CONVERSATION,
    RECORD_SATISFACTION,
    SCHEDULE_FOLLOWUP,
    FunctionSpec,
    hand_back,
    handoff_to_next_agent,
    transfer_to_human,
)
from agents.sentences import Sentences
from agents.unknown import is_question
from tests.examples import UNICODE

HANDOFF = handoff_to_next_agent("advisor")
FUNCTIONS = (HANDOFF, END_CONVERSATION, SCHEDULE_FOLLOWUP, RECORD_SATISFACTION)


def names(text: str, functions: tuple[FunctionSpec, ...] = FUNCTIONS) -> list[str]:
    return [function.name for function in announced(text, functions)]


@pytest.mark.parametrize(
    "text",
    [
        "Great, I'll put you through to our advisor now.",
        "Transferring you now!",
        "One moment. I’m connecting you with the advisor.",
        "Let me HAND YOU OVER to a colleague.",
        "Lovely; I will transfer you.",
    ],
)
def test_putting_somebody_through_is_announced(text: str) -> None:
    assert names(text) == ["handoff_to_next_agent"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Thanks for your time today, and goodbye.", "end_conversation"),
        ("Have a great day!", "end_conversation"),
        ("Good-bye, John.", "end_conversation"),
        ("Goodbye to you, too.", "end_conversation"),
        *((text, "end_conversation") for text in ("Let me end this call for you.", "I'll use the hangup tool now.")),
        ("I've put you down for Wednesday afternoon.", "schedule_followup"),
        ("I've noted your rating, thank you.", "record_satisfaction"),
    ],
)
def test_an_end_and_a_note_are_announced(text: str, name: str) -> None:
    assert name in names(text)


@pytest.mark.parametrize(
    "text",
    [
        'end_conversation(reason="task_complete")',
        '<function=end_conversation>{"reason": "task_complete"}</function>',
        'Should I? {"name": "end_conversation", "arguments": {}}',
    ],
)
def test_a_function_that_is_spoken_and_not_called_is_announced(text: str) -> None:
    assert names(text) == ["end_conversation"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Shall I put you through?",
        "Would you like me to connect you with an advisor?",
        "I can put you through if you like.",
        "I'm sorry, I can't transfer you right now.",
        "I will not put you through before you say so.",
        "Our advisor could talk to you right now.",
        "We help people put money aside.",
        "The connection is poor.",
        "Standby flights are cheaper.",
        "Say goodbye to high prices!",
        "He said good-bye to his landlord.",
    ],
)
def test_an_offer_a_question_and_a_refusal_announce_nothing(text: str) -> None:
    assert names(text) == []


def test_only_functions_that_the_agent_has_are_announced() -> None:
    assert names("I'll put you through.", (END_CONVERSATION,)) == []


def test_what_may_mean_either_of_two_functions_means_both() -> None:
    both = (HANDOFF, transfer_to_human())

    assert names("I'll put you through.", both) == ["handoff_to_next_agent", "transfer_to_human"]


@given(st.text(UNICODE))
def test_no_words_can_break_it(text: str) -> None:
    assert set(names(text)) <= {function.name for function in FUNCTIONS}


@pytest.mark.parametrize(
    "text",
    [
        "Let me check.",
        "One moment, I'll look that up.",
        "One moment, please.",
        "Sure. Just a moment while I pull up your account.",
        "Hold on, I'm looking into it.",
        "Okay, let me see.",
        "One moment, I need to check that.",
        "Hold on, I have to open the file.",
        "Just a second, I want to make sure.",
        "Bear with me, this takes a while.",
        "One moment, it will take a few seconds.",
        "One second please, thank you.",
        "Hang tight.",
        "Please stay on the line.",
        "I'll be right back.",
        "Alright, let me think of a quick one to share.",
        "Okay, checking now.",
        "I will have a look.",
        "I'll take a look at that for you.",
    ],
)
def test_the_caller_is_asked_to_wait_in_general(text: str) -> None:
    assert asks_to_wait(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Let me see, that is on Tuesday.",
        "Let me check: you have Tuesday at nine.",
        "Let me think, Tuesday is good.",
        "Let me see, I have Tuesday at nine.",
        "One moment, I need to ask you something.",
        "Hold on, I need to know your name.",
        "Just a moment, I have to tell you that we are closed on Tuesday.",
        "Let me look, it takes a week.",
        "Let me check, this takes two days.",
        "One moment. You have Tuesday at nine.",
        "Would you hold on?",
        "I cannot look into that.",
        "We open at nine.",
    ],
)
def test_what_is_followed_by_its_answer_asks_for_no_patience(text: str) -> None:
    assert not asks_to_wait(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'll look forward to speaking with you.",
        "I'll look into it and someone will call you back tomorrow.",
        "I will find out and get back to you by Friday.",
        "I'll check with my manager and send you an e-mail.",
        "We are looking for you to confirm it.",
        "Hang on to your receipt.",
        "It takes just a second to sign up.",
        "One minute costs ten pence.",
        "Do I have to stay on the line?",
        "I need to stay on the line.",
        "I'll take a look at your website tomorrow.",
    ],
)
def test_nobody_has_to_wait_on_the_line_for_another_day(text: str) -> None:
    assert (asks_to_wait(text), asks_for_time(text)) == (False, False)


@pytest.mark.parametrize(
    "text",
    [
        "Hold on, I have to find my card.",
        "Just a second.",
        "Could you hold on a minute?",
        "Okay. Let me get a pen.",
        "Thanks. Please stay on the line.",
        "Please hold while I connect you.",
        "Can you hold for a moment?",
        "Hold.",
        "I'll see if she's available.",
        "Let me put you on hold.",
        "Transferring you now.",
        "Putting you through.",
        "I'll be right back.",
        "Give me two minutes.",
        "Yes, a moment please.",
        "Please don't hang up.",
        "Wait, wait.",
        "Let me think about it.",
        "Let me ask my wife.",
        "I'll go and get her.",
        "I'm looking for it.",
        "Hold up.",
        "I need a minute to find it.",
        "I have to fetch my glasses.",
        "Let me write that down.",
        "I'm just checking.",
        *("Two minutes please.", "I won't be a minute.", "I need you to stay on the line.", "Oh, hold up a second."),
        *("I'm looking for my card.", "I'll get it for you.", "Let me open my mail."),
    ],
)
def test_the_caller_asks_for_time(text: str) -> None:
    assert asks_for_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Wait a minute, how much is that?",
        "Hold on. I have found it.",
        "On Tuesday.",
        "I was on hold for an hour.",
        "I need a second opinion.",
        "I'm looking for a pension.",
        "Can you hold the reservation?",
        "I cannot wait.",
        "Let me ask you something.",
        "Could you put me through to somebody?",
        "I want to get my pension sorted.",
        "I'll transfer you the money.",
        "I've been waiting for a minute.",
        "Please hold my order.",
        "Let me go.",
        *("Five minutes.", "It should be five minutes.", "How long, two minutes?", "How well does it hold up?"),
        *("The right back tyre.", "Please call me right back on this.", "Do I have to stay on the line?"),
        *("Let me open an account.", "Let me ask for a refund.", "Let me transfer the money.", "Don't hang up on me."),
        *("I have to get it fixed.", "I have to grab my kids at five.", "I'm finding it expensive."),
    ],
)
def test_who_goes_on_asks_for_no_time(text: str) -> None:
    assert not asks_for_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "Okay, bye-bye.",
        "Thank you so much!",
        "No, thanks. Goodbye!",
        "You too, have a nice day.",
        "All right.",
        "Mhm, okay.",
        *("Mhm.", "Mm-hm.", "Mmhmm.", "Uh-huh.", "Yeah, yeah.", "Yup."),
        *("Ah, I see.", "Okay, got it.", "That makes sense.", "Sounds good, thanks.", "No problem.", "Of course."),
        "Great, thank you for all your help. Take care!",
        "Perfect. See you then.",
        "Yes, that's fine.",
        *("Thanks a lot, sir.", "Excellent.", "Much appreciated.", "I appreciate your help.", "Okay, will do."),
        *("Likewise.", "Fair enough.", "Thanks again.", "No, that was everything, thank you.", "You as well."),
        *(
            "Okay then, bye, Alex.",
            "Bye, Alex. Thank you.",
            "Bye for now.",
            "Have a wonderful rest of your day.",
            "Enjoy your evening.",
        ),
        *("Thank you, ma'am. Talk to you on Tuesday.", "I'll speak to you then."),
    ],
)
def test_a_caller_is_only_polite(text: str) -> None:
    assert is_courtesy(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "No.", "Yes.", "Oh, no.", "Got it?", "I see you have no Tuesday.", "Makes no sense."),
        *("Later.", "Okay?", "Thank you, but when?", "Bye the way, one more thing.", "Please.", "Thanks, on Tuesday."),
        *(
            "Okay, I will have that then.",
            "Good, I will take that.",
            "Sure, help.",
            "Great, that week.",
            "Fine, later.",
        ),
        *("Okay, today.", "Okay, again.", "Great, the lot.", "Sure, a million."),
        *("Bye. Cancel.", "Okay, bye. Tuesday.", "Bye, wait.", "Goodbye. Help!", "Okay, bye. Agent.", "Bye. Hello."),
        *("Thank you, stop.", "That's all wrong.", "See you in court.", "Bye what?", "No, thanks to you I'm late."),
    ],
)
def test_who_wants_something_is_not_only_polite(text: str) -> None:
    assert not is_courtesy(text)


@pytest.mark.parametrize("text", ["Okay, bye-bye.", "No, that's all.", "You too, have a nice day.", "See you then."])
def test_a_caller_takes_leave(text: str) -> None:
    assert is_courtesy(text)
    assert is_farewell(text)


@pytest.mark.parametrize("text", ["Mhm.", "That's all right.", "Thank you so much!", "Okay.", "Very good.", "Great."])
def test_who_only_listens_does_not_take_leave(text: str) -> None:
    assert is_courtesy(text)
    assert not is_farewell(text)


QUESTIONS = [
    "When?",
    "「いつですか？」",
    "متى؟",
    "You said “when?”",
    "Really?!",
    "When? …",
    "(Which day?)",
    "Πότε;",
    "Πότε\u037e",
    "Ե՞րբ։",
    "መቼ፧",
    "« Quand ? »",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_is_one_in_any_script_and_in_quotes(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize("text", ["", "?", "When? On Tuesday.", "I see;", "いつ？火曜日です。"])
def test_what_goes_on_behind_its_question_is_none(text: str) -> None:
    assert is_question(text) is (text == "?")


@pytest.mark.parametrize("text", ["?" * 60_000, "!?" * 30_000])
def test_whether_a_text_without_an_end_is_a_question_is_known_at_once(text: str) -> None:
    began = process_time()

    assert not is_question(f"{text}Ω.")
    assert process_time() - began < 0.5


@pytest.mark.parametrize("end", ["。", "｡", "！", "।", "۔", "։", "။", "។"])
def test_what_is_announced_before_a_question_is_announced_in_any_script(end: str) -> None:
    assert names(f"I'll put you through{end} ありますか？") == ["handoff_to_next_agent"]


@pytest.mark.parametrize("question", ["お繋ぎしますか？I'll put you through", "هل أحولك؟ I'll put you through"])
def test_a_sentence_ends_with_the_mark_of_its_script(question: str) -> None:
    assert names(f"{question}.") == ["handoff_to_next_agent"]
    assert names(f"I'll put you through？{question[:5]}") == []


GERMAN = Sentences(
    courtesies=("ja", "danke", "genau", "alles klar"),
    farewells=("tschüss", "auf wiederhören"),
    waits=("einen Moment", "ich schaue nach"),
    passing_on=("ich verbinde Sie",),
)


@pytest.mark.parametrize(
    ("text", "is_polite"),
    [("Ja, ja, genau.", True), ("Alles klar, danke! Tschüss.", True), ("Ja, und wann?", False), ("", False)],
)
def test_courtesies_of_another_language_are_those_that_its_sentences_name(text: str, is_polite: bool) -> None:
    assert (is_courtesy(text, GERMAN), is_courtesy(text)) == (is_polite, False)


def test_farewells_of_another_language_are_those_that_its_sentences_name() -> None:
    assert (is_farewell("Danke, Tschüss!", GERMAN), is_farewell("Danke, Tschüss!")) == (True, False)
    assert is_farewell("Okay, bye.", GERMAN)


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("Gern. Einen Moment, bitte, ich schaue nach.", True),
        ("Einen Moment, am Dienstag um zehn ist frei.", False),
        ("Haben Sie einen Moment?", False),
    ],
)
def test_requests_to_wait_in_another_language_are_those_that_its_sentences_name(text: str, waits: bool) -> None:
    assert (asks_to_wait(text, GERMAN), asks_to_wait(text)) == (waits, False)


def test_a_caller_asks_for_time_in_another_language() -> None:
    assert asks_for_time("Einen Moment, ich suche die Karte.", GERMAN)
    assert not asks_for_time("Einen Moment, wann war das?", GERMAN)


@pytest.mark.parametrize(
    ("text", "promised"),
    [
        ("Gern, ich verbinde Sie.", ["handoff_to_next_agent", "transfer_to_human"]),
        ("Vielen Dank, auf Wiederhören.", ["end_conversation"]),
        ("Darf ich sagen: ich verbinde Sie?", []),
        ("Das notiere ich.", []),
    ],
)
def test_what_is_announced_in_another_language_stands_in_its_sentences(text: str, promised: list[str]) -> None:
    functions = (*FUNCTIONS, transfer_to_human())

    assert [each.name for each in announced(text, functions, GERMAN)] == promised
    assert announced(text, functions) == ()


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("at 9 a.m.", "I have put you down at 9 a.m. tomorrow."),
        ("the 9.30", "I take the 9.30 for you. Is that fine?"),
        ("おつなぎします", "はい、予約担当におつなぎします。"),
        ("为您转接", "好的，我现在为您转接到预约部门。"),
        ("โอนสาย", "ได้ค่ะ ดิฉันจะโอนสายให้คุณเดี๋ยวนี้"),
        ("เดี๋ยวนี้", "ได้ค่ะ ดิฉันจะโอนสายให้คุณเดี๋ยวนี้"),
    ],
)
def test_a_phrase_is_found_over_points_that_end_no_sentence_and_where_words_have_no_spaces(
    phrase: str, said: str
) -> None:
    ours = Sentences(passing_on=(phrase,))

    assert [one.name for one in announced(said, (HANDOFF,), ours)] == ["handoff_to_next_agent"]
    assert announced(said, (HANDOFF,)) == ()


def test_other_words_of_a_script_without_spaces_are_no_phrase() -> None:
    japanese = Sentences(courtesies=("はい",), farewells=("さようなら",), waits=("少々お待ちください",))

    assert (is_courtesy("はい、はい。", japanese), is_courtesy("はい、予約です。", japanese)) == (True, False)
    assert is_farewell("それではさようなら。", japanese)
    assert asks_to_wait("確認しますので少々お待ちください。", japanese)


def test_a_request_to_wait_may_have_a_comma_in_it() -> None:
    spanish = Sentences(waits=("un momento, por favor",))

    assert asks_to_wait("Claro. Un momento, por favor.", spanish)
    assert asks_for_time("Un momento, por favor.", spanish)
    assert not asks_to_wait("Un momento, por favor, el martes está libre.", spanish)


@pytest.mark.parametrize(
    ("phrase", "why"),
    [
        ("shall I put you through?", "has 'shall' in it"),
        ("I can book that. Bye", "has 'can' in it"),
        ("I book that", ""),
    ],
)
def test_words_that_announce_nothing_are_told_with_what_to_write(phrase: str, why: str) -> None:
    assert bool(why_never(phrase)) is bool(why)
    assert why_never(phrase).startswith(why)


@pytest.mark.parametrize(
    ("phrase", "said"),
    [("one moment. I book that", "One moment, I book that."), ("ich verbinde Sie?", "Ich verbinde Sie.")],
)
def test_the_marks_of_a_phrase_are_no_part_of_it(phrase: str, said: str) -> None:
    functions = (attrs.evolve(HANDOFF, announced_by=(phrase,)),)

    assert announced(said, functions) == functions
    assert why_never(phrase) == ""


def test_marks_in_what_callers_say_are_no_part_of_it_either() -> None:
    ours = Sentences(courtesies=("¿de verdad?",), farewells=("Danke. Auf Wiederhören",), waits=("un momento. Sí",))

    assert is_courtesy("De verdad.", ours)
    assert is_farewell("Danke, auf Wiederhören.", ours)
    assert asks_for_time("Un momento, sí.", ours)


def test_every_phrase_of_ours_may_be_recognised() -> None:
    ours = {phrase for function in (*FUNCTIONS, hand_back()) for phrase in function.announced_by}

    assert [phrase for phrase in ours if why_never(phrase)] == []


def test_phrases_in_a_list_are_taken_as_well() -> None:
    assert is_farewell("Tschüss", Sentences(farewells=["tschüss"]))  # type: ignore[arg-type]
