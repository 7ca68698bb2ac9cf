"""Cards and numbers are left out however they are said, and nothing else is."""

import pytest

from store.redaction import CARDS, WHOLE, Redaction, RedactionRule

NUMBERS = Redaction(frozenset([RedactionRule.NUMBERS]))
CARD = "4242 4242 4242 4242"
SPOKEN = "four two four two, four two four two, four two four two, four two four two"


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f"It is {CARD}, thanks.", "It is [card], thanks."),
        ("4242-4242-4242-4242", "[card]"),
        ("378282246310005", "[card]"),
        (f"It's {SPOKEN}.", "It's [card]."),
        (f"{CARD} 12 30", "[card]"),
        ("4242 4242 4242", "4242 4242 4242"),
        ("1111 1111 1111 1", "1111 1111 1111 1"),
        ("Call +15557650000 in 2026.", "Call +15557650000 in 2026."),
        ("CA42424242424242424242424242424242", "CA42424242424242424242424242424242"),
        ("I am one of two.", "I am one of two."),
    ],
)
def test_cards_are_left_out(said: str, written: str) -> None:
    assert CARDS.text(said) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("My number is 555 765-0000.", "My number is [number]."),
        ("It ends in one two three four.", "It ends in [number]."),
        ("He is 45 and retires in 15 years.", "He is 45 and retires in 15 years."),
        (f"Card {CARD}", "Card [number]"),
    ],
)
def test_numbers_of_four_digits_and_more_are_left_out(said: str, written: str) -> None:
    assert NUMBERS.text(said) == written


def test_arguments_stay_json_and_keep_their_names() -> None:
    assert NUMBERS.value('{"card": 4242424242424242, "name": "John", "of": ["12345"]}') == (
        '{"card":"[number]","name":"John","of":["[number]"]}'
    )
    assert NUMBERS.value({"facts": ("call 5551234", 3, True, None)}) == {"facts": ("call [number]", 3, True, None)}


def test_without_a_rule_everything_is_written_down() -> None:
    assert WHOLE.value({"card": CARD}) == {"card": CARD}
