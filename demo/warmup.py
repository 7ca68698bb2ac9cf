"""Work done before the call: on a fast clock, time spent on it during the call would be heard as silence.

Speech is synthesised, and the Groq client, which builds its types at its first request, makes one that goes nowhere.
Nothing here changes what is said or asked in the call, and no fault plan counts it.
"""

import httpx

from actors.policy import CallPolicy
from agents.roster import Roster
from simulators.scenario import Scenario
from simulators.speech import synthesise
from web.clients.briefs import BriefClient


async def warm_up(scenario: Scenario, roster: Roster) -> None:
    """Do everything that only the first call of a process has to wait for."""
    rehearse_speech(scenario, roster)
    await rehearse_brief()


def rehearse_speech(scenario: Scenario, roster: Roster) -> None:
    """Synthesise what will be said; the synthesiser keeps it."""
    voices = {name: spec.voice for name, spec in roster.agents.items()}
    synthesise(roster.agents[roster.first].greeting_with(None), voices[roster.first])
    for voice in voices.values():
        synthesise(CallPolicy().wording.filler, voice)
        synthesise(CallPolicy().wording.unreached, voice)
    rehearse_person(scenario)
    for line in scenario.caller.lines:
        if line.says is not None:
            synthesise(line.says, scenario.caller.voice)
    for name, agent in scenario.agents.items():
        if name in voices:
            for turn in agent.turns:
                for sentence in (*turn.says, *turn.then, *turn.on_error):
                    synthesise(sentence, voices[name])


def rehearse_person(scenario: Scenario) -> None:
    """Synthesise what the person will say, to whom the call is put through."""
    if scenario.human is not None and scenario.human.says:
        synthesise(scenario.human.says, scenario.human.voice)


async def rehearse_brief() -> None:
    """Ask for a Brief where nobody listens."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(_empty_brief), verify=False) as http:  # noqa: S501 -- goes nowhere
        client = BriefClient("http://127.0.0.1", "rehearsal", ("openai/gpt-oss-120b",), http)
        await client.ask([{"role": "user", "content": "Good evening."}])


def _empty_brief(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": "{}"}}]})
