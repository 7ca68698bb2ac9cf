"""The Settings a session is opened with, from an agent and what it must know.

`SettingsForm` holds what all agents of a switchboard have in common: how to listen, and what to think with. It makes
values and does nothing.
"""

from collections.abc import Sequence

import attrs

from agents.brief import Brief
from agents.spec import AgentSpec
from protocol.deepgram import HistoryCalls, HistoryText, Settings, build_settings


@attrs.frozen
class VoiceAgentOptions:
    """How every agent of this switchboard listens and thinks (settings LISTEN_MODEL, THINK_PROVIDER, THINK_MODEL)."""

    listen_model: str = "flux-general-en"
    think_provider: str = "open_ai"
    think_model: str = "gpt-4o-mini"


@attrs.frozen
class SettingsForm:
    """Writes Settings for the sessions of one call."""

    call_sid: str
    options: VoiceAgentOptions = attrs.field(factory=VoiceAgentOptions)

    def fresh(self, agent: AgentSpec, brief: Brief | None) -> Settings:
        """For an agent who greets a caller it has not spoken to."""
        return self._filled(agent, brief, agent.greeting_with(brief), ())

    def resumed(
        self, agent: AgentSpec, brief: Brief | None, history: Sequence[HistoryText | HistoryCalls], word: str = ""
    ) -> Settings:
        """For an agent who goes on where its last session broke off: no greeting, but perhaps a word about it."""
        return self._filled(agent, brief, word, history)

    def _filled(
        self,
        agent: AgentSpec,
        brief: Brief | None,
        greeting: str | None,
        history: Sequence[HistoryText | HistoryCalls],
    ) -> Settings:
        return build_settings(
            prompt=agent.prompt_with(brief),
            listen_model=self.options.listen_model,
            think_provider=self.options.think_provider,
            think_model=self.options.think_model,
            voice=agent.voice,
            functions=[function.definition() for function in agent.functions],
            greeting=greeting or None,
            context=history,
            tags=[f"agent:{agent.name}", f"call:{self.call_sid}"],
        )
