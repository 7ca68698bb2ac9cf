"""The hard cases as scripts: `python -m tests.docs.requote` writes them into the page.

Each line has a time, what happened, and behind an arrow what `Turn` wanted done about it.
"""

from enum import Enum

import attrs

from actors.turn.effects import Effect
from actors.turn.events import (
    AgentSaid,
    CallerSaid,
    EndWanted,
    Event,
    FloorGiven,
    FunctionCancelled,
    FunctionDone,
    FunctionsAsked,
    HandoffWanted,
    PutThroughFailed,
    Signal,
    TransferWanted,
    VoiceEnded,
)
from tests.actors.turn.script import ASK, FIRST, GOODBYE, SECOND, Step, caller_says, filler, on_floor, reply

BEGIN, END = "<!-- cases: begin -->", "<!-- cases: end -->"


@attrs.frozen
class Case:
    """One case: what it is called where people report it, what is right, and a script until some second."""

    title: str
    right: str
    steps: list[Step]
    until: float


CASES: dict[str, Case] = {
    "C1": Case(
        "The goodbye plays, and the service takes the end back",
        "The rest of the goodbye is cut, and the caller is answered.",
        [
            *GOODBYE,
            (3.5, Signal.CALLER_STARTED_SPEAKING),
            (3.5, Signal.VOICE_BEGAN),
            (4.3, VoiceEnded(4.3)),
            (4.6, FunctionCancelled("end")),
            (4.7, CallerSaid("Wait, one thing.")),
            *reply(5.4, "Of course."),
        ],
        9,
    ),
    "C2": Case(
        "A noise in mid-reply, and no transcript",
        "The rest of the reply is heard, well within the silence budget.",
        [
            *reply(1, "We have Tuesday and Friday.", sent=0.5, played=9),
            (2, Signal.CALLER_STARTED_SPEAKING),
            (2, Signal.VOICE_BEGAN),
            (2.4, VoiceEnded(2.4)),
        ],
        10,
    ),
    "C3": Case(
        "The caller is heard between their turn and the answer",
        "Nothing is playing or coming, so nothing is cut: the answer is heard.",
        [*caller_says(1), (2.7, Signal.CALLER_STARTED_SPEAKING), *reply(3.2, "On Tuesday.")],
        7,
    ),
    "C4": Case(
        "A slow answer of a service that gives signs of life",
        "Two different fillers, then the answer; no restart.",
        [
            *caller_says(1),
            (2.6, Signal.THINKING_BEGAN),
            *filler(5.3, FIRST),
            (7.5, Signal.THINKING_SLOW),
            *filler(9.8, SECOND),
            *reply(12, "On Tuesday."),
        ],
        16,
    ),
    "C4, mute": Case(
        "A service that hears the caller, and says nothing",
        "It has neither said nor refused the filler. From then on what it hears is no sign of life, so it is given up "
        "in the next silence, although the caller has asked again. A service that refuses, or reports slow thinking, "
        "is waited for, and one that sends anything at all for one silence more.",
        [
            *caller_says(1),
            (2.6, Signal.THINKING_BEGAN),
            (7.3, Signal.PLAYED),
            *caller_says(8, "Hello?"),
            (9.6, Signal.THINKING_BEGAN),
        ],
        12.5,
    ),
    "C7": Case(
        "The caller speaks for 85 seconds",
        "The probe after a minute is refused, which proves that the service hears them; nobody is hung up on.",
        [
            (1, Signal.CALLER_STARTED_SPEAKING),
            (1, Signal.VOICE_BEGAN),
            (61.1, Signal.SAY_REFUSED),
            (86, VoiceEnded(86)),
            (87, CallerSaid("… and so on.")),
            *reply(88, "I see."),
        ],
        92,
    ),
    "C13": Case(
        "The caller asks something while the goodbye plays, and nothing is taken back",
        "They finish, they are answered once, and the agent says goodbye again.",
        [
            *GOODBYE,
            (4, Signal.CALLER_STARTED_SPEAKING),
            (4, Signal.VOICE_BEGAN),
            (5, Signal.PLAYED),
            (9, VoiceEnded(9)),
            (9.6, CallerSaid("And the price?")),
            *reply(10.5, "Ninety. Goodbye!"),
            (11, FunctionsAsked(("end again",))),
            (11, EndWanted("end again", "done")),
        ],
        16,
    ),
    "C14": Case(
        "An agent announces a function and does not call it",
        "After a pause it is reminded, once a turn.",
        [*caller_says(1), *reply(3, "I am transferring you now.", announces="transfer_to_human")],
        9,
    ),
    "C16": Case(
        "AgentAudioDone never comes",
        "What was said and played, and is followed by nothing, may have been broken off: the caller is asked, "
        "once in a call of such a service. No filler follows.",
        [
            *caller_says(1),
            (3, Signal.AUDIO_BEGAN),
            (3.1, AgentSaid("On Tuesday.")),
            (5, Signal.PLAYED),
            (8.1, Signal.AUDIO_BEGAN),
            (8.12, AgentSaid(ASK)),
            (9.5, Signal.PLAYED),
            *caller_says(12),
            (15, Signal.AUDIO_BEGAN),
            (15.1, AgentSaid("At nine.")),
            (16, Signal.PLAYED),
        ],
        27,
    ),
    "C17": Case(
        "The model itself says the words of a filler",
        "They are heard: text is compared with what is outstanding only.",
        [*caller_says(1), *reply(3, FIRST)],
        8,
    ),
    "C19": Case(
        "A handoff and the end in one request, and the next agent cannot be reached",
        "The first decision holds, the second is refused; the agent goes on.",
        [
            *caller_says(1),
            (3, FunctionsAsked(("handoff", "end"))),
            (3, HandoffWanted("handoff")),
            (3, EndWanted("end", "done")),
            (4, FunctionCancelled("handoff")),
            (4, FunctionDone("handoff")),
            *reply(4.8, "I will help you myself."),
        ],
        12,
    ),
    "C22": Case(
        "Words, a function, and no answer",
        "Words before a function do not answer it: the silence budget runs.",
        [
            *caller_says(1),
            (2.8, Signal.AUDIO_BEGAN),
            (2.9, AgentSaid("Let me see.")),
            (3, FunctionsAsked(("look_up",))),
            (4, FunctionDone("look_up")),
            (4.1, Signal.AUDIO_DONE),
            (4.2, Signal.PLAYED),
        ],
        8.2,
    ),
    "C23": Case(
        "The session crashes while the caller is put through",
        "The transfer is the call's: when the line cannot do it, the next session is told.",
        [
            *caller_says(1),
            *reply(3, "I put you through.", sent=0.4, played=1),
            (3.2, FunctionsAsked(("transfer",))),
            (3.3, TransferWanted("transfer")),
            (5, Signal.FLOOR_VACATED),
            (5.8, FloorGiven(owes=False)),
            (6.5, PutThroughFailed("The line is engaged.")),
        ],
        8.5,
    ),
}


