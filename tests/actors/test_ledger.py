"""Promise 3 on the agents' side of the line, and who heard what: arithmetic on virtual time."""

import math
from collections import Counter
from collections.abc import Callable

import attrs
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.facts import AgentSpoke, BargeIn, HandoffGap, ReplyEnded, ReplyStarted, ReplyText
from actors.journal import Journal
from actors.line import ledger as module
from actors.line.ledger import Ledger
from actors.line.reply import Reply, SendAudio, SendClear, SendMarkAlone, Voice, Work
from actors.turn.effects import Gate
from tests.actors.notebook import Notebook, ledger_with, speech
from tests.examples import EXAMPLES


async def sent_within(ledger: Ledger, seconds: float) -> list[tuple[float, Work]]:
    """Be the bridge for so long: take all the work there is, each with its moment."""
    work: list[tuple[float, Work]] = []
    with trio.move_on_after(seconds):
        while True:
            work.append((round(trio.current_time(), 6), await ledger.next_work()))
            work[-1] = (round(trio.current_time(), 6), work[-1][1])
    return work


def audio_in(work: list[tuple[float, Work]]) -> bytes:
    return b"".join(one.audio for _, one in work if isinstance(one, SendAudio))


def marks_in(work: list[tuple[float, Work]]) -> list[str]:
    marks = [one.mark for _, one in work if isinstance(one, SendAudio | SendMarkAlone)]
    return [mark for mark in marks if mark is not None]


async def echo(ledger: Ledger, work: list[tuple[float, Work]]) -> None:
    for mark in marks_in(work):
        ledger.mark_reached(mark)


# What the bridge sends


async def test_audio_leaves_in_pieces_and_with_a_lead(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(2.0))

    work = await sent_within(ledger, 10.0)

    assert [at for at, one in work if isinstance(one, SendAudio)] == pytest.approx([0.0, 0.0, 0.4, 0.8, 1.2])
    assert [len(one.audio) for _, one in work if isinstance(one, SendAudio)] == [3200] * 5
    assert audio_in(work) == speech(2.0)


async def test_pieces_leave_when_those_of_other_calls_do_and_a_scrap_before_the_caller_has_heard_all(
    autojump_clock: MockClock,
) -> None:
    ledger, voice = ledger_with(Notebook())
    await trio.sleep(0.03)
    ledger.put(voice, speech(1.2))
    work = await sent_within(ledger, 1.0)
    assert [at for at, one in work if isinstance(one, SendAudio)] == pytest.approx([0.03, 0.08, 0.48])

    ledger.put(voice, speech(0.05))
    work = await sent_within(ledger, 1.0)
    assert [at for at, one in work if isinstance(one, SendAudio)] == pytest.approx([1.14])  # of 1.23


async def test_small_messages_of_the_service_are_joined_to_one_piece(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    for start in range(0, 8000, 700):
        ledger.put(voice, speech(1.0)[start : start + 700])
    ledger.audio_done(voice)

    work = await sent_within(ledger, 5.0)

    assert [len(one.audio) for _, one in work if isinstance(one, SendAudio)] == [3200, 3200, 1600]
    assert audio_in(work) == speech(1.0)


async def test_what_becomes_due_is_sent_and_no_task_is_woken_for_it(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    sent = list[tuple[float, Work]]()

    def send_due() -> None:
        if (work := ledger.work_now()) is not None:
            sent.append((round(trio.current_time(), 6), work))

    with ledger.sending(send_due):
        ledger.put(voice, speech(2.0))
        woken = await sent_within(ledger, 10.0)

    assert [at for at, _ in woken] == [0.0]
    assert [at for at, one in sent if isinstance(one, SendAudio)] == pytest.approx([0.0, 0.4, 0.8, 1.2])
    assert audio_in([*sent[:1], *woken, *sent[1:]]) == speech(2.0)


async def test_a_piece_never_holds_two_replies(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.1))
    ledger.audio_done(voice)
    ledger.put(voice, speech(0.2))

    work = await sent_within(ledger, 5.0)

    assert [len(one.audio) for _, one in work if isinstance(one, SendAudio)] == [800, 1600]


async def test_a_mark_goes_behind_every_two_fifths_of_a_second_and_behind_the_end(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.piece = 0.1
    ledger.put(voice, speech(0.9))
    ledger.audio_done(voice)

    work = await sent_within(ledger, 5.0)

    marks = [one.mark for _, one in work if isinstance(one, SendAudio)]
    assert marks == [None, None, None, "m400", None, None, None, "m800", None]
    assert [one for _, one in work[9:]] == [SendMarkAlone("m900")]


async def test_audio_that_stops_coming_is_marked_when_it_has_been_played(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.16))

    work = await sent_within(ledger, 5.0)

    assert [(at, type(one)) for at, one in work] == [(0.0, SendAudio), (pytest.approx(0.16), SendMarkAlone)]


async def test_the_end_of_a_reply_is_marked_as_soon_as_it_is_known(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.15))
    await sent_within(ledger, 0.01)

    ledger.audio_done(voice)

    assert await sent_within(ledger, 5.0) == [(0.01, SendMarkAlone("m150"))]


