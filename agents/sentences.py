"""The language of an agent: sentences that the switchboard says in its place, and phrases that it understands.

Pure data: `AgentSpec.sentences` names those of an agent, and a file of agents in another language has its own.
"""

from collections.abc import Iterator
from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class Sentences:
    """The sentences of one language. What is left out is English.

    The agent on the line says most of them, in its own voice. Where there is none, Twilio's voice does, in `language`.
    """

    language: str = ""
    """Of Twilio's voice, as `<Say>` names it (https://www.twilio.com/docs/voice/twiml/say), such as `es-MX`."""
    fillers: tuple[str, ...] = ("One moment, please.", "I am still looking.", "Just a little longer, please.")
    """Said in turn, so that a caller who waits does not hear the same one twice running."""
    still_there: str = "Are you still there?"
    silent_goodbye: str = "I cannot hear you, so I will end the call here. Please call us again. Goodbye."
    length_warning: str = "I should tell you that we have about one minute left on this call."
    length_goodbye: str = "I am sorry, our time on this call is over. Please call us again. Goodbye."
    farewell: str = "I will end the call here. Goodbye."
    """For an agent that has ended the conversation and says nothing, although it was asked to."""
    closing: str = "I am sorry, we have to end this call now. Please call us again. Goodbye."
    """Of a call that a drain or an operator ends."""
    apology: str = "I am sorry, we are having technical difficulties. Someone will call you back soon. Goodbye."
    """Of a call that no agent can carry on."""
    putting_through: str = "One moment, I will put you through."
    """To a caller who pressed the key for a person, where there is one."""
    unreached: str = "I am sorry, nobody could take the call just now. Shall I have somebody call you back?"
    """The words of an agent that takes a caller back."""
    handed_back: str = "Thanks for waiting, I am with you again. What else can I do for you?"
    """The words of an agent that gets the caller back: from the one it handed them to, or from an operator."""
    reconnected: str = "I am sorry, I lost you for a moment. Where were we?"
    recording_notice: str = ""
    """Of Twilio's voice before anybody else's, instead of RECORDING_NOTICE, where that is set."""
    voicemail: str = ""
    """To an answering machine, instead of VOICEMAIL_MESSAGE, where that is set."""

    # Before an agent has the call, and after
    busy: str = (
        "Thank you for calling. All of our lines are busy at the moment. Please try again in a few minutes. Goodbye."
    )
    not_now: str = (
        "Thank you for calling. We cannot take a new call right now. Please try again in a few minutes. Goodbye."
    )
    """To a caller who comes while a drain runs."""
    stream_lost: str = "I am sorry, we lost the connection on our side. Please call us again. Goodbye."
    stream_lost_dialling: str = "I am sorry, we lost the connection on our side."
    """The same where FALLBACK_PHONE_NUMBER is dialled next."""

    # To the person whom a call is put through to, before they have it
    call_for_you: str = "A caller for you"
    """The caller's name, what it is about and why they want a person are said behind it."""
    press_to_take: str = "Press 1 to take the call."

    # Phrases that are understood besides the English ones
    courtesies: tuple[str, ...] = ()
    """Of a caller who only listens, thanks or agrees, such as `gracias`: they are no turn, said into a reply."""
    farewells: tuple[str, ...] = ()
    """Of a caller who takes leave, and of an agent that is about to call a function which ends the call."""
    waits: tuple[str, ...] = ()
    """Of an agent or a caller who asks the other one for time, such as `un momento`."""
    passing_on: tuple[str, ...] = ()
    """Of an agent that is about to hand the call on, or to put the caller through, such as `le comunico con`."""

    def all(self) -> Iterator[tuple[str, str]]:
        """Yield every sentence that is said, by the name of its field."""
        for name, value in attrs.asdict(self, filter=lambda field, _: field.name not in ("language", *PHRASES)).items():
            if value != "" or name not in _INSTEAD:
                yield from ((name, text) for text in ([value] if isinstance(value, str) else value))

    @property
    def filler(self) -> str:
        """The first words in a silence, which the clips say."""
        return self.fillers[0]


PHRASES: Final = ("courtesies", "farewells", "waits", "passing_on")
"""The fields that are understood, and not said."""
_INSTEAD: Final = frozenset({"recording_notice", "voicemail"})
"""Empty, they leave the words to a setting."""
ENGLISH: Final = Sentences()
