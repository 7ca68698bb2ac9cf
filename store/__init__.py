"""What outlives a call: records, orders and campaigns, webhooks to send, small texts between requests, running calls.

It knows values, files and databases (`databases.py`; `fleet/` is the PostgreSQL that workers share), and nothing of
Twilio, actors or routes. `actors/` and `web/` use it; the test kit keeps its records in memory.
"""
