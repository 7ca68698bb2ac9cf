"""Random calls of other kinds: each makes frequent what is rare in `World`."""

import math
from typing import ClassVar

import attrs

from actors.turn.effects import Aside, Effect, Gate, Listening, PlayClip, SayAsAgent
from actors.turn.events import AgentSaid, CallerSaid, Event, FunctionsAsked, KeysEntered, RemarkMade, Signal, kind_of
from actors.turn.parts import MOST_SILENT
from tests.actors.turn.script import POLICY
from tests.actors.turn.world import Reply, World

LONGEST_ECHO = 0.4
"""Seconds until the service hears what the line carries back."""
FEWEST_WORDS_OF_AN_ECHO = 5
"""Fewer may be the caller's own, which end their silence."""
_DOUBLED = {
    Signal.AUDIO_DONE, Signal.CALLER_STARTED_SPEAKING, Signal.SAY_REFUSED, Signal.THINKING_BEGAN,
    Signal.NOTHING_UNDERSTOOD, AgentSaid, CallerSaid,
}  # fmt: skip


@attrs.define(eq=False)
class ManyFunctions(World):
    shares: ClassVar = (0.3, 0.9, 0.94, 0.97)


@attrs.define(eq=False)
class ManyHandoffs(World):
    shares: ClassVar = (0.4, 0.55, 0.92, 0.96)


@attrs.define(eq=False)
class ManyTransfers(World):
    shares: ClassVar = (0.4, 0.55, 0.6, 0.65)


@attrs.define(eq=False)
class SlowModels(World):
    def thinking_time(self) -> float:
        return self.rng.uniform(2, 10) if self.rng.random() < 0.6 else self.rng.uniform(8, 40)


@attrs.define(eq=False)
class LostSessions(World):
    def operator_acts(self) -> None:
        self.later(self.rng.uniform(3, 15), self.operator_acts, session=False)
        if self.rng.random() < 0.8:
            self.lose_session()
        elif self.is_there:
            self.feed(Signal.SESSION_AGED)


@attrs.define(eq=False)
class ManyKeys(World):
    def operator_acts(self) -> None:
        self.later(self.rng.uniform(3, 15), self.operator_acts, session=False)
        if self.rng.random() < 0.7:
            entered = KeysEntered(str(self.rng.randrange(10)), wants_person=self.rng.random() < 0.5)
            self.feed(Signal.KEY_PRESSED)
            self.later(2.5, self.feed, entered, session=False)
        else:
            self.feed(RemarkMade(f"Remark {next(self._count)}."))


@attrs.define(eq=False)
class SilentCallers(World):
    def caller_acts(self) -> None:
        if self.rng.random() < 0.2:
            super().caller_acts()
        else:
            self.later(self.rng.uniform(5, 30), self.caller_acts, session=False)


@attrs.define(eq=False)
class Echoes(World):
    """A line that carries the agent back: the service takes every other reply for the caller, loud or not."""

    def frame_comes(self, reply: Reply, *, is_late: bool) -> None:
        rng, was_quiet = self.rng, self.line.end <= self.now + 1e-9
        super().frame_comes(reply, is_late=is_late)
        if was_quiet and self.line.end > self.now + 1e-9 and not (self.is_loud or self.is_held) and rng.random() < 0.5:
            delay = rng.uniform(0.1, 0.6)
            if rng.random() < 0.6:
                self.later(delay, self.line_echoes, session=False)
            self.later(delay + 0.1, self.service_hears)
            self.later(delay + rng.uniform(0.5, 2.5), self.service_hears_no_more)

    def line_echoes(self) -> None:
        if not self.is_loud:
            self.is_loud, self.is_ignored = True, False
            self.feed(Signal.VOICE_BEGAN)
            self.later(self.rng.uniform(0.3, 3), self.caller_stops, session=False)


@attrs.define(eq=False)
class Transcribed(World):
    """Words that the service takes for a turn, and that are no reason not to hear the rest of an answer."""

    def transcribe_idle(self, said: CallerSaid) -> None:
        self.hears = self.says_words = self.is_unclear = False
        self.sending += 1
        self.silenced, reasons = self.sending, self.reasons
        self.feed(said)
        self.reasons = reasons
        self.later(0.05, self.think)


