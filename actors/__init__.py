"""Everything of a call that owns a task: call, bridge, Summarizer, Supervisor, floor and handoff.

What they share is in the rooms: `turn/` decides whose turn it is, `line/` is the caller's side, `session/` an agent's,
`record/` what is left of a call, `endings/` how it is ended or passed on. `web/` and the test kit call `run_call`.
"""
