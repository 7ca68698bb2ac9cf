"""A cut sets the rest of a reply aside: it is played from where the caller stopped hearing, or dropped (C2)."""

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.facts import AgentSpoke, BargeIn, ReplyEnded
from actors.journal import Journal
from actors.line.ledger import Ledger
from actors.line.reply import SendAudio, SendClear, Voice
from actors.turn.effects import Gate
from tests.actors.notebook import Notebook, ledger_with, speech
from tests.examples import EXAMPLES


async def bridge_for(ledger: Ledger, seconds: float) -> list[SendAudio | SendClear]:
    """Take what is sent to the line within so many seconds, but for marks alone."""
    sent: list[SendAudio | SendClear] = []
    with trio.move_on_after(seconds):
        while True:
            work = await ledger.next_work()
            if isinstance(work, SendAudio | SendClear):
                sent.append(work)
    return sent


def audio_of(sent: list[SendAudio | SendClear]) -> bytes:
    return b"".join(one.audio for one in sent if isinstance(one, SendAudio))


async def test_a_resumed_reply_goes_on_where_the_caller_stopped_hearing_it(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "one two three four")
    ledger.put(voice, speech(2.0))
    ledger.audio_done(voice)
    before = await bridge_for(ledger, 0.7)  # 1.2 s have been sent

    ledger.cut()
    between = await bridge_for(ledger, 1.0)
    ledger.resume()
    after = await bridge_for(ledger, 5.0)
    ledger.close()

    assert audio_of(before) == speech(2.0)[: round(1.2 * 8000)]
    assert between == [SendClear()]
    assert audio_of(after) == speech(2.0)[round(0.7 * 8000) :]
    assert [(spoke.start, spoke.end) for spoke in notebook.of(AgentSpoke)] == [(0.0, 0.7), (1.7, 3.0)]
    assert notebook.of(ReplyEnded) == [ReplyEnded("qualifier", 1, "one two three four", "one two three four", True)]
    assert ledger.sent + ledger.dropped == ledger.received + 4000  # half a second twice


async def test_what_is_still_coming_of_a_cut_reply_is_resumed_with_it(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(2.0)[:8000])
    await bridge_for(ledger, 0.5)

    ledger.cut()
    ledger.gate = Gate.ASIDE
    assert ledger.put(voice, speech(2.0)[8000:]) is True
    ledger.audio_done(voice)
    assert ledger.unplayed == 0.0
    ledger.gate = Gate.OPEN
    (reply,) = ledger.resume()
    after = await bridge_for(ledger, 5.0)
    ledger.close()

    assert audio_of(after) == speech(2.0)[4000:]
    assert (reply.played, reply.complete) == (16000, True)


async def test_a_reply_of_which_all_so_far_was_heard_is_resumed_with_what_comes(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(1.0)[:1600])
    await bridge_for(ledger, 1.0)

    ledger.cut()
    ledger.gate = Gate.ASIDE
    ledger.put(voice, speech(1.0)[1600:])
    ledger.resume()

    assert audio_of(await bridge_for(ledger, 5.0)) == speech(1.0)[1600:]


async def test_a_forgotten_reply_ends_where_it_was_cut(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.add_text(voice, "one two three four")
    ledger.put(voice, speech(2.0))
    await bridge_for(ledger, 1.0)

    ledger.cut()
    ledger.gate = Gate.ASIDE
    ledger.put(voice, speech(0.5))
    before = notebook.of(ReplyEnded)
    ledger.forget()
    ledger.gate = Gate.OPEN
    ledger.put(voice, speech(0.1))

    assert notebook.of(BargeIn) == [BargeIn("qualifier", 1, 1.0, 1.0)]
    assert before == []
    assert [(ended.heard, ended.complete) for ended in notebook.of(ReplyEnded)] == [("one two", False)]
    assert voice.reply is not None
    assert voice.reply.generation == 2
    assert ledger.resume() == []


async def test_a_second_cut_forgets_what_the_first_has_set_aside(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(1.0))
    ledger.cut()
    ledger.end_reply(voice)
    ledger.put(voice, speech(2.0)[8000:])
    ledger.audio_done(voice)

    ledger.cut()
    ledger.resume()

    assert audio_of(await bridge_for(ledger, 5.0)) == speech(2.0)[8000:]


async def test_the_switchboards_own_words_are_never_resumed(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, _ = ledger_with(notebook)
    ledger.announce(speech(1.0), "One moment, please.")
    await bridge_for(ledger, 0.5)

    ledger.cut()
    ledger.resume()

    assert audio_of(await bridge_for(ledger, 5.0)) == b""
    assert [ended.complete for ended in notebook.of(ReplyEnded)] == [False]


async def test_what_is_announced_in_between_is_heard_before_what_is_resumed(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.4))
    ledger.cut()

    ledger.announce(b"\x01" * 800, "One moment, please.")
    ledger.resume()

    assert audio_of(await bridge_for(ledger, 5.0)) == b"\x01" * 800 + speech(0.4)


async def test_a_cut_of_nothing_sets_nothing_aside(autojump_clock: MockClock) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(0.4))
    ledger.audio_done(voice)
    await bridge_for(ledger, 1.0)

    ledger.cut()

    assert ledger.resume() == []
    assert notebook.of(BargeIn) == []


