"""The phone's sound, in Chromium: exact frames at the pace of speech, marks at the ear, and a clear that is one."""

import base64
import math
import wave
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import cast

import numpy as np
import orjson
import pytest
import trio

from protocol.audio import FRAME_BYTES, silence, ulaw_to_linear
from protocol.twilio.codec import media_tail, sliced_media
from simulators.speech import linear_to_ulaw
from tests.browser.chromium import ALLOWED, needs_chromium, open_browser, visit, wait_until, watch
from tests.browser.lab import Bench, Heard, begin, idle, on_the_bench

pytestmark = [pytest.mark.real_time, needs_chromium()]

PLAYS = "--autoplay-policy=no-user-gesture-required"
RAW = {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}
TONES = (300, 1000, 2000, 3000, 3400, 4200, 5000, 7000, 12000)
TONE_SECONDS = 0.4
TRIES = 3
BUSY = """() => {
  const begin = Date.now();
  while (Date.now() < begin + 700);
  return [begin / 1000, Date.now() / 1000];
}"""


def tone(seconds: float, hertz: float = 1000.0, rate: int = 8000, size: float = 12000.0) -> bytes:
    """Return a tone as 16-bit samples."""
    samples = (round(size * math.sin(2 * math.pi * hertz * k / rate)) for k in range(round(seconds * rate)))
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


BEEP, LONG_BEEP = linear_to_ulaw(tone(0.3)), linear_to_ulaw(tone(2.0))
BEHIND = 0.1
"""Seconds that the loudspeaker is behind the page, as it says itself."""
EXACT = 0.01
"""For the audio thread, by its own clock, in which no machine is busy."""


def in_ms(seconds: Sequence[float]) -> str:
    return ", ".join(f"{1000 * each:.0f}" for each in seconds)


async def marks(bench: Bench) -> None:
    await trio.sleep(1)
    for n in range(12):
        await bench.play(BEEP[:800])
        if n % 3 == 2:
            await trio.sleep(0.3)  # the rest comes late: the sound is torn
        await bench.play(BEEP[800:])
        await bench.mark(f"m{n}")
        await bench.wait_mark(f"m{n}")
        await trio.sleep(0.1 + 0.017 * n)


async def clears(bench: Bench) -> None:
    await trio.sleep(1)
    for n in range(8):
        await bench.play(LONG_BEEP[:800])
        await bench.mark(f"b{n}")
        await bench.play(LONG_BEEP[800:])
        await bench.mark(f"c{n}")
        await bench.wait_mark(f"b{n}")
        await trio.sleep(0.2 + 0.013 * n)
        await bench.clear()
        await bench.wait_mark(f"c{n}")
        await trio.sleep(0.3)
    await bench.play(BEEP)
    await bench.mark("end")


async def listen_to(conduct: Callable[[Bench], "object"], last: str) -> tuple[Bench, Heard]:
    """Have a typed call, which needs no microphone, until the last mark is back."""
    bench = Bench(conduct)  # type: ignore[arg-type]
    async with on_the_bench(bench) as origin:

        def drive() -> Heard:
            with open_browser([PLAYS]) as browser:
                page = browser.new_page()
                troubles = watch(page)
                begin(page, origin, typed=True, latency=BEHIND)
                wait_until(page, lambda: last in bench.marks())
                wait_until(page, lambda: last in Heard.on(page).named("answer"))
                heard = Heard.on(page)
                page.evaluate("phone.hangUp()")
                wait_until(page, bench.over.is_set)
                assert troubles == []
                return heard

        return bench, await visit(drive)


def ends_of_beeps(heard: Heard, count: int) -> Sequence[float]:
    """Return when each beep was over. The parts of one that is torn are as long as the whole."""
    lengths = list(accumulate(off - on for on, off in heard.sounds))
    assert lengths[-1] == pytest.approx(0.3 * count, abs=0.05), "all of it is heard, and no more"
    reached = [bisect(lengths, 0.3 * (n + 1) - 0.1) for n in range(count)]
    return [heard.sounds[at][1] for at in reached]


