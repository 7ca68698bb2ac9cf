"""A whole call by microphone: Chromium hears the scenario's caller, and three agents answer."""

import wave
from pathlib import Path

import numpy as np
import pytest
import trio

from protocol.audio import FRAME_SECONDS
from simulators.deepgram.ear import MakeHearing
from simulators.deepgram.session import utterances_of
from simulators.scenario import Scenario, load_scenario, parse_scenario
from testkit.harness import play
from tests.browser.chromium import ALLOWED, needs_chromium, open_browser, visit, wait_until, watch
from tests.browser.lab import PAGE
from tests.browser.talking import talking
from tests.short_sale import SHORT_SALE
from tests.simulators.spectra.features import RATE, Floats, samples_of
from tests.simulators.spectra.recogniser import SpectralRecogniser

pytestmark = [pytest.mark.real_time, needs_chromium()]

DEVICE_RATE = 48_000
LEAD = 5.0
"""Seconds of silence before everything: the microphone's file plays while the page still calls."""
SLACK = 1.2
"""Seconds for which the caller waits longer before each sentence than in the call by which this one is timed."""
HALF = 6.0
"""dB: the level of the file is half of full scale."""


def resampled(samples: Floats) -> Floats:
    """Bring telephone audio to the device's rate, by windowed sinc."""
    factor = DEVICE_RATE // RATE
    n = np.arange(-32 * factor, 32 * factor + 1)
    spread = np.zeros(len(samples) * factor)
    spread[::factor] = samples
    return np.convolve(spread, np.sinc(n / factor) * np.kaiser(len(n), 8), "same")


def write_sound(path: Path, scenario: Scenario, starts: list[float]) -> None:
    """Write what the microphone hears: each line at its time."""
    utterances = utterances_of(scenario)
    samples = np.zeros(round((starts[-1] + utterances[-1].seconds + 30) * RATE))
    for start, utterance in zip(starts, utterances, strict=True):
        begin = round(start * RATE)
        samples[begin : begin + len(utterance.audio)] = samples_of(utterance.audio)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(DEVICE_RATE)
        file.writeframes(np.clip(resampled(samples) / 2, -32768, 32767).astype("<i2").tobytes())


def by_spectrum(scenario: Scenario) -> MakeHearing:
    return lambda pause: SpectralRecogniser(utterances_of(scenario), pause=pause)


async def timed(scenario: Scenario) -> list[float]:
    """Play the call in memory, to learn when its caller speaks."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    played = await trio.to_thread.run_sync(lambda: trio.run(play, scenario, clock=clock))
    starts = [turn.at for turn in played.the_record.transcript if turn.speaker == "caller"]
    return [LEAD + start + SLACK * n for n, start in enumerate(starts)]


SALE = load_scenario("sale")


@pytest.mark.parametrize(
    ("cleaned", "scenario"),
    [(False, parse_scenario(SHORT_SALE)), (True, SALE)],
    ids=["in short, as it is", "echo, noise and gain handled by the browser"],
)
def test_a_sale_by_microphone(cleaned: bool, scenario: Scenario, tmp_path: Path) -> None:
    """It takes as long as a call does, which is more than a test has that runs in trio."""
    trio.run(sell, cleaned, scenario, tmp_path)


async def sell(cleaned: bool, scenario: Scenario, tmp_path: Path) -> None:
    sound = tmp_path / "caller.wav"
    starts = await timed(scenario)
    await trio.to_thread.run_sync(write_sound, sound, scenario, starts)
    async with talking(tmp_path / "calls", scenario=scenario, make_hearing=lambda _: by_spectrum(SALE)) as there:

        def drive() -> str:
            with open_browser([ALLOWED], sound) as browser:
                page = browser.new_page()
                troubles = watch(page)
                page.goto(there.origin + PAGE)
                if not cleaned:
                    page.evaluate(
                        """async () => (await import("/console/static/phone/phone.js")).constrain(
                            { echoCancellation: false, noiseSuppression: false, autoGainControl: false })"""
                    )
                page.click("#call")
                wait_until(page, lambda: page.is_visible("#hang-up"))
                wait_until(page, lambda: page.is_visible("#call"), starts[-1] + 60)
                assert troubles == []
                return page.inner_text("#status")

        with trio.fail_after(starts[-1] + 120):
            told = await visit(drive)

    (record,) = there.records()
    said = [turn.text for turn in record.transcript if turn.speaker == "caller"]
    assert [period.agent for period in record.agents] == ["qualifier", "advisor", "closer"]
    assert said == [line.says for line in scenario.caller.lines]
    assert (record.outcome, record.caller, record.direction) == ("completed", "client:page", "inbound")
    assert told == "The call is over."
    frames = record.frames
    assert frames.dropped == 0 or there.noted("barge_in")  # the file plays on while a machine stands still
    assert frames.caller_in == pytest.approx(record.duration / FRAME_SECONDS, rel=0.02)
