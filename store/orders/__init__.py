"""Orders of calls, campaigns and the do-not-call list, in SQLite for one process and in PostgreSQL for many.

`OrderQueue` keeps orders from before they are answered until their calls are over; `CampaignStore` keeps campaigns,
whose numbers are orders that wait. Every change is one guarded statement, so a process may die between any two of
them. Only `web/` uses them; they know values and the database, and nothing of Twilio, calls or routes.
"""
