"""One agent's side of a call: its session, its socket, its functions, and how it opens.

Called by the floor, the handoff and the call. It reads the tape, writes ledger and conversation, and tells the driver
of the turn what the service said.
"""
