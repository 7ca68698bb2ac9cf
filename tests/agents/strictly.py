from typing import TypeVar

from agents.arguments import Strictness, read_arguments

ArgumentsT = TypeVar("ArgumentsT")


def read_strictly(arguments: type[ArgumentsT], text: str) -> ArgumentsT:
    """Read arguments as a function does that forgives nothing."""
    return read_arguments(arguments, text, Strictness.STRICT)[0]