@attrs.define(eq=False)
class OwnEchoes(Transcribed):
    """A line that carries the agent back, and a service that transcribes it."""

    def frame_comes(self, reply: Reply, *, is_late: bool) -> None:
        is_new = reply.is_known and not any(piece[2] is reply for piece in self.line.pieces)
        super().frame_comes(reply, is_late=is_late)
        if is_new and any(piece[2] is reply for piece in self.line.pieces) and not (self.hears or self.is_held):
            start = self.line.pieces[-1][0] - self.now + self.rng.uniform(0.1, 0.6)
            self.later(start, self.service_hears_echo, reply)

    def service_hears_echo(self, reply: Reply) -> None:
        if self.line.end > self.now - LONGEST_ECHO:  # else it was cut before it came back
            self.service_hears()
            self.later(self.rng.uniform(0.5, 2), self.service_transcribes_echo, reply)

    def service_transcribes_echo(self, reply: Reply) -> None:
        if self.is_loud:
            self.service_hears_no_more()
        elif not (self.is_dead or self.is_held):
            if len(reply.text.split()) < FEWEST_WORDS_OF_AN_ECHO:  # it may be a caller who whispers
                self.judge.caller_stops(self.now, deaf=False)
            self.transcribe_idle(CallerSaid(reply.text.lower().rstrip(".")))


@attrs.define(eq=False)
class PoliteCallers(Transcribed):
    """Callers who say "mhm" into an answer: that is no reason not to hear the rest of it."""

    def service_transcribes(self) -> None:
        unheard = [reply for end, reply in self.unheard() if end > self.now]
        if self.is_dead or self.is_held or not any(reply.is_known for reply in unheard):
            super().service_transcribes()
        else:
            self.transcribe_idle(CallerSaid(f"mhm {next(self._count)}", is_courtesy=True))

    def unheard(self) -> list[tuple[float, Reply]]:
        """Return what sounds until when, and what is aside."""
        aside = [(math.inf, reply) for _, reply in self.line.aside]
        return aside or [(end, reply) for _, end, reply in self.line.pieces]


@attrs.define(eq=False)
class LostCallers(World):
    """A line that carries noises and no words, with a service that refuses what it is to say, or takes no notice."""

    def caller_acts(self) -> None:
        self.later(self.rng.uniform(2, 25), self.caller_acts, session=False)
        if self.is_loud:
            return
        self.is_loud, self.is_ignored, self.says_words = True, self.rng.random() < 0.5, False
        length = self.rng.uniform(0.2, 2) if self.rng.random() < 0.8 else self.rng.uniform(2, 40)
        self.feed(Signal.VOICE_BEGAN)
        self.later(length, self.caller_stops, session=False)
        if not (self.is_ignored or self.is_dead or self.is_held):
            self.later(0.1, self.service_hears)
            self.later(length + 2, self.service_hears_no_more)

    def service_is_to_say(self, effect: SayAsAgent) -> None:
        chance = self.rng.random()
        if chance < 0.2 and not effect.interrupts:
            self.later(0.1, self.feed, Signal.SAY_REFUSED)
        elif chance < 0.6 or effect.interrupts:
            super().service_is_to_say(effect)

    def time_passed(self) -> Event:
        is_there = self.is_there and not self.is_dead and self.rng.random() < 0.5
        return Signal.SERVICE_THERE if is_there else Signal.TIME_PASSED

    def operator_acts(self) -> None:
        """Look on."""


@attrs.define(eq=False)
class Doubled(World):
    """A service that says things twice: at once, or a moment later."""

    def feed(self, event: Event) -> list[Effect]:
        effects = super().feed(event)
        if kind_of(event) in _DOUBLED and self.rng.random() < 0.2:
            self.later(self.rng.choice((0.0, 0.05)), super().feed, event)
        return effects


