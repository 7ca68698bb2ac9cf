"""Agents as data: prompts, greetings, voices and functions, and the Brief that one leaves the next.

This package is also the shipped roster, an example: `AGENTS=agents` is the default. Nothing is imported until a roster
is loaded.
"""

ROSTER = (
    "agents.qualifier",
    "agents.advisor",
    "agents.closer",
)
