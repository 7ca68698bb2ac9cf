import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.caller_words import said_by_caller
from agents.quoting import SpokenTurn
from tests.examples import UNICODE

NAME = "Thanks, I'll keep it short. Who am I speaking with?"
PLACE = "And where are you based?"
NEED = "What were you hoping to get help with?"


def asked(question: str, answer: str) -> list[SpokenTurn]:
    return [SpokenTurn("qualifier", question), SpokenTurn("caller", answer)]


@pytest.mark.parametrize(
    ("question", "answer", "name"),
    [
        ("", "My name is John Smith.", "John Smith"),
        ("", "my name's john smith and i need help", "John Smith"),
        ("", "Hi, this is John Smith speaking.", "John Smith"),
        ("", "Oh, you can call me Johnny.", "Johnny"),
        ("", "My full name is Anna de la Cruz, hello.", ""),
        ("", "My last name is O’Brien.", "O'Brien"),
        (NAME, "John Smith.", "John Smith"),
        (NAME, "Yeah, it's john.", "John"),
        (NAME, "I'm Mary-Jane Watson, and I'm in Boston.", "Mary-Jane Watson"),
        (NAME, "Sure. Anna.", "Anna"),
        (NAME, "This is van der Berg.", ""),
        (NAME, "Why do you ask?", ""),
        (NAME, "john smith", "John Smith"),
        (NAME, "One moment.", ""),
        (NAME, "Wait.", ""),
        (NAME, "It's his wife.", ""),
        (NAME, "His wife.", ""),
        (NAME, "This is John's wife.", ""),
        (NAME, "Voicemail.", ""),
        (NAME, "Wrong number.", ""),
        (NAME, "Nobody.", ""),
        (NAME, "The customer.", ""),
        (NAME, "Anonymous.", ""),
        (NAME, "Doctor.", ""),
        (NAME, "Unknown caller.", ""),
        ("", "My name is none of your business.", ""),
        ("", "Call me sir.", ""),
        (NAME, "Retirement planning.", ""),
        (NAME, "I'd rather not say.", ""),
        (NAME, "I'm driving right now.", ""),
        (NAME, "I'm not sure about this.", ""),
        (NAME, "Retirement is what I have in mind these days.", ""),
        ("", "This is great news.", ""),
        ("", "This is not a good time.", ""),
        ("", "I'm American.", ""),
        ("", "John Smith.", ""),
        ("My name is Alex.", "Seattle.", ""),
        ("", "Call me later.", ""),
        ("", "Call me crazy.", ""),
        ("", "Call me Monday.", ""),
        ("", "Call me Monday morning.", ""),
        ("", "My name is Sunday.", "Sunday"),
        ("", "My name is too long.", ""),
        ("", "This is Sunday Adeyemi.", "Sunday Adeyemi"),
        (NAME, "Dawn French.", "Dawn French"),
        ("", "My name is Alex too.", "Alex"),
        (NAME, "Dr. Ada Lovelace.", "Dr Ada Lovelace"),
        *(
            (NAME, text, "")
            for text in ("I'm tired.", "English, please.", "Spanish.", "It is Tuesday.", "Two two four.")
        ),
    ],
)
def test_a_name_is_taken_only_when_it_was_given(question: str, answer: str, name: str) -> None:
    assert said_by_caller(asked(question, answer))["name"] == name


@pytest.mark.parametrize(
    ("question", "answer", "place"),
    [
        ("", "I'm in Seattle.", "Seattle"),
        ("", "I live in St. Louis.", "St Louis"),
        ("", "I'm in Sales.", ""),
        ("", "I live in Seven Oaks today.", "Seven Oaks"),
        (PLACE, "Seattle today.", ""),
        ("", "We're in Trouble.", ""),
        ("", "I live in Seattle, Washington.", "Seattle, Washington"),
        ("", "I'm calling from the Bay Area, by the way.", "Bay Area"),
        ("", "I'm up in New York and I need help.", "New York"),
        ("", "We're in Rio de Janeiro right now.", "Rio de Janeiro"),
        (PLACE, "Seattle.", "Seattle"),
        (PLACE, "Oh, just seattle.", "Seattle"),
        (PLACE, "I'm in portland, oregon.", "Portland"),
        (PLACE, "San Francisco, California.", "San Francisco, California"),
        ("Which city are you in?", "Salt Lake City.", "Salt Lake City"),
        (PLACE, "Why do you want to know?", ""),
        (PLACE, "That is none of your business.", ""),
        ("", "I'm in a hurry.", ""),
        ("", "I'm in my car.", ""),
        ("", "I'm in sales.", ""),
        ("", "Seattle.", ""),
        (PLACE, "I'm in the car.", ""),
        (PLACE, "It depends on which day of the week you mean.", ""),
    ],
)
def test_a_place_is_taken_only_when_it_was_given(question: str, answer: str, place: str) -> None:
    assert said_by_caller(asked(question, answer))["location"] == place


