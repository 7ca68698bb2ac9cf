"""The testkit's plugin for pytest, found by its entry point: no conftest is needed.

An `async def` test that no other plugin runs is run in trio, under the mock clock, with a deadline. With
`--calls-report FILE`, every call of a failed test is drawn in one HTML file: picture, transcript, audio. The testkit
itself is imported when a test has imported it: pytest starts as fast as without it.
"""
# ruff: noqa: PLC0415 - see above

import inspect
import sys
from collections.abc import Generator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

LONGEST: Final = 86_400.0
"""Seconds of the mock clock after which a test is given up: a deadlock jumps straight to it."""
_OTHERS: Final = ("trio", "asyncio", "anyio")
"""Marks of the plugins that run async tests themselves."""
_TOLD_BY: Final = ("testkit", "simulators", "agents")
"""Packages whose own errors say what to mend: an expectation, a promise, a scenario, a roster."""
_SECTION: Final = "switchboard_calls"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("switchboard", "calls played by the testkit")
    group.addoption("--calls-report", metavar="FILE", help="draw every call of a failed test in this HTML file")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the drawings, in the process that writes the file."""
    report = config.getoption("--calls-report")
    if report and not hasattr(config, "workerinput"):
        config.pluginmanager.register(CallsReport(Path(report)), "switchboard-report")


def pytest_report_header() -> str | None:
    """Say once that voices are hums."""
    if find_spec("espeakng_loader") is not None:
        return None
    from simulators.espeak import NOTICE

    return NOTICE


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that nobody else runs."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or any(map(pyfuncitem.get_closest_marker, _OTHERS)):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    run_virtually(partial(pyfuncitem.obj, **arguments))
    return True


def run_virtually(test: Any) -> None:  # noqa: ANN401 - a coroutine function of whatever arguments
    """Run a coroutine function in trio under a mock clock of its own."""
    import trio
    from trio.testing import MockClock

    async def main() -> None:
        with trio.fail_after(LONGEST):
            await test()

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Where a test file cannot be imported, say whether a package of the project (`agents`, say) hides one of ours."""
    report = yield
    for name in ("actors", "agents", "protocol", "simulators", "store", "testkit", "web"):
        found = find_spec(name) if f"No module named '{name}." in str(report.longrepr or "") else None
        if found is not None and found.origin and Path(found.origin).parents[1] != Path(__file__).parent:
            told = f"{found.origin} hides the package {name!r} of Switchboard: give yours another name"
            report.sections.append(("switchboard", told))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Draw the calls that a failed test has played; the drawings travel with its report, also between processes."""
    if call.excinfo is not None:
        show_the_test_only(call.excinfo)
    report = yield
    module = sys.modules.get("testkit.played_call")
    if report.when == "call" and module is not None:
        calls, module.PLAYED[:] = list(module.PLAYED), []
        if report.failed and item.config.getoption("--calls-report"):
            from testkit.report import draw_call

            drawn = [draw_call(call) for call in calls if call.entries]
            report.user_properties.append((_SECTION, "".join(drawn)))
    return report


def show_the_test_only(error: pytest.ExceptionInfo[BaseException]) -> None:
    """Hide the frames of the kit where it tells the author of a test something: it happened in their line."""
    if not is_told(error):
        return
    kit = [Path(__file__).parent / name for name in (*_TOLD_BY, "actors")]
    for entry in error.traceback:
        if any(map(Path(entry.path).is_relative_to, kit)):
            entry.frame.f_globals["__tracebackhide__"] = is_told
    error.value.__cause__, error.value.__suppress_context__ = None, True


def is_told(error: pytest.ExceptionInfo[BaseException]) -> bool:
    """Say whether an error is for the author of a test, and no mistake of the kit's."""
    return type(error.value).__module__.partition(".")[0] in _TOLD_BY


class CallsReport:
    """Writes the HTML file when all tests are done."""

    def __init__(self, path: Path) -> None:
        self.path, self.failed = path, list[tuple[str, str, str]]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a failed test's drawings, and keep them out of JUnit's file."""
        for name, drawn in [each for each in report.user_properties if each[0] == _SECTION]:
            report.user_properties.remove((name, drawn))
            self.failed.append((report.nodeid, str(report.longrepr), str(drawn)))

    def pytest_sessionfinish(self) -> None:
        """Write the file, also where nothing has failed."""
        from testkit.report import write_report

        write_report(self.path, self.failed)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from protocol.fields import counted

        terminalreporter.write_line(f"calls of {counted(len(self.failed), 'failed test')}: {self.path}")
