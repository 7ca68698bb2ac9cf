"""The simulated Voice Agent service."""
