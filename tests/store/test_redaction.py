"""Cards and numbers are left out however they are said, and nothing else is."""

import pytest

from store.redaction import CARDS, WHOLE, CallRedaction, Redaction, RedactionRule

NUMBERS = Redaction(frozenset([RedactionRule.NUMBERS]))
CARD = "4242 4242 4242 4242"
SPOKEN = "four two four two, four two four two, four two four two, four two four two"


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f"It is {CARD}, thanks.", "It is [card], thanks."),
        ("4242-4242-4242-4242", "[card]"),
        ("378282246310005", "[card]"),
        ("4242\u20114242\u20114242\u20114242", "[card]"),  # as models write it
        ("4242–4242–4242–4242", "[card]"),
        ("4242_4242_4242_4242", "[card]"),
        (", ".join(4 * [CARD]), "[card]"),
        (f"It's {SPOKEN}.", "It's [card]."),
        (f"{CARD} 12 30", "[card]"),
        ("4242 4242 4242", "4242 4242 4242"),
        ("1111 1111 1111 1", "1111 1111 1111 1"),
        ("Call +15557650000 in 2026.", "Call +15557650000 in 2026."),
        ("CA42424242424242424242424242424242", "CA42424242424242424242424242424242"),
        ("I am one of two.", "I am one of two."),
        ("double four double two triple four two four two 4242 4242 4", "[card]"),
        ("It's forty-two forty-two, forty two forty two, forty-two forty-two, forty-two forty-two.", "It's [card]."),
        ("forty five thirty nine fourteen eighty eight o three forty three sixty four sixty seven", "[card]"),
        ("4242 dash 4242 space 4242 and then 4242", "[card]"),
        ("four triple one, quadruple one, quadruple one, quadruple one", "[card]"),
        ("４２４２ ４２４２ ４２４２ ４２４２", "[card]"),
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
    assert CARDS.value(f'{{"{CARD}": 4242424242424242.0, "rate": 0.30000000000000004, "on": true}}') == (
        '{"[card]":"[card]","rate":0.30000000000000004,"on":true}'
    )
    assert CARDS.value(f"{[4242424242424242] * 4}") == '["[card]","[card]","[card]","[card]"]'
    assert NUMBERS.value({"facts": ("call 5551234", 3, True, None)}) == {"facts": ("call [number]", 3, True, None)}


def test_without_a_rule_everything_is_written_down() -> None:
    assert WHOLE.value({"card": CARD}) == {"card": CARD}


@pytest.mark.parametrize(
    ("rule", "turns", "written"),
    [
        (CARDS, ["Four one one one.", "One one one one", "1111, 1111."], ["[digits].", "[digits]", "[card]."]),
        (
            CARDS,
            ["It starts with 4111 1111", "and then", "11 11 11 11"],
            ["It starts with [digits]", "and then", "[card]"],
        ),
        (
            CARDS,
            ["41", "11", "1111 is next", "Then it is 1111"],
            ["41", "[digits]", "[digits] is next", "Then it is [digits]"],
        ),
        (CARDS, ["4111 is the first part.", "1111 the second"], ["[digits] is the first part.", "[digits] the second"]),
        (
            CARDS,
            ["It ends with 4111.", "I think 1111 comes now"],
            ["It ends with [digits].", "I think [digits] comes now"],
        ),
        (CARDS, ["double four one one"], ["[digits]"]),
        (CARDS, ["I was born in 1970.", "I have 250,000."], ["I was born in 1970.", "I have 250,000."]),
        *(
            (CARDS, [text], [text])
            for text in ("Nineteen eighty four.", "In twenty thirty-one.", "At twelve thirty.", "Ten oh five.")
        ),
        (CARDS, ["Forty-one eleven."], ["[digits]."]),
        *((CARDS, [text], ["[digits]"]) for text in ("Twenty 4242", "SİX ſix nıne trıple fıve")),
        (
            CARDS,
            ["It begins with 4242, the next are 4242, after that 4242 and it ends with 4242"],
            ["It begins with [digits], the next are [digits], after that [digits] and it ends with [digits]"],
        ),
        (CARDS, ["1970", "1234 1234"], ["1970", "[digits]"]),
        (CARDS, ["I had 12000 before it went.", "I am 45."], ["I had 12000 before it went.", "I am 45."]),
        (NUMBERS, ["Five five five", "seven six five", "0000"], ["Five five five", "[number]", "[number]"]),
        (NUMBERS, ["She is 45.", "It was 30 years ago."], ["She is 45.", "It was 30 years ago."]),
        (WHOLE, ["4111", "1111"], ["4111", "1111"]),
    ],
)
def test_a_number_in_parts_is_left_out_from_its_beginning(
    rule: Redaction, turns: list[str], written: list[str]
) -> None:
    call = CallRedaction(rule)

    assert [call.turn(text) for text in turns] == written


def test_what_a_call_has_left_out_is_left_out_of_all_other_words_of_it() -> None:
    call = CallRedaction(CARDS)
    call.turn("It is four one one one, one two three four")

    assert call.rule.text("They said 4111 and 1112, in 2026.") == "They said [digits] and [digits], in 2026."
    assert call.rule.value({"card": 41111234, "year": 2026}) == {"card": "[digits]", "year": 2026}
    assert [call.sentence("advisor", text) for text in ("Four one", "one one?")] == ["Four one", "[digits]?"]


def test_a_turn_that_comes_again_counts_once() -> None:
    call = CallRedaction(CARDS)

    assert [call.unsure_turn("It is 41"), call.turn("It is 41"), call.turn("1")] == ["It is 41", "It is 41", "1"]