async def test_no_two_marks_have_one_name(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    work = []
    for size in (1, 7, 8, 9, 1600, 1601, 3207):
        ledger.put(voice, bytes(size))
        ledger.audio_done(voice)
        work += await sent_within(ledger, 1.0)

    names = marks_in(work)
    assert (len(names), len(set(names))) == (8, 8)  # the last goes in two pieces
    assert names[0] == "m0.1"


async def test_new_audio_wakes_a_bridge_that_waits(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    got = []

    async def be_bridge() -> None:
        got.append((await ledger.next_work(), trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_bridge)
        await trio.sleep(3.0)
        ledger.put(voice, speech(0.1))

    assert got == [(SendAudio(speech(0.1), None), 3.0)]


async def test_a_pause_of_the_service_is_a_pause_of_the_line(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(0.4))
    work = await sent_within(ledger, 1.0)
    ledger.put(voice, speech(0.4))
    ledger.audio_done(voice)
    work += await sent_within(ledger, 1.0)
    await echo(ledger, work)

    assert [(fact.start, fact.end) for fact in notebook.of(AgentSpoke)] == [(0.0, 0.4), (1.0, 1.4)]


# Who has a way in


async def test_only_the_voice_on_the_floor_is_heard(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    other = Voice("advisor")

    assert ledger.put(other, speech(0.1)) is False
    assert ledger.add_text(other, "Hello.") is None
    assert ledger.put(voice, speech(0.2)) is True
    assert (ledger.received, ledger.dropped) == (2400, 800)


async def test_what_was_said_before_the_floor_was_taken_is_played_out(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(1.0))

    ledger.withhold(voice)
    late = ledger.put(voice, speech(1.0))
    work = await sent_within(ledger, 5.0)
    await echo(ledger, work)

    assert (late, audio_in(work)) == (False, speech(1.0))
    assert len(notebook.of(ReplyEnded)) == 1


async def test_an_agent_that_loses_the_floor_to_another_has_said_its_last_reply(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(0.2))
    await echo(ledger, await sent_within(ledger, 1.0))

    ledger.grant(Voice("advisor"))

    assert [fact.agent for fact in notebook.of(ReplyEnded)] == ["qualifier"]


async def test_granting_the_floor_again_changes_nothing(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.2))
    reply = voice.reply

    ledger.grant(voice)

    assert voice.reply is reply is not None


async def test_withholding_from_who_has_no_floor_leaves_the_floor(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())

    ledger.withhold(Voice("advisor"))

    assert ledger.floor is voice


async def test_a_service_without_end_is_not_buffered_without_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_QUEUE", 8000)
    ledger, voice = ledger_with(Notebook())

    assert [ledger.put(voice, speech(0.6)), ledger.put(voice, speech(0.6))] == [True, False]
    assert (ledger.unplayed, ledger.dropped) == (0.6, 4800)


async def test_an_empty_message_is_no_audio(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)

    ledger.put(voice, b"")

    assert await sent_within(ledger, 1.0) == []
    assert notebook.entries == []


async def test_the_gap_of_a_handoff_ends_with_the_first_audio_of_the_promised_voice(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(0.2))
    promised_at = trio.current_time()
    await sent_within(ledger, 1.5)

    ledger.grant(advisor := Voice("advisor", promised_at))
    ledger.put(advisor, speech(0.2))
    await sent_within(ledger, 1.0)
    ledger.put(advisor, speech(0.2))
    await sent_within(ledger, 1.0)

    assert notebook.of(HandoffGap) == [HandoffGap("advisor", 1.5)]


# What the caller heard


async def test_an_echoed_mark_proves_what_was_played(autojump_clock: MockClock) -> None:
    heard: list[tuple[float, bytes]] = []
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.on_heard = lambda start, audio: heard.append((start, audio))
    ledger.add_text(voice, "Good morning.")
    ledger.put(voice, speech(0.6))
    ledger.audio_done(voice)
    work = await sent_within(ledger, 0.6)

    await echo(ledger, work)

    assert [audio for _, audio in heard] == [speech(0.6)[:3200], speech(0.6)[3200:]]
    assert [start for start, _ in heard] == pytest.approx([0.0, 0.4])
    assert notebook.events == ["reply_text", "reply_started", "agent_spoke", "reply_ended"]
    assert notebook.of(ReplyEnded) == [ReplyEnded("qualifier", 1, "Good morning.", "Good morning.", complete=True)]


async def test_marks_echoed_twice_or_never_sent_prove_nothing(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.8))
    first, second = marks_in(await sent_within(ledger, 0.8))
    reply = voice.reply
    assert reply is not None

    played = []
    for mark in ("m9999", "", first, first, second, first, second):
        ledger.mark_reached(mark)
        played.append(reply.played)

    assert played == [0, 0, 3200, 3200, 6400, 6400, 6400]


async def test_a_mark_proves_everything_before_it_even_if_an_earlier_echo_is_overdue(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.2))
    first, second, _ = marks_in(await sent_within(ledger, 0.8))
    reply = voice.reply
    assert reply is not None
    ledger.mark_reached(second)
    await sent_within(ledger, 0.1)

    ledger.mark_reached(first)

    assert reply.played == 6400
    assert ledger.buffered == pytest.approx(0.3)


async def test_a_late_echo_sets_the_clock_of_the_line(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.2))
    work = await sent_within(ledger, 0.5)  # three pieces are out, the first was to be over at 0.4
    before = ledger.buffered

    ledger.mark_reached(marks_in(work)[0])

    assert [before, ledger.buffered] == pytest.approx([0.7, 0.8])
    sure = ledger.surely_unplayed(trio.current_time())
    assert sure == pytest.approx(0.7)  # it may be that the echo was only read late


