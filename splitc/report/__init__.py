"""Numbers to report.json and one HTML page."""

from __future__ import annotations

from splitc.report.document import half, outcome, summary
from splitc.report.drawing import graph_picture, latency_picture
from splitc.report.page import page, write_page
from splitc.report.shown import page_fault
from splitc.report.svg import standalone

__all__ = [
    "graph_picture",
    "half",
    "latency_picture",
    "outcome",
    "page",
    "page_fault",
    "standalone",
    "summary",
    "write_page",
]
