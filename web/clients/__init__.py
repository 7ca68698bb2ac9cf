"""Clients of other services: Twilio's REST API and TwiML, Deepgram, the LLM that writes Briefs, DNS.

Each client owns no connection: it is given a pool, and turns every failure into an error of ours.
`calls`, `routes` and the top of `web/` may use it; it knows `sockets` and no state of a call. `operator` is for `cli`.
"""