async def test_what_a_caller_has_yet_to_hear_is_no_more_than_the_line_says(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.6))
    work = await sent_within(ledger, 0.35)
    before = ledger.surely_unplayed(trio.current_time())

    ledger.mark_reached(marks_in(work)[0])  # 0.05 s earlier than our clock has it

    assert [before, ledger.surely_unplayed(trio.current_time())] == pytest.approx([0.25, 0.2])


async def test_what_was_heard_and_what_was_dropped_make_up_what_was_said_on_a_late_line(
    autojump_clock: MockClock,
) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(2.0))
    work = await sent_within(ledger, 0.6)
    ledger.mark_reached(marks_in(work)[0])  # 0.2 s later than our clock has it
    await sent_within(ledger, 0.3)

    ledger.cut()
    ledger.forget()

    assert notebook.of(BargeIn) == [BargeIn("qualifier", 1, heard_seconds=0.7, dropped_seconds=1.3)]


async def test_a_bridge_is_not_hurried_by_an_echo_that_comes_early(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.6))
    work = await sent_within(ledger, 0.0001)
    ledger.mark_reached(marks_in(work)[1])

    later = await sent_within(ledger, 5.0)

    assert audio_in(work) + audio_in(later) == speech(1.6)
    assert ledger.buffered == 0.0


