"""A packed list reads as if it were not packed."""

from hypothesis import given
from hypothesis import strategies as st

from actors.record.packed import BLOCK, VOLUME, PackedList
from store.json_text import unpacked_lines


def write(item: str) -> bytes:
    return f"{item}\n".encode()


def read(line: bytes) -> str:
    return line.decode().rstrip("\n")


def packed_list(*items: str) -> PackedList[str]:
    kept = PackedList(write, read)
    for item in items:
        kept.append(item)
    return kept


@given(st.integers(0, 3 * VOLUME), st.integers(0, 3 * VOLUME))
def test_it_reads_like_a_list(length: int, index: int) -> None:
    items = [str(number) for number in range(length)]
    kept = packed_list(*items)

    assert len(kept) == len(items)
    assert list(kept.since()) == items
    assert list(kept.since(index)) == items[index:]
    assert list(kept.newest_first()) == items[::-1]


@given(st.integers(0, 3 * VOLUME), st.lists(st.integers(-1, 2 * VOLUME), max_size=4))
def test_what_is_dropped_are_the_oldest_and_what_stays_behind_is_less_than_a_volume(
    length: int, counts: list[int]
) -> None:
    items = [str(number) for number in range(length)]
    kept, gone = packed_list(*items), 0
    for count in counts:
        dropped = kept.drop(count)
        gone += dropped
        assert 0 <= dropped <= max(0, count)
        assert min(len(kept), max(0, count) - dropped) < VOLUME
        assert list(kept.since()) == items[gone:]

    kept.append("new")
    assert list(kept.since()) == [*items[gone:], "new"]
    assert kept.drop(len(kept)) == length + 1 - gone


def test_the_newest_are_kept_as_they_are_and_the_others_packed() -> None:
    kept = packed_list(*map(str, range(5 * BLOCK)))

    assert kept.recent == [str(number) for number in range(4 * BLOCK, 5 * BLOCK)]


def test_the_older_ones_are_packed_together() -> None:
    kept = packed_list(*map(str, range(2 * VOLUME + 3 * BLOCK)))

    assert [len(list(unpacked_lines(volume))) for volume in kept.volumes] == [VOLUME, VOLUME, 2 * BLOCK]


def test_what_may_still_change_is_not_packed_nor_what_came_after_it() -> None:
    final = set[str]()
    kept = PackedList(write, read, is_final=final.__contains__)
    for number in range(3 * BLOCK):
        final.update({str(number)} - {"3"})
        kept.append(str(number))

    before = list(kept.volumes)
    final.add("3")
    kept.append("last")

    assert before == []
    assert len(kept.recent) == 2 * BLOCK + 1
    assert list(kept.since()) == [*map(str, range(3 * BLOCK)), "last"]