@pytest.mark.parametrize(
    ("question", "answer", "need"),
    [
        ("", "I need some help with retirement planning.", "help with retirement planning"),
        ("", "I'd like some advice on my pension, please.", "pension"),
        ("", "I'm interested in a college fund because my son is two.", "college fund"),
        ("", "I'm interested in English lessons.", "English lessons"),
        (NEED, "Work permits.", "Work permits"),
        (NEED, "Mostly retirement planning.", "retirement planning"),
        (NEED, "Um, yes, a mortgage.", "mortgage"),
        (NEED, "I don't know.", ""),
        (NEED, "What do you mean?", ""),
        (NEED, "That would take me quite a while to explain properly.", ""),
        ("", "I don't want to talk about money.", ""),
        ("", "Retirement planning.", ""),
    ],
)
def test_a_need_is_a_phrase_that_fits_behind_talk_about(question: str, answer: str, need: str) -> None:
    assert said_by_caller(asked(question, answer))["need"] == need.removeprefix("help with ")


@pytest.mark.parametrize(
    ("answer", "timeline"),
    [
        ("I'm forty-five and I'd like to retire by sixty.", "retire by sixty"),
        ("I want to retire by 60.", "retire by 60"),
        ("Maybe in the next two years.", "in the next two years"),
        ("Within six months.", "Within six months"),
        ("Next Wednesday afternoon would be good.", "Next Wednesday afternoon"),
        ("As soon as possible, really.", "As soon as possible"),
        ("It has to be done by the end of this year.", "done by the end of this year"),
        ("By the way, I like tea.", ""),
        ("Not next week.", ""),
        ("I'm in sales.", ""),
    ],
)
def test_a_timeline_is_kept_in_the_callers_words(answer: str, timeline: str) -> None:
    assert said_by_caller(asked("", answer))["timeline"] == timeline


def test_a_correction_counts_more_than_what_came_before() -> None:
    turns = [*asked(NAME, "John."), *asked("Nice to meet you, John.", "Sorry, my name is Jon Smythe.")]

    assert said_by_caller(turns)["name"] == "Jon Smythe"


def test_the_first_need_is_the_topic() -> None:
    turns = [*asked(NEED, "Retirement planning."), *asked("", "I'm also interested in your fees.")]

    assert said_by_caller(turns)["need"] == "Retirement planning"


def test_what_an_agent_says_is_never_taken_for_the_caller() -> None:
    turns = [SpokenTurn("qualifier", "My name is Alex, I'm in Dallas, and I can help with loans next week.")]

    assert [*said_by_caller(turns).values()] == ["", "", "", ""]


ALL = "May I have your name, where you are, and what you would like help with?"


@pytest.mark.parametrize(
    ("answer", "name", "location", "need"),
    [
        ("Maria Lopez, in Chicago. I need advice on an inheritance.", "Maria Lopez", "Chicago", "inheritance"),
        ("Maria Lopez, Chicago, Illinois. An inheritance.", "Maria Lopez", "Chicago, Illinois", "inheritance"),
        ("Maria Lopez from Chicago.", "", "", ""),
        ("It's Maria. I live in Chicago. Estate planning.", "Maria", "Chicago", "Estate planning"),
        ("My name is Maria Lopez.", "Maria Lopez", "", ""),
    ],
)
def test_of_three_things_asked_for_at_once_each_is_its_own(answer: str, name: str, location: str, need: str) -> None:
    said = said_by_caller(asked(ALL, answer))

    assert (said["name"], said["location"], said["need"]) == (name, location, need)


words = st.text(UNICODE) | st.sampled_from([NAME, PLACE, NEED])


@given(st.lists(st.builds(SpokenTurn, st.sampled_from(["caller", "advisor"]), words)))
def test_no_words_can_break_the_extract(turns: list[SpokenTurn]) -> None:
    said = " ".join(turn.text for turn in turns)

    assert len(said_by_caller(turns)["name"]) <= len(said) + 1
    assert len(said_by_caller(turns)["location"]) <= len(said) + 1
    assert len(said_by_caller(turns)["need"]) <= len(said)
    assert len(said_by_caller(turns)["timeline"]) <= len(said)
