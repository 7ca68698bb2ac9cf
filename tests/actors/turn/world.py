"""A random call around `Turn`: a service, a line, a caller and an operator that do what real ones do.

The world knows what the caller truly said, and hears what the caller hears; the promises are judged by that, and not by
what `Turn` believes. Of `Turn` it uses what the driver uses: events, effects, the gate, and whether audio is news.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from random import Random
from typing import ClassVar

import attrs

from actors.turn.effects import (
    AnswerFunction,
    Aside,
    Effect,
    EndConversation,
    EndSession,
    Gate,
    Listening,
    PlayClip,
    PutThrough,
    SayAsAgent,
    SpeechKind,
    TellAsCaller,
)
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    CloseAsked,
    EndWanted,
    Event,
    FloorGiven,
    FunctionCancelled,
    FunctionDone,
    FunctionsAsked,
    HandoffWanted,
    KeysEntered,
    PutThroughFailed,
    RemarkMade,
    Signal,
    TransferWanted,
    VoiceEnded,
    kind_of,
)
from actors.turn.machine import Turn
from agents.sentences import ENGLISH
from tests.actors.turn.judge import UNREACHED, Judge
from tests.actors.turn.script import POLICY

FRAME = 0.2
"""Seconds of audio in what the service sends at a time, every 0.1 s."""


REASONS = {CallerSaid, HandoffWanted, Signal.FLOOR_VACATED, FloorGiven, FunctionCancelled, CloseAsked, KeysEntered}
"""Events after which the rest of a reply need not be heard."""


@attrs.define(eq=False)
class Reply:
    """Something the service says: how long it is, and whether anything gave a reason not to hear the rest of it."""

    text: str
    seconds: float
    announces: str = ""
    is_answer: bool = True
    reasons: int = 0
    sending: int = 0
    """It is not interrupted as long as the service counts this."""
    was_cut: bool = False
    is_late_filler: bool = False
    is_wordless: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it can be known for an answer."""
        return self.is_answer and not self.is_wordless


@attrs.define(eq=False)
class Line:
    """What the caller hears, piece by piece, and what is set aside."""

    end: float = 0.0
    pieces: list[tuple[float, float, Reply]] = attrs.field(factory=list)
    aside: list[tuple[float, Reply]] = attrs.field(factory=list)

    def put(self, now: float, seconds: float, reply: Reply) -> None:
        """Play a piece behind what is playing."""
        start = max(now, self.end)
        self.end = start + seconds
        self.pieces.append((start, self.end, reply))

    def cut(self, now: float) -> None:
        """Clear the line; keep what is unheard."""
        unheard = [(end - max(start, now), reply) for start, end, reply in self.pieces if end > now + 1e-9]
        self.aside.extend(unheard)
        for _, reply in unheard:
            reply.was_cut = True
        self.pieces.clear()
        self.end = min(self.end, now)

    def resume(self, now: float) -> None:
        """Play what is aside."""
        kept, self.aside = self.aside, []
        for seconds, reply in kept:
            reply.was_cut = False
            self.put(now, seconds, reply)


