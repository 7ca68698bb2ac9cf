"""The caller's side of the call: the audio in both directions, and what was heard of it.

Called by the call, the bridge and the driver of the turn; it knows no agents and no messages of Deepgram's.
"""
