"""The soak's own logic: the trouble it draws, the line it fits, what it forgives and what it does not."""

import math
from collections import Counter

import attrs
import pytest

from bench.frames import Tag, frame, quiet
from bench.soak_audio import HABIT, cut, is_spoken, spoken_in
from bench.soak_plan import Ending, Trouble, is_refused, plan_of
from bench.soak_verdict import POOL, Excuse, Growth, Heard, Sample, Soak, Spoken, broken, growth, last_half, unheard
from protocol.audio import is_voiced
from web.services import LIMITS

SPOKEN = Spoken(call=1, began=100.0, ended=140.0, frames=2000, sentenced=0.0, left_open=False)
HEARD = Heard(
    call=1, first_unheard=2000, missing=0, applied=101.0, over=math.inf, deaf=math.inf, goodbye=0.0, asked=0.0
)
LEVEL = Sample(at=0.0, tasks=14, sockets=16, files=20, pooled=3, resident_mb=120.0, live=0, ended=30)
CLEAN = Soak(
    before=LEVEL,
    after=LEVEL,
    growth=Growth(0.1, 0.2, 500),
    begun=500,
    recorded=500,
    unheard=0,
    excused=Counter(),
    refused=0,
    left_open=0,
    complaints=0,
)


def test_the_same_seed_is_the_same_trouble_and_another_is_not() -> None:
    first, again, other = ([plan_of(seed, call) for call in range(50)] for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert [is_refused(1, number) for number in range(500)] == [is_refused(1, number) for number in range(500)]


def test_every_ending_and_every_trouble_comes_up() -> None:
    plans = [plan_of(1, call) for call in range(200)]

    assert {plan.ending for plan in plans} == set(Ending)
    assert {session.trouble for plan in plans for session in plan.sessions} == set(Trouble)
    assert any(plan.babbles_at is not None for plan in plans)
    assert any(is_refused(1, number) for number in range(500))


def test_a_quiet_frame_says_who_it_is_and_is_no_voice() -> None:
    tags = [Tag(7, 0, number, 12.5) for number in range(4)]
    audio = frame(tags[0]) + quiet(tags[1]) + b"\xff" * 160 + quiet(tags[2]) + frame(tags[3])

    assert tags == list(cut(audio))
    assert [True, False] == [is_voiced(frame(tags[0])), is_voiced(quiet(tags[0]))]


def test_callers_pause() -> None:
    assert 70 == spoken_in(3, 0, HABIT.cycle)
    assert {True, False} == {is_spoken(3, number) for number in range(HABIT.cycle)}


def test_memory_that_grows_with_calls_is_told_from_memory_that_wanders() -> None:
    def grown(kb: float) -> Growth:
        samples = [
            attrs.evolve(LEVEL, at=second, ended=10 * second, resident_mb=200 + kb * 10 * second / 1024 + second % 3)
            for second in range(60)
        ]
        return growth(last_half(samples))

    assert grown(0.0).is_none
    assert not grown(100.0).is_none
    assert pytest.approx(100, abs=10) == grown(100.0).kb_per_call


def test_too_few_samples_show_nothing() -> None:
    assert not growth([LEVEL, LEVEL]).is_none


def test_a_frame_that_was_skipped_is_never_excused() -> None:
    assert (3, None, 0) == unheard(SPOKEN, attrs.evolve(HEARD, missing=3))


@pytest.mark.parametrize(
    ("spoken", "heard", "excuse"),
    [
        (SPOKEN, attrs.evolve(HEARD, first_unheard=1980), Excuse.UNDERWAY),
        (SPOKEN, attrs.evolve(HEARD, first_unheard=1500, over=131.0), Excuse.NO_AGENT),
        (SPOKEN, attrs.evolve(HEARD, first_unheard=1500, deaf=131.0), Excuse.DEAF),
        (SPOKEN, attrs.evolve(HEARD, first_unheard=1500, goodbye=130.0), Excuse.GOODBYE),
        (SPOKEN, attrs.evolve(HEARD, first_unheard=1500, asked=130.0), Excuse.HANDING_ON),
        (SPOKEN, attrs.evolve(HEARD, first_unheard=1500, applied=138.0), Excuse.CATCHING_UP),
        (attrs.evolve(SPOKEN, sentenced=139.0), attrs.evolve(HEARD, first_unheard=1000, over=121.0), Excuse.APOLOGY),
    ],
)
def test_the_last_frames_of_a_call_are_excused_by_name(spoken: Spoken, heard: Heard, excuse: Excuse) -> None:
    lost, why, frames = unheard(spoken, heard)

    assert (0, excuse) == (lost, why)
    assert (frames > 0) or excuse is Excuse.UNDERWAY


@pytest.mark.parametrize(
    "heard",
    [
        attrs.evolve(HEARD, first_unheard=1500),
        attrs.evolve(HEARD, first_unheard=800, over=117.0),
        attrs.evolve(HEARD, first_unheard=800, deaf=117.0),
        attrs.evolve(HEARD, first_unheard=1500, goodbye=139.0),
        attrs.evolve(HEARD, first_unheard=1500, asked=139.0),
    ],
)
def test_the_last_frames_of_a_call_are_lost_when_an_agent_was_there_or_was_long_gone(heard: Heard) -> None:
    lost, why, _ = unheard(SPOKEN, heard)

    assert lost > 100
    assert why is None


def test_the_pool_that_is_forgiven_is_as_large_as_the_servers() -> None:
    assert LIMITS.max_keepalive_connections == POOL


def test_a_clean_soak_has_nothing_to_say_for_itself() -> None:
    assert [] == broken(CLEAN)


@pytest.mark.parametrize(
    "found",
    [
        attrs.evolve(CLEAN, begun=0, recorded=0),
        attrs.evolve(CLEAN, after=attrs.evolve(LEVEL, live=1)),
        attrs.evolve(CLEAN, after=attrs.evolve(LEVEL, tasks=15)),
        attrs.evolve(CLEAN, after=attrs.evolve(LEVEL, sockets=17)),
        attrs.evolve(CLEAN, after=attrs.evolve(LEVEL, files=21)),
        attrs.evolve(CLEAN, after=attrs.evolve(LEVEL, pooled=51)),
        attrs.evolve(CLEAN, growth=Growth(240.0, 10.0, 500)),
        attrs.evolve(CLEAN, unheard=1),
        attrs.evolve(CLEAN, recorded=499),
        attrs.evolve(CLEAN, refused=1),
        attrs.evolve(CLEAN, left_open=1),
        attrs.evolve(CLEAN, complaints=1),
    ],
)
def test_each_thing_that_must_hold_is_looked_at(found: Soak) -> None:
    assert 1 == len(broken(found))
