"""Whether a call keeps its promises, judged by what the caller said and heard, and by what was asked and came of it.

`Judge` is told of each event and each effect, and knows nothing of the state of `Turn`.
"""

import math
from typing import Literal

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
    HandoffWanted,
    KeysEntered,
    PutThroughFailed,
    RemarkMade,
    Signal,
    TransferWanted,
)
from agents.sentences import ENGLISH
from tests.actors.turn.script import POLICY

TOLERANCE = 0.02
"""Seconds: of promise 4."""
UNCERTAIN = 5.5
"""Seconds: for a transcript, an echo or the end of a reply that never come."""
UNREACHED = "nobody"
"""What an agent is told of a person who could not be reached, by the line itself."""
LONGEST_WAIT = POLICY.deadlines.think_patience + 25.0
LONGEST_ENDING = POLICY.deadlines.longest_turn + 40.0
LONGEST_TRANSFER = 15.0
"""Seconds until the line is asked for a person."""
MOST_PROMPTS = POLICY.numbers.silent_asks * (1 + POLICY.numbers.reopenings)
"""Questions whether a caller is there who says nothing: they may make a sound as the call closes, and it goes on."""
LONGEST_GOODBYE = 2 * POLICY.deadlines.goodbye_onset + POLICY.deadlines.goodbye_audio + POLICY.deadlines.goodbye_grace


