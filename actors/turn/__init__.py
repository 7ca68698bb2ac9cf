"""Whose turn it is on a call: who may speak, what the caller is owed, and what happens when nothing happens.

`Turn` takes events and returns effects; it knows no task, no socket and no clock. The driver in `actors/` feeds it, and
nobody else calls it. Read `events.py` and `effects.py` first, then `tables.py` and `rules.py`.
"""
