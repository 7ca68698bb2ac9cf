"""Every kind of work in a thread has a limiter of its own: what hangs in one keeps nothing else waiting."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = [path for folder in ("actors", "agents", "store", "web") for path in sorted((ROOT / folder).rglob("*.py"))]


def to_thread(path: Path) -> Iterator[ast.Call]:
    """Yield the calls of `trio.to_thread.run_sync`, under whatever `partial`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and any(
            ast.unparse(part).endswith("to_thread.run_sync") for part in (node.func, *node.args)
        ):
            yield node


def test_a_thread_is_taken_from_a_limiter_of_its_kind() -> None:
    calls = [(path, call) for path in SOURCES if "to_thread" in path.read_text("utf-8") for call in to_thread(path)]

    assert len(calls) > 5
    for path, call in calls:
        assert "limiter" in {keyword.arg for keyword in call.keywords}, f"{path.name}:{call.lineno}"
