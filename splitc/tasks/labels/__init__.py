"""Readers of label files: classes, values, objects and masks."""