async def test_a_mark_that_comes_before_its_audio_can_have_been_played_is_true_by_our_clock(
    autojump_clock: MockClock,
) -> None:
    """As of a network that echoes each mark as soon as it has it, or plays nothing itself."""
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.2))
    work, played, reply = list[tuple[float, Work]](), list[int](), voice.reply
    assert reply is not None
    for _ in range(5):
        more = await sent_within(ledger, 0.25)
        work += more
        await echo(ledger, more)
        played.append(reply.played)

    assert [at for at, one in work if isinstance(one, SendAudio)] == pytest.approx([0.0, 0.0, 0.4])
    assert played == [0, 3200, 3200, 6400, 9600]
    assert ledger.marks.oldest is None


async def test_echoes_that_a_network_has_held_up_are_not_too_soon(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.2))
    work = await sent_within(ledger, 3.0)
    await echo(ledger, work)

    assert voice.reply is not None
    assert (voice.reply.played, ledger.buffered) == (9600, 0.0)


async def test_a_reply_without_audio_ends_unheard(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "Nobody hears this.")

    ledger.audio_done(voice)
    ledger.end_reply(voice)

    assert notebook.of(ReplyEnded) == [ReplyEnded("qualifier", 1, "Nobody hears this.", "", complete=False)]


async def test_a_reply_whose_end_the_service_never_announced_ends_with_the_next_turn(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(0.2))
    await echo(ledger, await sent_within(ledger, 1.0))
    before = len(notebook.of(ReplyEnded))

    ledger.end_reply(voice)
    ledger.audio_done(voice)  # late, and of nothing

    assert before == 0
    assert [fact.complete for fact in notebook.of(ReplyEnded)] == [False]


async def test_the_next_audio_after_the_end_of_a_reply_begins_another(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    for _ in range(2):
        ledger.put(voice, speech(0.1))
        ledger.audio_done(voice)

    assert [fact.generation for fact in notebook.of(ReplyStarted)] == [1, 2]


@pytest.mark.parametrize(("is_whole", "heard"), [(False, 1.0), (True, 1.5)])
async def test_audio_that_waits_for_words_which_nobody_is_to_hear_is_dropped_unless_it_has_come_whole(
    is_whole: bool, heard: float, autojump_clock: MockClock
) -> None:
    book = Notebook()
    ledger, voice = ledger_with(book)
    for seconds, text in ((1.0, "Ten pounds."), (0.5, "")):
        ledger.put(voice, speech(seconds))
        if text:
            ledger.add_text(voice, text)
        if text or is_whole:
            ledger.audio_done(voice)
    ledger.gate = Gate.SHUT

    assert ledger.add_text(voice, "One moment, please.") is None
    assert len(audio_in(await sent_within(ledger, 5.0))) == len(speech(heard))
    assert ledger.received == ledger.sent + ledger.dropped


async def test_close_cuts_what_was_not_heard_and_every_byte_is_accounted_for(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "one two three four")
    ledger.put(voice, speech(2.0))
    ledger.audio_done(voice)
    await sent_within(ledger, 1.0)

    ledger.close()
    ledger.close()

    assert notebook.of(ReplyEnded) == [ReplyEnded("qualifier", 1, "one two three four", "one two", complete=False)]
    assert [(fact.start, fact.end) for fact in notebook.of(AgentSpoke)] == [(0.0, 1.0)]
    assert ledger.received == ledger.sent + ledger.dropped


# Barge-in


async def test_a_barge_in_clears_the_line_and_says_what_was_heard(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "one two three four")
    ledger.put(voice, speech(2.0))
    ledger.audio_done(voice)
    await sent_within(ledger, 1.0)

    ledger.cut()
    ledger.forget()

    assert notebook.of(BargeIn) == [BargeIn("qualifier", 1, 1.0, 1.0)]
    assert notebook.of(ReplyEnded) == [ReplyEnded("qualifier", 1, "one two three four", "one two", complete=False)]
    assert [one for _, one in await sent_within(ledger, 5.0)] == [SendClear()]


async def test_an_echo_of_a_flushed_mark_proves_nothing(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(2.0))
    work = await sent_within(ledger, 0.1)
    reply = voice.reply
    assert reply is not None
    ledger.cut()
    ledger.forget()
    played = reply.played

    await echo(ledger, work)
    await echo(ledger, work)

    assert reply.played == played == 800
    assert len(notebook.of(ReplyEnded)) == 1


async def test_after_a_barge_in_a_mark_proves_no_more_than_what_went_before_it(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(2.0))
    await sent_within(ledger, 0.1)
    ledger.cut()
    ledger.forget()
    ledger.put(voice, speech(0.8))
    work = await sent_within(ledger, 0.4)

    ledger.mark_reached(marks_in(work)[0])

    assert voice.reply is not None
    assert voice.reply.played == 3200


async def test_a_reply_that_never_left_needs_no_clear(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.0))

    ledger.cut()
    ledger.forget()

    assert await sent_within(ledger, 5.0) == []
    assert ledger.dropped == 8000


