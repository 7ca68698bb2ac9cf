"""One band of the picture: its axis, its lanes, and the arrows between them."""

from web.picture.bands import GUTTER, LINE_HEIGHT, MARGIN, RAIL_HEIGHT, SPEECH_HEIGHT, Band, Lane, PlacedFlag
from web.picture.chart import CALLER, LINE, SUMMARIZER, SWITCHBOARD, Chart, HandoffSpan, Mark, MarkKind, SessionSpan
from web.picture.speech import Speech
from web.picture.svg import Canvas, fitted, text_width, wrapped
from web.picture.words import milliseconds

TEXT_SIZE = 10.5
ROW_HEIGHT = 12.4
PADDING, TIGHT = 6.0, 3.5
SILENCE_WORTH_SAYING = 0.45
SILENCE_TOO_LONG = 4.3
"""The budget that the server has unless told otherwise, and what it takes until a sound is heard."""
GLYPH_WIDTH = 19.0
BOLDER = 1.1
NO_WORDS = "…"
TONES = 5
VERDICTS = {None: "#unanswered", True: "#done", False: "#failed"}


def draw_band(sheet: Canvas, chart: Chart, band: Band, *, last: bool) -> None:
    """Draw one band; the last one also shows what happened at the very end."""
    canvas = sheet.group()
    canvas.box("band", MARGIN, band.top, band.scale.width - 2 * MARGIN, band.height, r=8)
    _draw_axis(canvas, band, last=last)
    for lane in band.lanes:
        _draw_label(canvas, chart, lane)
    _draw_line(canvas, chart, band)
    for session in chart.sessions:
        _draw_session(canvas, chart, band, session)
    for handoff in chart.handoffs:
        _draw_handoff(canvas, chart, band, handoff)
    for lane in band.lanes:
        for flag in lane.flags:
            _draw_flag(canvas, chart, lane, flag)
    for speech in chart.speech:
        _draw_speech(canvas, chart, band, speech)
    _draw_summaries(canvas, chart, band)
    _draw_marks(canvas, band, [mark for mark in chart.marks if band.holds(mark.at, last=last)])


def _tone(chart: Chart, name: str) -> str:
    """Name the colours of a lane; a sixth agent shares those of the first."""
    return f"a{chart.agents.index(name) % TONES}" if name in chart.agents else "c"


