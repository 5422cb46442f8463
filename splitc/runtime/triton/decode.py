"""Triton's Python backend, decode step: packets to what the tail takes. Runs inside Triton only."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import triton_python_backend_utils as pb_utils

from splitc.codec import Decoder
from splitc.errors import SplitcError
from splitc.runtime.pair import read_contract, tail_feeds
from splitc.runtime.triton.source import check_decoder, open_source

MAX_SEQUENCES = 4096


class TritonPythonModel:
    """One decoder a sequence; without sequences one a request."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        bundle = open_source(args, config)
        self._contract = read_contract(bundle)
        self._codec = self._contract.fitted_codec(bundle.pair_id)
        self._is_stateful = self._codec.temporal.period > 1
        check_decoder(config, predicts=self._is_stateful)
        self._sequences: OrderedDict[int, Decoder] = OrderedDict()

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        try:
            packet = pb_utils.get_input_tensor_by_name(request, "packet").as_numpy().tobytes()
            symbols = self._decoder(request).decode_symbols(packet)
            feeds = tail_feeds(self._contract, self._codec, symbols)
        except SplitcError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in feeds.items()])

    def _decoder(self, request: Any) -> Decoder:
        if not self._is_stateful:
            return self._codec.decoder()
        key = int(_control(request, "CORRID"))
        decoder = self._sequences.pop(key, None)
        if decoder is None or _control(request, "START"):
            decoder = self._codec.decoder()
        if not _control(request, "END"):
            self._sequences[key] = decoder
        if len(self._sequences) > MAX_SEQUENCES:
            self._sequences.popitem(last=False)
        return decoder


def _control(request: Any, name: str) -> Any:
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0]
