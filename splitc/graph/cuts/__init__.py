"""Cuts: listed, priced, proven, found by name, drawn."""
