"""The traces of a call: its record, conversation, recording, usage, and what it resumes from.

Everything here is read off the journal or the line. The call writes it by the Scribe; `web/` reads records through
`store/`.
"""
