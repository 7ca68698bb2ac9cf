"""Shared by the workers of one account: slots, running calls, notes, tokens, the pace of orders, and commands.

`Fleet` (`shared`) is one process by itself, `PostgresFleet` one of many. Only `web/` and
the command line use them; they know values and the database, and nothing of calls, agents or routes.
"""
