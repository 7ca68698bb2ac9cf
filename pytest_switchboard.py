"""The testkit's plugin for pytest, found by its entry point: no conftest is needed."""
