import pytest

from protocol.deepgram import CompletedCall, HistoryCalls, HistoryText
from simulators.deepgram.brain import GOOD_ENOUGH, Brain, identify, likeness
from simulators.scenario import Scenario, ScriptedAgent, ScriptedCall, ScriptedTurn, parse_scenario
from tests.simulators.deepgram.client import small_scenario

AGENT = ScriptedAgent(
    name="a",
    turns=(
        ScriptedTurn(hears="sure i have a few minutes", says=("one",)),
        ScriptedTurn(hears="my name is john smith", says=("two",)),
        ScriptedTurn(hears="yes please", calls=(ScriptedCall("hand_over"),)),
    ),
    fallback=("Pardon?", "Sorry?"),
)


def user(text: str) -> HistoryText:
    """Return something the user said."""
    return HistoryText("user", text)


def agent(text: str) -> HistoryText:
    """Return something the agent said."""
    return HistoryText("assistant", text)


@pytest.mark.parametrize(
    ("expected", "heard"),
    [
        ("yes please", "Yes, please!"),
        ("sure i have a few minutes", "Sure, I have minutes."),
        ("five", "I would give it a five."),
        ("i'm forty five", "Im forty five."),
        ("yes please", "Yes please, that would be great"),
    ],
)
def test_what_was_meant_is_recognised(expected: str, heard: str) -> None:
    assert likeness(expected, heard) >= GOOD_ENOUGH


@pytest.mark.parametrize(
    ("expected", "heard"),
    [("yes please", "My name is John."), ("sure i have a few minutes", "minutes"), ("", "hello"), ("hello", "…")],
)
def test_what_was_not_meant_is_not_recognised(expected: str, heard: str) -> None:
    assert likeness(expected, heard) < GOOD_ENOUGH


def test_the_best_fitting_turn_answers_whatever_the_order() -> None:
    brain = Brain(AGENT)

    assert [brain.answer(heard).number for heard in ("Yes, please.", "Sure I have minutes")] == [2, 0]


def test_what_fits_nothing_gets_the_next_unused_turn() -> None:
    brain = Brain(AGENT)

    assert [brain.answer("blah").number for _ in range(3)] == [0, 1, 2]


def test_the_next_turn_is_the_one_after_the_last_one_used() -> None:
    brain = Brain(AGENT)

    assert [brain.answer(heard).number for heard in ("My name is John Smith", "blah", "blah")] == [1, 2, 0]


def test_a_used_turn_answers_again_when_it_fits() -> None:
    brain = Brain(AGENT)

    assert [brain.answer("yes please").number for _ in range(2)] == [2, 2]


def test_fallback_lines_take_turns_when_no_turn_is_left() -> None:
    brain = Brain(AGENT)
    for _ in range(3):
        brain.answer("blah")

    assert [brain.answer("blah").turn.says for _ in range(3)] == [("Pardon?",), ("Sorry?",), ("Pardon?",)]


def test_an_agent_without_a_fallback_asks_politely() -> None:
    assert Brain(ScriptedAgent(name="b")).answer("blah").turn.says == ("Sorry, could you say that again?",)


def test_an_answer_given_back_is_given_again() -> None:
    brain = Brain(AGENT)
    brain.give_back(brain.answer("blah"))

    assert brain.answer("blah").number == 0


def test_a_fallback_given_back_is_given_again() -> None:
    brain = Brain(ScriptedAgent(name="b", fallback=("one", "two")))
    brain.give_back(brain.answer("blah"))

    assert brain.answer("blah").turn.says == ("one",)


def test_replayed_turns_are_used() -> None:
    brain = Brain(AGENT)
    unanswered = brain.replay([agent("Hello."), user("Sure, I have a few minutes."), agent("one")])

    assert unanswered == ""
    assert brain.answer("blah").number == 1


def test_the_users_last_words_are_unanswered() -> None:
    brain = Brain(AGENT)
    unanswered = brain.replay([user("Sure, I have a few minutes."), agent("one"), user("My name"), user("is John")])

    assert unanswered == "My name is John"
    assert brain.answer(unanswered).number == 1


def test_a_turn_cut_short_before_its_functions_may_be_used_again() -> None:
    brain = Brain(AGENT)
    brain.replay([user("Yes please."), agent("One mo")])

    assert brain.answer("hello?").number == 2


DONE = HistoryCalls((CompletedCall("id", "hand_over", True, "{}", "{}"),))
LONG = ScriptedAgent(
    name="a",
    turns=(
        ScriptedTurn(
            "where", says=("We are", "in Bath."), calls=(ScriptedCall("hand_over"),), then=("See you there.",)
        ),
        ScriptedTurn("when"),
    ),
)


@pytest.mark.parametrize(
    ("told", "says", "calls", "then"),
    [
        ([agent("We are")], ("in Bath.",), 1, ("See you there.",)),
        ([agent("We are in Bath.")], (), 1, ("See you there.",)),
        ([agent("We are in Bath."), DONE], (), 0, ("See you there.",)),
        ([agent("We are in Bath."), DONE, agent("See you")], (), 0, ("there.",)),
        ([agent("We are in Bath."), DONE, agent("See you there.")], ("in Bath.",), 0, ()),
    ],
)
def test_a_model_that_is_asked_to_go_on_says_and_calls_the_rest_of_its_answer(
    told: list[HistoryText | HistoryCalls], says: tuple[str, ...], calls: int, then: tuple[str, ...]
) -> None:
    brain = Brain(LONG)
    brain.replay([user("Where?"), *told])
    rest = brain.answer("(You were interrupted. Go on where you stopped.)")

    assert (rest.number, rest.turn.says, len(rest.turn.calls), rest.turn.then) == (0, says, calls, then)
    assert brain.answer("blah").number == 1


def test_a_turn_whose_functions_are_in_the_history_is_done() -> None:
    brain = Brain(AGENT)
    done = CompletedCall(id="1", name="hand_over", client_side=True, arguments="{}", response="{}")
    brain.replay([user("Yes please."), HistoryCalls((done,))])

    assert brain.answer("hello?").number == 0


@pytest.mark.parametrize(
    ("tags", "prompt", "name"),
    [
        (["agent:advisor"], "You are Alex", "advisor"),
        (["agent:nobody", "call:CA1"], "You are Alex", "qualifier"),
        ([], "You are an advisor", "advisor"),
        ([], "You are nobody", "qualifier"),
    ],
)
def test_an_agent_is_known_by_its_tag_then_by_its_prompt(tags: list[str], prompt: str, name: str) -> None:
    assert identify(small_scenario(), tags, prompt).name == name


def test_a_scenario_without_agents_has_one_that_knows_nothing() -> None:
    empty: Scenario = parse_scenario("")

    assert identify(empty, [], "").turns == ()