def _draw_axis(canvas: Canvas, band: Band, *, last: bool) -> None:
    top, bottom = band.top + 20, band.top + band.height - 5
    second = -(-band.start // 1)
    while second <= band.end:
        fifth = second % 5 == 0
        x = band.x(second)
        canvas.line("grid5 hair" if fifth else "grid hair", (x, top if fifth else top + 2), (x, bottom))
        if fifth:
            canvas.write(f"{second:.0f} s", "soft tick middle", x=x, y=band.top + 14)
        second += 1
    if last:
        canvas.line("softline line hair", (band.x(band.end), top), (band.x(band.end), bottom))


def _draw_label(canvas: Canvas, chart: Chart, lane: Lane) -> None:
    style = _tone(chart, lane.name)
    middle = lane.top + min(SPEECH_HEIGHT, lane.height) / 2
    words = "caller hears" if lane.name == LINE else lane.name
    if lane.name in {LINE, SUMMARIZER, SWITCHBOARD}:
        canvas.write(words, "soft end", x=MARGIN + GUTTER - 12, y=middle + 3.6)
        return
    canvas.write(fitted(words, GUTTER - 30, 11.5), "ink lane end", x=MARGIN + GUTTER - 12, y=middle + 4)
    canvas.box(f"{style}fill", MARGIN + 10, lane.top + 8, 4, SPEECH_HEIGHT - 16, r=2)


def _draw_line(canvas: Canvas, chart: Chart, band: Band) -> None:
    lane = band.lane(LINE)
    if lane is None:
        return
    left, right = band.x(band.start), band.x(band.end)
    canvas.box("silence", left, lane.top, right - left, LINE_HEIGHT, r=3)
    heard = sorted((speech.start, speech.end, speech.speaker) for speech in chart.speech)
    over = 0.0
    for start, end, speaker in heard:
        _draw_silence(canvas, band, lane, over, start)
        over = max(over, end)
        if band.shows(start, end):
            style = _tone(chart, speaker) + ("tint" if speaker == CALLER else "fill")
            block = canvas.box(style, band.x(start), lane.top, band.x(end) - band.x(start), LINE_HEIGHT, r=3)
            block.titled(f"{start:.2f}–{end:.2f} s: {speaker}")
    _draw_silence(canvas, band, lane, over, chart.duration)


def _draw_silence(canvas: Canvas, band: Band, lane: Lane, start: float, end: float) -> None:
    seen = min(end, band.end) - max(start, band.start)
    if end - start < SILENCE_WORTH_SAYING or seen < min(end - start, band.end - band.start) / 2:
        return
    style = "alarm small middle bold" if end - start >= SILENCE_TOO_LONG else "soft small middle"
    words = canvas.write(f"{end - start:.1f}", style, x=(band.x(start) + band.x(end)) / 2, y=lane.top + 9.9)
    words.titled(f"nobody spoke from {start:.2f} to {end:.2f} s ({end - start:.2f} s)")


def _draw_speech(canvas: Canvas, chart: Chart, band: Band, speech: Speech) -> None:
    lane = band.lane(speech.speaker)
    if lane is None or not band.shows(speech.start, speech.end):
        return
    x, width = band.x(speech.start), band.x(speech.end) - band.x(speech.start)
    group = canvas.group().titled(_spoken(speech))
    height, style = min(SPEECH_HEIGHT, lane.height), _tone(chart, speech.speaker)
    rows, padding, written = _rows(speech, width, max(0.0, _room_beside(chart, band, speech)), height)
    begins_here = speech.start >= band.start
    goes_beyond = written > width and begins_here
    if goes_beyond:
        group.box(f"{style}bar bar beyond", x, lane.top, written, height, r=7)
    group.box(f"{style}tint" if goes_beyond else f"{style}bar bar", x, lane.top, width, height, r=7)
    if speech.unheard:
        _draw_torn_edge(group, x + width, lane.top, height)
    if begins_here:
        clip = group.draw("svg", x=x, y=lane.top, width=max(written - 2, 1.0), height=height)
        first = (height - ROW_HEIGHT * len(rows)) / 2 + 9.4
        for index, row in enumerate(rows):
            clip.write(row, "ink", x=padding, y=first + index * ROW_HEIGHT)


def _rows(speech: Speech, width: float, room: float, height: float) -> tuple[list[str], float, float]:
    """Return the lines of the words, what is free on either side of them, and how wide they stand.

    Words that do not fit into the box of their sound go on beyond its edge, no further than they must.
    """
    most, words = int(height // ROW_HEIGHT), speech.words or NO_WORDS
    wider = (width + step for step in (*range(0, int(room), int(TEXT_SIZE)), room))
    padding, written = PADDING, width
    rows = wrapped(words, written - 2 * padding, TEXT_SIZE, most)
    while " ".join(rows) != words and (step := next(wider, None)) is not None:
        padding, written = TIGHT, step
        rows = wrapped(words, written - 2 * padding, TEXT_SIZE, most)
    return rows, padding, written


def _room_beside(chart: Chart, band: Band, speech: Speech) -> float:
    later = (other.start for other in chart.speech if other.speaker == speech.speaker and other.start >= speech.end)
    right = min(band.x(min(later, default=band.end)), band.x(band.end))
    return right - band.x(speech.end)


def _spoken(speech: Speech) -> str:
    words = speech.words or "(no words recognised)"
    said = f"{speech.speaker}, {speech.start:.2f}–{speech.end:.2f} s: {words}"
    return f"{said}\nnot heard: {speech.unheard}" if speech.unheard else said


def _draw_torn_edge(canvas: Canvas, x: float, top: float, height: float) -> None:
    teeth = "".join(f" l{'-' if index % 2 == 0 else ''}4 {height / 6:.2f}" for index in range(6))
    canvas.draw("path", "pill", d=f"M{x + 1.2:.2f} {top:.2f}{teeth} h3 v-{height:.2f} Z")
    canvas.draw("path", "alarmline line", d=f"M{x + 1.2:.2f} {top:.2f}{teeth}")


def _draw_session(canvas: Canvas, chart: Chart, band: Band, session: SessionSpan) -> None:
    lane = band.lane(session.agent)
    if lane is None or not band.shows(session.connecting, session.ended):
        return
    style = _tone(chart, session.agent)
    ready = session.ended if session.ready is None else session.ready
    floor = session.ended if session.floor is None else session.floor
    group = canvas.group().titled(_told(session))
    y = lane.rail
    if band.shows(session.connecting, ready):
        group.line(f"{style}line line dots thick", (band.x(session.connecting), y), (band.x(ready), y))
    if band.shows(ready, floor):
        group.box(f"{style}line hollow", band.x(ready), y - 2.5, band.x(floor) - band.x(ready), 5, r=2.5)
    if band.shows(floor, session.ended):
        group.box(f"{style}fill", band.x(floor), y - 3, band.x(session.ended) - band.x(floor), 6, r=3)


def _told(session: SessionSpan) -> str:
    lines = [f"{session.agent}, session {session.incarnation} of the call ({session.why})"]
    lines.append(f"connecting at {session.connecting:.2f} s")
    if session.ready is not None:
        lines.append(f"ready after {milliseconds(session.ready - session.connecting)}")
    if session.floor is not None:
        lines.append(f"held the floor from {session.floor:.2f} to {session.ended:.2f} s")
    return "\n".join([*lines, f"ended: {session.ending}"] if session.ending else lines)


def _draw_flag(canvas: Canvas, chart: Chart, lane: Lane, placed: PlacedFlag) -> None:
    flag, style = placed.flag, _tone(chart, placed.flag.agent)
    y = lane.top + 12.0 if placed.above else lane.top + SPEECH_HEIGHT + RAIL_HEIGHT + placed.row * 17.0
    group = canvas.group().titled(f"{flag.at:.2f} s: {flag.agent} called {flag.label}\n{_answer(placed)}")
    group.line(f"{style}line line", (placed.x, lane.rail), (placed.x, y if placed.above else y + 14))
    left = placed.x - placed.width if placed.leftwards else placed.x
    group.box(f"{style}bar bar", left, y, placed.width, 14, r=2)
    group.draw("use", href=VERDICTS[flag.ok], x=left + 9, y=y + 7)
    name, _, arguments = placed.label.partition("(")
    words = group.write("", "mono", x=left + 17, y=y + 10.2)
    words.span(name, "ink bold")
    words.span("(" + arguments if arguments else "", "ink")


def _answer(placed: PlacedFlag) -> str:
    flag = placed.flag
    if flag.withdrawn:
        return "withdrawn by the service"
    return "not answered" if flag.ok is None else f"answered: {flag.result}"


def _draw_handoff(canvas: Canvas, chart: Chart, band: Band, handoff: HandoffSpan) -> None:
    origin, target = band.lane(handoff.origin), band.lane(handoff.target)
    if origin is None or not band.holds(handoff.asked, last=handoff.asked >= chart.duration):
        return
    group = canvas.group().titled(_told_handoff(handoff))
    x0, y0 = band.x(handoff.asked), origin.rail
    x1 = band.x(handoff.landed)
    y1 = y0 + 26 if target is None else target.top + 2
    style = "alarmline line dash" if handoff.failure else f"{_tone(chart, handoff.target)}line line"
    group.draw("path", f"{style} thick", d=_curve(x0, y0, x1, y1 - 5))
    fill = "alarm" if handoff.failure else f"{_tone(chart, handoff.target)}fill"
    group.draw("circle", fill, cx=x0, cy=y0, r=4)
    group.draw("path", fill, d=f"M{x1 - 5:.2f} {y1 - 8:.2f} h10 l-5 8 Z")
    _draw_gap(group, handoff, x1, (y0 + y1) / 2, style.replace(" dash", ""))


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (y0 + y1) / 2
    return f"M{x0:.2f} {y0:.2f} C{x0:.2f} {middle:.2f} {x1:.2f} {middle:.2f} {x1:.2f} {y1:.2f}"


def _draw_gap(canvas: Canvas, handoff: HandoffSpan, x: float, y: float, style: str) -> None:
    if handoff.failure:
        words = f"refused: {handoff.failure}"
    else:
        words = "handoff" if handoff.gap is None else milliseconds(handoff.gap)
        words += f", {handoff.how}" if handoff.how else ""
    words = fitted(words, 260, TEXT_SIZE)
    width = text_width(words, TEXT_SIZE) * BOLDER + 14
    canvas.box(f"pill {style}", x + 7, y - 8, width, 16, r=8)
    canvas.write(words, "ink bold middle", x=x + 7 + width / 2, y=y + 3.7)


def _told_handoff(handoff: HandoffSpan) -> str:
    told = f"{handoff.asked:.2f} s: {handoff.origin} hands over to {handoff.target}: {handoff.reason}"
    told += f"\nnot softly: {handoff.given_up}" if handoff.given_up else ""
    if handoff.failure:
        return f"{told}\nfailed: {handoff.failure}"
    return told if handoff.gap is None else f"{told}\nfirst audio after {milliseconds(handoff.gap)}"


def _draw_summaries(canvas: Canvas, chart: Chart, band: Band) -> None:
    lane = band.lane(SUMMARIZER)
    if lane is None:
        return
    for summary in chart.summaries:
        if not band.shows(summary.start, summary.end):
            continue
        left, right = band.x(summary.start), band.x(summary.end)
        took = milliseconds(summary.end - summary.start)
        told = f"Brief for {summary.reader} from {summary.source} in {took}"
        group = canvas.group().titled(f"{told} {summary.why}".rstrip())
        group.box("cbar bar", left, lane.top + 1, right - left, 12, r=4)
        tone = _tone(chart, summary.reader)
        reader = band.lane(summary.reader)
        if reader is not None:
            group.line(f"{tone}line line dots", (right, lane.top + 1), (right, reader.rail + 4))
        label = f"Brief for {summary.reader}: {summary.source}, {took}"
        group.write(label, "soft", x=right + 8, y=lane.top + 10.6)


def _draw_marks(canvas: Canvas, band: Band, marks: list[Mark]) -> None:
    taken: dict[tuple[str, bool], float] = {}
    for mark in marks:
        row = (mark.lane, mark.kind is MarkKind.BARGE_IN)
        x = max(band.x(mark.at), taken.get(row, 0.0) + GLYPH_WIDTH)
        taken[row] = x
        _draw_mark(canvas, band, mark, x)


def _draw_mark(canvas: Canvas, band: Band, mark: Mark, x: float) -> None:
    lane = band.lane(mark.lane) or band.lane(LINE)
    if lane is None:
        return
    y = lane.top + min(lane.height, SPEECH_HEIGHT) / 2 if lane.name in {CALLER, LINE} else lane.rail
    if mark.kind is MarkKind.BARGE_IN:
        caller, y = band.lane(CALLER), lane.top - 3
        top = lane.top if caller is None else caller.top + SPEECH_HEIGHT
        canvas.line("amber alarmline line dash hair", (x, top), (x, lane.top + SPEECH_HEIGHT))
    elif mark.kind is MarkKind.SILENCE:
        x -= GLYPH_WIDTH / 2  # in the silence, not on what ended it
    is_key = mark.kind is MarkKind.DIGIT
    group = canvas.group().titled(f"key {mark.detail}" if is_key else f"{mark.at:.2f} s: {mark.detail}")
    draw_glyph(group, mark.kind, mark.detail, x, y)


def draw_glyph(canvas: Canvas, kind: MarkKind, detail: str, x: float, y: float) -> None:
    """Draw a sign around a point; the one of a key has its digit on it."""
    canvas.draw("use", href=f"#{kind.name.lower()}", x=x, y=y)
    if kind is MarkKind.DIGIT:
        canvas.write(detail[:1], "ink middle bold", x=x, y=y + 3.8)
