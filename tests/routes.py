"""The routes of each application that the tests make, compiled once for all of them.

Werkzeug writes, parses and compiles two functions for each route of each application: without this, two thirds of
what the tests of `web/` cost. The functions build addresses, and depend on the route alone.
"""

from collections.abc import Callable
from typing import TypeAlias

from werkzeug.routing.rules import Rule

Build: TypeAlias = Callable[..., tuple[str, str]]
_COMPILED: dict[object, Build] = {}


def compile_routes_once() -> None:
    """From here on, a route that was compiled before is not compiled again."""
    compile_builder = Rule._compile_builder

    def once(rule: Rule, append_unknown: bool = True) -> Build:
        key = (rule.rule, rule.subdomain, tuple(rule._trace), tuple(sorted(rule.arguments)), append_unknown)
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        if key not in _COMPILED:
            _COMPILED[key] = compile_builder(rule, append_unknown)
        return _COMPILED[key]

    Rule._compile_builder = once  # type: ignore[assignment, method-assign]