@attrs.define(eq=False)
class Whisperers(World):
    """Callers whom the service hears, and whose voice is too low to be told by its loudness."""

    def caller_acts(self) -> None:
        rng = self.rng
        self.later(rng.uniform(1, 14), self.caller_acts, session=False)
        is_told = self.now < self.judge.told_at + 0.2  # one start would tell of both
        if self.hears or not self.is_there or self.is_dead or self.is_held or is_told:
            return
        self.says_words, length = rng.random() < 0.8, rng.uniform(0.3, 2)
        self.later(0.1, self.service_hears)
        self.later(length + rng.uniform(0.3, 1.6), self.service_transcribes if self.says_words else self.hears_no_more)

    def hears_no_more(self) -> None:
        self.judge.caller_stops(self.now, deaf=False)
        self.service_hears_no_more()

    def service_transcribes(self) -> None:
        self.judge.caller_stops(self.now, deaf=False)
        super().service_transcribes()


@attrs.define(eq=False)
class PausingCallers(World):
    """Callers who say a number in pieces, or pause in mid-sentence: each piece is a turn to the service."""

    def caller_acts(self) -> None:
        self.later(self.rng.uniform(5, 20), self.caller_acts, session=False)
        self.say_piece(self.rng.randrange(1, 6))

    def say_piece(self, pieces: int) -> None:
        rng, length = self.rng, self.rng.uniform(0.3, 1.5)
        if not (self.is_loud or self.hears or self.is_dead or self.is_held) and self.is_there:
            self.is_loud, self.is_ignored, self.says_words = True, False, True
            self.feed(Signal.VOICE_BEGAN)
            self.later(0.1, self.service_hears)
            self.later(length + 0.4, self.caller_stops, session=False)
            self.later(length + rng.uniform(0.3, 1), self.service_transcribes)
        if pieces > 1:
            self.later(length + rng.uniform(0.8, 3), self.say_piece, pieces - 1, session=False)


@attrs.define(eq=False)
class StaleReplies(World):
    """A reply to what was asked before begins just behind the caller's next words, and is sent until they are known."""

    asked_before: int = 0

    def service_hears(self) -> None:
        super().service_hears()
        is_idle = self.hears and self.now > self.sends_until and self.turn.gate is Gate.OPEN
        if is_idle and self.is_loud and not (self.is_unended or self.judge.is_taken) and self.rng.random() < 0.5:
            self.asked_before = self.thoughts
            self.later(self.rng.uniform(0.0, 0.09), self.speak, Reply("I am late.", 3.0), self.sending)

    def sound(self, seconds: float, reply: Reply) -> None:
        is_heard = self.is_loud and self.hears and self.loud_since < self.judge.heard_since
        is_over_them = is_heard and self.thoughts == self.asked_before and not self.judge.is_taken
        assert reply.text != "I am late." or not is_over_them, "the caller is talked over"
        super().sound(seconds, reply)

    def line_is_to(self, effect: PlayClip | Aside | Listening) -> None:
        if effect is Aside.RESUME and any(reply.is_answer for _, reply in self.line.aside):
            self.judge.waiting_since = math.inf
        super().line_is_to(effect)


@attrs.define(eq=False)
class ReadersBack(Transcribed):
    """Callers who read back what they hear: some so quickly that nothing tells them from an echo."""

    def frame_comes(self, reply: Reply, *, is_late: bool) -> None:
        is_new = reply.is_known and not any(piece[2] is reply for piece in self.line.pieces)
        super().frame_comes(reply, is_late=is_late)
        if is_new and any(piece[2] is reply for piece in self.line.pieces) and self.rng.random() < 0.5:
            self.later(self.line.pieces[-1][0] - self.now + self.rng.uniform(0.3, 1), self.read_back, reply)

    def read_back(self, reply: Reply) -> None:
        if self.is_loud or self.hears or self.is_dead or self.is_held or self.line.end <= self.now:
            return
        self.is_loud, self.is_ignored, self.says_words = True, False, True
        length = self.rng.uniform(2, 4)
        self.feed(Signal.VOICE_BEGAN)
        self.later(0.1, self.service_hears)
        self.later(length + 0.4, self.caller_stops, session=False)
        self.later(length + self.rng.uniform(0.3, 1), self.service_transcribes_what_was_read, reply, self.now + length)

    def service_transcribes_what_was_read(self, reply: Reply, until: float) -> None:
        if not self.hears or self.is_dead or self.is_held:
            return  # it was taken for a part of the turn before it
        if until <= self.line.end + POLICY.deadlines.goodbye_onset:
            self.transcribe_idle(CallerSaid(reply.text.lower().rstrip(".")))
        else:
            self.hears, self.says_words, self.last_turn = False, False, reply.text.lower().rstrip(".")
            self.judge.caller_is_understood(self.now)
            self.transcribe(self.last_turn)
            self.later(0.05, self.think)


