"""How the sessions of a call begin: with what Settings, from which frame of the tape, and with whose words.

`Openings` makes an `Opening` for each occasion: the first session, a handoff, a restart, a caller who comes back on
another stream. The session reads each part of it only when its time has come. `SettingsForm` writes the Settings from
an agent and what it must know: it holds what all agents of a server have in common.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

import attrs

from actors.commands import Amendments
from actors.facts.handoff import HandoffKind
from actors.line.tape import Tape
from actors.messages import AskHandoff
from actors.policy import CallPolicy
from actors.record.conversation import Conversation, Stretch
from actors.record.resumption import Resumption
from actors.supervision import RestartBudget
from agents.brief import Brief
from agents.spec import AgentOptions, AgentSpec, ThinkModel
from protocol import deepgram
from protocol.deepgram import CompletedCall, Settings

_History: TypeAlias = Sequence[deepgram.HistoryText | deepgram.HistoryCalls]
DEFAULTS = AgentOptions(
    listen_model="flux-general-en",
    think=(ThinkModel("open_ai", "gpt-5.4-mini"), ThinkModel("anthropic", "claude-haiku-4-5")),
    speak_fallback=("cartesia/sonic-2/a167e0f3-df7e-4d52-a9c3-f949145efdab",),
)


@attrs.define(eq=False)
class Offered:
    """The models that the account may use, as the service has told; `think` is None until it has.

    Pairs of provider and model; the provider is empty where the service did not say it as we do.
    """

    think: frozenset[tuple[str, str]] | None = None

    def has(self, model: ThinkModel) -> bool:
        """Say whether a model can be had, as far as is known; what is behind an endpoint of ours, only that can say."""
        if self.think is None or model.endpoint is not None:
            return True
        return not self.think.isdisjoint({(model.provider, model.name), ("", model.name)})

    def best(self, models: Iterable[ThinkModel]) -> tuple[ThinkModel, ...]:
        """Return those that can be had, in their order; all of them if none can: the service must say so itself."""
        every = tuple(models)
        return tuple(model for model in every if self.has(model)) or every


@attrs.frozen
class VoiceAgentOptions:
    """The defaults for agents that set no options, and the models there are to choose from."""

    defaults: AgentOptions = DEFAULTS
    offered: Offered = attrs.field(factory=Offered)


@attrs.frozen
class Takeover:
    """The settings that make an open session another agent's: its mind, its voice, its first words.

    `amended` is the version of the operator's amendments in it.
    """

    agent: deepgram.AgentSettings
    amended: int


@attrs.frozen
class SettingsForm:
    call_sid: str
    options: VoiceAgentOptions = attrs.field(factory=VoiceAgentOptions)
    direction: str = ""
    """Of the call: inbound or outbound; empty says nothing to the agents."""
    amendments: Amendments = attrs.field(factory=Amendments)
    """What an operator has changed of the prompts."""

    def fresh(self, agent: AgentSpec, brief: Brief | None) -> Settings:
        """For an agent who greets a caller it has not spoken to."""
        return self.resumed(agent, brief, (), agent.greeting_with(brief, self.direction))

    def resumed(self, agent: AgentSpec, brief: Brief | None, history: _History, word: str = "") -> Settings:
        """For an agent who goes on where its last session broke off: no greeting, but perhaps a word about it."""
        tags = f"agent:{agent.name}", f"call:{self.call_sid}"
        own, usual = agent.options.mip_opt_out, self.options.defaults.mip_opt_out
        opts_out = (usual if own is None else own) or False
        return Settings(deepgram.TELEPHONE, self.of(agent, brief, history, word), tags, mip_opt_out=opts_out)

    def of(self, agent: AgentSpec, brief: Brief | None, history: _History, word: str) -> deepgram.AgentSettings:
        chosen = agent.options.over(self.options.defaults)
        voices = dict.fromkeys((agent.voice, *(chosen.speak_fallback or ())))
        listen = deepgram.listen_with(
            chosen.listen_model or "",
            language=chosen.listen_language or (),
            keyterms=chosen.listen_keyterms or (),
            eot_threshold=chosen.eot_threshold,
            eager_eot_threshold=chosen.eager_eot_threshold,
            eot_timeout_ms=chosen.eot_timeout_ms,
        )
        return deepgram.AgentSettings(
            context=deepgram.Context(tuple(history)) if history else None,
            listen=listen,
            think=self._think(agent, brief, chosen),
            speak=tuple(deepgram.speak_with(voice, chosen.speak_speed) for voice in voices),
            greeting=word or None,
        )

    def prompt(self, agent: AgentSpec, brief: Brief | None) -> str:
        return self.amendments.amended(agent).prompt_with(brief, self.direction)

    def _think(self, agent: AgentSpec, brief: Brief | None, chosen: AgentOptions) -> tuple[deepgram.Think, ...]:
        """Order the models in the order of preference: the service takes the next one where one fails."""
        prompt = self.prompt(agent, brief)
        functions = [function.definition() for function in agent.functions]
        return tuple(
            deepgram.think_with(
                model.provider,
                model.name,
                endpoint=model.endpoint,
                temperature=chosen.temperature,
                reasoning_mode=chosen.reasoning_mode,
                prompt=prompt,
                functions=functions,
            )
            for model in self.options.offered.best(chosen.think or ())
        )


@attrs.define(eq=False)
class AgentOnCall:
    """An agent's time on the call, through all its sessions. It alone changes what is known of it."""

    agent: AgentSpec
    budget: RestartBudget
    brief: Brief | None = None
    since: int = 0
    """How much had been said when it took the floor: its own conversation begins there."""
    returned: int = 0
    """How much had been said when it took the caller back, on another stream; 0 if it has the call's first one."""
    before: "AgentOnCall | None" = None
    """The agent that handed the call to it."""
    passed_on: CompletedCall | None = attrs.field(default=None, init=False)
    """The function by which it handed the call on."""
    earlier: tuple[Stretch, ...] = attrs.field(default=(), init=False)
    """Its own conversation before it handed the call on and got it back."""

    @property
    def began(self) -> int:
        """How much had been said when it took the floor first."""
        return self.earlier[0].start if self.earlier else self.since

    def taken_back(self, other: "AgentOnCall") -> "AgentOnCall":
        """Return the same agent, as it takes the call back from the one that it handed it to."""
        back = attrs.evolve(self, brief=None)
        back.earlier = (*self.earlier, Stretch(self.since, other.began, self.passed_on))
        return back

    def begin(self, since: int) -> None:
        self.since = since

    def take_brief(self, brief: Brief) -> None:
        self.brief = brief

    def pass_on(self, by: CompletedCall) -> None:
        self.passed_on = by


