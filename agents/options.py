"""How an agent listens, thinks and speaks, where it is not as the settings of the server say.

`AgentOptions` are the same for the server and for one agent: what an agent leaves open, the server decides. They are
values; the Settings of a session are made from them in `actors/session/settings_form.py`.
"""

import attrs

from protocol.deepgram import Endpoint


@attrs.frozen
class ThinkModel:
    """One language model; `endpoint` is where Deepgram reaches it, if not at the provider it has itself."""

    provider: str
    name: str
    endpoint: Endpoint | None = None

    def __str__(self) -> str:
        """Write it as THINK_FALLBACK does."""
        return f"{self.provider}/{self.name}"


@attrs.frozen(kw_only=True)
class AgentOptions:
    """The options of an agent; None leaves the choice to the server.

    `think` and `speak_fallback` are in the order of preference. An option that the chosen model does not have (an end
    of turn for Nova, a reasoning mode for anthropic) is not sent.
    """

    listen_model: str | None = None
    listen_language: tuple[str, ...] | None = None
    listen_keyterms: tuple[str, ...] | None = None
    eot_threshold: float | None = None
    eager_eot_threshold: float | None = None
    eot_timeout_ms: int | None = None
    think: tuple[ThinkModel, ...] | None = None
    temperature: float | None = None
    reasoning_mode: str | None = None
    speak_fallback: tuple[str, ...] | None = None
    speak_speed: float | None = None
    mip_opt_out: bool | None = None

    def over(self, others: "AgentOptions") -> "AgentOptions":
        """Return these options, with those of `others` where these leave the choice open."""
        chosen = {name: value for name in attrs.fields_dict(AgentOptions) if (value := getattr(self, name)) is not None}
        return attrs.evolve(others, **chosen)


AS_THE_SERVER = AgentOptions()
