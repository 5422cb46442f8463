"""Tasks: what the answer of a network is, and how well another path keeps it.

A task decodes outputs, compares two paths (fidelity with its interval, a smooth divergence), judges both against
labels, names its gates, and describes and draws answers. Nothing outside this room knows of classes, boxes or masks.
``TASKS`` finds tasks by name and imports them on demand; other packages add theirs by entry points.
"""

from __future__ import annotations

from splitc.tasks.agreement import TaskAccuracy, TaskAgreement
from splitc.tasks.answer import Document, TaskAnswer
from splitc.tasks.comparison import RunningComparison, SampleVerdict
from splitc.tasks.divergences import cosine
from splitc.tasks.installed import TaskRegistry
from splitc.tasks.intervals import FEW_SAMPLES, Share, percent
from splitc.tasks.labels.class_names import read_classes
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.labels.yolo_text import names_beside
from splitc.tasks.mean_average_precision import ap_loss_db
from splitc.tasks.option_faults import option_faults
from splitc.tasks.placement import Placement
from splitc.tasks.rankings import rank_similarity
from splitc.tasks.readings import KeptOutputs
from splitc.tasks.spelled import bound_again, spelled_options
from splitc.tasks.task import BindRequest, BoundTask, Task
from splitc.tasks.truth import TrueBoxes, TrueMask, Truth

TASKS = TaskRegistry(
    "task",
    {
        "classification": "splitc.tasks.classification:Classification",
        "clip": "splitc.tasks.clip:ClipClassification",
        "detection": "splitc.tasks.detection:Detection",
        "features": "splitc.tasks.features:Features",
        "regression": "splitc.tasks.regression:Regression",
        "retrieval": "splitc.tasks.retrieval:Retrieval",
        "segmentation": "splitc.tasks.segmentation:Segmentation",
    },
)

__all__ = [
    "FEW_SAMPLES",
    "TASKS",
    "BindRequest",
    "BoundTask",
    "Document",
    "KeptOutputs",
    "LabelTable",
    "Placement",
    "RunningComparison",
    "SampleVerdict",
    "Share",
    "Task",
    "TaskAccuracy",
    "TaskAgreement",
    "TaskAnswer",
    "TaskRegistry",
    "TrueBoxes",
    "TrueMask",
    "Truth",
    "ap_loss_db",
    "bound_again",
    "cosine",
    "names_beside",
    "option_faults",
    "percent",
    "rank_similarity",
    "read_classes",
    "spelled_options",
]
