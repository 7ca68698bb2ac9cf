"""Writes a small project of one's own: `switchboard new DIR`. Nothing of the server, and no test kit, imports it."""
