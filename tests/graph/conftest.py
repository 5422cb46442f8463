"""One line for each model at the end of the run: how many cuts were listed, split and merged."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the model tests recorded."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {text} ({report.duration:.1f} s)"
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for kind, text in report.user_properties
        if kind == "cuts"
    ]
    if lines:
        terminalreporter.section("cuts")
        terminalreporter.write_line("\n".join(lines))