def told(case: Case) -> list[tuple[float, Event, list[Effect]]]:
    """Play a case; return each event that was fed, or each deadline that did something, with its effects."""
    turn, now = on_floor(), 0.0
    lines: list[tuple[float, Event, list[Effect]]] = []
    steps = sorted(case.steps, key=lambda step: step[0])
    for at, event in [*steps, (case.until, Signal.TIME_PASSED)]:
        while turn.deadline() < at:
            now = max(now, turn.deadline())
            if effects := turn.on(Signal.TIME_PASSED, now):
                lines.append((now, Signal.TIME_PASSED, effects))
        effects, now = turn.on(event, at), at
        if effects or event != Signal.TIME_PASSED:
            lines.append((at, event, effects))
    return lines


def in_words(value: object) -> str:
    """Write a field of an event or an effect."""
    if isinstance(value, tuple):
        return " and ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "name", value))


def shown(value: Event | Effect) -> str:
    """Write an event or an effect in one line."""
    if isinstance(value, Enum):
        return value.name
    fields = [getattr(value, field.name) for field in attrs.fields(type(value)) if field.repr]
    parts = [
        getattr(part, "name", None) or (f"{part:g}" if isinstance(part, float) else str(part))
        for part in fields
        if part
    ]
    words = ", ".join(part if len(part) < 60 else f"{part[:57]}…" for part in parts)
    return f"{type(value).__name__}({words})" if words else type(value).__name__


def journal(case: Case) -> str:
    """Write a case as the page shows it."""
    lines = []
    for at, event, effects in told(case):
        wanted = "; ".join(map(shown, effects))
        lines.append(f"{at:6.2f}  {shown(event)}" + (f"  → {wanted}" if wanted else ""))
    return "\n".join(lines)


def cases() -> str:
    """Write all cases."""
    parts = [
        f"### {number}: {case.title}\n\n{case.right}\n\n```text\n{journal(case)}\n```" for number, case in CASES.items()
    ]
    return "\n\n".join(parts)


def with_cases(page: str) -> str:
    """Return a page with the cases of today between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{cases()}\n\n{END}{after}"
