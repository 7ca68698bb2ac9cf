"""The unheard rest of replies that were cut, kept in case it is played after all.

Plain bookkeeping for the Ledger, in bytes. `AsideAudio` keeps audio between a cut and the decision whether the caller
really spoke. It owns no task and no clock.
"""

import attrs

from actors.line.reply import Reply


@attrs.define(eq=False)
class AsideAudio:
    """The audio that was set aside, in the order in which it is to be played."""

    size: int = 0
    sent: int = 0
    """How many of these bytes were sent to the line before they were cut."""
    _pieces: list[tuple[Reply, bytes]] = attrs.field(factory=list, init=False)
    _held: dict[int, Reply] = attrs.field(factory=dict, init=False)
    _texts: list[tuple[Reply, str, int]] = attrs.field(factory=list, init=False)

    @property
    def replies(self) -> list[Reply]:
        """The replies that may be resumed, also those of which all audio so far was heard."""
        return list(self._held.values())

    def hold(self, reply: Reply) -> None:
        """Take a reply that was cut, or that arrives behind one."""
        self._held[reply.generation] = reply

    def put(self, reply: Reply, audio: bytes, *, was_sent: bool) -> bool:
        """Keep audio of a reply that is held; False if it is not."""
        if reply.generation not in self._held:
            return False
        if audio:
            self._pieces.append((reply, audio))
            self.size += len(audio)
            self.sent += len(audio) if was_sent else 0
        return True

    def put_text(self, reply: Reply, text: str) -> None:
        """Keep a sentence that arrives behind the cut: it is said only if the reply is resumed."""
        self.hold(reply)
        self._texts.append((reply, text, reply.received))

    def take_texts(self) -> list[tuple[Reply, str, int]]:
        """Return these sentences, each with how much of its reply's audio had come before it."""
        texts, self._texts = self._texts, []
        return texts

    def take(self) -> tuple[list[Reply], list[tuple[Reply, bytes]]]:
        """Return replies and audio, and keep nothing."""
        replies, pieces = self.replies, list(self._pieces)
        self._held.clear()
        self._pieces.clear()
        self._texts.clear()
        self.size = self.sent = 0
        return replies, pieces
