"""The server on trio-websocket and hypercorn as they come: what our own frame layer is measured against.

`python -m bench.plain serve` tells the server that it knows neither version, so that it does without its own way with
their insides, as it does on an unknown one.
"""

from web.sockets import versions


def _knows_none(library: str) -> bool:  # noqa: ARG001 - whichever it is
    return False


def main() -> None:
    """Run the command line."""
    versions.is_known = _knows_none
    from cli import main as run  # noqa: PLC0415 - what it imports takes the function above

    run()


if __name__ == "__main__":
    main()
