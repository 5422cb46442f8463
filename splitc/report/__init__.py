"""Numbers to report.json and one HTML page."""

from __future__ import annotations

from splitc.report.document import half, outcome, summary
from splitc.report.page import page, write_page

__all__ = ["half", "outcome", "page", "summary", "write_page"]
