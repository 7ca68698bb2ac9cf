"""The facts of a call: every kind of journal entry, one frozen value each.

Past tense, plain fields, JSON as they stand. Times are seconds; `at` is the Journal's, not the fact's. Phone numbers
are never facts; words are, and stay out of the logs (promise 10).
"""

from typing import TypeAlias

from actors.facts.call import *
from actors.facts.handoff import *
from actors.facts.session import *

Fact: TypeAlias = (
    CallStarted | SessionConnecting | SessionReady | SessionFailed | FloorTaken | FloorLeft | UserStartedSpeaking
    | TurnHeard | TurnCutOff | ReplyStarted | ReplyText | ReplyEnded | AgentSpoke | CallerSpoke | BargeIn
    | ReplyResumed | FillerSaid | FunctionCalled | FunctionAnswered | FunctionWithdrawn | ArgumentsForgiven
    | LatencyReported | SummaryStarted | SummaryWritten | SummaryFailed | BriefReady | HandoffAsked
    | SoftHandoffGivenUp | HandoffCommitted | HandoffGap | HandoffFailed | HandoffWithdrawn | SessionCrashed
    | SessionRestarting | RestartsExhausted | GoodbyeStarted | GoodbyeHeard | MachineDetected | CallScreened
    | CallClosing | ClosingUnsaid | TransferAsked | TransferFailed | CallParked | CallResumed | SilenceMet
    | DigitPressed | KeysPressed | CallerSilent | CallerHungUp | WarningReported | Unrecognised
    | FrameRefused | StreamFailed | WritingRefused | ActorCrashed | ListeningStarted | ListeningEnded
    | CommandAnswered | CallEnded
)  # fmt: skip