@attrs.define(eq=False)
class Televisions(World):
    """A room that is loud for long, of which the service understands some words."""

    def caller_acts(self) -> None:
        rng, length = self.rng, self.rng.uniform(5, 90)
        self.later(length + rng.uniform(0.5, 20), self.caller_acts, session=False)
        if not self.is_loud:
            self.is_loud, self.is_ignored, self.says_words = True, False, False
            self.feed(Signal.VOICE_BEGAN)
            self.later(length, self.caller_stops, session=False)
            for _ in range(int(length / 8)):
                self.later(rng.uniform(0.1, length), self.hear_some, session=False)

    def hear_some(self) -> None:
        if self.is_there and not (self.hears or self.is_dead or self.is_held):
            self.service_hears()
            self.says_words = self.rng.random() < 0.5
            self.later(self.rng.uniform(0.5, 6), self.end_turn)

    def caller_stops(self) -> None:
        super().caller_stops()
        self.later(self.rng.uniform(0.1, 3), self.end_turn)

    def end_turn(self) -> None:
        if self.hears:
            (self.service_transcribes if self.says_words else self.service_hears_no_more)()


@attrs.define(eq=False)
class MidSentence(World):
    """Models that call a function in mid-sentence, and go on speaking."""

    def answer(self, sending: int) -> None:
        if self.rng.random() < 0.5 and self.turn.runs_functions:
            self.speak(Reply("I will look that up, and then", self.rng.uniform(0.5, 3), is_answer=False), sending)
            self.later(self.rng.uniform(0.02, 1.0), self.call_function, sending)
        else:
            super().answer(sending)

    def call_function(self, sending: int) -> None:
        if sending == self.sending and not self.is_dead and self.turn.runs_functions:
            call_id = f"m{next(self._calls)}"
            self.feed(FunctionsAsked((call_id,)))
            self.judge.waiting_since = math.inf  # nobody could know that it was to come
            self.judge.function_runs(call_id, self.now)
            self.later(self.rng.uniform(0.05, 3), self.answer_function, call_id)
        else:
            self.judge.waiting_since = math.inf


@attrs.define(eq=False)
class Interrupters(World):
    """Callers who answer before the question is over, ask on over a goodbye, and press keys as they speak."""

    def frame_comes(self, reply: Reply, *, is_late: bool) -> None:
        was_quiet = self.line.end <= self.now + 1e-9
        super().frame_comes(reply, is_late=is_late)
        if was_quiet and self.line.end > self.now + 1e-9 and self.rng.random() < 0.5:
            self.later(self.rng.uniform(0.2, 3), self.interrupt, session=False)

    def interrupt(self) -> None:
        rng, length = self.rng, self.rng.uniform(0.5, 3)
        if self.is_loud or self.hears or self.is_dead or self.is_held or not self.is_there:
            return
        self.is_loud, self.is_ignored, self.says_words = True, False, True
        self.feed(Signal.VOICE_BEGAN)
        self.later(rng.uniform(0.05, 0.4), self.service_hears)
        self.later(length + 0.4, self.caller_stops, session=False)
        self.later(length + rng.uniform(0.3, 1.6), self.service_transcribes)
        if rng.random() < 0.2:
            self.later(rng.uniform(0.0, length), self.feed, Signal.KEY_PRESSED, session=False)
            self.later(length + 2.5, self.feed, KeysEntered(str(rng.randrange(10))), session=False)