@attrs.define(eq=False)
class Judge:
    """One call's. Times are the world's."""

    # What the caller waits for
    waiting_since: float = math.inf
    progress: float = 0.0
    """When anything last came of the waiting."""
    last_noise: float = 0.0
    """When the caller, or what the service took for them, was last heard."""
    last_clip: float = 0.0
    is_loud: bool = False
    heard_since: float = 0.0
    # What was asked
    outstanding: SayAsAgent | None = None
    asked_at: float = 0.0
    told: str = ""
    told_at: float = 0.0
    functions: set[str] = attrs.field(factory=set)
    keys: list[str] = attrs.field(factory=list)
    remark: str = ""
    is_aged: bool = False
    prompts: int = 0
    """How often a caller was asked whether they are there since they, or an agent, said anything else."""
    prompts_begun: int = 0
    """How often they have heard it."""
    # What must end, and when
    closing: CloseAsked | None = None
    over_by: float = math.inf
    end: str = ""
    end_by: float = math.inf
    transfer: str | None = None
    """The function that has asked for a person; "": none has, or the line was asked already."""
    transfer_by: float = math.inf
    pause_since: float = math.inf
    is_cut: bool = False
    """Something was cut, and it is not decided what becomes of it."""
    is_answer_aside: bool = False
    """An answer has begun while the agent's audio is set aside: it is heard when that is resumed."""

    @property
    def is_waiting(self) -> bool:
        return self.waiting_since < math.inf

    def wait(self, since: float, now: float) -> None:
        """The caller waits for an agent."""
        if not self.is_waiting:
            self.waiting_since, self.progress = since, now

    # What happens

    def take(self, event: Event, now: float) -> None:
        """Take note of what `Turn` was told, after it has acted on it."""
        match event:
            case FloorGiven() | Signal.FLOOR_VACATED:
                self._take_session(event, now)
            case Signal.KEY_PRESSED:
                self.last_noise = now  # they are at work, and do not wait for words meanwhile
            case KeysEntered() | RemarkMade() | Signal.SESSION_AGED | CloseAsked():
                self._take_request(event, now)
            case Signal.SAY_REFUSED | AgentSaid() | CallerSaid() | Signal.AUDIO_DONE:
                self._take_speech(event)
            case FunctionDone() | HandoffWanted():
                self.progress = now
            case EndWanted() | TransferWanted() | FunctionCancelled() | PutThroughFailed():
                self._take_wish(event, now)
            case _:
                pass  # it asks for nothing

    def _take_session(self, event: FloorGiven | Literal[Signal.FLOOR_VACATED], now: float) -> None:
        self.outstanding, self.told, self.progress, self.is_aged = None, "", now, False
        self.functions.clear()
        if event is Signal.FLOOR_VACATED:
            self.end, self.end_by = "", math.inf
            self.transfer, self.transfer_by = "" if self.transfer == "" else None, math.inf
        elif not (event.owes or event.ask):
            self.waiting_since = math.inf  # nobody knows any more what they wait for
        elif self.closing is None:
            self.wait(now, now)

    def _take_request(
        self, event: KeysEntered | RemarkMade | CloseAsked | Literal[Signal.SESSION_AGED], now: float
    ) -> None:
        match event:
            case KeysEntered(wants_person=True) if self.transfer is not None:
                pass  # they are being put through already
            case KeysEntered(keys=keys):
                self.keys.append(keys)
                self._end_prompts()
            case RemarkMade(text=text):
                self.remark = text
            case Signal.SESSION_AGED:
                self.is_aged = True
            case CloseAsked():
                if self.closing is None:
                    self._close(event, now)

    def _close(self, event: CloseAsked, now: float) -> None:
        self.closing = event
        spoken = max(LONGEST_GOODBYE, len(event.sentence) / POLICY.numbers.slowest_speech)
        beep = POLICY.deadlines.beep + UNCERTAIN if event.waits_for_beep else 0.0
        self.over_by = now + POLICY.deadlines.closing + spoken + beep + TOLERANCE if event.sentence else now
        self.waiting_since = self.transfer_by = self.end_by = math.inf

    def _take_speech(self, event: AgentSaid | CallerSaid | Literal[Signal.SAY_REFUSED, Signal.AUDIO_DONE]) -> None:
        match event:
            case Signal.AUDIO_DONE:
                self._overtake_filler()  # it has no words, or is no longer wanted
            case Signal.SAY_REFUSED:
                if self.outstanding is not None and not self.outstanding.interrupts:
                    if self.outstanding.kind is SpeechKind.REMARK:
                        self.remark = self.remark or self.outstanding.text
                    self.prompts = max(0, self.prompts - (self.outstanding.kind is SpeechKind.QUESTION))
                    self.outstanding = None
            case AgentSaid(text=text):
                said = self.outstanding
                self.prompts_begun += said is not None and said.text == text == ENGLISH.still_there
                if said is not None and (said.kind is SpeechKind.FILLER or said.text.startswith(text)):
                    self.outstanding = None  # it is said, or an answer has overtaken it
            case CallerSaid(text=text):
                self.told = "" if text == self.told else self.told

    def _take_wish(self, event: EndWanted | TransferWanted | FunctionCancelled | PutThroughFailed, now: float) -> None:
        match event:
            case EndWanted(id=call_id):
                if not self.is_taken:
                    self.end, self.end_by = call_id, now + LONGEST_ENDING
                    self._overtake_filler()
            case TransferWanted(id=call_id):
                if self.transfer is None and self.closing is None:  # it may take the place of an end
                    self.transfer, self.transfer_by = call_id, now + LONGEST_TRANSFER
                    self._overtake_filler()
            case FunctionCancelled(id=call_id):
                self._take_withdrawal(call_id)
            case PutThroughFailed():
                self.transfer, self.transfer_by = None, math.inf
                self.progress = now

    @property
    def is_taken(self) -> bool:
        """Whether the call closes, or a function has ended it, or asked for a person: what wants to now is refused."""
        return self.end != "" or self.transfer is not None or self.closing is not None

    def _take_withdrawal(self, call_id: str) -> None:
        """The caller goes on speaking, and waits for an answer to that."""
        if call_id == self.end:
            self.end, self.end_by, self.waiting_since = "", math.inf, math.inf
        if call_id == self.transfer and self.transfer_by < math.inf:
            self.transfer, self.transfer_by, self.waiting_since = None, math.inf, math.inf

    def perform(self, effect: Effect, now: float) -> None:
        """Take note of what `Turn` wants."""
        match effect:
            case SayAsAgent():
                self._say(effect, now)
            case TellAsCaller():
                self._tell(effect, now)
            case PlayClip():
                self._play_clip(now)
            case EndSession():
                self.progress, self.is_aged = now, False
            case AnswerFunction(id=call_id, text=text):
                self._answer(call_id, text)
            case PutThrough():
                self.progress, self.transfer = now, ""
                self.transfer_by = now + POLICY.deadlines.transfer + UNCERTAIN
            case EndConversation():
                self.over_by = self.end_by = math.inf
            case _:
                pass  # the line's business

    def line_is_to(self, effect: Effect) -> None:
        """Each cut is decided once: what it has set aside is played on, or forgotten."""
        if effect is Aside.CUT:
            assert not self.is_cut, "a second cut before the first is decided"
            self.is_cut = True
        elif isinstance(effect, Aside):
            assert self.is_cut, "nothing was cut"
            if effect is Aside.RESUME and self.is_answer_aside and not self.functions:
                self.waiting_since = math.inf
            self.is_cut = self.is_answer_aside = False
        elif effect is Listening.FREE_TAPE and self.closing is None:  # a silent caller is there after all
            self.over_by = math.inf

    def _say(self, effect: SayAsAgent, now: float) -> None:
        if effect.kind is SpeechKind.FILLER:
            twice = self.outstanding is not None and self.outstanding.kind is SpeechKind.FILLER
            assert not twice or now >= self.asked_at + POLICY.deadlines.silence_budget, (
                "two fillers are asked for at once"
            )
        if effect.kind is SpeechKind.REMARK:
            self.remark = ""
        self.prompts += effect.kind is SpeechKind.QUESTION and not self.is_loud  # else it is a probe of the service
        if effect.kind is SpeechKind.CLOSING:
            self.waiting_since = math.inf
            self.over_by = min(self.over_by, now + POLICY.deadlines.closing + LONGEST_GOODBYE + TOLERANCE)
        if effect.kind is SpeechKind.TRANSFER:
            self.transfer, self.transfer_by, self.last_noise = "", now + LONGEST_TRANSFER, now  # as for keys
        self.outstanding, self.asked_at = effect, now

    def _tell(self, effect: TellAsCaller, now: float) -> None:
        self.told, self.told_at, self.progress = effect.text, now, now
        if effect.keys:
            self.last_noise = now  # that no key follows the last one is known only now
        if effect.keys or effect.text in {UNREACHED, POLICY.wording.unanswered}:
            self.keys = [entry for entry in self.keys if entry not in effect.keys]
            self.transfer, self.transfer_by = None, math.inf
            self.wait(now, now)

    def _play_clip(self, now: float) -> None:
        self.last_clip = now
        self._overtake_filler()

    def _overtake_filler(self) -> None:
        if self.outstanding is not None and self.outstanding.kind is SpeechKind.FILLER:
            self.outstanding = None

    def _answer(self, call_id: str, text: str) -> None:
        if call_id == self.end and text in {POLICY.wording.refused, POLICY.wording.reopened}:
            self.end, self.end_by = "", math.inf
        is_over = text in {POLICY.wording.unanswered, POLICY.wording.taken_back}
        if is_over or (call_id == self.transfer and text == POLICY.wording.refused):
            self.transfer, self.transfer_by = None, math.inf

    # What is true

    def caller_is_understood(self, now: float) -> None:
        """The caller has said words, and the service has transcribed them."""
        self._end_prompts()
        if self.closing is None and not self.end:
            self.waiting_since, self.progress = self.last_noise, now

    def _end_prompts(self) -> None:
        self.prompts = self.prompts_begun = 0

    def caller_stops(self, at: float, *, deaf: bool) -> None:
        """The caller is silent since then; `deaf`: the service took no notice."""
        self.last_noise = max(self.last_noise, at)
        if deaf and self.closing is None and not self.end and self.transfer is None:
            self.wait(at, at)

    def service_hears(self, now: float) -> None:
        self.last_noise = self.heard_since = now

    def words_come(self, text: str, is_answer: bool, gate: Gate, now: float) -> None:
        """An agent says something; the caller's waiting is over if it answers them."""
        if is_answer:
            self._end_prompts()
        if is_answer and gate is Gate.OPEN and not self.functions:
            self.waiting_since = math.inf
        self.is_answer_aside = self.is_answer_aside or (is_answer and gate is Gate.ASIDE)

    def function_runs(self, call_id: str, now: float) -> None:
        self.functions.add(call_id)
        if self.closing is None and not self.end:
            self.wait(now, now)

    def function_ends(self, call_id: str) -> None:
        self.functions.discard(call_id)

    def hung_up(self, now: float, line_end: float, *, loud: bool, heard: bool) -> None:
        """The agent has ended the call."""
        assert not heard or now >= self.heard_since + POLICY.deadlines.longest_turn, "hung up on a caller who is heard"
        assert not loud or now >= line_end + POLICY.deadlines.farewell_noise - TOLERANCE, (
            "hung up on a caller who speaks"
        )

    # What must hold at each moment

    def look(self, now: float, line_end: float, *, quiet: bool, loud: bool, heard: bool) -> None:
        """Judge this moment."""
        self.is_loud = loud
        if loud or heard:
            self.last_noise, self.progress = max(self.last_noise, now) if loud else self.last_noise, now
        self._look_at_silence(now, line_end, speaks=loud or heard)
        assert now <= self.over_by, "the call is closed, and does not end"
        assert now <= self.end_by, "the agent has ended the conversation, and the call does not end"
        assert now <= self.transfer_by, "a transfer comes to nothing"
        assert self.prompts_begun <= MOST_PROMPTS, "nobody is asked for ever whether they are there"
        assert self.prompts <= 2 * MOST_PROMPTS, "a question that nobody hears is asked for ever"
        self._look_at_pause(now, line_end, quiet=quiet)

    def _look_at_silence(self, now: float, line_end: float, *, speaks: bool) -> None:
        if not self.is_waiting or speaks or self.closing is not None or self.end:
            return
        since = max(self.waiting_since, line_end, self.last_noise, self.last_clip)
        assert now - since <= POLICY.deadlines.silence_budget + TOLERANCE, f"a silence of {now - since:.2f} s"
        if not self.functions:
            assert now - self.progress <= LONGEST_WAIT, "the caller waits, and nothing comes of it"

    def _look_at_pause(self, now: float, line_end: float, *, quiet: bool) -> None:
        says = self.outstanding is not None and now < self.asked_at + POLICY.deadlines.silence_budget
        tells = self.told != "" and now < self.told_at + POLICY.deadlines.echo
        busy = says or tells or self.is_waiting or self.functions or self.end or self.transfer is not None
        if busy or not quiet or self.closing is not None:
            self.pause_since = math.inf
            return
        self.pause_since = min(self.pause_since, max(now, line_end, self.last_noise))
        if now > self.pause_since + UNCERTAIN:
            assert not self.keys, "keys wait in a pause"
            assert not self.remark, "a remark waits in a pause"
            assert not self.is_aged, "an old session waits in a pause"
        assert now <= self.pause_since + POLICY.deadlines.caller_silence + UNCERTAIN, "nobody asks a silent caller"
