"""ONNX in and out: load, find and prove cuts, split into head and tail, merge back, save."""

from __future__ import annotations

from splitc.graph.candidates import CandidateCut, Candidates, RejectedCut, check_codable, enumerate_cuts
from splitc.graph.cut import Cut, check_cut
from splitc.graph.extract import Halves, split
from splitc.graph.files import save, to_bytes
from splitc.graph.flops import node_flops
from splitc.graph.memory import activation_peaks
from splitc.graph.merge import fix_names, merge
from splitc.graph.model import Model, load, model_from_ir, verify
from splitc.graph.price import cut_sides, head_nodes, price_cut
from splitc.graph.strip import has_comments, strip
from splitc.graph.work import Work, work_of

__all__ = [
    "CandidateCut",
    "Candidates",
    "Cut",
    "Halves",
    "Model",
    "RejectedCut",
    "Work",
    "activation_peaks",
    "check_codable",
    "check_cut",
    "cut_sides",
    "enumerate_cuts",
    "fix_names",
    "has_comments",
    "head_nodes",
    "load",
    "merge",
    "model_from_ir",
    "node_flops",
    "price_cut",
    "save",
    "split",
    "strip",
    "to_bytes",
    "verify",
    "work_of",
]