async def test_two_barge_ins_at_once_clear_the_line_once(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.0))
    await sent_within(ledger, 0.1)

    ledger.cut()
    ledger.cut()

    assert [one for _, one in await sent_within(ledger, 1.0)] == [SendClear()]


async def test_the_clear_goes_before_what_is_said_next(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.0))
    await sent_within(ledger, 0.1)

    ledger.cut()
    ledger.forget()
    ledger.put(voice, speech(0.4))
    work = await sent_within(ledger, 1.0)

    assert [type(one) for _, one in work] == [SendClear, SendAudio]


async def test_an_interrupted_reply_is_not_complete_even_if_all_that_had_come_was_heard(
    autojump_clock: MockClock,
) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "one two three four five six seven eight")
    ledger.put(voice, speech(0.4))
    await echo(ledger, await sent_within(ledger, 1.0))

    ledger.cut()
    ledger.forget()
    ledger.put(voice, speech(2.0))
    ledger.audio_done(voice)

    (ended,) = notebook.of(ReplyEnded)
    assert (ended.heard, ended.complete) == ("one", False)


async def test_a_reply_that_was_heard_to_its_end_is_not_cut_by_what_comes_after_it(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "First.")
    ledger.put(voice, speech(0.4))
    ledger.audio_done(voice)
    ledger.add_text(voice, "Second.")
    ledger.put(voice, speech(0.8))
    await sent_within(ledger, 0.5)  # no echo has come back yet

    ledger.cut()
    ledger.forget()

    assert [(fact.heard, fact.complete) for fact in notebook.of(ReplyEnded)] == [("First.", True), ("", False)]
    assert [(fact.generation, fact.heard_seconds) for fact in notebook.of(BargeIn)] == [(2, 0.1)]


async def test_a_reply_that_waits_only_for_its_echo_is_left_alone(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(0.4))
    ledger.audio_done(voice)
    work = await sent_within(ledger, 1.0)

    ledger.cut()
    ledger.forget()
    before = len(notebook.of(ReplyEnded))
    await echo(ledger, work)

    assert before == 0
    assert [fact.complete for fact in notebook.of(ReplyEnded)] == [True]


async def test_the_next_agents_barge_in_silences_the_last_words_of_the_one_before(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(1.0))
    await sent_within(ledger, 0.5)
    ledger.grant(Voice("advisor"))

    ledger.cut()
    ledger.forget()

    assert [fact.agent for fact in notebook.of(BargeIn)] == ["qualifier"]