@attrs.define(eq=False)
class World:
    """One random call. `run` it once; a promise that is broken is an AssertionError."""

    rng: Random
    until: float = 120.0
    shares: ClassVar = (0.62, 0.8, 0.88, 0.95)
    """Below which chances the model answers, calls a function, hands over, or ends; else it asks for a person."""
    now: float = 0.0
    turn: Turn = attrs.field(factory=lambda: Turn(POLICY, 0.0))
    line: Line = attrs.field(factory=Line)
    judge: Judge = attrs.field(factory=Judge)
    is_over: bool = False
    is_leaving: bool = False
    """The last sentence of the call is due: nothing else is to be heard."""
    trace: list[tuple[float, Event, list[Effect]]] = attrs.field(factory=list)
    # The service
    session: int = 0
    is_there: bool = False
    is_dead: bool = False
    hears: bool = False
    """The service believes that the caller speaks."""
    sending: int = 0
    """Counts what makes the service drop the rest of what it says, and what it thinks of."""
    thoughts: int = 0
    """Counts what its model is asked: only the last is answered."""
    is_unclear: bool = False
    """It has heard something that it has not transcribed."""
    silenced: int = 0
    """Nothing of what was sent before comes any more."""
    handoffs: set[str] = attrs.field(factory=set)
    """Under way: a second one may be asked for before the first is decided."""
    sends_until: float = 0.0
    """It says one thing after the other."""
    is_unended: bool = False
    """It has not told the end of what it said last."""
    # The caller
    is_loud: bool = False
    loud_since: float = 0.0
    is_ignored: bool = False
    """The service takes no notice of what makes the line loud: a cough, perhaps."""
    says_words: bool = False
    last_turn: str = ""
    is_held: bool = False
    reasons: int = 0
    """Counts what is a reason not to hear the rest of a reply."""
    ended_by: str = ""
    _heap: list[tuple[float, int, int | None, Callable[..., object], tuple[object, ...]]] = attrs.field(factory=list)
    _count: Iterator[int] = attrs.field(factory=itertools.count)
    _calls: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def run(self) -> None:
        """Play the call."""
        self.later(self.rng.uniform(0.2, 5.0), self.session_comes, session=False)
        self.later(3.0, self.caller_acts, session=False)
        self.later(15.0, self.operator_acts, session=False)
        while not self.is_over and self.now < self.until:
            due = self.next_due()
            if due < self._heap[0][0]:
                assert due > self.now - 1e-9, "a deadline in the past"
                self.now = max(self.now, due)
                self.feed(self.time_passed())
                assert self.is_over or self.turn.deadline() > self.now, "a deadline that does not move"
            else:
                self.now, _, session, act, arguments = heapq.heappop(self._heap)
                if session is None or session == self.session:
                    act(*arguments)
            if not self.is_over:
                self.judge.look(self.now, self.line.end, quiet=self.is_quiet(), loud=self.is_loud, heard=self.hears)

    def next_due(self) -> float:
        return self.turn.deadline()

    def time_passed(self) -> Event:
        return Signal.TIME_PASSED

    def later(self, delay: float, act: Callable[..., object], *arguments: object, session: bool = True) -> None:
        """Do something later, unless the session is gone by then."""
        number = self.session if session else None
        heapq.heappush(self._heap, (self.now + delay, next(self._count), number, act, arguments))

    def is_quiet(self) -> bool:
        """Whether a session is there, and nobody speaks, by the ears of the caller."""
        speaks = self.is_loud or self.hears or self.line.end > self.now
        return self.is_there and not (speaks or self.is_held or self.is_dead)

    # What is told, and what is done about it

    def feed(self, event: Event) -> list[Effect]:
        """Tell `Turn`, and perform what it wants."""
        if self.is_over:
            return []
        if event is Signal.VOICE_BEGAN:
            self.loud_since = self.now
        effects = self.turn.on(event, self.now)
        self.trace.append((self.now, event, effects))
        self.judge.take(event, self.now)
        interrupts = any(isinstance(effect, SayAsAgent) and effect.interrupts for effect in effects)
        self.reasons += interrupts or kind_of(event) in REASONS
        for effect in effects:
            self.judge.perform(effect, self.now)
            self.perform(effect)
        return effects

    def perform(self, effect: Effect) -> None:
        """Do what `Turn` wants, as driver, ledger and service would."""
        match effect:
            case SayAsAgent():
                self.service_is_to_say(effect)
            case TellAsCaller():
                self.reasons += 1
                self.service_is_told(effect)
            case PlayClip() | Aside() | Listening():
                self.line_is_to(effect)
            case EndSession():
                self.later(0.0, self.lose_session)
            case AnswerFunction() if not self.is_dead:
                self.later(0.2, self.think)
            case PutThrough(id=call_id) if self.rng.random() < 0.8:
                self.later(self.rng.uniform(0.5, 5), self.transfer_fails, call_id, session=False)
            case EndConversation():
                self.end(effect)
            case _:
                pass  # it asks for nothing more

    def line_is_to(self, effect: PlayClip | Aside | Listening) -> None:
        self.judge.line_is_to(effect)
        match effect:
            case PlayClip():
                length = 1.2 if self.rng.random() < 0.9 else 0.0
                self.sound(length, Reply(ENGLISH.filler, length, is_answer=False))
            case Listening.HOLD_TAPE:
                self.is_held, self.hears, self.says_words = True, False, False
                self.reasons += 1
            case Listening.FREE_TAPE:
                self.is_held, self.is_leaving = False, self.judge.closing is not None
            case Aside.CUT:
                self.line.cut(self.now)
            case Aside.RESUME:
                self.line.resume(self.now)
                self.await_end_of_sound()
            case Aside.FORGET:
                self.forget_aside()
            case Listening.END_CALLERS_TURN:
                pass  # the turn is transcribed when it is

    def forget_aside(self) -> None:
        went_on = kind_of(self.trace[-1][1]) in {Signal.AUDIO_BEGAN, AgentSaid, FunctionsAsked}
        for _, reply in self.line.aside:
            reply.was_cut = reply.was_cut and not (went_on and reply.sending == self.sending)
            reason = went_on or self.is_leaving or self.reasons > reply.reasons or not reply.is_known
            assert reason, f"the caller is robbed of {reply.text!r}, which nothing has cut"
        self.line.aside.clear()

    def end(self, effect: EndConversation) -> None:
        self.is_over = True
        if effect.outcome != "completed":
            return
        assert self.line.end <= self.now + 1e-9, "the goodbye is cut off"
        if not (self.is_held or self.is_dead) and self.is_there:
            self.judge.hung_up(self.now, self.line.end, loud=self.is_loud, heard=self.hears and self.says_words)

    def sound(self, seconds: float, reply: Reply) -> None:
        """Play a piece of a reply."""
        assert not reply.was_cut, f"{reply.text!r} is heard after it was cut"
        self.line.put(self.now, seconds, reply)
        self.await_end_of_sound()

    def await_end_of_sound(self) -> None:
        self.later(max(0.0, self.line.end - self.now), self.look_whether_played, session=False)

    def look_whether_played(self) -> None:
        if self.turn.sounding and self.now >= self.line.end - 1e-9:
            self.feed(Signal.PLAYED)

    # The service

    def session_comes(self) -> None:
        """A session takes the floor; it asks what is unanswered, or greets."""
        if self.turn.is_ending:
            return
        self.session += 1
        self.is_there, self.is_dead, self.hears, self.sends_until = True, False, False, 0.0
        self.is_unended = False
        self.handoffs.clear()
        self.sending += 1
        self.is_held = False
        ask = self.last_turn if self.judge.is_waiting else ""
        greets, sending = not ask and self.rng.random() < 0.7, self.sending
        self.feed(FloorGiven(owes=greets or ask != "", ask=ask))
        if greets:  # unless it was interrupted at once
            self.later(0.5, self.speak, Reply("Hello.", 2.0), sending)

    def lose_session(self) -> None:
        if not self.is_there:
            return
        self.session += 1
        self.sending += 1
        self.is_there = self.is_dead = self.hears = False
        self.handoffs.clear()
        self.feed(Signal.FLOOR_VACATED)
        self.later(self.rng.uniform(0.3, 4), self.session_comes, session=False)

    def service_is_to_say(self, effect: SayAsAgent) -> None:
        self.is_leaving = self.is_leaving or effect.kind is SpeechKind.CLOSING
        if self.is_dead or not self.is_there:
            return
        if not effect.interrupts and (self.hears or self.now < self.sends_until or self.rng.random() < 0.03):
            self.later(0.1, self.feed, Signal.SAY_REFUSED)
            return
        if effect.interrupts:
            self.sending += 1
        reply = Reply(effect.text, self.rng.uniform(0.8, 3), is_answer=False)
        self.later(self.rng.uniform(0.2, 0.9), self.speak, reply, self.sending)

    def service_is_told(self, effect: TellAsCaller) -> None:
        if self.is_dead or not self.is_there:
            return
        self.sending += 1
        if self.rng.random() < 0.5:
            self.later(0.1, self.feed, Signal.CALLER_STARTED_SPEAKING)
        if self.rng.random() < 0.95:
            self.later(0.2, self.transcribe, effect.text)
        self.later(0.3, self.think)

    def transcribe(self, text: str) -> None:
        """The service takes this for the caller's turn: what it was saying comes no more."""
        self.sending += 1
        self.silenced, self.is_unclear = self.sending, False
        self.feed(CallerSaid(text))
        if self.rng.random() < 0.05:  # the message comes twice
            self.feed(CallerSaid(text))

    def think(self) -> None:
        """The model thinks: quickly, slowly, or for ever."""
        rng = self.rng
        if self.is_dead or not self.is_there:
            return
        self.thoughts += 1
        if rng.random() < 0.04:
            self.is_dead = True
            return
        delay = self.thinking_time()
        if self.is_unclear or rng.random() < 0.5:  # else nothing tells a new reply from a cut one
            self.feed(Signal.THINKING_BEGAN)
            if rng.random() < 0.7:
                for warning in range(1, int(delay // 5) + 1):
                    self.later(5.0 * warning, self.feed, Signal.THINKING_SLOW)
        self.later(delay, self.act, self.sending, self.thoughts)

    def thinking_time(self) -> float:
        return self.rng.uniform(0.3, 2) if self.rng.random() < 0.8 else self.rng.uniform(4, 22)

    def act(self, sending: int, thought: int) -> None:
        """The model answers, or calls functions, or both, once it has said what it was saying."""
        if sending != self.sending or thought != self.thoughts or self.is_dead:
            return
        if self.now < self.sends_until:
            self.later(0.1, self.act, sending, thought)
        else:
            self.answer(sending)

    def answer(self, sending: int) -> None:
        rng = self.rng
        chance = rng.random()
        answers, functions, handoffs, ends = self.shares
        if chance < answers:
            announces = "end_call" if rng.random() < 0.1 else ""
            self.speak(Reply("On Tuesday at nine in the morning.", rng.uniform(0.5, 6), announces), sending)
            return
        if rng.random() < 0.7:
            self.speak(Reply("Let me see.", 1.0, is_answer=False), sending)
        if not self.turn.runs_functions:
            return
        call_id = f"f{next(self._calls)}"
        self.feed(FunctionsAsked((call_id,)))
        self.judge.function_runs(call_id, self.now)
        if chance < functions:
            self.later(rng.uniform(0.05, 6), self.answer_function, call_id)
        elif chance < handoffs:
            self.later(0.05, self.want, HandoffWanted(call_id))
        elif chance < ends:
            self.later(0.05, self.want, EndWanted(call_id, "done"))
        else:
            self.later(0.05, self.want, TransferWanted(call_id))

    def want(self, event: HandoffWanted | EndWanted | TransferWanted) -> None:
        """A function wants a handoff, an end, or a transfer; the service may withdraw it."""
        rng = self.rng
        self.judge.function_ends(event.id)
        if AnswerFunction(event.id, POLICY.wording.refused) in self.feed(event) or not self.turn.runs_functions:
            return
        if isinstance(event, HandoffWanted):
            self.handoffs.add(event.id)
            if rng.random() < 0.6:
                self.later(rng.uniform(0.3, 6), self.session_comes)
            else:
                self.later(rng.uniform(0.3, 6), self.deny_handoff, event.id)
        elif rng.random() < 0.3:
            self.later(rng.uniform(0.5, 4), self.withdraw, event.id)

    def withdraw(self, call_id: str) -> None:
        """The service takes back a call, since the caller speaks; what it was to say for it comes no more."""
        self.sending += 1
        self.is_unclear = True
        self.feed(FunctionCancelled(call_id))

    def deny_handoff(self, call_id: str) -> None:
        self.handoffs.discard(call_id)
        if self.rng.random() < 0.8:
            self.feed(FunctionCancelled(call_id))
            self.feed(FunctionDone(call_id))
            self.later(0.1, self.think)
        else:
            self.feed(FunctionCancelled(call_id))

    def answer_function(self, call_id: str) -> None:
        self.judge.function_ends(call_id)
        is_cancelled = self.rng.random() < 0.1
        self.feed(FunctionCancelled(call_id) if is_cancelled else FunctionDone(call_id))
        if not (is_cancelled and self.hears):  # else the service waits for the words of which it has cancelled it
            self.later(0.1, self.think)

    def transfer_fails(self, call_id: str) -> None:
        self.feed(PutThroughFailed(UNREACHED))
        if call_id and self.is_there:
            self.feed(FunctionDone(call_id))
            self.later(0.1, self.think)

    def speak(self, reply: Reply, sending: int) -> None:
        if sending != self.sending or self.is_dead:
            return
        if self.now < self.sends_until:
            self.later(0.1, self.speak, reply, sending)
            return
        reply.reasons, reply.sending, self.sends_until = self.reasons, sending, self.now + 0.11
        reply.is_wordless = self.is_unended and self.line.end > self.now  # until its words come it is the one before
        chance = self.rng.random()
        if chance < 0.02:  # its words are lost
            reply.is_wordless = True
            self.send_frame(reply, reply.seconds, sending)
        elif chance < 0.04 and reply.is_known and self.now > self.judge.asked_at + 5.0:  # its audio is lost
            self.feed(AgentSaid(reply.text, reply.announces, takes_leave=reply.announces == "end_call"))
            self.later(0.05, self.feed, Signal.AUDIO_DONE)
        elif chance < 0.2:
            self.say_words(reply, sending)
            self.later(0.02, self.send_frame, reply, reply.seconds, sending)
        else:
            self.send_frame(reply, reply.seconds, sending)
            self.later(0.01, self.say_words, reply, sending)

    def say_words(self, reply: Reply, sending: int) -> None:
        if sending < self.silenced or (sending != self.sending and self.rng.random() < 0.7):
            return
        reply.is_wordless = False
        self.judge.words_come(reply.text, reply.is_answer and sending == self.sending, self.turn.gate, self.now)
        self.feed(AgentSaid(reply.text, reply.announces, takes_leave=reply.announces == "end_call"))
        if self.turn.gate is Gate.SHUT and reply.text in ENGLISH.fillers:
            reply.is_late_filler = True

    def send_frame(self, reply: Reply, left: float, sending: int, late: int = 0) -> None:
        """Send a frame of a reply. Some frames of one that was interrupted still come."""
        late += sending != self.sending
        if self.is_dead or self.is_over or sending < self.silenced or late > self.rng.randrange(1, 4):
            return
        self.sends_until = self.now + 0.11
        self.frame_comes(reply, is_late=late > 0)
        if left > FRAME:
            self.later(0.1, self.send_frame, reply, left - FRAME, sending, late)
        elif self.rng.random() < 0.9:
            self.later(0.01, self.end_audio, reply, sending)
        else:
            self.is_unended = True

    def end_audio(self, reply: Reply, sending: int) -> None:
        """End a reply. If its words are lost, the caller has heard them all the same."""
        self.is_unended = False
        if reply.is_wordless:
            self.judge.words_come(reply.text, reply.is_answer and sending == self.sending, self.turn.gate, self.now)
        self.feed(Signal.AUDIO_DONE)

    def frame_comes(self, reply: Reply, *, is_late: bool) -> None:
        """Let it through, set it aside, or drop it, as the gate says."""
        if self.turn.is_audio_news:
            self.feed(Signal.AUDIO_BEGAN)
            self.await_end_of_sound()
        match self.turn.gate:
            case Gate.OPEN:  # the rest of what was cut is no more than some sound
                self.sound(FRAME, Reply("", FRAME, is_answer=False) if is_late and reply.was_cut else reply)
            case Gate.ASIDE:
                self.line.aside.append((FRAME, reply))
                reply.was_cut = True
            case Gate.SHUT if reply.is_answer and self.is_there and not (self.handoffs or self.is_leaving):
                is_cut = self.reasons > reply.reasons or not reply.is_known
                assert is_cut, f"the caller is robbed of {reply.text!r}, which nothing has cut"
            case _:
                pass  # nobody is to hear it

    # The caller

    def caller_acts(self) -> None:
        """The caller speaks, coughs, or is loud; the service may notice each of it or not."""
        rng = self.rng
        self.later(rng.uniform(1, 14), self.caller_acts, session=False)
        if self.is_loud:
            return
        chance = rng.random()
        length = rng.uniform(0.3, 4) if rng.random() < 0.97 else rng.uniform(60, 90)
        if chance < 0.9:
            self.is_loud = True
            self.feed(Signal.VOICE_BEGAN)
            self.later(length, self.caller_stops, session=False)
        self.is_ignored = chance <= 0.08 and rng.random() < 0.5
        if chance > 0.08 and self.is_there and not (self.is_dead or self.is_held):
            self.says_words = chance < 0.7
            self.later(0.1, self.service_hears)
            if self.says_words:
                self.later(length + rng.uniform(0.3, 1.6), self.service_transcribes)
            else:
                self.later(length + 2, self.service_hears_no_more)

    def caller_stops(self) -> None:
        at = self.now - 0.4
        self.is_loud = False
        is_listening = self.is_there and not self.is_held and at >= self.loud_since + POLICY.deadlines.shortest_word
        self.feed(VoiceEnded(at, is_listening and (self.is_dead or self.is_ignored)))
        self.judge.caller_stops(at, deaf=is_listening and self.is_dead)

    def service_hears(self) -> None:
        if self.is_dead or self.is_held:
            return
        self.hears = self.is_unclear = True
        self.sending += 1
        self.judge.service_hears(self.now)
        self.feed(Signal.CALLER_STARTED_SPEAKING)

    def service_hears_no_more(self) -> None:
        self.hears = False
        if self.rng.random() < 0.3:
            self.feed(Signal.NOTHING_UNDERSTOOD)
        if self.judge.is_waiting and self.rng.random() < 0.3:
            self.think()  # it answers what it was asked before the noise

    def service_transcribes(self) -> None:
        if self.is_dead or self.is_held:
            return
        self.hears, self.says_words, self.last_turn = False, False, f"turn {next(self._count)}"
        self.judge.caller_is_understood(self.now)
        self.transcribe(self.last_turn)
        self.later(0.05, self.think)

    # The operator, and the keys

    def operator_acts(self) -> None:
        rng = self.rng
        self.later(rng.uniform(10, 60), self.operator_acts, session=False)
        match rng.randrange(8):
            case 0:
                self.feed(CloseAsked("ended", "We have to stop here. Goodbye."))
            case 1 if rng.random() < 0.3:
                self.is_leaving = True
                self.feed(CloseAsked("voicemail_left", "Please call us.", waits_for_beep=True))
                if rng.random() < 0.8:
                    self.later(rng.uniform(1, 20), self.feed, Signal.BEEP_HEARD, session=False)
            case 2 | 3:
                keys = str(rng.randrange(10))
                self.feed(Signal.KEY_PRESSED)
                self.later(2.5, self.feed, KeysEntered(keys, wants_person=rng.random() < 0.2), session=False)
            case 4:
                self.feed(RemarkMade(f"Remark {next(self._count)}."))
            case 5 if self.is_there:
                self.feed(Signal.SESSION_AGED)
            case 6:
                self.lose_session()
            case _:
                pass  # the operator looks on


def play_world(seed: int, until: float = 120.0, kind: type[World] = World) -> World:
    """Play a random call; tell what came before a broken promise."""
    world = kind(Random(seed), until)
    try:
        world.run()
    except AssertionError as error:
        last = "\n".join(f"{at:8.3f} {event} -> {effects}" for at, event, effects in world.trace[-25:])
        raise AssertionError(f"seed {seed}, second {world.now:.2f}: {error}\n{last}\n{world.judge}") from error
    return world
