"""Who answers the telephone: every agent as data, the functions they have, and the Brief they leave each other.

This package is also the shipped roster, an example: `AGENTS=agents` is the default. Nothing is imported until a roster
is loaded.
"""

ROSTER = (
    "agents.qualifier",
    "agents.advisor",
    "agents.closer",
)
