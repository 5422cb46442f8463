"""ONNX in and out: load, find and prove cuts, split into head and tail, merge back, save."""

from __future__ import annotations

from splitc.graph.candidates import CandidateCut, Candidates, RejectedCut, check_codable, enumerate_cuts
from splitc.graph.cut import Cut, check_cut
from splitc.graph.equality import is_same_computation
from splitc.graph.extract import Halves, split, with_outputs
from splitc.graph.files import save, save_alike, to_bytes, weight_bytes
from splitc.graph.flops import node_flops
from splitc.graph.folder import DATA, HALVES, HEAD, TAIL, halves_folder, model_file
from splitc.graph.memory import activation_peaks
from splitc.graph.merge import fix_names, join, merge
from splitc.graph.model import Model, load, model_from_ir, verify
from splitc.graph.orders import cuts_of_every_order
from splitc.graph.outline import Block, Edge, Outline, outline
from splitc.graph.place import Place, boundary, find_place
from splitc.graph.price import cut_sides, head_nodes, price_cut
from splitc.graph.stages import Stage, stages_of
from splitc.graph.strip import has_comments, strip
from splitc.graph.tensors import own_bytes
from splitc.graph.work import Work, work_of

__all__ = [
    "DATA",
    "HALVES",
    "HEAD",
    "TAIL",
    "Block",
    "CandidateCut",
    "Candidates",
    "Cut",
    "Edge",
    "Halves",
    "Model",
    "Outline",
    "Place",
    "RejectedCut",
    "Stage",
    "Work",
    "activation_peaks",
    "boundary",
    "check_codable",
    "check_cut",
    "cut_sides",
    "cuts_of_every_order",
    "enumerate_cuts",
    "find_place",
    "fix_names",
    "halves_folder",
    "has_comments",
    "head_nodes",
    "is_same_computation",
    "join",
    "load",
    "merge",
    "model_file",
    "model_from_ir",
    "node_flops",
    "outline",
    "own_bytes",
    "price_cut",
    "save",
    "save_alike",
    "split",
    "stages_of",
    "strip",
    "to_bytes",
    "verify",
    "weight_bytes",
    "with_outputs",
    "work_of",
]
