from protocol.errors import EXCERPT_LIMIT, LocalProtocolError, ProtocolError, RemoteProtocolError


def test_an_excerpt_is_never_longer_than_a_log_line_can_bear() -> None:
    assert len(RemoteProtocolError("reason", "x" * 10_000).excerpt) == EXCERPT_LIMIT
    assert len(RemoteProtocolError.about("x" * 10_000, "reason").excerpt) == EXCERPT_LIMIT
    assert len(RemoteProtocolError.about(b"\x00" * 10_000, "reason").excerpt) == EXCERPT_LIMIT


def test_what_a_caller_said_is_not_in_the_text_of_the_error() -> None:
    error = RemoteProtocolError.about('{"content": "my number is 555"}', "content: wrong", code="INVALID_SETTINGS")

    assert str(error) == "content: wrong"
    assert "555" in error.excerpt
    assert error.code == "INVALID_SETTINGS"


def test_both_ends_share_one_ancestor() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
