"""Triton's Python backend, the tail on ONNX Runtime, for servers without a GPU. Runs inside Triton only."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from splitc.errors import BundleError
from splitc.runtime.batches import rows_stay_apart
from splitc.runtime.pair import CloudHalf
from splitc.runtime.triton.answers import refused
from splitc.runtime.triton.preflight import check_numpy, check_version
from splitc.runtime.triton.rows import run_alone, run_rows
from splitc.runtime.triton.source import open_source


class TritonPythonModel:
    """Requests that Triton batched run as one."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        bundle = open_source(args, config)
        check_version(bundle)
        check_numpy(pb_utils.Tensor)
        self._half = CloudHalf(bundle)
        self._batches = config["max_batch_size"] > 0
        if self._batches and not rows_stay_apart(self._half):
            raise BundleError(
                "config.pbtxt: samples of one batch change each other's answers in this tail; set max_batch_size: 0 "
                "and put dims back as they were exported."
            )

    def execute(self, requests: list[Any]) -> list[Any]:
        names = [spec.name for spec in self._half.contract.tail_inputs]
        wanted = [spec.name for spec in self._half.contract.tail_outputs]
        every = [{name: pb_utils.get_input_tensor_by_name(one, name).as_numpy() for name in names} for one in requests]
        run = self._half.runner.run
        answers = run_rows(run, every, wanted) if self._batches else [run_alone(run, one, wanted) for one in every]
        return [_response(answer) for answer in answers]


def _response(answer: dict[str, Any] | Exception) -> Any:
    if isinstance(answer, Exception):
        return refused(pb_utils, answer)
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in answer.items()]
    )
