"""What a call does when an LLM it depends on is gone."""

import pytest
from trio.testing import MockClock

from actors import facts
from testkit.harness import play
from tests.examples import one_in


@pytest.mark.slow
@pytest.mark.parametrize("refusal", one_in(3, ["model_not_found", "model_decommissioned", "json_validate_failed"]))
async def test_a_summary_model_that_is_refused_is_not_asked_after_every_turn(
    refusal: str, autojump_clock: MockClock
) -> None:
    played = await play("sale", [f"groq: {refusal}"])

    assert played.the_record.outcome == "completed"
    (failed,) = played.facts(facts.SummaryFailed)
    assert refusal in failed.why
    assert {ready.source for ready in played.facts(facts.BriefReady)} == {"extract"}