@attrs.define(eq=False)
class SlowSpeakers(World):
    """Callers who pause for 1.5 s in a sentence, or are two: the service hears each piece, and transcribes the last."""

    def caller_acts(self) -> None:
        self.later(self.rng.uniform(8, 25), self.caller_acts, session=False)
        if not (self.is_loud or self.hears or self.is_dead or self.is_held) and self.is_there:
            self.say_piece(self.rng.randrange(1, 5))

    def say_piece(self, pieces: int) -> None:
        rng, length = self.rng, self.rng.uniform(0.5, 2)
        if self.is_loud or self.is_dead or self.is_held or not self.is_there:
            return
        self.is_loud, self.is_ignored, self.says_words = True, False, True
        self.feed(Signal.VOICE_BEGAN)
        self.later(0.1, self.service_hears)
        self.later(length + 0.4, self.caller_stops, session=False)
        if pieces > 1:
            self.later(length + rng.uniform(0.5, 1.6), self.say_piece, pieces - 1)
        else:
            self.later(length + rng.uniform(0.3, 1.6), self.service_transcribes)
            if rng.random() < 0.3:  # and the other one's words
                self.later(length + rng.uniform(1.6, 2.5), self.service_transcribes)


@attrs.define(eq=False)
class LaxServices(World):
    """A service that tells late or never that the caller speaks, and the end of its audio early, late or never."""

    def service_hears(self) -> None:
        chance = self.rng.random()
        if chance < 0.6:
            super().service_hears()
        elif chance < 0.8:
            self.later(self.rng.uniform(0.2, 0.8), super().service_hears)

    def end_audio(self, reply: Reply, sending: int) -> None:
        if self.rng.random() < 0.5:
            super().end_audio(reply, sending)
        else:
            self.is_unended = True
            self.later(self.rng.uniform(0.2, 2), self.end_late, reply, sending)

    def frame_comes(self, reply: Reply, *, is_late: bool) -> None:
        if self.line.end > self.now and self.rng.random() < 0.05:
            self.feed(Signal.AUDIO_DONE)
        super().frame_comes(reply, is_late=is_late)

    def end_late(self, reply: Reply, sending: int) -> None:
        if self.is_unended and sending == self.sending and self.now >= self.sends_until:
            super().end_audio(reply, sending)


@attrs.define(eq=False)
class FallenSilent(World):
    """Services that die without a word at any moment and answer no ping; or seem to, as the network stalls."""

    died_at: float = 0.0
    lost: int = 0

    def operator_acts(self) -> None:
        self.later(self.rng.uniform(2, 12), self.operator_acts, session=False)
        if self.is_there and not self.is_dead and self.lost < MOST_SILENT and self.rng.random() < 0.5:
            self.is_dead, self.hears, self.died_at = True, False, self.now
        elif self.turn.minds_silence_since <= self.now - POLICY.deadlines.silent_service:
            self.feed(Signal.SERVICE_SILENT)

    def caller_stops(self) -> None:
        super().caller_stops()
        if self.is_there and self.is_dead and not self.is_held and self.lost < MOST_SILENT:
            self.judge.caller_stops(self.now - 0.4, deaf=True)  # however short the sound was

    def service_hears_no_more(self) -> None:
        if not self.is_dead:
            super().service_hears_no_more()

    def next_due(self) -> float:
        silent_at = max(self.turn.minds_silence_since, self.died_at) + POLICY.deadlines.silent_service
        return min(super().next_due(), max(self.now, silent_at) if self.is_there and self.is_dead else math.inf)

    def time_passed(self) -> Event:
        return super().time_passed() if self.turn.deadline() <= self.now else Signal.SERVICE_SILENT

    def feed(self, event: Event) -> list[Effect]:
        self.lost += event is Signal.SERVICE_SILENT
        return super().feed(event)


@attrs.define(eq=False)
class Everything(ManyHandoffs, SlowModels, LostSessions, Echoes):
    """All of it at once."""


KINDS = (
    ManyFunctions, ManyHandoffs, ManyTransfers, SlowModels, LostSessions, ManyKeys, SilentCallers, Echoes,
    OwnEchoes, PoliteCallers, LostCallers, Doubled, Whisperers, PausingCallers, StaleReplies, ReadersBack, Televisions,
    MidSentence, Interrupters, SlowSpeakers, LaxServices, FallenSilent, Everything,
)  # fmt: skip
