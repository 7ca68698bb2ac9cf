"""The promises of a handoff, and whether they are kept. No process, no socket: only figures."""

import attrs

GAP_P95_MS = 100.0


@attrs.frozen
class Handover:
    """The handoffs of one run, as the promise sees them."""

    asked: int
    lost: int
    """Asked for, and the next agent was never heard."""
    gap_p95_ms: float
    unheard_frames: int
    overlap_ms: float


def broken(found: Handover, *, speaking: bool = False) -> list[str]:
    """Say what is not as promised; an agent that is speaking is let finish, so its gap promises nothing."""
    said = []
    if not found.asked or found.lost:
        said.append(f"{found.lost} of {found.asked} handoffs never came about")
    if found.gap_p95_ms > GAP_P95_MS and not speaking:
        said.append(f"gap p95 {found.gap_p95_ms:.0f} ms, promised {GAP_P95_MS:.0f}")
    if found.unheard_frames:
        said.append(f"{found.unheard_frames} caller frames unheard")
    if found.overlap_ms:
        said.append(f"two agents at once for {found.overlap_ms:.0f} ms")
    return said