async def test_behind_a_shut_gate_nothing_is_heard(autojump_clock: MockClock) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.gate = Gate.SHUT

    assert (ledger.put(voice, speech(0.1)), ledger.add_text(voice, "Nobody hears this.")) == (False, None)
    assert ledger.dropped == 800


@pytest.mark.parametrize("is_over", [False, True])
async def test_what_is_aside_ends_with_the_floor_and_with_the_call(autojump_clock: MockClock, is_over: bool) -> None:
    notebook = Notebook()
    ledger, voice = ledger_with(notebook)
    ledger.put(voice, speech(1.0))
    ledger.cut()

    if is_over:
        ledger.close()
    else:
        ledger.withhold(voice)

    assert [ended.complete for ended in notebook.of(ReplyEnded)] == [False]
    assert ledger.received == ledger.sent + ledger.dropped


@attrs.define
class Said:
    """One long reply: what has been put of it, and what of it the caller has heard."""

    ledger: Ledger = attrs.field(factory=lambda: Ledger(Journal([])))
    voice: Voice = attrs.field(factory=lambda: Voice("qualifier"))
    put: bytes = b""
    heard: bytearray = attrs.field(factory=bytearray)

    def __attrs_post_init__(self) -> None:
        self.ledger.on_heard = lambda _start, audio: self.heard.extend(audio)
        self.ledger.grant(self.voice)

    async def step(self, what: str, size: float) -> None:
        is_cut = self.ledger.gate is Gate.ASIDE
        match what:
            case "wait":
                await bridge_for(self.ledger, size)
            case "put":
                audio = bytes((len(self.put) + index) % 251 for index in range(int(size)))
                self.put += audio
                assert self.ledger.put(self.voice, audio)
            case "cut" if not is_cut:
                self.ledger.cut()
                self.ledger.gate = Gate.ASIDE
            case "resume" if is_cut:
                self.ledger.resume()
                self.ledger.gate = Gate.OPEN


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 6000)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.02, 0.1, 0.4, 1.0]) | st.floats(0, 1)),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("resume"), st.just(0)),
)


@settings(max_examples=4 * EXAMPLES)
@given(st.lists(steps, max_size=25), st.booleans())
def test_a_reply_that_is_cut_and_resumed_is_heard_whole_and_once(
    script: list[tuple[str, float]], is_forgotten: bool
) -> None:
    async def run() -> None:
        said = Said()
        for what, size in script:
            await said.step(what, size)
        if is_forgotten and said.ledger.gate is Gate.ASIDE:
            said.ledger.forget()
            assert said.put.startswith(bytes(said.heard))
        else:
            await said.step("resume", 0)
            await bridge_for(said.ledger, 60.0)
            said.ledger.close()
            assert bytes(said.heard) == said.put
            assert (said.ledger.dropped, said.ledger.sent >= said.ledger.received) == (0, True)

    trio.run(run, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("late", [0.0, 0.2])
async def test_the_line_is_cleared_even_when_it_is_late(autojump_clock: MockClock, late: float) -> None:
    ledger, voice = ledger_with(Notebook())
    ledger.put(voice, speech(0.4))
    await bridge_for(ledger, 0.4 + late)  # no mark has come back

    ledger.cut()

    assert await bridge_for(ledger, 0.1) == [SendClear()]
