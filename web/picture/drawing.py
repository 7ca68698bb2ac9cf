"""One stave of the picture: its axis, its lanes, and the arrows between them."""

from web.picture.glyphs import draw_mark
from web.picture.palette import tone_class
from web.picture.score import CALLER, LINE, SUMMARIZER, SWITCHBOARD, Handoff, Mark, MarkKind, Score, Session
from web.picture.speech import Speech
from web.picture.staves import GUTTER, LINE_HEIGHT, MARGIN, RAIL_HEIGHT, SPEECH_HEIGHT, Lane, PlacedFlag, Stave
from web.picture.svg import Pen, fitted, text_width, wrapped

TEXT_SIZE = 10.5
ROW_HEIGHT = 12.4
PADDING = 6.0
SILENCE_WORTH_SAYING = 0.45
SILENCE_TOO_LONG = 4.3
"""The budget that the server has unless told otherwise, and what it takes until a sound is heard."""
GLYPH_WIDTH = 19.0
BOLDER = 1.1
NO_WORDS = "…"


def draw_stave(sheet: Pen, score: Score, stave: Stave, *, last: bool) -> None:
    """Draw one stave; the last one also shows what happened at the very end."""
    pen = sheet.group()
    pen.box("stave", MARGIN, stave.top, stave.scale.width - 2 * MARGIN, stave.height, r=8)
    _draw_axis(pen, stave, last=last)
    for lane in stave.lanes:
        _draw_label(pen, score, lane)
    _draw_line(pen, score, stave)
    for session in score.sessions:
        _draw_session(pen, score, stave, session)
    for handoff in score.handoffs:
        _draw_handoff(pen, score, stave, handoff)
    for lane in stave.lanes:
        for flag in lane.flags:
            _draw_flag(pen, score, lane, flag)
    for speech in score.speech:
        _draw_speech(pen, score, stave, speech)
    _draw_summaries(pen, score, stave)
    _draw_marks(pen, stave, [mark for mark in score.marks if stave.holds(mark.at, last=last)])


