"""The state of the calls that one worker carries or has placed, and the decisions based on it.

`AppContext` holds all of it and is passed by hand: slots, live calls, orders, tokens, counts, outcomes.
`routes`, `worker` and the top of `web/` may use it; it answers no HTTP request.
"""
