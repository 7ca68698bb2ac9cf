"""The caller's side of a call: tape, ledger, replies, keypad, and the switch to a person.

Audio in both directions and what was heard of it. It knows no agents and no messages of Deepgram's. Everybody in
`actors/` may call it; it calls `turn/` (for its values) and nobody else.
"""
