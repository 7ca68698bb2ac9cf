"""The agents' side of the line: what was sent to the caller, what was heard, and what never will be.

`Ledger` queues the audio of the session on the floor, hands it to the bridge with a lead of some hundred milliseconds,
and follows the marks that Twilio echoes (`actors/line/reply.py`). Each reply is a generation of its own; audio of one
that was flushed, or of a voice without the floor, has no way in. It owns no task; `next_work` is awaited by the bridge,
the only one to write to the line.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from actors.facts import AgentSpoke, BargeIn, HandoffGap, ReplyEnded, ReplyResumed, ReplyStarted, ReplyText
from actors.journal import Journal, ignore
from actors.line.reply import AsideAudio, Marks, Piece, Reply, SendAudio, SendClear, SendMarkAlone, Voice, Work
from actors.ticks import Sleeper, next_round, time_reader
from actors.turn.effects import Gate
from protocol.audio import BYTES_PER_SECOND

LONGEST_QUEUE = 300 * BYTES_PER_SECOND
"""Five minutes unsent: half of what Twilio itself would buffer (error 31931)."""
SWITCHBOARD = "switchboard"
"""The name of the speaker where no agent speaks."""
_MARK_EVERY = 2 * BYTES_PER_SECOND // 5
_PAUSE = 0.1
"""Seconds for which the line must be quiet before an unfinished reply, which has had marks, is given one more."""
_STARVED = 0.1
_OPEN, _SHUT = Gate.OPEN, Gate.SHUT  # an Enum looks its members up by name, for each piece of audio
_SCRAP = BYTES_PER_SECOND // 10
"""A tenth of a second: less is worth a message only while the caller has no more than that left to hear."""


@attrs.define
class Ledger:
    """The outgoing audio of one call. All but `wait_…` and `next_work` is synchronous and never blocks."""

    journal: Journal
    lead: float = 0.4
    """Seconds of audio the caller's line is kept ahead by: less makes barge-in exact, more survives a stall."""
    piece: float = 0.4
    """Seconds of audio in one message once the lead is there."""
    on_heard: Callable[[float, bytes], None] = ignore
    """Called with audio that was played, and the second of the call at which it began."""
    _send_due: Callable[[], None] = attrs.field(default=ignore, init=False)
    floor: Voice | None = attrs.field(default=None, init=False)
    gate: Gate = attrs.field(default=Gate.OPEN, init=False)
    received: int = attrs.field(default=0, init=False)
    sent: int = attrs.field(default=0, init=False)
    """Bytes sent to the line; what is resumed after a cut is sent a second time."""
    dropped: int = attrs.field(default=0, init=False)
    generation: int = attrs.field(default=0, init=False)
    _queue: list[tuple[Reply, bytes]] = attrs.field(factory=list, init=False)
    _queued: int = attrs.field(default=0, init=False)
    _aside: AsideAudio = attrs.field(factory=AsideAudio, init=False)
    _out: list[Piece] = attrs.field(factory=list, init=False)
    _under_way: dict[int, Reply] = attrs.field(factory=dict, init=False)
    """The replies that are not over, by generation."""
    marks: Marks = attrs.field(factory=Marks, init=False)
    _confirmed: int = attrs.field(default=0, init=False)
    _play_end: float = attrs.field(default=-math.inf, init=False)
    _clear_due: bool = attrs.field(default=False, init=False)
    _put_back: Work | None = attrs.field(default=None, init=False)
    _nap: Sleeper = attrs.field(factory=Sleeper, init=False)
    """The bridge, until it has to look again."""
    _promised: Voice | None = attrs.field(default=None, init=False)
    _now: Callable[[], float] = attrs.field(factory=time_reader, init=False)

    # The floor

    def grant(self, voice: Voice) -> None:
        """Give `voice` the floor: from now on only its audio has a way in."""
        if self.floor is not None and self.floor is not voice:
            self.withhold(self.floor)
        self.floor = voice
        self._promised = voice if voice.gap_from is not None else self._promised
        self._wake()

    def withhold(self, voice: Voice) -> None:
        """Take the floor from `voice`, if it has it. What it has said so far is played out."""
        if self.floor is voice:
            self.forget()
            self.floor = None
            self._wake()
        self.end_reply(voice)

    def announce(self, audio: bytes, text: str) -> None:
        """Queue a few words of the switchboard's own, also while no session has the floor."""
        reply = self._reply_of(Voice(SWITCHBOARD))
        self._start(reply)
        reply.add_text(text)
        self.journal.note(ReplyText(reply.agent, reply.generation, text))
        reply.received, reply.whole = len(audio), True
        self._queue.append((reply, audio))
        self._queued += len(audio)
        self._wake()

    # What the session on the floor says

    def put(self, voice: Voice, audio: bytes) -> bool:
        """Queue audio for the caller; False if it was dropped: no floor, a cancelled reply, or no end to it."""
        if not audio:
            return False
        self.received += len(audio)
        is_shut = voice is not self.floor or self.gate is _SHUT
        if is_shut or self._queued + self._aside.size + len(audio) > LONGEST_QUEUE:
            self.dropped += len(audio)
            return False
        reply = self._reply_of(voice)
        reply.received += len(audio)
        if self.gate is not _OPEN:
            self._aside.hold(reply)
            return self._aside.put(reply, audio, was_sent=False)
        if not reply.is_started:
            self._start(reply)
        before, self._queued = self._queued, self._queued + len(audio)
        self._queue.append((reply, audio))
        if not before or before < _SCRAP <= self._queued:  # else the bridge knows already when to look again
            self._send_due()  # waking a task costs more than all of it
            self._wake()
        return True

    def add_text(self, voice: Voice, text: str) -> Reply | None:
        """Note a sentence of what this voice says; None if it has no floor, or it belongs to a cancelled reply."""
        if voice is not self.floor or self.gate is Gate.SHUT:
            self._leave_out(voice.reply)
            return None
        reply = voice.reply if voice.reply is not None and voice.reply.takes_late(text) else self._reply_of(voice)
        if reply.repeats(text):
            return reply
        if self.gate is Gate.ASIDE:
            self._aside.put_text(reply, text)
            return None
        reply.add_text(text)
        self.journal.note(ReplyText(reply.agent, reply.generation, text))
        self._wake()
        return reply

    def _leave_out(self, reply: Reply | None) -> None:
        """Drop what is queued of a reply that has no words, since those that come now are not to be heard."""
        if reply is not None and not (reply.text or reply.whole):
            gone = sum(len(audio) for of, audio in self._queue if of is reply)
            self._queue = [piece for piece in self._queue if piece[0] is not reply]
            self._queued, reply.received, self.dropped = self._queued - gone, reply.received - gone, self.dropped + gone

    def audio_done(self, voice: Voice) -> None:
        """Note that the service has sent the last audio of the reply, if it has sent any."""
        reply = voice.reply
        if reply is not None and reply.received and not reply.closed:
            reply.whole = True
            self._settle(reply)
            self._wake()

    def end_reply(self, voice: Voice) -> None:
        """Let the next audio of this voice begin a new reply."""
        reply, voice.reply = voice.reply, None
        if reply is not None:
            reply.closed = True
            self._settle(reply)
            self._wake()

    # A cut, and what becomes of what it has set aside

    def cut(self) -> None:
        """Clear the line, and set aside what the caller has not heard, until `resume` or `forget`.

        What the service still sends of it comes with the gate `ASIDE`. The switchboard's own words are dropped.
        """
        self.forget()
        now, unheard, coming = self._now(), self.unplayed, self.floor.reply if self.floor is not None else None
        if not unheard:  # by our clock all is played; the line may be late
            self._clear_due = self._clear_due or self.marks.oldest is not None
            if coming is None or coming.whole or coming.closed:
                return
        self._play_until(now)
        if unheard:
            speaking = next((piece.reply for piece in self._out if piece.stop > now), None) or self._queue[0][0]
            heard = round(speaking.played / BYTES_PER_SECOND, 3)
            self.journal.note(BargeIn(speaking.agent, speaking.generation, heard, round(unheard, 3)))
        self._clear_due = self._clear_due or self._play_end > now
        unplayed, unsent = [(piece.reply, piece.unplayed(now)) for piece in self._out], [*self._queue]
        self._queued = 0
        self._reset(now)
        for reply in self.under_way:
            self._hold(reply, now)
        for reply, audio in unplayed:
            self._aside.put(reply, audio, was_sent=True)
        for reply, audio in unsent:
            if not self._aside.put(reply, audio, was_sent=False):
                self.dropped += len(audio)
        self._wake()

    def resume(self) -> list[Reply]:
        """Play what is aside, from where the caller stopped hearing it; return its replies."""
        aside, self._aside = self._aside, AsideAudio()
        for reply, text, at in aside.texts:
            reply.add_text(text, at)
            self.journal.note(ReplyText(reply.agent, reply.generation, text))
        for reply, _ in aside.pieces:
            if not reply.is_started:
                self._start(reply)
        self._queued += aside.size
        self._queue.extend(aside.pieces)
        for reply in aside.replies:
            rest = sum(len(audio) for of, audio in aside.pieces if of is reply)
            self.journal.note(ReplyResumed(reply.agent, reply.generation, round(rest / BYTES_PER_SECOND, 3)))
            self._settle(reply)
        self._wake()
        return aside.replies

    def forget(self) -> None:
        """Drop what is aside: the caller will not hear the rest of it."""
        aside, self._aside = self._aside, AsideAudio()
        self.dropped += aside.size - aside.sent
        for reply in aside.replies:
            if not reply.is_over:
                reply.cut = True
                self._end(reply)
        if aside.replies:
            self._wake()

    def _hold(self, reply: Reply, now: float) -> None:
        reply.cut_spoken(now)
        if reply.agent == SWITCHBOARD or reply.complete:
            reply.cut = reply.played < reply.received
            self._end(reply)
        else:
            self._aside.hold(reply)

    # What the caller hears

    @property
    def quiet_at(self) -> float:
        """When (trio time) the caller will have heard all there is, if nothing else comes."""
        return max(self._play_end, self._now()) + self._queued / BYTES_PER_SECOND if self._queue else self._play_end

    @property
    def unplayed(self) -> float:
        """Seconds of audio the caller has yet to hear."""
        return self.buffered + self._queued / BYTES_PER_SECOND

    def surely_unplayed(self, now: float) -> float:
        """Return the seconds yet to be heard if the line has played each piece at once: a mark is read later."""
        soonest, latest = self.marks.soonest_end, self._play_end
        left = (soonest if soonest < latest else latest) - now
        return (left if left > 0.0 else 0.0) + self._queued / BYTES_PER_SECOND

    @property
    def buffered(self) -> float:
        """Seconds of audio sent and, by the clock and the last mark, not yet played."""
        return max(0.0, self._play_end - self._now())

    @property
    def under_way(self) -> list[Reply]:
        """The replies that are being played, are still coming, or are aside."""
        return list(self._under_way.values())

    def close(self) -> None:
        """End the ledger: what was not heard by now will not be."""
        self.forget()
        self._play_until(now := self._now())
        self._reset(now)
        for reply in self.under_way:
            reply.cut = not reply.complete
            reply.cut_spoken(now)
            self._end(reply)
        self._wake()

    def mark_reached(self, name: str) -> None:
        """Take an echoed mark, which may prove nothing."""
        now = self._now()
        if (position := self.marks.take(name, now)) is None:
            self._wake()  # what it tells too soon is to be taken by our clock
            return
        self._play_end = now
        while self._out and self._confirmed < position:
            piece, latest = self._out[0], now - len(self._out[0].audio) / BYTES_PER_SECOND
            piece.start = latest if latest < piece.start else piece.start
            self._confirm()
        for piece in self._out:  # the line's clock, not ours: what is left begins only now
            piece.start, piece.stop = self._play_end, self._play_end + len(piece.audio) / BYTES_PER_SECOND
            self._play_end = piece.stop

    def give_up_marks(self) -> None:
        """Take our clock's word for what was marked so far: the line plays it, and echoes no mark."""
        self.marks.give_up()
        self._wake()

    # What the bridge sends

    def work_now(self) -> Work | None:
        """Return the next thing to send to the line, if it is due."""
        now = self._now()
        while self._told_until() <= now:
            self._confirm()
        if self._put_back is not None:
            work, self._put_back = self._put_back, None
            return work
        if self._clear_due:
            self._clear_due = False
            return SendClear()
        if self._queue and now >= self._play_end - self._wanted_lead():
            return self._send_piece(now)
        if self.sent > self.marks.marked and not self._queue and (self.is_whole or now >= self._mark_due()):
            return SendMarkAlone(self.marks.new(self.sent))
        return None

    @contextmanager
    def sending(self, send_due: Callable[[], None]) -> Iterator[None]:
        """Have `send_due` send what `work_now` returns, in the turn of the session that brings it, if it can."""
        self._send_due = send_due
        try:
            yield
        finally:
            self._send_due = ignore

    def put_back(self, work: Work) -> None:
        """Take back work that could not be sent at once: it is the next there is."""
        self._put_back = work
        self._wake()

    async def next_work(self) -> Work:
        """Wait for the next thing to send to the line."""
        while (work := self.work_now()) is None:
            await self._nap.sleep_until(self._look_again(), look=self._look)
        return work

    def _look(self) -> float:
        self._send_due()  # no task is woken for what it can send
        return self._look_again()

    def _look_again(self) -> float:
        if self._clear_due or self._put_back is not None:
            return -math.inf
        if self._queue:
            due = self._play_end - (lead := self._wanted_lead())
            return min(self._told_until(), next_round(due) if lead > _STARVED else due)
        if self.sent > self.marks.marked:
            return -math.inf if self.is_whole else min(self._told_until(), self._mark_due())
        return self._told_until()

    def _told_until(self) -> float:
        """When the next of what the line says too soon to have played is played, by our clock; infinite: nothing."""
        return self._out[0].stop if self._out and self._confirmed < self.marks.told else math.inf

    def _mark_due(self) -> float:
        """When what was sent without a mark gets one, unless more audio comes; with no lead, it always does."""
        has_marks = bool(self._out) and self._out[-1].reply.received > _MARK_EVERY
        return self._play_end + (_PAUSE if has_marks else 0.0)

    def _wanted_lead(self) -> float:
        """How much the caller must have left to hear for the queue to wait: little, as long as it is a scrap itself."""
        is_scrap = self._queued < _SCRAP and not (self._queue[-1][0].whole or self._queue[-1][0].closed)
        return _STARVED if is_scrap else self.lead

    @property
    def is_whole(self) -> bool:
        """Whether the last reply sent is known to have no more audio."""
        return not self._out or self._out[-1].reply.whole or self._out[-1].reply.closed

    def _send_piece(self, now: float) -> SendAudio:
        reply, audio = self._queue.pop(0)
        limit = int(self.piece * BYTES_PER_SECOND)
        while len(audio) < limit and self._queue and self._queue[0][0] is reply:
            audio += self._queue.pop(0)[1]
        if len(audio) > limit:
            self._queue.insert(0, (reply, audio[limit:]))
            audio = audio[:limit]
        size = len(audio)
        self._queued -= size
        start = now if now > self._play_end else self._play_end
        self._play_end = stop = start + size / BYTES_PER_SECOND
        self.sent += size
        self.marks.note_sent(size, now)
        self._out.append(Piece(reply, audio, start, stop))
        reply.add_spoken(start, stop)
        if self._promised is not None:
            self._note_gap(self._promised, reply, now)
        return SendAudio(audio, self.marks.new(self.sent) if self.sent - self.marks.marked >= _MARK_EVERY else None)

    def _note_gap(self, voice: Voice, reply: Reply, now: float) -> None:
        if voice.reply is reply and voice.gap_from is not None:
            self.journal.note(HandoffGap(voice.agent, round(now - voice.gap_from, 6), voice.how))
            self._promised = voice.gap_from = None

    # Bookkeeping

    def _start(self, reply: Reply) -> None:
        reply.is_started = True
        self.journal.note(ReplyStarted(reply.agent, reply.generation))

    def _reply_of(self, voice: Voice) -> Reply:
        if voice.reply is None or voice.reply.closed or voice.reply.whole:
            self.generation += 1
            voice.reply = Reply(voice.agent, self.generation, self.journal.now)
            self._under_way[self.generation] = voice.reply
        return voice.reply

    def _play_until(self, now: float) -> None:
        """Count what has been played up to `now`."""
        for piece in self._out:
            if played := piece.played(now):
                self._heard(piece, piece.audio[:played])

    def _reset(self, now: float) -> None:
        self.dropped += self._queued
        self._out.clear()
        self._queue.clear()
        self._queued = 0
        self.marks.flush(self.sent, now)
        self._confirmed = self.sent
        self._play_end = min(self._play_end, now)

    def _confirm(self) -> None:
        """Take the first piece that is out for played."""
        piece = self._out.pop(0)
        self._confirmed += len(piece.audio)
        self._heard(piece, piece.audio)
        self._settle(piece.reply)

    def _heard(self, piece: Piece, audio: bytes) -> None:
        piece.reply.played += len(audio)
        self.on_heard(piece.start - self.journal.started, audio)

    def _settle(self, reply: Reply) -> None:
        if (reply.whole or reply.closed) and reply.played >= reply.received and not reply.is_over:
            self._end(reply)

    def _end(self, reply: Reply) -> None:
        started = self.journal.started
        self._under_way.pop(reply.generation, None)
        for start, stop in reply.end():
            span = round(start - started, 3), round(stop - started, 3)
            self.journal.note(AgentSpoke(reply.agent, reply.generation, *span))
        self.journal.note(ReplyEnded(reply.agent, reply.generation, reply.text, reply.heard_text(), reply.complete))

    def _wake(self) -> None:
        """Have the bridge look again."""
        self._nap.move(self._look_again())
