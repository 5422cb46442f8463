"""What ``tests/bench/weights.py`` measures, one module a section."""
