"""Triton's Python backend, the tail on ONNX Runtime, for servers without a GPU. Runs inside Triton only."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from splitc.errors import BundleError, SplitcError
from splitc.runtime.batches import rows_stay_apart
from splitc.runtime.pair import CloudHalf
from splitc.runtime.triton.source import open_source


class TritonPythonModel:
    """Requests that Triton batched run as one."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self._half = CloudHalf(open_source(args, config))
        self._batches = config["max_batch_size"] > 0
        if self._batches and not rows_stay_apart(self._half):
            raise BundleError(
                "config.pbtxt: samples of one batch change each other's answers in this tail; set max_batch_size: 0 "
                "and put dims back as they were exported."
            )

    def execute(self, requests: list[Any]) -> list[Any]:
        names = [spec.name for spec in self._half.contract.tail_inputs]
        every = [{name: pb_utils.get_input_tensor_by_name(one, name).as_numpy() for name in names} for one in requests]
        together = [every] if self._batches else [[one] for one in every]
        return [response for feeds in together for response in self._responses(feeds)]

    def _responses(self, feeds: list[dict[str, Any]]) -> list[Any]:
        try:
            joined = {name: np.concatenate([one[name] for one in feeds]) for name in feeds[0]}
            outputs = self._half.runner.run(joined)
        except SplitcError as error:
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))) for _ in feeds]
        ends = np.cumsum([len(next(iter(one.values()))) for one in feeds])
        wanted = [spec.name for spec in self._half.contract.tail_outputs]
        parts = [{name: np.split(outputs[name], ends[:-1])[index] for name in wanted} for index in range(len(feeds))]
        return [_response(part) for part in parts]


def _response(outputs: dict[str, Any]) -> Any:
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in outputs.items()]
    )
