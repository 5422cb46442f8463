"""Sections of the build benchmark."""
