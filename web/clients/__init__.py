"""What this server asks of others: Twilio's REST API and TwiML, Deepgram, the API that writes Briefs, DNS.

Each client owns no connection: it is given a pool, and turns every failure into an error of ours.
`calls`, `routes` and the top of `web/` may use it; it knows `sockets` and no state of a call. `operator` is for `cli`.
"""
