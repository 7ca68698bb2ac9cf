"""Phone agents of Acme."""
