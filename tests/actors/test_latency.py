"""Deepgram's latency reports, a few for each answer and a flood besides, become one fact for each answer."""

import pytest
from trio.testing import MockClock

from actors.facts import LatencyReported
from actors.line.reply import Reply, Voice
from actors.session.wire import LatencyMeter
from protocol.deepgram import AgentAudioDone, LatencyReport, decode_server
from tests.actors.fakes import Watched, heard, says, words
from tests.actors.test_agent_session import on_the_floor

FLOOD = [LatencyReport(stt_latency=seconds) for seconds in (0.3, 0.2, 0.25)]
PARTS = [
    LatencyReport(ttt_token_latency=0.4),
    LatencyReport(ttt_text_latency=0.5),
    LatencyReport(tts_latency=0.1),
    LatencyReport(total_latency=0.7),
]
WHOLE = LatencyReported(
    "first", 3, stt_latency=0.25, ttt_token_latency=0.4, ttt_text_latency=0.5, tts_latency=0.1, total_latency=0.7
)


def reported(*reports: LatencyReport, closes: bool = False) -> list[LatencyReported]:
    watched = Watched()
    meter = LatencyMeter(watched.state.journal, Voice("first", reply=Reply("first", 3, 0.0)))
    for report in reports:
        meter.take(report)
    if closes:
        meter.close()
    return watched.facts(LatencyReported)


async def test_the_parts_of_an_answer_are_one_fact(autojump_clock: MockClock) -> None:
    assert reported(*FLOOD, *PARTS, *FLOOD) == [WHOLE]


async def test_a_report_that_holds_all_parts_is_one_fact(autojump_clock: MockClock) -> None:
    assert reported(LatencyReport(0.25, 0.4, 0.5, tts_latency=0.1, total_latency=0.7)) == [WHOLE]


async def test_a_flood_without_an_answer_is_no_fact(autojump_clock: MockClock) -> None:
    assert reported(*FLOOD * 100, closes=True) == []


async def test_another_pass_of_the_model_is_another_fact(autojump_clock: MockClock) -> None:
    looked_up = [LatencyReport(ttt_token_latency=0.3), LatencyReport(ttt_tool_latency=0.4)]

    facts = reported(*looked_up, *PARTS)

    assert [(fact.ttt_tool_latency, fact.total_latency) for fact in facts] == [(0.4, None), (None, 0.7)]


async def test_what_was_measured_of_an_answer_that_broke_off_is_not_lost(autojump_clock: MockClock) -> None:
    assert [fact.ttt_text_latency for fact in reported(*PARTS[:2], closes=True)] == [0.5]


@pytest.mark.parametrize("value", ["NaN", "-1", '"NaN"', '"soon"', "null", "[0.1]", "true", "1e999"])
async def test_nonsense_is_no_measurement(value: str, autojump_clock: MockClock) -> None:
    report = decode_server(f'{{"type":"LatencyReport","tts_latency":{value},"total_latency":0.7}}')

    assert isinstance(report, LatencyReport)
    assert [(fact.tts_latency, fact.total_latency) for fact in reported(report)] == [(None, 0.7)]


async def test_a_session_notes_what_the_service_reports_with_the_reply_it_is_about(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(heard("What do I owe?"), *FLOOD, *PARTS[:2], words(1), says("Nothing."), *PARTS[2:])
        await scene.far.say(AgentAudioDone())
        await scene.settle()

        (fact,) = scene.watched.facts(LatencyReported)
        assert fact.generation == 1
        assert (fact.stt_latency, fact.ttt_text_latency, fact.tts_latency) == (0.25, 0.5, 0.1)


async def test_an_answer_whose_total_is_never_told_is_complete_with_its_audio(autojump_clock: MockClock) -> None:
    async with on_the_floor() as scene:
        await scene.far.say(heard("What do I owe?"), words(1), says("Nothing."), *PARTS[:3], AgentAudioDone())
        await scene.settle()

        assert [fact.tts_latency for fact in scene.watched.facts(LatencyReported)] == [0.1]
