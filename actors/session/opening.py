"""How the sessions of a call begin: with what Settings, from which frame of the tape, and with whose words.

`Openings` makes an `Opening` for each occasion: the first session, a handoff, a restart, a caller who comes back on
another stream. The session reads each part of it only when its time has come.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from actors.facts.handoff import HandoffKind
from actors.line.tape import Tape
from actors.policy import CallPolicy
from actors.record.conversation import Conversation, Stretch
from actors.record.resumption import Resumption
from actors.session.settings_form import SettingsForm, Takeover
from actors.supervision import RestartBudget
from agents.brief import Brief
from agents.spec import AgentSpec
from protocol.deepgram import CompletedCall, Settings


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
    prompt: Callable[[], str] = str
    """Writes the agent's prompt anew, with what an operator has changed meanwhile; empty: it cannot be changed."""
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
        return self._opening(on_call, partial(self._first_words, on_call), start)

    def after_handoff(
        self,
        on_call: AgentOnCall,
        wait_brief: Callable[[], Awaitable[None]],
        cursor: Callable[[], int],
        promised_at: float,
        how: HandoffKind,
    ) -> Opening:
        """Open the next agent's session, once its Brief is there; `cursor` is where the last one stopped reading.

        An agent that gets the caller back ("back") goes on with its own conversation; the Brief says what it missed.
        """

        async def settings() -> Settings:
            await wait_brief()
            on_call.begin(self.conversation.length)
            return self._first_words(on_call)

        start, prompt = lambda: self.tape.resume_point(cursor()), self._prompt_of(on_call)
        return Opening(settings, start, promised_at=promised_at, prompt=prompt, how=how)

    def _first_words(self, on_call: AgentOnCall) -> Settings:
        """Have the agent greet the caller, or take them back into its own conversation."""
        if not on_call.earlier:
            return self.form.fresh(on_call.agent, on_call.brief)
        return self._resumed(on_call, on_call.agent.welcome_back or self.policy.wording.handed_back)

    def _resumed(self, on_call: AgentOnCall, word: str = "", *, asks_again: bool | None = None) -> Settings:
        """Have the agent go on with all of its own conversation; `asks_again` is as in `Conversation.history`."""
        history = self.conversation.history(on_call.since, asks_again=asks_again, earlier=on_call.earlier)
        return self.form.resumed(on_call.agent, on_call.brief, history, word)

    def takeover(self, on_call: AgentOnCall) -> Takeover:
        """Return what makes the session that is open this agent's, which has its Brief."""
        taken_over = self.form.taken_over(on_call.agent, on_call.brief)
        return attrs.evolve(taken_over, prompt=self._prompt_of(on_call))

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
        return self._opening(on_call, write, cursor, self.policy.wording.go_on if goes_on else asked, greets=False)

    def after_return(self, on_call: AgentOnCall, before: Resumption, start: int = 0) -> Opening:
        """Take the caller back, on another stream: with what was said, and a word about what has happened."""
        wording, is_from_person = self.policy.wording, before.unreached or before.is_given_back
        unanswered = None if is_from_person else self.conversation.unanswered(on_call.since)
        after_person = wording.unreached if before.unreached else wording.handed_back
        word = after_person if is_from_person else "" if unanswered else wording.reconnected
        write = partial(self._resumed, on_call, word, asks_again=unanswered is not None)
        return self._opening(on_call, write, start, unanswered, greets=bool(word))

    def after_person(self, on_call: AgentOnCall, start: int) -> Opening:
        """Take the caller back from an operator: with what was said before, and a word about it."""
        return self._opening(on_call, partial(self._resumed, on_call, self.policy.wording.handed_back), start)

    def _opening(
        self,
        on_call: AgentOnCall,
        write: Callable[[], Settings],
        start: int,
        ask: str | None = None,
        greets: bool = True,
    ) -> Opening:
        """Listen from frame `start` on, with Settings that are written when the service has welcomed us."""

        async def settings() -> Settings:
            return write()

        prompt = self._prompt_of(on_call)
        return Opening(settings, lambda: self.tape.resume_point(start), ask, greets=greets, prompt=prompt)

    def _prompt_of(self, on_call: AgentOnCall) -> Callable[[], str]:
        """Return what writes the agent's prompt anew: with the last words, should the service forget its history."""

        def prompt() -> str:
            brief = (on_call.brief or Brief()).with_recent(self.conversation.turns())
            return self.form.prompt(on_call.agent, brief)

        return prompt