# Anything in any order


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts scheduler steps, and cancels what takes too many: a loop that never lets time pass."""

    scope: trio.CancelScope
    most: int
    count: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
        if self.count > self.most:
            self.scope.cancel(reason="spinning")


@attrs.define
class Play:
    """One ledger, two voices, the bridge and the line, and what must be true of them."""

    notebook: Notebook = attrs.field(factory=Notebook)
    ledger: Ledger = attrs.field(init=False)
    voices: list[Voice] = attrs.field(factory=lambda: [Voice("qualifier"), Voice("advisor", 0.0)])
    accepted: list[tuple[int, bytes]] = attrs.field(factory=list)
    """The audio to be sent, with its generation."""
    sent: Counter[int] = attrs.field(factory=Counter)
    heard: Counter[int] = attrs.field(factory=Counter)
    flushed: set[int] = attrs.field(factory=set)
    flushed_names: set[str] = attrs.field(factory=set)
    out: list[str] = attrs.field(factory=list)
    names: list[str] = attrs.field(factory=list)
    replies: dict[int, Reply] = attrs.field(factory=dict)
    bytes_heard: int = 0
    clears_owed: int = 0

    def __attrs_post_init__(self) -> None:
        self.ledger = Ledger(Journal([self.notebook]), on_heard=self.hear)

    def hear(self, start: float, audio: bytes) -> None:
        self.bytes_heard += len(audio)

    # The session's side

    def put(self, who: int, size: int) -> None:
        voice = self.voices[who]
        audio = bytes((self.ledger.received + index) % 251 for index in range(size))
        if self.ledger.put(voice, audio):
            assert voice is self.ledger.floor
            assert voice.reply is not None
            assert voice.reply.generation not in self.flushed
            self.accepted.append((voice.reply.generation, audio))
            self.replies[voice.reply.generation] = voice.reply

    def add_text(self, who: int, text: str) -> None:
        reply = self.ledger.add_text(self.voices[who], text)
        if reply is not None:
            assert reply.generation not in self.flushed
            self.replies[reply.generation] = reply

    def on_voice(self, what: Callable[[Ledger, Voice], None], who: int) -> None:
        what(self.ledger, self.voices[who])

    def cut(self) -> None:
        """A cut that nothing brings back."""

        def cut() -> None:
            self.ledger.cut()
            self.ledger.forget()

        self._note_flush(cut)

    def _note_flush(self, flush: Callable[[], object]) -> None:
        buffered, unplayed = self.ledger.buffered, self.ledger.unplayed
        flush()
        if unplayed:
            self.clears_owed |= buffered > 0
            self.flushed |= set(self.replies)
            self.accepted.clear()
            self.flushed_names |= set(self.out)
            assert self.ledger.unplayed == 0
        elif set(self.out) - self.flushed_names:  # all is played by our clock, but the line may be late
            self.clears_owed = 1

    # The bridge's and the line's side

    async def pass_time(self, seconds: float) -> None:
        before = trio.current_time()
        with trio.CancelScope() as steps_left:
            trio.lowlevel.add_instrument(steps := Steps(steps_left, 5000))
            with trio.move_on_after(seconds):
                while True:
                    self.send(await self.ledger.next_work())
            trio.lowlevel.remove_instrument(steps)
        assert not steps_left.cancelled_caught
        assert trio.current_time() == pytest.approx(before + seconds)

    def send(self, work: Work) -> None:
        if isinstance(work, SendClear):
            assert self.clears_owed
            self.clears_owed = 0
            return
        assert not self.clears_owed
        if isinstance(work, SendAudio):
            self._send_audio(work.audio)
        if work.mark is not None:
            self.out.append(work.mark)
            self.names.append(work.mark)

    def _send_audio(self, audio: bytes) -> None:
        generation, _ = self.accepted[0]
        assert audio
        assert generation not in self.flushed
        self.sent[generation] += len(audio)
        while audio:
            of, first = self.accepted.pop(0)
            assert (of, audio[: len(first)]) == (generation, first[: len(audio)])
            if len(first) > len(audio):
                self.accepted.insert(0, (of, first[len(audio) :]))
            audio = audio[len(first) :]

    def echo(self, which: int, *, again: bool) -> None:
        if not self.out:
            self.ledger.mark_reached("m1.5")
            return
        name = self.out[which % len(self.out)]
        played = sum(reply.played for reply in self.replies.values())
        if not again:
            self.out.remove(name)
        self.ledger.mark_reached(name)
        if name in self.flushed_names:
            assert played == sum(reply.played for reply in self.replies.values())

    # What holds at any time

    def check(self) -> None:
        ledger = self.ledger
        assert ledger.sent == sum(self.sent.values())
        assert ledger.received == ledger.sent + ledger.dropped + sum(len(audio) for _, audio in self.accepted)
        assert len(set(self.names)) == len(self.names)
        assert 0 <= ledger.buffered <= ledger.lead + ledger.piece + 1e-9 or self.names
        assert self.bytes_heard == sum(reply.played for reply in self.replies.values())
        for generation, reply in self.replies.items():
            assert reply.played <= self.sent[generation] <= reply.received
            heard = reply.heard_text().split()
            assert reply.text.split()[: len(heard)] == heard
        ended = Counter(fact.generation for fact in self.notebook.of(ReplyEnded))
        assert all(count == 1 for count in ended.values())
        assert set(ended) == {number for number, reply in self.replies.items() if reply.is_over}

    def check_the_end(self) -> None:
        ended = self.notebook.of(ReplyEnded)
        assert {fact.generation for fact in ended} == set(self.replies)
        sounded = {fact.generation for fact in self.notebook.of(ReplyStarted)}
        assert sounded | {fact.generation for fact in self.notebook.of(ReplyText)} == set(self.replies)
        assert len(self.notebook.of(ReplyStarted)) == sum(reply.received > 0 for reply in self.replies.values())
        for fact in ended:
            assert not fact.complete or self.replies[fact.generation].played == self.sent[fact.generation]
            assert not fact.complete or fact.heard == fact.text


Step = Callable[[Play], object]
who = st.integers(0, 1)
sizes = st.sampled_from([1, 160, 799, 800, 1600, 1601, 3200, 5000, 9600]) | st.integers(0, 4000)
times = st.sampled_from([0.0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.7, 3.0]) | st.floats(0, 1)
sentences = st.sampled_from(["Yes.", "Good morning, how are you?", "I see, thank you.", ""])
VOICE_STEPS = [Ledger.audio_done, Ledger.end_reply, Ledger.grant, Ledger.withhold]
steps = st.one_of(
    st.tuples(st.just("put"), who, sizes),
    st.tuples(st.just("put"), st.just(0), sizes),
    st.tuples(st.just("add_text"), who, sentences),
    st.tuples(st.just("on_voice"), st.sampled_from(VOICE_STEPS), who),
    st.tuples(st.just("cut")),
    st.tuples(st.just("pass_time"), times),
    st.tuples(st.just("pass_time"), times),
    st.tuples(st.just("echo"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("echo"), st.just(0), st.just(False)),
)


async def play_through(script: list[tuple[object, ...]]) -> None:
    play = Play()
    play.ledger.grant(play.voices[0])
    for name, *arguments in script:
        match name, arguments:
            case "pass_time", [float(seconds)]:
                await play.pass_time(seconds)
            case "echo", [int(which), bool(again)]:
                play.echo(which, again=again)
            case _:
                getattr(play, str(name))(*arguments)
        play.check()
    play.ledger.close()
    play.accepted.clear()
    play.check()
    play.check_the_end()


@settings(max_examples=4 * EXAMPLES)
@given(st.lists(steps, max_size=30))
@example([("put", 0, 9600), ("pass_time", 0.1), ("cut",), ("put", 0, 160), ("echo", 0, True)])
def test_whatever_happens_the_books_balance(script: list[tuple[object, ...]]) -> None:
    trio.run(play_through, script, clock=MockClock(autojump_threshold=0))


@pytest.mark.slow
@given(
    st.floats(0, 1e6),
    st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 0.5)), min_size=1, max_size=12),
    st.floats(0.01, 1.0),
)
def test_the_bridge_never_spins_whatever_the_clock_and_the_lead(
    start: float, puts: list[tuple[int, float]], lead: float
) -> None:
    async def run() -> None:
        await trio.sleep(start)
        play = Play()
        play.ledger.lead = lead
        play.ledger.grant(play.voices[0])
        for size, pause in puts:
            play.put(0, size)
            await play.pass_time(pause)
        await play.pass_time(20.0)
        assert play.accepted == []
        assert play.ledger.buffered == 0.0

    trio.run(run, clock=MockClock(autojump_threshold=0))


def test_with_nothing_to_say_there_is_nothing_to_wake_for() -> None:
    async def run() -> None:
        ledger, _ = ledger_with(Notebook())
        with trio.move_on_after(1e6):
            await ledger.next_work()
        assert trio.current_time() == 1e6

    trio.run(run, clock=MockClock(autojump_threshold=math.nextafter(0, 1)))
