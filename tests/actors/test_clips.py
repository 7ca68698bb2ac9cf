"""What can be said without an agent."""

from actors.clips import ClipBook


def test_a_clip_is_found_by_its_voice() -> None:
    book = ClipBook()
    book.put("aura-2-mars-en", b"mars")
    book.put("aura-2-thalia-en", b"thalia")

    assert book.get("aura-2-thalia-en") == b"thalia"


def test_a_voice_without_a_clip_borrows_another() -> None:
    book = ClipBook()
    book.put("aura-2-mars-en", b"mars")

    assert book.get("aura-2-vesta-en") == b"mars"


def test_an_empty_book_has_nothing_to_say() -> None:
    assert ClipBook().get("aura-2-mars-en") is None
