"""Gradients of a graph as a graph: what outputs are pulled by -> what inputs are pulled by, in standard operators."""

from __future__ import annotations

from splitc.gradients.backward import PULL, GradientModel, gradient_model

__all__ = ["PULL", "GradientModel", "gradient_model"]
