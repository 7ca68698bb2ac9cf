"""Every command is noted once and answered once, to everyone who has sent it."""

from typing import get_args

import attrs
import pytest
import trio

from actors import commands
from actors.commands import (
    DONE,
    MOST_COMMANDS,
    MOST_UNDECIDED,
    OVER,
    Command,
    CommandAnswer,
    CommandBook,
    CommandGiven,
    Outcome,
    Say,
    Whisper,
    failed,
)
from actors.facts import CommandAnswered
from actors.journal import Entry, Journal
from store.records import CommandRecord

SAY = Command("k1", "ana", Say("We will call you back."))


@attrs.define
class Desk:
    """A book, what its journal says, and the answers to what was sent."""

    entries: list[Entry] = attrs.field(factory=list)
    book: CommandBook = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.book = CommandBook(Journal([self.entries.append]))

    def send(self, command: Command = SAY) -> tuple[bool, trio.MemoryReceiveChannel[CommandAnswer]]:
        send, receive = trio.open_memory_channel[CommandAnswer](1)
        return self.book.take(CommandGiven(command, send)), receive

    @property
    def noted(self) -> list[CommandAnswered]:
        return [entry.fact for entry in self.entries if isinstance(entry.fact, CommandAnswered)]


def answer_on(receive: trio.MemoryReceiveChannel[CommandAnswer]) -> list[CommandAnswer]:
    found = list[CommandAnswer]()
    try:
        while True:
            found.append(receive.receive_nowait())
    except (trio.WouldBlock, trio.EndOfChannel):
        return found


async def test_a_command_is_noted_with_who_asked_and_what_became_of_it() -> None:
    there = Desk()
    is_new, receive = there.send()
    there.book.decide("k1", DONE)

    assert is_new
    assert answer_on(receive) == [DONE]
    assert there.noted == [
        CommandAnswered("k1", "ana", "say", "done", "", there.noted[0].took, {"text": "We will call you back."})
    ]


async def test_a_command_that_is_sent_again_is_not_new_and_has_the_same_answer() -> None:
    there = Desk()
    _, first = there.send()
    is_new, second = there.send()
    there.book.decide("k1", failed("nobody speaks"))
    is_new_afterwards, third = there.send()

    assert (is_new, is_new_afterwards) == (False, False)
    assert [answer_on(each) for each in (first, second, third)] == [[failed("nobody speaks")]] * 3
    assert len(there.noted) == 1


async def test_the_first_decision_holds() -> None:
    there = Desk()
    _, receive = there.send()
    there.book.decide("k1", DONE)
    there.book.decide("k1", OVER)
    there.book.close()

    assert answer_on(receive) == [DONE]
    assert len(there.noted) == 1


@pytest.mark.parametrize("is_decided", [True, False])
async def test_an_id_of_another_command_is_refused(is_decided: bool) -> None:
    there = Desk()
    there.send()
    if is_decided:
        there.book.decide("k1", DONE)
    is_new, receive = there.send(attrs.evolve(SAY, action=Whisper("We will call you back.")))

    (answer,) = answer_on(receive)
    assert (is_new, answer.outcome) == (False, Outcome.REFUSED)
    assert len(there.noted) == is_decided


async def test_the_end_of_the_call_answers_what_is_left_and_what_nobody_has_read() -> None:
    there = Desk()
    _, read = there.send()
    send, unread = trio.open_memory_channel[CommandAnswer](1)
    write, mailbox = trio.open_memory_channel[object](2)
    with there.book.reading(mailbox):
        write.send_nowait(CommandGiven(attrs.evolve(SAY, id="k2"), send))
        write.send_nowait("something else")
    there.book.close()

    assert [answer_on(read), answer_on(unread)] == [[OVER], [OVER]]
    assert [(one.id, one.outcome) for one in there.noted] == [("k1", "over"), ("k2", "over")]


async def test_an_asker_who_has_gone_keeps_nobody_waiting() -> None:
    there = Desk()
    _, gone = there.send()
    gone.close()
    _, there_still = there.send()
    there.book.decide("k1", DONE)

    assert answer_on(there_still) == [DONE]


async def test_a_call_takes_so_many_commands_and_no_more() -> None:
    there = Desk()
    for number in range(MOST_UNDECIDED):
        assert there.send(attrs.evolve(SAY, id=f"{number}"))[0]
    is_new, receive = there.send()

    assert not is_new
    assert [answer.outcome for answer in answer_on(receive)] == [Outcome.REFUSED]


async def test_a_call_is_given_so_many_commands_in_all() -> None:
    there = Desk()
    for number in range(MOST_COMMANDS):
        there.send(attrs.evolve(SAY, id=f"{number}"))
        there.book.decide(f"{number}", DONE)

    is_new, receive = there.send()
    assert not is_new
    assert [answer.outcome for answer in answer_on(receive)] == [Outcome.REFUSED]


async def test_a_command_of_an_earlier_stream_is_not_carried_out_again() -> None:
    there = Desk()
    fields = {"text": "We will call you back."}
    there.book.recall([CommandRecord(3.0, "k1", "ana", "say", "done", "", fields)])
    there.book.recall([CommandRecord(3.0, "k2", "ana", "say", "of another version", "why", fields)])

    assert [(new, answer_on(receive)) for new, receive in (there.send(), there.send(attrs.evolve(SAY, id="k2")))] == [
        (False, [DONE]),
        (False, [failed("why")]),
    ]


def test_each_has_a_name_and_no_phone_number_is_kept() -> None:
    assert set(commands.KINDS.values()) == set(get_args(commands.Action))
    for name, kind in commands.KINDS.items():
        command = Command("k1", "Sam", kind(**dict.fromkeys(attrs.fields_dict(kind), "+15550001111")))
        assert (command.wanted[0], "number" in command.wanted[1]) == (name, False)
