"""What a caller heard of an utterance, in whole words."""

from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.line.reply import Reply
from tests.actors.notebook import said
from tests.examples import EXAMPLES


def reply_of(*sentences: tuple[str, int], received: int, whole: bool = True) -> Reply:
    """A reply whose sentences came when so many bytes of audio had come."""
    reply = Reply("qualifier", 1, at=0.0)
    for text, at in sentences:
        reply.received = at
        reply.add_text(text)
    reply.received, reply.whole = received, whole
    return reply


def test_nothing_played_is_nothing_heard() -> None:
    assert said("qualifier", "Good morning.", heard=0.0).heard_text() == ""


def test_a_reply_played_to_its_end_was_heard_to_its_last_word() -> None:
    reply = said("qualifier", "Good morning, how are you?")

    assert (reply.heard_text(), reply.complete) == ("Good morning, how are you?", True)


def test_half_a_sentence_ends_at_the_last_whole_word() -> None:
    reply = said("qualifier", "one two three four", heard=0.5)

    assert reply.heard_text() == "one two"  # "one two t" is half of it


def test_what_was_heard_of_a_very_long_sentence_is_known_at_once() -> None:
    reply = said("qualifier", "a " * 30_000, heard=0.9)
    began = process_time()

    assert len(reply.heard_text().split()) == 27_000
    assert process_time() - began < 0.3


def test_a_sentence_is_heard_only_once_its_own_audio_has_been_played() -> None:
    reply = reply_of(("First things first.", 160), ("Then the second.", 8000), received=16_000)

    assert reply.heard_text(8000) == "First things first."
    assert reply.heard_text(12_000) == "First things first. Then the"
    assert reply.heard_text(16_000) == "First things first. Then the second."


def test_two_sentences_announced_at_once_share_one_stretch_of_audio() -> None:
    reply = reply_of(("One.", 0), ("Two three.", 0), received=8000)

    assert reply.heard_text(4000) == "One. Two"
    assert reply.heard_text(8000) == "One. Two three."


def test_a_sentence_whose_audio_never_came_in_full_is_measured_by_the_pace_of_speech() -> None:
    reply = reply_of(("a" * 14 + " " + "b" * 15, 0), received=8000, whole=False)  # thirty characters: two seconds

    assert reply.heard_text(8000) == "a" * 14
    assert reply.heard_text(16_000) == "a" * 14 + " " + "b" * 15


def test_more_audio_than_its_words_need_at_that_pace_counts_as_theirs() -> None:
    reply = reply_of(("one two", 0), received=80_000, whole=False)

    assert reply.heard_text(40_000) == "one"


def test_a_reply_without_words_was_heard_without_words() -> None:
    assert reply_of(received=8000).heard_text(8000) == ""


def test_a_reply_is_complete_when_all_of_it_was_sent_and_played_and_none_dropped() -> None:
    reply = said("qualifier", "Goodbye.")
    complete = reply.complete
    reply.cut = True
    cut = reply.complete
    reply.cut, reply.whole = False, False
    unfinished = reply.complete

    assert (complete, cut, unfinished) == (True, False, False)
    assert not Reply("qualifier", 1, at=0.0, whole=True).complete  # no audio at all


def test_speech_without_a_pause_is_one_interval() -> None:
    reply = Reply("qualifier", 1, at=0.0)

    for start, stop in [(0.0, 0.4), (0.4, 0.8), (0.84, 1.0), (1.5, 2.0)]:
        reply.add_spoken(start, stop)

    assert reply.spoken == [(0.0, 1.0), (1.5, 2.0)]


def test_what_was_to_be_spoken_after_a_cut_was_not_spoken() -> None:
    reply = Reply("qualifier", 1, at=0.0)
    reply.spoken = [(0.0, 1.0), (1.5, 2.0), (3.0, 4.0)]

    reply.cut_spoken(1.75)

    assert reply.spoken == [(0.0, 1.0), (1.5, 1.75)]


words = st.lists(st.text("abcdefgh ,.", min_size=1, max_size=12), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=2 * EXAMPLES)
@given(
    st.lists(st.tuples(words, st.integers(0, 8000)), min_size=1, max_size=5),
    st.integers(0, 8000),
    st.booleans(),
    st.data(),
)
def test_what_was_heard_is_the_beginning_of_the_text_in_whole_words_and_grows(
    sentences: list[tuple[str, int]], tail: int, whole: bool, data: st.DataObject
) -> None:
    came = sorted(at for _, at in sentences)
    received = came[-1] + tail
    reply = reply_of(
        *((text, at) for (text, _), at in zip(sentences, came, strict=True)), received=received, whole=whole
    )

    heard = [reply.heard_text(played).split() for played in sorted(data.draw(st.sets(st.integers(0, received))))]

    everything = reply.text.split()
    assert all(everything[: len(part)] == part for part in heard)
    assert heard == sorted(heard, key=len)
    assert not whole or not received or reply.heard_text(received).split() == everything
