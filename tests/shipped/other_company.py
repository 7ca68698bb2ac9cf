"""A plugin of pytest's (`-p tests.shipped.other_company`): the shipped agents work for another company."""

import importlib.util
import sys
from pathlib import Path
from typing import Final

import pytest

NAME: Final = "Zenith Gardening of Northampton"


def work_for(company: str) -> None:
    """Load `agents.company` with another name in the one place where it stands."""
    spec = importlib.util.find_spec("agents.company")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    before = '"Acme Financial Services"'
    assert source.count(before) == 1
    module = importlib.util.module_from_spec(spec)
    sys.modules["agents.company"] = module
    exec(compile(source.replace(before, f'"{company}"'), spec.origin, "exec"), module.__dict__)  # noqa: S102 - our own


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Have another company before anything is read that knows the agents."""
    assert "agents.company" not in sys.modules
    work_for(NAME)
