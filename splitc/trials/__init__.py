"""Trials with real samples: what a cut, a codec or a coding of the input costs in bytes and in answers."""

from __future__ import annotations

from splitc.trials.budget import FittingSamples, within_budget
from splitc.trials.cuts import CutTrials, some_samples
from splitc.trials.features import features, settle
from splitc.trials.inputs import InputTrials
from splitc.trials.judge import TailJudge, judge_of
from splitc.trials.recoded import recoded
from splitc.trials.subject import Subject

__all__ = [
    "CutTrials",
    "FittingSamples",
    "InputTrials",
    "Subject",
    "TailJudge",
    "features",
    "judge_of",
    "recoded",
    "settle",
    "some_samples",
    "within_budget",
]