async def test_a_mark_comes_back_when_what_was_before_it_is_heard() -> None:
    """Within 10 ms by the audio thread's clock; and the way from there to the server takes no 40 ms."""
    ways = []
    for _ in range(TRIES):
        bench, heard = await listen_to(marks, "m11")
        came, answered = heard.named("mark"), heard.named("answer")
        due = [max(end, came[f"m{n}"].at) + BEHIND for n, end in enumerate(ends_of_beeps(heard, 12))]
        errors = [answered[f"m{n}"].at - at for n, at in enumerate(due)]
        assert max(map(abs, errors)) <= EXACT, f"marks minus true ends: {in_ms(errors)} ms"
        ways.append([at - answered[name].wall for name, at in bench.marks().items()])
        if median(ways[-1]) <= 0.04:
            return
    pytest.fail("\n".join(f"from the page to the server: {in_ms(way)} ms" for way in ways))


async def test_a_clear_silences_the_page_within_20_ms_and_gives_the_marks_back() -> None:
    """Each at another moment of a frame; within 10 ms of its arrival by the audio thread's clock."""
    kept, seen = set[int](), list[str]()
    for _ in range(TRIES):
        bench, heard = await listen_to(clears, "end")
        answered, cleared = heard.named("answer"), heard.of("clear")
        silent, back = after_clears(heard), [answered[f"c{n}"].at - clear.at for n, clear in enumerate(cleared)]
        assert max([*silent.values(), *back]) <= EXACT, f"sound and marks after clears: {silent}, {in_ms(back)} ms"
        kept |= silent.keys()
        sent = bench.when_sent("clear")
        ways = [clear.wall - at for clear, at in zip(cleared, sent, strict=True)]
        whole = [bench.marks()[f"c{n}"] - at for n, at in enumerate(sent)]
        seen.append(f"{len(silent)} of 8 cut; to the page {in_ms(ways)} ms; marks after {in_ms(whole)} ms")
        if len(kept) == 8 and median(ways) + max(silent.values()) <= 0.02 and median(whole) <= 0.04:
            return
    pytest.fail("\n".join(seen))


def after_clears(heard: Heard) -> Mapping[int, float]:
    """Return for how long sound went on after each clear that cut some, unless more was there at once to be played."""
    silent, notes = {}, list(heard.noted)
    for n, clear in enumerate(heard.of("clear")):
        next_sound = next(note.at for note in notes[notes.index(clear) :] if note.what == "audio")
        cut = [off - clear.at for on, off in heard.sounds if on < next_sound and off > clear.at]
        if cut and next_sound - clear.at > 5 * EXACT:
            silent[n] = max(cut)
    return silent