def _draw_axis(pen: Pen, stave: Stave, *, last: bool) -> None:
    top, bottom = stave.top + 20, stave.top + stave.height - 5
    second = -(-stave.start // 1)
    while second <= stave.end:
        fifth = second % 5 == 0
        x = stave.x(second)
        pen.line("grid5 hair" if fifth else "grid hair", (x, top if fifth else top + 2), (x, bottom))
        if fifth:
            pen.write(f"{second:.0f} s", "soft tick middle", x=x, y=stave.top + 14)
        second += 1
    if last:
        pen.line("softline line hair", (stave.x(stave.end), top), (stave.x(stave.end), bottom))


def _draw_label(pen: Pen, score: Score, lane: Lane) -> None:
    style = tone_class(lane.name, score.agents)
    middle = lane.top + min(SPEECH_HEIGHT, lane.height) / 2
    words = "caller hears" if lane.name == LINE else lane.name
    if lane.name in {LINE, SUMMARIZER, SWITCHBOARD}:
        pen.write(words, "soft end", x=MARGIN + GUTTER - 12, y=middle + 3.6)
        return
    pen.write(fitted(words, GUTTER - 30, 11.5), "ink lane end", x=MARGIN + GUTTER - 12, y=middle + 4)
    pen.box(f"{style}fill", MARGIN + 10, lane.top + 8, 4, SPEECH_HEIGHT - 16, r=2)


def _draw_line(pen: Pen, score: Score, stave: Stave) -> None:
    lane = stave.lane(LINE)
    if lane is None:
        return
    left, right = stave.x(stave.start), stave.x(stave.end)
    pen.box("silence", left, lane.top, right - left, LINE_HEIGHT, r=3)
    heard = sorted((speech.start, speech.end, speech.speaker) for speech in score.speech)
    over = 0.0
    for start, end, speaker in heard:
        _draw_silence(pen, stave, lane, over, start)
        over = max(over, end)
        if stave.shows(start, end):
            style = tone_class(speaker, score.agents) + ("tint" if speaker == CALLER else "fill")
            block = pen.box(style, stave.x(start), lane.top, stave.x(end) - stave.x(start), LINE_HEIGHT, r=3)
            block.titled(f"{start:.2f}–{end:.2f} s: {speaker}")
    _draw_silence(pen, stave, lane, over, score.duration)


def _draw_silence(pen: Pen, stave: Stave, lane: Lane, start: float, end: float) -> None:
    seen = min(end, stave.end) - max(start, stave.start)
    if end - start < SILENCE_WORTH_SAYING or seen < min(end - start, stave.end - stave.start) / 2:
        return
    style = "alarm small middle bold" if end - start >= SILENCE_TOO_LONG else "soft small middle"
    words = pen.write(f"{end - start:.1f}", style, x=(stave.x(start) + stave.x(end)) / 2, y=lane.top + 9.9)
    words.titled(f"nobody spoke from {start:.2f} to {end:.2f} s ({end - start:.2f} s)")


def _draw_speech(pen: Pen, score: Score, stave: Stave, speech: Speech) -> None:
    lane = stave.lane(speech.speaker)
    if lane is None or not stave.shows(speech.start, speech.end):
        return
    x, width = stave.x(speech.start), stave.x(speech.end) - stave.x(speech.start)
    group = pen.group().titled(_spoken(speech))
    height = min(SPEECH_HEIGHT, lane.height)
    group.box(f"{tone_class(speech.speaker, score.agents)}bar bar", x, lane.top, width, height, r=7)
    if speech.unheard:
        _draw_torn_edge(group, x + width, lane.top, height)
    if speech.start >= stave.start:
        _draw_words(group, score, stave, speech, lane)


def _draw_words(pen: Pen, score: Score, stave: Stave, speech: Speech, lane: Lane) -> None:
    x, width, height = (
        stave.x(speech.start),
        stave.x(speech.end) - stave.x(speech.start),
        min(SPEECH_HEIGHT, lane.height),
    )
    most, words = int(height // ROW_HEIGHT), speech.words or NO_WORDS
    rows = wrapped(words, width - 2 * PADDING, TEXT_SIZE, most)
    if " ".join(rows) != words:  # they begin in the box, and go on over its edge as far as there is room
        width += max(0.0, _room_beside(score, stave, speech))
        rows = wrapped(words, width - 2 * PADDING, TEXT_SIZE, most)
    clip = pen.draw("svg", x=x, y=lane.top, width=max(width - 2, 1.0), height=height)
    first = (height - ROW_HEIGHT * len(rows)) / 2 + 9.4
    for index, row in enumerate(rows):
        clip.write(row, "ink", x=PADDING, y=first + index * ROW_HEIGHT)


def _room_beside(score: Score, stave: Stave, speech: Speech) -> float:
    later = (other.start for other in score.speech if other.speaker == speech.speaker and other.start >= speech.end)
    right = min(stave.x(min(later, default=stave.end)), stave.x(stave.end))
    return right - stave.x(speech.end)


def _spoken(speech: Speech) -> str:
    words = speech.words or "(no words recognised)"
    said = f"{speech.speaker}, {speech.start:.2f}–{speech.end:.2f} s: {words}"
    return f"{said}\nnot heard: {speech.unheard}" if speech.unheard else said


def _draw_torn_edge(pen: Pen, x: float, top: float, height: float) -> None:
    teeth = "".join(f" l{'-' if index % 2 == 0 else ''}4 {height / 6:.2f}" for index in range(6))
    pen.draw("path", "pill", d=f"M{x + 1.2:.2f} {top:.2f}{teeth} h3 v-{height:.2f} Z")
    pen.draw("path", "alarmline line", d=f"M{x + 1.2:.2f} {top:.2f}{teeth}")


def _draw_session(pen: Pen, score: Score, stave: Stave, session: Session) -> None:
    lane = stave.lane(session.agent)
    if lane is None or not stave.shows(session.connecting, session.ended):
        return
    style = tone_class(session.agent, score.agents)
    ready = session.ended if session.ready is None else session.ready
    floor = session.ended if session.floor is None else session.floor
    group = pen.group().titled(_told(session))
    y = lane.rail
    if stave.shows(session.connecting, ready):
        group.line(f"{style}line line dots thick", (stave.x(session.connecting), y), (stave.x(ready), y))
    if stave.shows(ready, floor):
        group.box(f"{style}line hollow", stave.x(ready), y - 2.5, stave.x(floor) - stave.x(ready), 5, r=2.5)
    if stave.shows(floor, session.ended):
        group.box(f"{style}fill", stave.x(floor), y - 3, stave.x(session.ended) - stave.x(floor), 6, r=3)


def _told(session: Session) -> str:
    lines = [f"{session.agent}, session {session.incarnation} of the call ({session.why})"]
    lines.append(f"connecting at {session.connecting:.2f} s")
    if session.ready is not None:
        lines.append(f"ready after {(session.ready - session.connecting) * 1000:.0f} ms")
    if session.floor is not None:
        lines.append(f"held the floor from {session.floor:.2f} to {session.ended:.2f} s")
    return "\n".join([*lines, f"ended: {session.ending}"] if session.ending else lines)


def _draw_flag(pen: Pen, score: Score, lane: Lane, placed: PlacedFlag) -> None:
    flag, style = placed.flag, tone_class(placed.flag.agent, score.agents)
    y = lane.top + 12.0 if placed.above else lane.top + SPEECH_HEIGHT + RAIL_HEIGHT + placed.row * 17.0
    group = pen.group().titled(f"{flag.at:.2f} s: {flag.agent} called {flag.label}\n{_answer(placed)}")
    group.line(f"{style}line line", (placed.x, lane.rail), (placed.x, y if placed.above else y + 14))
    left = placed.x - placed.width if placed.leftwards else placed.x
    group.box(f"{style}bar bar", left, y, placed.width, 14, r=2)
    _draw_verdict(group, flag.ok, left + 9, y + 7)
    name, _, arguments = placed.label.partition("(")
    words = group.write("", "mono", x=left + 17, y=y + 10.2)
    words.span(name, "ink bold")
    words.span("(" + arguments if arguments else "", "ink")


def _answer(placed: PlacedFlag) -> str:
    flag = placed.flag
    if flag.withdrawn:
        return "withdrawn by the service"
    return "not answered" if flag.ok is None else f"answered: {flag.result}"


def _draw_verdict(pen: Pen, ok: bool | None, x: float, y: float) -> None:
    if ok is None:
        pen.draw("circle", "softline line hollow", cx=x, cy=y, r=3)
    elif ok:
        pen.draw("path", "goodline line thick", d=f"M{x - 3:.1f} {y:.1f} l2.2 2.4 l4 -5", stroke_linecap="round")
    else:
        cross = f"M{x - 2.6:.1f} {y - 2.6:.1f} l5.2 5.2 m0 -5.2 l-5.2 5.2"
        pen.draw("path", "alarmline line thick", d=cross, stroke_linecap="round")


def _draw_handoff(pen: Pen, score: Score, stave: Stave, handoff: Handoff) -> None:
    origin, target = stave.lane(handoff.origin), stave.lane(handoff.target)
    if origin is None or not stave.holds(handoff.asked, last=handoff.asked >= score.duration):
        return
    group = pen.group().titled(_told_handoff(handoff))
    x0, y0 = stave.x(handoff.asked), origin.rail
    x1 = stave.x(handoff.landed)
    y1 = y0 + 26 if target is None else target.top + 2
    style = "alarmline line dash" if handoff.failure else f"{tone_class(handoff.target, score.agents)}line line"
    group.draw("path", f"{style} thick", d=_curve(x0, y0, x1, y1 - 5))
    fill = "alarm" if handoff.failure else f"{tone_class(handoff.target, score.agents)}fill"
    group.draw("circle", fill, cx=x0, cy=y0, r=4)
    group.draw("path", fill, d=f"M{x1 - 5:.2f} {y1 - 8:.2f} h10 l-5 8 Z")
    _draw_gap(group, handoff, x1, (y0 + y1) / 2, style.replace(" dash", ""))


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (y0 + y1) / 2
    return f"M{x0:.2f} {y0:.2f} C{x0:.2f} {middle:.2f} {x1:.2f} {middle:.2f} {x1:.2f} {y1:.2f}"


def _draw_gap(pen: Pen, handoff: Handoff, x: float, y: float, style: str) -> None:
    if handoff.failure:
        words = f"refused: {handoff.failure}"
    else:
        words = "handoff" if handoff.gap is None else f"{handoff.gap * 1000:.0f} ms"
    words = fitted(words, 260, TEXT_SIZE)
    width = text_width(words, TEXT_SIZE) * BOLDER + 14
    pen.box(f"pill {style}", x + 7, y - 8, width, 16, r=8)
    pen.write(words, "ink bold middle", x=x + 7 + width / 2, y=y + 3.7)


def _told_handoff(handoff: Handoff) -> str:
    told = f"{handoff.asked:.2f} s: {handoff.origin} hands over to {handoff.target}: {handoff.reason}"
    if handoff.failure:
        return f"{told}\nfailed: {handoff.failure}"
    return told if handoff.gap is None else f"{told}\nfirst audio after {handoff.gap * 1000:.0f} ms"


def _draw_summaries(pen: Pen, score: Score, stave: Stave) -> None:
    lane = stave.lane(SUMMARIZER)
    if lane is None:
        return
    for summary in score.summaries:
        if not stave.shows(summary.start, summary.end):
            continue
        left, right = stave.x(summary.start), stave.x(summary.end)
        told = f"Brief for {summary.reader} from {summary.source} in {(summary.end - summary.start) * 1000:.0f} ms"
        group = pen.group().titled(f"{told} {summary.why}".rstrip())
        group.box("cbar bar", left, lane.top + 1, right - left, 12, r=4)
        tone = tone_class(summary.reader, score.agents)
        reader = stave.lane(summary.reader)
        if reader is not None:
            group.line(f"{tone}line line dots", (right, lane.top + 1), (right, reader.rail + 4))
        label = f"Brief for {summary.reader}: {summary.source}, {(summary.end - summary.start) * 1000:.0f} ms"
        group.write(label, "soft", x=right + 8, y=lane.top + 10.6)


def _draw_marks(pen: Pen, stave: Stave, marks: list[Mark]) -> None:
    taken: dict[tuple[str, bool], float] = {}
    for mark in marks:
        row = (mark.lane, mark.kind is MarkKind.BARGE_IN)
        x = max(stave.x(mark.at), taken.get(row, 0.0) + GLYPH_WIDTH)
        taken[row] = x
        _draw_mark(pen, stave, mark, x)


def _draw_mark(pen: Pen, stave: Stave, mark: Mark, x: float) -> None:
    lane = stave.lane(mark.lane) or stave.lane(LINE)
    if lane is None:
        return
    if mark.kind is MarkKind.BARGE_IN:
        caller = stave.lane(CALLER)
        top = lane.top if caller is None else caller.top + SPEECH_HEIGHT
        pen.line("amber alarmline line dash hair", (x, top), (x, lane.top + SPEECH_HEIGHT))
        draw_mark(pen, mark, x, lane.top - 3)
    elif mark.kind is MarkKind.SILENCE:
        draw_mark(pen, mark, x - GLYPH_WIDTH / 2, lane.top + lane.height / 2)  # in the silence, not on what ended it
    elif lane.name in {CALLER, LINE}:
        draw_mark(pen, mark, x, lane.top + min(lane.height, SPEECH_HEIGHT) / 2)
    else:
        draw_mark(pen, mark, x, lane.rail)
