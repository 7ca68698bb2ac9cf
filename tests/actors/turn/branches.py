"""Changes of the code of `Turn`: each branch of an `if`, a `match` or a choice between two values is taken away.

So is each of several conditions that are joined by `and` or `or`, and each statement that moves a field.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from types import CodeType, FunctionType, ModuleType

from actors.turn.rules import RULES
from actors.turn.tables import CONDITIONS

NEVER, ALWAYS = ast.Constant(value=False), ast.Constant(value=True)


def branches(modules: Iterable[str]) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """Yield each branch of these modules in words, with what takes it away and what puts it back."""
    for name in modules:
        module = import_module(f"actors.turn.{name}")
        tree = ast.parse(inspect.getsource(module))
        for function in _functions(module):
            code = function.__code__
            defined = next(node for node in ast.walk(tree) if _line_of(node) == code.co_firstlineno)
            for words, take_away, put_back in _changes(defined):
                take_away()
                changed = _like(code, compile(ast.fix_missing_locations(tree), code.co_filename, "exec"))
                put_back()
                do, undo = (partial(setattr, function, "__code__", each) for each in (changed, code))
                yield f"{name}.{function.__name__}: {words}", do, undo


def _like(code: CodeType, within: CodeType) -> CodeType:
    """Return the code of the same function in a module that was compiled anew."""
    inner = [each for each in within.co_consts if isinstance(each, CodeType)]
    same = [each for each in inner if (each.co_name, each.co_firstlineno) == (code.co_name, code.co_firstlineno)]
    return same[0] if same else next(_like(code, each) for each in inner if code.co_name in each.co_names)


def _line_of(node: ast.AST) -> int | None:
    """Return where a function begins, with its decorators."""
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        return None
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else ()
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions that a module defines, those of its classes and its conditions too."""
    classes = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    for owner in [module, *classes]:
        for each in vars(owner).values():
            function = each.fget if isinstance(each, property) else each
            if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
                yield function
    for each in (*CONDITIONS.values(), *(rule.due for rule in RULES)):
        if isinstance(each, FunctionType) and each.__name__ == "<lambda>" and each.__module__ == module.__name__:
            yield each


def _changes(function: ast.AST) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """Yield each branch in words, with what takes it away and what puts it back in the tree."""
    for node in ast.walk(function):
        yield from _statements(node)
        match node:
            case ast.If(test=test):
                yield f"if {ast.unparse(test)}", *_replaced(node, "test", NEVER)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                yield f"{ast.unparse(body)} if {ast.unparse(test)}", *_replaced(node, "test", NEVER)
                yield f"{ast.unparse(orelse)} if not {ast.unparse(test)}", *_replaced(node, "test", ALWAYS)
            case ast.BoolOp(op=op, values=values):
                for value in values:
                    neutral = ALWAYS if isinstance(op, ast.And) else NEVER
                    left = [neutral if other is value else other for other in values]
                    yield f"{ast.unparse(value)} in {ast.unparse(node)}", *_replaced(node, "values", left)
            case ast.match_case(pattern=pattern, guard=guard) if not _is_rest(node):
                words = f"case {ast.unparse(pattern)}" + (f" if {ast.unparse(guard)}" if guard else "")
                yield words, *_replaced(node, "guard", NEVER)
            case _:
                pass  # no branch


def _statements(node: ast.AST) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """Yield each assignment to a field, one by one where there are several in a statement, and each call."""
    blocks = [getattr(node, "body", None), getattr(node, "orelse", None)]
    for block in (each for each in blocks if isinstance(each, list)):
        for index, statement in enumerate(block):
            for words, left in _without(statement):
                changed = ast.copy_location(left, statement)
                yield words, partial(block.__setitem__, index, changed), partial(block.__setitem__, index, statement)


def _without(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=fields)], value=ast.Tuple(elts=values)):
            for out, field in enumerate(fields):
                if isinstance(field, ast.Attribute):
                    left, right = ([one for at, one in enumerate(each) if at != out] for each in (fields, values))
                    yield ast.unparse(field), ast.Assign([ast.Tuple(left, ast.Store())], ast.Tuple(right, ast.Load()))
        case ast.Assign(targets=[_, _, *_] as fields, value=value):
            for field in fields:
                yield ast.unparse(field), ast.Assign([other for other in fields if other is not field], value)
        case ast.Assign(targets=[ast.Attribute()]) | ast.AugAssign(target=ast.Attribute()) | ast.Expr(value=ast.Call()):
            yield ast.unparse(statement), ast.Pass()
        case _:
            pass  # it moves nothing


def _is_rest(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def _replaced(
    node: ast.AST, field: str, by: ast.expr | list[ast.expr]
) -> tuple[Callable[[], None], Callable[[], None]]:
    return partial(setattr, node, field, by), partial(setattr, node, field, getattr(node, field))
