"""An operator reads a call from top to bottom."""

import attrs
import pytest

from store.records import RecordError, TransferRecord, record_as_json
from tests.store.samples import FULL
from web.showing import lines

PAGE = """\
CA11111111111111111111111111111111  outbound, +***00 on +***00
2026-11-22T09:00:00.000+00:00  completed after 61.2 s

agents
      0.0  qualifier until 30.5, restarts: 1
     30.5  advisor until 61.0

handoffs
     30.0  qualifier to advisor: 0.75 s of silence, brief from groq
     60.0  advisor to closer: never heard

functions
     29.9  qualifier: handoff_to_next_agent {"reason":"yes"} -> {"status":"done"}
     40.0  advisor: look_up {"nested":{"list":[1,null,"é\\u0000☎"]}} -> busy (failed)

transcript
      1.0  qualifier: Hello there.  [heard: Hello]
      2.0  caller: Hi.

faults
  session_crashed: dropped

frames: 3000 from the caller (2990 sent on, 5 unheard), 1000 from agents (990 sent on, 10 dropped)
used: line 61 s; qualifier 32 s, advisor 31 s; 12 characters spoken; 2 summaries
"""


def test_a_record_is_a_page() -> None:
    assert "".join(f"{line}\n" for line in lines({"record": record_as_json(FULL)})) == PAGE


def test_a_number_in_the_reason_of_a_call_or_in_a_fault_is_masked() -> None:
    why = "the number +15551230042 is not valid"
    failed, faulty = attrs.evolve(FULL, outcome="failed", why=why), attrs.evolve(FULL, faults=(why,))
    shown = [list(lines({"record": record_as_json(one)})) for one in (failed, faulty)]

    assert [any("the number +***42 is not" in line for line in page) for page in shown] == [True, True]
    assert "+15551230042" not in str(shown)


def test_a_recording_in_an_object_store_is_named() -> None:
    stored = attrs.evolve(FULL, recording="s3://bucket/CA1/call.wav")

    assert list(lines({"record": record_as_json(stored)}))[-1] == "recording: s3://bucket/CA1/call.wav"


def test_a_transfer_says_what_came_of_it() -> None:
    transfers = (
        TransferRecord("closer", 40.0, "cross", "busy"),
        TransferRecord("closer", 60.0, "cross", "answered", 42.0),
    )
    shown = list(lines({"record": record_as_json(attrs.evolve(FULL, transfers=transfers))}))

    assert shown[shown.index("transfers") + 1 :][:2] == [
        "     40.0  closer to a person: cross -> busy",
        "     60.0  closer to a person: cross -> answered, 42 s",
    ]


def test_what_did_not_happen_has_no_heading() -> None:
    empty = attrs.evolve(FULL, agents=(), handoffs=(), functions=(), transcript=(), faults=(), caller="")

    assert list(lines({"record": record_as_json(empty)}))[0::2] == [
        f"{FULL.call_sid}  outbound, unknown on +***00",
        "",
        "used: line 61 s; qualifier 32 s, advisor 31 s; 12 characters spoken; 2 summaries",
    ]


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        ({"id": "x", "call_sid": "CA1", "status": "ringing", "record": None}, "CA1  ringing; there is no record yet"),
        ({"id": "x", "call_sid": ""}, "x  unknown; there is no record yet"),
    ],
    ids=str,
)
def test_a_call_without_a_record_says_how_it_stands(shown: dict[str, object], line: str) -> None:
    assert list(lines(shown)) == [line]


def test_what_is_no_record_is_an_error() -> None:
    with pytest.raises(RecordError):
        list(lines({"record": {"call_sid": 3}}))
