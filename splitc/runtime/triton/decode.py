"""Triton's Python backend, decode step: packets to what the tail takes. Runs inside Triton only."""

from __future__ import annotations

import json
from typing import Any

import triton_python_backend_utils as pb_utils

from splitc.runtime.batches import one_sample
from splitc.runtime.pair import read_contract, tail_feeds
from splitc.runtime.triton.answers import refused
from splitc.runtime.triton.preflight import SELF_TEST, check_numpy, check_packet, check_version
from splitc.runtime.triton.sequences import Sequences
from splitc.runtime.triton.source import check_decoder, open_source, version_folder
from splitc.types import Feeds

_START, _END = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START, pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END


class TritonPythonModel:
    """One decoder a sequence; without sequences one a request."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        bundle = open_source(args, config)
        check_version(bundle)
        check_numpy(pb_utils.Tensor)
        self._contract = read_contract(bundle)
        self._codec = self._contract.fitted_codec(bundle.pair_id)
        check_packet(version_folder(args) / SELF_TEST, self._codec)
        bounds = check_decoder(config, predicts=self._codec.temporal.period > 1)
        self._sequences = Sequences(self._codec.decoder, bounds.most, bounds.idle_s) if bounds else None

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        try:
            feeds = self._feeds(request)
        except Exception as error:  # of this request alone: what execute raises fails all of them
            return refused(pb_utils, error)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in feeds.items()])

    def _feeds(self, request: Any) -> Feeds:
        packet = pb_utils.get_input_tensor_by_name(request, "packet").as_numpy().tobytes()
        if self._sequences is None:
            return self._decoded(self._codec.decoder(), packet)
        key, flags = request.correlation_id(), request.flags()  # Triton has seen to it that there is an id
        if flags & _END and not packet:
            self._sequences.end(key)
            return self._nothing()
        decoder = self._sequences.decoder(key, starts=bool(flags & _START), ends=bool(flags & _END))
        return self._decoded(decoder, packet)

    def _decoded(self, decoder: Any, packet: bytes) -> Feeds:
        return tail_feeds(self._contract, self._codec, decoder.decode_symbols(packet))

    def _nothing(self) -> Feeds:
        """Zeros, for the end of a sequence: Triton wants every request answered."""
        zeros = one_sample(self._contract, 0)
        return {spec.name: zeros[spec.name] for spec in self._contract.wire}
