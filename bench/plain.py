"""The server on hypercorn as it comes: what our own reading of callers' frames is measured against.

`python -m bench.plain serve` tells the server that it does not know this version, so that it does without its own way
with the insides of hypercorn, as it does on an unknown one.
"""

from web.sockets import versions


def main() -> None:
    """Run the command line."""
    versions.is_known = lambda: False
    from cli import main as run  # noqa: PLC0415 - what it imports takes the function above

    run()


if __name__ == "__main__":
    main()
