"""The facts of a call: every kind of journal entry, one frozen value each.

Past tense, plain fields, JSON as they stand. Times are seconds; `at` is the Journal's, not the fact's. Phone numbers
are never facts; words are, and stay out of the logs (promise 10).
"""

from typing import TypeAlias

from actors.facts.call import (
    ActorCrashed,
    CallClosing,
    CallEnded,
    CallerHungUp,
    CallerSilent,
    CallerSpoke,
    CallScreened,
    CallStarted,
    ClosingUnsaid,
    CommandAnswered,
    DigitPressed,
    FrameRefused,
    KeysPressed,
    ListeningEnded,
    ListeningStarted,
    MachineDetected,
    SilenceMet,
    StreamFailed,
)
from actors.facts.handoff import (
    BriefReady,
    CallParked,
    CallResumed,
    HandoffAsked,
    HandoffCommitted,
    HandoffFailed,
    HandoffGap,
    HandoffWithdrawn,
    SoftHandoffGivenUp,
    SummaryFailed,
    SummaryStarted,
    SummaryWritten,
    TransferAsked,
    TransferFailed,
)
from actors.facts.session import (
    AgentSpoke,
    ArgumentsForgiven,
    BargeIn,
    FloorLeft,
    FloorTaken,
    FunctionAnswered,
    FunctionCalled,
    FunctionWithdrawn,
    GoodbyeHeard,
    GoodbyeStarted,
    LatencyReported,
    ReplyEnded,
    ReplyResumed,
    ReplyStarted,
    ReplyText,
    RestartsExhausted,
    SessionConnecting,
    SessionCrashed,
    SessionFailed,
    SessionReady,
    SessionRestarting,
    SessionSpent,
    TurnCutOff,
    TurnHeard,
    Unrecognised,
    UserStartedSpeaking,
    WarningReported,
)

Fact: TypeAlias = (
    CallStarted
    | SessionConnecting
    | SessionReady
    | SessionFailed
    | FloorTaken
    | FloorLeft
    | UserStartedSpeaking
    | TurnHeard
    | TurnCutOff
    | ReplyStarted
    | ReplyText
    | ReplyEnded
    | AgentSpoke
    | CallerSpoke
    | BargeIn
    | ReplyResumed
    | FunctionCalled
    | FunctionAnswered
    | FunctionWithdrawn
    | ArgumentsForgiven
    | LatencyReported
    | SummaryStarted
    | SummaryWritten
    | SummaryFailed
    | BriefReady
    | HandoffAsked
    | SoftHandoffGivenUp
    | HandoffCommitted
    | HandoffGap
    | HandoffFailed
    | HandoffWithdrawn
    | SessionCrashed
    | SessionRestarting
    | RestartsExhausted
    | GoodbyeStarted
    | GoodbyeHeard
    | MachineDetected
    | CallScreened
    | CallClosing
    | ClosingUnsaid
    | TransferAsked
    | TransferFailed
    | CallParked
    | CallResumed
    | SilenceMet
    | SessionSpent
    | DigitPressed
    | KeysPressed
    | CallerSilent
    | CallerHungUp
    | WarningReported
    | Unrecognised
    | FrameRefused
    | StreamFailed
    | ActorCrashed
    | ListeningStarted
    | ListeningEnded
    | CommandAnswered
    | CallEnded
)
