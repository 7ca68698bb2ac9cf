"""A reel of audio holds what one long string of it would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.line.tape import BLOCK_BYTES, Reel

SIZES = st.integers(0, 700) | st.integers(BLOCK_BYTES - 3, BLOCK_BYTES + 3) | st.integers(0, 3 * BLOCK_BYTES)
ACTS = st.lists(st.tuples(st.sampled_from(["append", "forget", "cut"]), SIZES, SIZES), max_size=40)


@pytest.mark.slow
@given(ACTS)
def test_it_holds_what_one_string_would(acts: list[tuple[str, int, int]]) -> None:
    reel, whole, said = Reel(), b"", 0
    for act, size, more in acts:
        if act == "append":
            audio = bytes((said + at) % 251 for at in range(size))
            said += size
            reel.append(audio)
            whole += audio
        elif act == "forget":
            reel.forget(size)
            whole = whole[size:]
        else:
            assert reel.cut(size, size + more) == whole[size : size + more]
        assert reel.size == len(whole)
    assert reel.cut(0, len(whole)) == whole


def test_it_keeps_blocks_of_one_size() -> None:
    reel = Reel()
    for _ in range(100):
        reel.append(bytes(640))

    assert {len(block) for block in reel._blocks} == {BLOCK_BYTES}
