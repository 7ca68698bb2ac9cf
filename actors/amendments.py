"""An operator's changes to the agents' prompts, for the rest of one call.

`Amendments` is part of the call's shared state. Settings of new sessions are written with it, and the session on the
floor is told of each change (`UpdateThink`), so no restart and no handoff loses one. It owns no
task and raises nothing.
"""

from typing import Final

import attrs

from agents.spec import PROMPT_LIMIT, AgentSpec
from store.records import CallRecord

NOTES_HEADING: Final = "## From the operator of this call"
_NOTE: Final = """\
A colleague who follows this call has told you what stands below. The customer has not said it and does not know of it.
Use it from your next answer on, and do not say that you were told."""
_SPARE: Final = 4_000
"""Characters, for the Brief and the direction."""


_GIVEN_BACK: Final = "A colleague has talked with the customer meanwhile. You do not know what was said: ask."


@attrs.define(eq=False)
class Amendments:
    """The notes and the prompts of an operator; `version` counts the changes."""

    version: int = attrs.field(default=0, init=False)
    _notes: list[str] = attrs.field(factory=list, init=False)
    _prompts: dict[str, str] = attrs.field(factory=dict, init=False)
    """By agent."""

    def amend(self, agent: str, *, note: str = "", prompt: str = "") -> int:
        """Add a note for every agent, or put a prompt in the place of an agent's own; return the new version."""
        if note:
            self._notes.append(note)
        if prompt:
            self._prompts[agent] = prompt
        self.version += 1
        return self.version

    def recall(self, record: CallRecord, *, is_given_back: bool) -> None:
        """Take what was changed on earlier streams of the call, whose prompts know nothing of it."""
        for one in record.commands:
            text = one.fields.get("text", "")
            agents = [period.agent for period in record.agents if period.started <= one.at]
            if one.outcome not in {"done", "failed"}:  # "failed" holds from the next session on
                continue
            if one.command == "whisper":
                self.amend("", note=text)
            elif one.command == "prompt" and agents:
                self.amend(agents[-1], prompt=text)
        if is_given_back:
            self.note_person()

    def note_person(self) -> None:
        """Have the agents know that an operator has talked with the caller."""
        if _GIVEN_BACK not in self._notes:
            self.amend("", note=_GIVEN_BACK)

    def has_room_for(self, agent: AgentSpec, *, note: str = "", prompt: str = "") -> bool:
        """Whether an agent's prompt is short enough for the service with this note, or this prompt."""
        draft = Amendments()
        draft._notes, draft._prompts = list(self._notes), dict(self._prompts)
        draft.amend(agent.name, note=note, prompt=prompt)
        amended = draft.amended(agent)
        return max(len(amended.prompt), len(amended.inbound_prompt)) <= PROMPT_LIMIT - _SPARE

    def amended(self, agent: AgentSpec) -> AgentSpec:
        changed = self._prompts.get(agent.name)
        if changed is not None:
            agent = attrs.evolve(agent, prompt=changed, inbound_prompt="")
        if not self._notes:
            return agent
        notes = "\n".join([NOTES_HEADING, _NOTE, "", *(f"- {note}" for note in self._notes)])
        inbound = f"{agent.inbound_prompt.rstrip()}\n\n{notes}" if agent.inbound_prompt else ""
        return attrs.evolve(agent, prompt=f"{agent.prompt.rstrip()}\n\n{notes}", inbound_prompt=inbound)
