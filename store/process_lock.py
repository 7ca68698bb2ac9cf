"""A lock that lasts as long as its process, however that ends: the kernel lets go of it.

So a lock file whose lock can be had was left by a process that is dead, in whatever container it ran.
"""

import fcntl
import os
from pathlib import Path

import attrs


@attrs.define(eq=False)
class ProcessLock:
    """One lock file. All of it blocks."""

    path: Path
    _descriptor: int | None = attrs.field(default=None, init=False)

    @property
    def is_held(self) -> bool:
        """Whether we have it."""
        return self._descriptor is not None

    def hold(self, *, new: bool) -> bool:
        """Take the lock; False if somebody else has it, or it is gone."""
        if self.is_held:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | (os.O_CREAT if new else 0), 0o600)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def is_anybodys(self) -> bool:
        """Say whether a living process has it, us included."""
        if self.is_held:
            return True
        if self.hold(new=False):
            self.let_go()
            return False
        return self.path.exists()

    def let_go(self) -> None:
        """Let go of the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
