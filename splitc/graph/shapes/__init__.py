"""Shapes that a model does not say: the user's applied, the rest inferred."""
