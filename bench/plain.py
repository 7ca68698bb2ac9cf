"""The server on hypercorn as it comes: what our own frame layer for callers is measured against.

`python -m bench.plain serve` tells the server that it does not know hypercorn's version, so that it does without its
own way with hypercorn's insides, as it does on an unknown one.
"""

from web.sockets import versions


def main() -> None:
    """Run the command line."""
    versions.is_known = lambda: False
    from cli import main as run  # noqa: PLC0415 - what it imports takes the function above

    run()


if __name__ == "__main__":
    main()
