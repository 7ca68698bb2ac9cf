"""The routes of each application that the tests make, compiled once for all of them.

Werkzeug parses each route of each application, and writes, parses and compiles two functions for it: without this, two
thirds of what the tests of `web/` cost. What comes of it depends on the route alone.
"""

from werkzeug.routing.rules import Rule

_MADE = ("_parts", "_trace", "_converters", "arguments")
_COMPILED: dict[object, Rule] = {}


def compile_routes_once() -> None:
    """From here on, a route that was compiled before is not compiled again."""
    compile_route = Rule.compile

    def once(rule: Rule) -> None:
        key = rule.rule, rule.subdomain, rule.merge_slashes
        if rule.defaults:
            compile_route(rule)
        elif (found := _COMPILED.get(key)) is not None:
            for name in _MADE:
                setattr(rule, name, getattr(found, name))
            rule._build = found._build.__func__.__get__(rule)  # type: ignore[attr-defined]
            rule._build_unknown = found._build_unknown.__func__.__get__(rule)  # type: ignore[attr-defined]
        else:
            compile_route(rule)
            _COMPILED[key] = rule

    Rule.compile = once  # type: ignore[assignment, method-assign]
