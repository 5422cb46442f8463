"""Parts of ``tests/bench/plan.py``: one module a section, each measurement in a process of its own."""
