"""A throw-away authority for simulators that are to be reached by TLS.

One authority serves every simulator of one user, so that a client can trust all of them with one file. Its folder is
in the machine's folder for temporary files and readable by its owner only; a certificate is made anew each time. The
names on it are this machine's and the services' own, for clients whose addresses cannot be changed: something outside
of them must then resolve those names to this machine. Needs the package `trustme` (the extra `demo`).
"""

import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import trustme

NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "agent.deepgram.com",
    "api.deepgram.com",
    "api.twilio.com",
    "api.groq.com",
)
AUTHORITY, KEY = "authority.pem", "authority.key"


class TlsError(Exception):
    """No certificate can be made; the message says why and what to do."""


@attrs.frozen
class Certificate:
    """Files of one certificate and its key, and of the authority that a client must trust."""

    chain: Path
    key: Path
    authority: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context


@contextmanager
def certificate(parent: Path | None = None) -> Iterator[Certificate]:
    """Make a certificate for this machine and the services' names; it is gone on leaving, its authority stays.

    *Raises* `TlsError`.
    """
    try:
        import trustme  # noqa: PLC0415 - of the extra `demo`; a server does not need it
    except ImportError:
        raise TlsError("--tls needs the package trustme: pip install 'switchboard-voice[demo]'") from None
    folder = (parent or Path(tempfile.gettempdir())) / f"switchboard-tls-{os.getuid()}"
    if not folder.exists():
        _found(trustme.CA(organization_name="switchboard simulators"), folder)
    _check_owner(folder)
    authority = trustme.CA.from_pem((folder / AUTHORITY).read_bytes(), (folder / KEY).read_bytes())
    issued = authority.issue_cert(*NAMES)
    with tempfile.TemporaryDirectory(prefix="switchboard-tls-") as own:
        chain, key = Path(own) / "chain.pem", Path(own) / "chain.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        yield Certificate(chain, key, folder / AUTHORITY)


def _found(authority: "trustme.CA", folder: Path) -> None:
    """Write the authority's folder as a whole, unless another simulator has just done so."""
    ours = Path(tempfile.mkdtemp(prefix="switchboard-tls-", dir=folder.parent))  # 0700
    (ours / AUTHORITY).write_bytes(authority.cert_pem.bytes())
    (ours / KEY).write_bytes(authority.private_key_pem.bytes())
    try:
        ours.rename(folder)
    except OSError:
        shutil.rmtree(ours)


def _check_owner(folder: Path) -> None:
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise TlsError(f"{folder} is not a folder that only you can read: remove it, or set TMPDIR")
