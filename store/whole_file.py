"""A file that is there whole or not at all: written under another name, and renamed when the disk has it.

A reader sees the old content or the new; a crash leaves the old, and at worst a hidden file beside it. Errors of the
disk are the caller's `OSError`.
"""

import os
import tempfile
from pathlib import Path

from store.private import FILE, own_folder


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, making the folder if need be, for its owner to read. Blocks: call it in a thread.

    Raises: `OSError`, and then `path` is as it was.
    """
    own_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, FILE)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:  # a cancelled thread or a full disk: no half file stays, and whatever it is goes on
        temporary.unlink(missing_ok=True)
        raise
