"""Who has picked up is told by their words, where Twilio's verdict knows only people and machines."""

import pytest

from actors.endings.callee import Callee, asks_who_calls, is_answer, is_greeting, judge, takes_no_message
from agents.quoting import SpokenTurn

SCREENS = [
    "Please say your name and why you are calling.",
    (
        "Hi, the person you're calling is using a screening service from Google, and has a copy of this conversation. "
        "Go ahead and say your name, and why you're calling."
    ),
    "Hi. If you record your name and reason for calling, I'll see if this person is available.",
    "Please state your name after the tone, and Google Voice will try to connect you.",
    "At the tone, please state your name and the reason for your call. Your call will be connected.",
    "Before I put you through, may I ask who's calling?",
    "Who is calling, please?",
    "Who may I say is calling, and what is this regarding?",
    "May I ask what this is about?",
    "Can you tell me your name and the purpose of your call?",
    "This is the call assistant for Ada. What is it about?",
    "What’s your call regarding?",
    "The person you are calling would like to know who is calling.",
    "Your call is being connected. Please say your name after the beep.",
    "Tell me your name and why you're calling, and I'll check if they can answer.",
    "Hello, you've reached Ada's assistant. What's this regarding?",
    "Before I try to connect you, can I ask what you are calling about?",
    "Thanks for calling. What are you calling about?",
    "Can I get a name and the reason you're calling?",
    "What is the reason that you are calling?",
    "This call is being screened. Please say who you are.",
    "Your call is screened by an app. Who is it?",
    "Please tell me who you are, and I'll ask whether she is free.",
    "Please introduce yourself.",
    "Please identify yourself, or hang up.",
    "You are speaking with Ada's assistant. What can I tell her this is about?",
    "Hi! I am Ada's AI. What would you like me to tell her?",
    "To whom am I speaking?",
    "Good afternoon, Miller and Sons, how can I help you?",
    "Doctor Miller's office, how may I direct your call?",
    "Could you tell me what it concerns?",
    "Tell me what this is in reference to.",
]
GREETINGS = [
    "You have reached the voicemail of Ada Lovelace. Please leave a message after the tone.",
    "Hi, you've reached Ada. I can't come to the phone right now.",
    "Please leave your name, your number and the reason for your call after the beep.",
    "The person you are calling is not available.",
    "The mailbox is full and cannot accept any messages.",
    "Sorry I missed you. Leave me a message and I will get back to you as soon as I can.",
    "Thank you for calling Acme. For sales, press one for English.",
    "Our office hours are nine to five.",
    "The number you have dialed is not in service.",
    "Your call has been forwarded to an automated voice messaging system.",
    "We're sorry, your call cannot be completed as dialed.",
    "When you have finished recording, you may hang up.",
    "No one is available to take your call.",
    "The number you are calling is currently busy.",
    "The call can not be completed as dialed.",
    "I'm sorry I missed your call.",
    "Hi, this is Ann, I'm away from my phone right now.",
    "Hey, it's Mike, you know what to do.",
    "Thank you for calling. For sales, press one.",
    "Please enter your account number followed by the pound key.",
    "If you know your party's extension, you may dial it at any time.",
    "In a few words, please tell me what you're calling about.",
    "You can say things like billing or support.",
    "Para español, oprima el dos.",
    "If this is a medical emergency, hang up and dial 911.",
    "This number does not accept anonymous calls.",
    "Please hang up and try your call again.",
    "Sorry I can't make it to the phone, leave me a voice note.",
    "Thank you for calling Acme. How can we help you? For sales, press one.",
    "Tell us how we can help you, and who you are, after the tone.",
]
LATER = [
    "Hi, it's Ada. I'm not here right now. Tell me who you are and what you are calling about.",
    "Hi, this is Ada. Please say who you are and I'll call you back.",
    "Hi, it's Ada, I can't pick up right now. Introduce yourself.",
    "Tell me what you're calling about, and I'll get back to you.",
    "Text me what you're calling about.",
    "I'm away until Monday. Please say what this concerns.",
    "Tell me what this concerns and I will be in touch.",
    "Please tell me the reason you are calling. You can say, billing.",
    "Briefly tell me what you are calling about. For example, check my balance.",
    "In reference to the pandemic, we are all at home.",
]
QUEUES = [
    "Your call is important to us.",
    "This call may be recorded for quality purposes.",
    "All our agents are busy. Please stay on the line.",
    "Please hold.",
    "Please enjoy the music while your party is reached.",
    "You will be with the next available agent.",
]
REFUSALS = [
    "He's not available at the moment.",
    "Did you leave me a message yesterday?",
    "Are you a voicemail?",
    "Should I press one?",
    "Sorry, he's in a meeting. Do you want to leave a message?",
    "She's out. Would you like to leave a message?",
]
DOUBTFUL = ["Hi, I'm not available right now.", "The manager is not available.", "I'm unavailable."]
PEOPLE = [
    "Hello?",
    "You've reached the right person.",
    "You have reached the wrong number.",
    "I am driving, I'll call you back later.",
    "Yes, I have a minute.",
    "Sure, go ahead.",
    "No, I'm driving.",
    "Speaking.",
    "Hi Alex, yes.",
    "Can we speak in English?",
    "I don't like things like that.",
    "I was looking for English lessons.",
    "I'm busy, try again later.",
    "We do not accept sales calls.",
    "My appointment has been changed.",
    "The number on my card has been changed.",
    "When is the next available slot?",
    "I want to continue in English.",
    "Please send me a voice note.",
    "Please dial my mobile.",
]


