"""Parts of the state of `Turn`: its last reply, what the session on the floor was asked for, and its clocks.

A field says itself which events move it in any state; verbs and actions move it, too.
"""

import math
import re
from difflib import SequenceMatcher

import attrs

from actors.turn import events
from actors.turn.effects import SayAsAgent, SpeechKind
from actors.turn.events import LONG_AGO, SPEECH, WORDS, Signal, at_last, between, until

NEVER = math.inf
AT_ONCE = LONG_AGO
JUST_BEHIND = 0.1
"""Seconds."""
DEAF_WORDS = 2
"""After so many words in a row that the service does not hear, it is deaf: they were no noise."""
CEASED = "it answers no ping"
"""Why a session is lost whose service is gone."""
MOST_SILENT = 2
"""Sessions of one call that are lost for that; more, and it is how the service answers."""
_TOO_MANY_TO_REPEAT = 5
_SAME = 0.7
"""Of the words of an echo, two or more in a row: the service mishears some."""
_MISHEARD = 3
"""Words that it hears too many, or too few."""


def words_of(text: str) -> str:
    """Return the words of a text, however it is spelled, to be compared with those of another."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def is_from(text: str, said: str) -> bool:
    """Whether a text is a part of what was said, as a service hears it: too long to be repeated by somebody."""
    whole, words = words_of(said).split(), words_of(text).split()
    longest = SequenceMatcher(None, whole, words, autojunk=False).find_longest_match()
    first = longest.a - longest.b  # an echo is said in one go
    near = whole[max(0, first - _MISHEARD) : first + len(words) + _MISHEARD]
    matches = SequenceMatcher(None, near, words, autojunk=False).get_matching_blocks()
    same = sum(match.size for match in matches if match.size > 1)
    return len(words) >= _TOO_MANY_TO_REPEAT and same >= _SAME * len(words)


@attrs.define
class LastReply:
    """What the service says, or said last. A new one begins as what the model says of its own accord."""

    kind: SpeechKind = SpeechKind.ANSWER
    asked: str = ""  # the words that it was asked for with, if it was
    has_own_words: bool = False  # it has words that the model chose
    takes_leave: bool = False  # they are a goodbye
    began: float = NEVER  # its audio began; infinity: it has none
    is_torn: bool = False  # it goes on, and was cut before all of it had come

    @property
    def has_sound(self) -> bool:
        return self.began < NEVER

    def begin_as(self, kind: SpeechKind, asked: str) -> None:
        """Turn out to be what the service was asked to say."""
        self.kind, self.asked = kind, asked

    def take_own_words(self) -> None:
        """Count as an answer from now on, whatever it began as."""
        self.kind, self.has_own_words = SpeechKind.ANSWER, True


@attrs.define
class Session:
    """What the session on the floor was asked for, and what it has asked for."""

    outstanding: SayAsAgent | None = None  # the injection that its service has neither begun nor refused
    rest: str = until("", events.AgentSaid, events.CallerSaid)  # of the last such sentence that it has begun
    late_filler: str = until("", Signal.LATE_FILLER_BEGAN)  # it may still be said, and is not wanted any more
    there: float = at_last(Signal.SERVICE_THERE)  # its service has sent anything, whatever it was
    has_ignored: bool = False  # it was there, and has not said what it was asked to
    told: str = until("", Signal.TOLD_ECHOED)  # words that it was told as the caller's, and has not echoed
    running: set[str] = attrs.field(factory=set)  # functions
    lasting: set[str] = attrs.field(factory=set)  # functions whose effects cannot be taken back, at work or not
    handoff: str = until("", Signal.HANDOFF_ENDED)  # the function that has asked for another agent
    transfer: str = until("", Signal.DECISION_CANCELLED)  # the function that has asked for a person, and waits
    is_aged: bool = between(Signal.SESSION_AGED)  # it nears the longest that its service allows

    @property
    def does_lasting_work(self) -> bool:
        """Whether a function is at work that no decision of its model may break off."""
        return not self.running.isdisjoint(self.lasting)

    @property
    def is_to_speak(self) -> bool:
        """Whether words of its service may be those that it was asked for."""
        return self.outstanding is not None or self.late_filler != ""

    def is_to_say(self, *kinds: SpeechKind) -> bool:
        """Whether its service was asked to say something of such a kind, and has neither begun nor refused it."""
        return self.outstanding is not None and self.outstanding.kind in kinds

    def overtake_filler(self) -> bool:
        """Give up the filler that is outstanding; return whether there was one."""
        asked = self.outstanding
        if asked is None or asked.kind is not SpeechKind.FILLER:
            return False
        self.late_filler, self.outstanding = asked.text, None
        return True

    def begin(self, asked: SayAsAgent, rest: str) -> None:
        """Begin what was asked for, or a late filler that is wanted again."""
        self.rest = rest
        if asked is self.outstanding:
            self.outstanding = None
        else:
            self.late_filler = ""


@attrs.define
class Clocks:
    """When each thing last happened; minus infinity: it has not. A rule is due so long after one of them.

    Half of the faults of turn-taking are clocks that are moved wrongly. `at_last`: its events move it in any state.
    """

    heard: float = at_last(Signal.CALLER_STARTED_SPEAKING)  # or the service proved that it hears the caller
    noticed: float = at_last()  # it did so for the first time since it heard nobody
    anew: float = at_last()  # it did so again, and what was heard of a word before was none
    own_turn: float = at_last()  # it did so when the caller waited for nothing; minus infinity: they waited
    voiced: float = at_last(Signal.VOICE_BEGAN)  # the line began, or ceased, to carry the caller's voice
    understood: float = at_last(events.FloorGiven)  # or a transcript came of the caller's own words
    spoken: float = at_last()  # a voice ended that was long enough for a word
    key: float = at_last(Signal.KEY_PRESSED)
    sounded: float = at_last()  # a sound of ours began when none was heard
    quiet: float = LONG_AGO  # the last sound of ours ended
    cut: float = at_last()  # what sounded, or came, was cut: what was on its way may still come
    resumed: float = at_last()
    wanted: float = at_last()  # something was asked of the agent: by the caller, or with the answer of a function
    owed: float = at_last()  # the silence began in which the caller waits
    waiting: float = until(NEVER)  # the caller began to wait for this answer; infinity: they do not
    turned: float = at_last(events.FloorGiven)  # or nothing was owed any more: it became the caller's turn
    said: float = at_last(*WORDS)  # the agent said something, of its own accord or because it was asked to
    answered: float = at_last()  # the agent said something of its own accord
    done: float = at_last(Signal.AUDIO_DONE)  # the last reply was received
    # The service showed that it works on an answer
    alive: float = at_last(*SPEECH, Signal.SAY_REFUSED, Signal.THINKING_SLOW, events.FunctionsAsked)
    outstanding: float = at_last()  # the service was asked to say something
    filler: float = at_last()
    refused: float = at_last(Signal.SAY_REFUSED)
    told: float = at_last()
    vacated: float = at_last()  # a session lost the floor
    phase: float = at_last()  # the phase of the call began, or its last sentence was asked for anew
    result: float = at_last(events.FunctionDone)  # the model got the answer of a function
    remark: float = at_last()
    close_asked: float = at_last()
    begun: float = at_last(events.InjectionBegan)  # the last sentence that was asked for; minus infinity: not yet

    def end_voice(self, at: float, shortest_word: float, *, was_loud: bool) -> bool:
        """Note that the line ceased to carry a voice; return whether that was long enough for a word."""
        is_word = at >= self.voiced + shortest_word
        self.spoken = at if is_word else self.spoken
        if was_loud and self.owed >= self.voiced:  # they have spoken, or a noise was heard, since
            self.owed = at
        self.voiced, self.heard, self.noticed = at, min(self.heard, at), min(self.noticed, at)  # it was told late
        return is_word
