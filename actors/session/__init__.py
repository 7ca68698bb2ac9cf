"""One agent's side of the call: its session, its functions, and the driver of the call's turn-taking.

Called by the Supervisor and the call; it knows the line by the ledger and the tape only.
"""
