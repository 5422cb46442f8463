"""ONNX in and out: load, find and prove cuts, split into head and tail, merge back, save."""

from __future__ import annotations

from splitc.graph.cost.flops import node_flops
from splitc.graph.cost.memory import activation_peaks
from splitc.graph.cost.work import Work, work_of
from splitc.graph.cuts.by_name import ResolvedCut, boundary, find_place
from splitc.graph.cuts.candidates import (
    CandidateCut,
    CutCandidates,
    Refuse,
    RejectedCut,
    check_codable,
    cut_layouts,
    enumerate_cuts,
    takes_all,
)
from splitc.graph.cuts.cut import Cut, check_cut
from splitc.graph.cuts.every_order import cuts_of_every_order
from splitc.graph.cuts.outline import Edge, Outline, OutlineBlock, outline
from splitc.graph.cuts.pricing import cut_sides, head_nodes, price_cut
from splitc.graph.cuts.stages import ModelStage, stages_of
from splitc.graph.files.onnx_files import DATA, from_bytes, save, save_alike, to_bytes, weight_bytes
from splitc.graph.files.places import HALVES, HEAD, TAIL, halves_folder, model_file
from splitc.graph.files.strip import has_comments, strip
from splitc.graph.halves.equality import is_same_computation
from splitc.graph.halves.extract import Halves, split, with_outputs
from splitc.graph.halves.merge import fix_names, join, merge
from splitc.graph.model import Model, SplitKeep, keeping, load, model_from_ir, verify, with_sizes
from splitc.graph.shapes.arithmetic import fold_shape_arithmetic
from splitc.graph.values.axis_roles import CutLayout
from splitc.graph.values.flow import reads_of
from splitc.graph.values.names import FreshNames, free_name, values_of
from splitc.graph.values.pixels import is_preprocessing, preprocess_prefix
from splitc.graph.values.readers import Operand, is_read_beside, operands_that_read
from splitc.graph.values.tensors import open_dims, own_bytes

__all__ = [
    "DATA",
    "HALVES",
    "HEAD",
    "TAIL",
    "CandidateCut",
    "Cut",
    "CutCandidates",
    "CutLayout",
    "Edge",
    "FreshNames",
    "Halves",
    "Model",
    "ModelStage",
    "Operand",
    "Outline",
    "OutlineBlock",
    "Refuse",
    "RejectedCut",
    "ResolvedCut",
    "SplitKeep",
    "Work",
    "activation_peaks",
    "boundary",
    "check_codable",
    "check_cut",
    "cut_layouts",
    "cut_sides",
    "cuts_of_every_order",
    "enumerate_cuts",
    "find_place",
    "fix_names",
    "fold_shape_arithmetic",
    "free_name",
    "from_bytes",
    "halves_folder",
    "has_comments",
    "head_nodes",
    "is_preprocessing",
    "is_read_beside",
    "is_same_computation",
    "join",
    "keeping",
    "load",
    "merge",
    "model_file",
    "model_from_ir",
    "node_flops",
    "open_dims",
    "operands_that_read",
    "outline",
    "own_bytes",
    "preprocess_prefix",
    "price_cut",
    "reads_of",
    "save",
    "save_alike",
    "split",
    "stages_of",
    "strip",
    "takes_all",
    "to_bytes",
    "values_of",
    "verify",
    "weight_bytes",
    "with_outputs",
    "with_sizes",
    "work_of",
]
