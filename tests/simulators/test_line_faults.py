"""A bad line: what it does to the sound, and what is understood of it then."""

import pytest

from protocol.audio import FRAME_BYTES, FRAME_SECONDS, SILENCE, is_voiced
from simulators.faults import FaultError, FaultPlan, parse_fault, parse_faults
from simulators.hearing import Recogniser, SpeechEnded, WordHeard
from simulators.line_faults import BadLine
from simulators.speech import synthesise

SAID = synthesise("Where is my order, please?", "caller-1")
AGENT = synthesise("One moment, I am looking for it.", "aura-2-thalia-en")
SILENT = bytes([SILENCE]) * FRAME_BYTES


def nothing(_: float) -> bytes:
    return SILENT


def agent(at: float) -> bytes:
    begin = round(at / FRAME_SECONDS) * FRAME_BYTES
    return SILENT if begin < 0 else AGENT.audio[begin : begin + FRAME_BYTES].ljust(FRAME_BYTES, SILENT[:1])


def carried(*lines: str, audio: bytes = SAID.audio) -> bytes:
    line = BadLine(FaultPlan(parse_faults(f"line: {each}" for each in lines)).twilio, agent)
    frames = [audio[place : place + FRAME_BYTES] for place in range(0, len(audio), FRAME_BYTES)]
    return b"".join(line.carry(frame, number * FRAME_SECONDS) for number, frame in enumerate(frames))


def understood(audio: bytes) -> list[str]:
    heard = Recogniser((SAID,)).hear(audio + 100 * SILENT)
    return [each.word for each in heard if isinstance(each, WordHeard)]


WORDS = ["Where", "is", "my", "order,", "please?"]


@pytest.mark.parametrize("fault", ["noise 50 dB", "noise 40 dB", "clipping 9 dB", "echo 40 dB", "loss 1 %"])
def test_a_line_that_is_a_little_bad_is_understood(fault: str) -> None:
    assert understood(carried(fault)) == WORDS


@pytest.mark.parametrize("fault", ["noise 6 dB", "clipping 0 dB", "loss 90 %", "echo 0 dB"])
def test_a_line_that_is_very_bad_is_not(fault: str) -> None:
    assert understood(carried(fault)) != WORDS


@pytest.mark.slow
def test_every_fault_changes_the_sound_and_the_same_fault_alike() -> None:
    for fault in (
        "noise 20 dB",
        "clipping 3 dB",
        "loss 20 %",
        "echo 3 dB",
        "cough after 0.4 s",
        "two people after 0.2 s",
    ):
        assert carried(fault) != SAID.audio, fault
        assert carried(fault) == carried(fault), fault
        assert len(carried(fault)) == len(SAID.audio), fault


@pytest.mark.parametrize("fault", ["cough after 0.2 s", "echo 6 dB", "two people after 0.2 s"])
def test_sound_comes_into_a_silence(fault: str) -> None:
    quiet = 100 * SILENT

    arrived = carried(fault, audio=quiet)

    voiced = [is_voiced(arrived[place : place + FRAME_BYTES]) for place in range(0, len(arrived), FRAME_BYTES)]
    assert any(voiced)
    assert not any(voiced[:10]), "and not before its time"
    heard = [each.text for each in Recogniser((SAID,)).hear(arrived + quiet) if isinstance(each, SpeechEnded)]
    assert set(heard) <= {""}, "nobody in the scenario has said it"


@pytest.mark.parametrize(("mild", "strong"), [("noise 60 dB", "noise 6 dB"), ("clipping 20 dB", "clipping 0 dB")])
def test_of_two_that_are_alike_the_later_counts(mild: str, strong: str) -> None:
    """As where `--fault` has one that the scenario has, too."""
    assert carried(mild, strong) == carried(strong) != carried(mild)


def test_what_a_voice_masks_leaves_it_as_it_was() -> None:
    loud = SAID.audio[SAID.words[3].start_byte // FRAME_BYTES * FRAME_BYTES :][: 3 * FRAME_BYTES]

    assert carried("noise 40 dB", audio=loud) == loud


@pytest.mark.parametrize("line", ["line: noise", "line: loss 5 dB", "line: echo 10 dB after 3 s", "line: hum"])
def test_what_is_no_fault_of_a_line_is_refused(line: str) -> None:
    with pytest.raises(FaultError, match="line"):
        parse_fault(line)