@pytest.mark.parametrize("text", SCREENS)
def test_a_call_screen_asks_who_calls(text: str) -> None:
    assert asks_who_calls(text)
    assert judge([SpokenTurn("caller", text)], []) is Callee.SCREENER


@pytest.mark.parametrize("text", GREETINGS)
def test_a_recording_does_not_ask_and_does_not_answer(text: str) -> None:
    assert (is_greeting(text), asks_who_calls(text), is_answer(text)) == (True, False, False)
    assert judge([SpokenTurn("caller", text)], [text]) is Callee.MACHINE


@pytest.mark.parametrize("text", LATER)
def test_who_takes_no_call_now_asks_for_no_name_as_a_call_screen_does(text: str) -> None:
    assert not asks_who_calls(text)
    assert judge([SpokenTurn("caller", text)], []) is None


def test_a_call_screen_may_say_that_it_will_come_back() -> None:
    assert asks_who_calls("I'll see if Ada is free and get back to you. Please say who you are.")
    assert asks_who_calls("Ada will call you back if she is busy. What are you calling about?")


@pytest.mark.parametrize("text", PEOPLE)
def test_a_person_answers_in_a_few_words(text: str) -> None:
    assert (is_greeting(text), asks_who_calls(text), is_answer(text)) == (False, False, True)
    assert judge([SpokenTurn("caller", text)], [text]) is Callee.PERSON
    assert judge([SpokenTurn("caller", text)], []) is None  # a greeting is words, too


@pytest.mark.parametrize("text", REFUSALS)
def test_a_person_who_turns_an_agent_down_may_use_a_recordings_words(text: str) -> None:
    assert judge([SpokenTurn("caller", text)], [text]) is Callee.PERSON
    assert judge([SpokenTurn("caller", text)], []) is Callee.MACHINE


@pytest.mark.parametrize("text", DOUBTFUL)
def test_words_that_a_person_or_a_recording_may_answer_with_tell_nothing_yet(text: str) -> None:
    more = "Please leave a message."

    assert judge([SpokenTurn("caller", text)], [text]) is None
    assert judge([SpokenTurn("caller", text), SpokenTurn("caller", more)], [text, more]) is Callee.MACHINE
    assert judge([SpokenTurn("caller", text)], []) is Callee.MACHINE


@pytest.mark.parametrize(
    ("text", "takes_none"),
    [
        ("The mailbox is full and cannot accept any messages at this time. Goodbye.", True),
        ("The person you are calling has a voicemail box that has not been set up yet.", True),
        ("We cannot take new messages.", True),
        ("The mailbox you're trying to reach is full. Goodbye.", True),
        ("The customer you are calling has a mailbox that isn't set up.", True),
        ("You cannot leave a message at this time.", True),
        ("The person you have called has no voicemail.", True),
        ("The number you dialed is no longer in service.", True),
        ("The number you have dialed is not a working number.", True),
        ("We are sorry, all circuits are busy now.", True),
        ("The person you called is not accepting calls at this time.", True),
        ("I cannot take calls now, please leave a message, my inbox is never full.", False),
        ("The number you have dialed is not in service.", True),
        ("This number does not accept anonymous calls.", True),
        ("Please leave a message, and we will take it from there.", False),
        ("The number you have dialed has been changed.", True),
        ("I can't take your call, so please leave a message.", False),
        ("If you can't leave a message, send a text; my inbox is full of offers.", False),
    ],
)
def test_a_mailbox_may_take_no_message(text: str, takes_none: bool) -> None:
    assert takes_no_message([SpokenTurn("caller", text)]) is takes_none
    assert not takes_no_message([SpokenTurn("qualifier", text)])


@pytest.mark.parametrize("text", QUEUES)
def test_behind_words_of_a_queue_a_person_may_come_to_the_phone(text: str) -> None:
    assert judge([SpokenTurn("caller", text)], [text]) is judge([SpokenTurn("caller", text)], []) is None
    assert judge([SpokenTurn("caller", text)], [text, "Hello, Ada speaking."]) is Callee.PERSON


def test_what_takes_more_words_is_no_proof_of_a_person() -> None:
    long = "well " * 13

    assert judge([SpokenTurn("caller", long)], [long]) is None
    assert not is_answer("")


def test_what_a_call_screen_asks_may_come_in_several_turns() -> None:
    turns = [
        SpokenTurn("caller", "Hi, you have reached Ada."),
        SpokenTurn("qualifier", "Hello, this is Alex, who is calling"),
        SpokenTurn("caller", "Before I try to connect you, say your name."),
    ]

    assert judge(turns[:2], []) is Callee.MACHINE
    assert judge(turns, []) is Callee.SCREENER
