"""Who answers the telephone: every agent as data, the functions they have, and the Brief they leave each other."""
