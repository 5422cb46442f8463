"""Sections of the benchmark of tasks."""