async def test_the_page_says_what_twilio_says() -> None:
    """Each message is read by our own codec, the sound by the way that is only open to frames of the captured shape."""
    bench = Bench(idle)
    async with on_the_bench(bench) as origin:

        def drive() -> None:
            with open_browser([ALLOWED, PLAYS]) as browser:
                page = browser.new_page()
                troubles = watch(page)
                begin(page, origin)
                wait_until(page, lambda: len(bench.of("media")) >= 100)
                page.evaluate("(phone.press('5'), phone.press('#'), phone.mute(true))")
                page.wait_for_timeout(1000)
                page.evaluate("phone.hangUp()")
                wait_until(page, bench.over.is_set)
                assert troubles == []

        await visit(drive)

    sequence = [int(str(message["sequenceNumber"])) for _, message in bench.came]
    media = [message for _, message in bench.of("media")]
    chunks = [cast("dict[str, str]", message["media"]) for message in media]
    tail = media_tail(str(media[0]["streamSid"]))
    texts = [orjson.dumps(message).decode() for message in media]
    assert sequence == list(range(2, 2 + len(sequence)))  # 1 was `start`
    assert [message["streamSid"] for _, message in bench.came] == [media[0]["streamSid"]] * len(sequence)
    assert [int(chunk["chunk"]) for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert [int(chunk["timestamp"]) for chunk in chunks] == [20 * n for n in range(len(chunks))]
    assert [message["dtmf"]["digit"] for _, message in bench.of("dtmf")] == ["5", "#"]  # type: ignore[index]
    assert all(sliced_media(text, tail) is not None for text in texts)
    assert {payload_of(message) for message in media[-30:]} == {silence(1)}  # muted
    assert bench.came[-1][1]["event"] == "stop"


async def test_frames_are_whole_and_come_at_the_pace_of_speech(tmp_path: Path) -> None:
    """One in 20 ms by the audio thread's clock; and a busy page holds none up on its way to the server."""
    seen, sound = list[str](), await trio.to_thread.run_sync(noise, tmp_path)
    for _ in range(TRIES):
        bench, heard, busy = await speak_into_a_busy_page(sound)
        frames = {note.name: note for note in heard.of("frame")}
        times = [note.at for note in heard.of("frame")]
        ways = [
            at - frames[name].wall
            for at, name in ((at, ",".join(map(str, payload_of(message)))) for at, message in bench.of("media"))
            if name in frames and any(begin <= frames[name].wall <= end for begin, end in busy)
        ]
        assert {len(payload_of(message)) for _, message in bench.of("media")} == {FRAME_BYTES}
        assert (times[-1] - times[0]) / (len(times) - 1) == pytest.approx(0.02, rel=0.001)
        assert [second - first for first, second in pairwise(times)] == pytest.approx(
            [0.02] * (len(times) - 1), abs=0.004
        )
        if len(ways) >= 50 and median(ways) <= 0.045:
            return
        seen.append(f"{len(ways)} frames of a busy page were on their way for {in_ms(sorted(ways))} ms")
    pytest.fail("\n".join(seen))


def noise(folder: Path) -> Path:
    """Write noise for the microphone to hear: no two frames are the same."""
    return write_sound(folder / "noise.wav", Random(1).randbytes(2 * 48000 * 20))


async def speak_into_a_busy_page(sound: Path) -> tuple[Bench, Heard, Sequence[tuple[float, float]]]:
    """Have a call whose page is busy three times, for 700 ms; return when that was."""
    bench = Bench(idle)
    async with on_the_bench(bench) as origin:

        def drive() -> tuple[Heard, Sequence[tuple[float, float]]]:
            with open_browser([ALLOWED, PLAYS], sound) as browser:
                page = browser.new_page()
                begin(page, origin, constraints=RAW)
                wait_until(page, lambda: len(bench.of("media")) >= 50)
                busy = list[tuple[float, float]]()
                for _ in range(3):
                    page.wait_for_timeout(700)
                    busy.append(page.evaluate(BUSY))
                page.wait_for_timeout(300)
                heard = Heard.on(page)
                page.evaluate("phone.hangUp()")
                wait_until(page, bench.over.is_set)
                return heard, busy

        return bench, *await visit(drive)


def sweep(folder: Path) -> Path:
    """Write tones for the microphone to hear, one after the other."""
    quiet = bytes(2 * 48000)
    tones = b"".join(tone(TONE_SECONDS, hertz, 48000, 10000) for hertz in TONES)
    return write_sound(folder / "tones.wav", quiet * 2 + tones + quiet)


def write_sound(path: Path, samples: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(samples)
    return path


async def test_the_telephones_band_comes_through_and_nothing_else(tmp_path: Path) -> None:
    bench, sound = Bench(idle), await trio.to_thread.run_sync(partial(sweep, tmp_path))
    async with on_the_bench(bench) as origin:

        def drive() -> None:
            with open_browser([ALLOWED, PLAYS], sound) as browser:
                page = browser.new_page()
                begin(page, origin, constraints=RAW)
                wait_until(page, lambda: len(bench.of("media")) >= 340)
                page.evaluate("phone.hangUp()")
                wait_until(page, bench.over.is_set)

        await visit(drive)

    heard = b"".join(payload_of(message) for _, message in bench.of("media"))
    samples = np.frombuffer(ulaw_to_linear(heard), "<i2").astype(float)
    loud = np.flatnonzero(np.abs(samples) > 3000)
    levels = {}
    for n, hertz in enumerate(TONES):
        begins = loud[0] + round((TONE_SECONDS * n + 0.1) * 8000)
        part = samples[begins : begins + 1600]
        levels[hertz] = 20 * math.log10((math.sqrt(2 * float(np.mean(part**2))) + 0.1) / 10000)
    assert all(abs(levels[hertz]) < 0.5 for hertz in TONES if hertz <= 3400), levels
    assert all(levels[hertz] < -50 for hertz in TONES if hertz > 4000), levels


def payload_of(message: object) -> bytes:
    assert isinstance(message, dict)
    return base64.b64decode(message["media"]["payload"])