@attrs.frozen
class Opening:
    """How a session begins.

    `settings` is awaited once the service has welcomed us (at a handoff it waits for the Brief), `start` says from
    which frame of the tape to listen, and `ask` is a turn of the caller that the last session left unanswered.
    `greets`: the agent has the first word. `promised_at`: t0 (trio time) of the handoff that this session answers, and
    `how` its kind.
    """

    settings: Callable[[], Awaitable[Settings]]
    start: Callable[[], int]
    ask: str | None = None
    greets: bool = True
    promised_at: float | None = None
    prompt: Callable[[AgentOnCall], str] = lambda _: ""
    """Writes an agent's prompt anew, with what an operator has changed meanwhile; empty: it cannot be changed."""
    how: HandoffKind = "hard"

    @property
    def owes(self) -> bool:
        """Whether the caller waits for its first words."""
        return self.greets or self.ask is not None


@attrs.frozen
class Openings:
    """Makes the openings of one call. `resumption` is set if this is not its first stream."""

    form: SettingsForm
    tape: Tape
    conversation: Conversation
    policy: CallPolicy
    resumption: Resumption | None = None

    def greeting(self, on_call: AgentOnCall, start: int = 0) -> Opening:
        """Open the first session of an agent's, or one that had not got beyond its greeting."""
        return self._opening(partial(self._first_words, on_call), start)

    def after_handoff(
        self, on_call: AgentOnCall, asked: AskHandoff, wait: Callable[[], Awaitable[None]], cursor: Callable[[], int]
    ) -> Opening:
        """Open the next agent's session, behind `wait` for its Brief; `cursor` is where the last one stopped reading.

        An agent that gets the caller back ("back") goes on with its own conversation; the Brief says what it missed.
        """

        async def settings() -> Settings:
            await wait()
            on_call.begin(self.conversation.length)
            return self._first_words(on_call)

        def start() -> int:
            return self.tape.resume_point(cursor())

        how: HandoffKind = "back" if asked.how == "back" else "hard"
        return Opening(settings, start, promised_at=asked.at, prompt=self.prompt, how=how)

    def _first_words(self, on_call: AgentOnCall) -> Settings:
        """Have the agent greet the caller, or take them back into its own conversation."""
        if not on_call.earlier:
            return self.form.fresh(on_call.agent, on_call.brief)
        return self._resumed(on_call, on_call.agent.welcome_back or on_call.agent.sentences.handed_back)

    def _resumed(self, on_call: AgentOnCall, word: str = "", *, asks_again: bool | None = None) -> Settings:
        """Have the agent go on with all of its own conversation; `asks_again` is as in `Conversation.history`."""
        history = self.conversation.history(on_call.since, asks_again=asks_again, earlier=on_call.earlier)
        return self.form.resumed(on_call.agent, on_call.brief, history, word)

    def takeover(self, on_call: AgentOnCall) -> Takeover:
        """Return what makes the session that is open this agent's, which has its Brief and greets."""
        agent, brief, form = on_call.agent, on_call.brief, self.form
        settings = form.of(agent, brief, (), agent.greeting_with(brief, form.direction))
        return Takeover(settings, form.amendments.version)

    def after_loss(self, on_call: AgentOnCall, cursor: int, *, asks_again: bool = False) -> Opening:
        """Go on where the lost session broke off; if it had not got beyond its greeting, greet again.

        The model is asked the caller's last turn again only if the caller has heard nothing of an answer; with
        `asks_again`, in any case.
        """
        conversation = self.conversation
        if self.resumption is not None and on_call.returned and not conversation.is_opened(on_call.returned):
            return self.after_return(on_call, self.resumption, cursor)
        if not conversation.is_opened(on_call.since):
            return self.greeting(on_call, cursor)  # or its words for a caller who comes back

        asked = conversation.last_turn(on_call.since) if asks_again else conversation.unanswered(on_call.since)
        goes_on = asked is not None and not asks_again and conversation.is_answer_begun(on_call.since)
        write = partial(self._resumed, on_call, asks_again=asked is not None and not goes_on)
        return self._opening(write, cursor, self.policy.wording.go_on if goes_on else asked, greets=False)

    def after_return(self, on_call: AgentOnCall, before: Resumption, start: int = 0) -> Opening:
        """Take the caller back, on another stream: with what was said, and a word about what has happened."""
        says, is_from_person = on_call.agent.sentences, before.unreached or before.is_given_back
        unanswered = None if is_from_person else self.conversation.unanswered(on_call.since)
        after_person = says.unreached if before.unreached else says.handed_back
        word = after_person if is_from_person else "" if unanswered else says.reconnected
        write = partial(self._resumed, on_call, word, asks_again=unanswered is not None)
        return self._opening(write, start, unanswered, greets=bool(word))

    def after_person(self, on_call: AgentOnCall, start: int) -> Opening:
        """Take the caller back from an operator: with what was said before, and a word about it."""
        return self._opening(partial(self._resumed, on_call, on_call.agent.sentences.handed_back), start)

    def _opening(
        self, write: Callable[[], Settings], start: int, ask: str | None = None, greets: bool = True
    ) -> Opening:
        """Listen from frame `start` on, with Settings that are written when the service has welcomed us."""

        async def settings() -> Settings:
            return write()

        return Opening(settings, lambda: self.tape.resume_point(start), ask, greets=greets, prompt=self.prompt)

    def prompt(self, on_call: AgentOnCall) -> str:
        """Write the agent's prompt anew: with the last words, should the service forget its history."""
        brief = (on_call.brief or Brief()).with_recent(self.conversation.turns())
        return self.form.prompt(on_call.agent, brief)
