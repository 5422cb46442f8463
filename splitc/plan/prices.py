"""Price cuts on two devices: milliseconds of either half, memory and energy of the edge.

A cut of one value leaves all live nodes up to its producer in the head, so running sums over the topological order
price it at once; a cut of several is summed over its own two sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from splitc.device import ELEMENT_BYTES, Device, Precision, layer_ms
from splitc.graph import CandidateCut, Model, Work, activation_peaks, cut_sides, work_of
from splitc.plan.ask import Layers, Option, Places


class Prices:
    """Prices for one model between two places. The link is not looked at."""

    def __init__(self, model: Model, places: Places) -> None:
        self._model, self._places = model, places
        self._work = work_of(model)
        self._peaks = activation_peaks(model)
        self._sums: dict[tuple[str, Precision], list[float]] = {}

    def halves_ms(self, cut: CandidateCut, option: Option) -> tuple[float, float]:
        """Milliseconds of head and tail."""
        edge, cloud = self._edge_sums(option.edge_precision), self._cloud_sums(option.cloud_precision)
        if len(cut.names) == 1:
            end = self._position(cut.names[0]) + 1
            return edge[end], cloud[-1] - cloud[end]
        head, tail = cut_sides(self._model, cut.names)
        return _over(edge, head), _over(cloud, tail)

    def edge_ms(self, precision: Precision) -> float:
        """Milliseconds of the whole model on the edge."""
        return self._edge_sums(precision)[-1]

    def cloud_ms(self, precision: Precision) -> float:
        """Milliseconds of the whole model in the cloud."""
        return self._cloud_sums(precision)[-1]

    def memory_bytes(self, cut: CandidateCut, precision: Precision) -> int:
        """Bytes that the head needs on the edge: its weights and the most that its activations take at one time."""
        end = max(self._position(name) for name in cut.names)
        return ELEMENT_BYTES[precision] * (cut.head_parameters + self._peaks[end])

    def whole_memory_bytes(self, precision: Precision) -> int:
        """Bytes that the whole model needs."""
        return ELEMENT_BYTES[precision] * (self._model.parameters + max(self._peaks, default=0))

    def energy_mj(self, busy_ms: float, push_ms: float) -> float | None:
        """What the edge spends: its power while it computes and codes, and its radio's while it sends.

        None where a power that this needs is not known. Waiting costs nothing here: another sample may use the time.
        """
        power_w, radio_w = self._places.edge.power_w, self._places.link.radio_w
        if power_w is None or (push_ms > 0 and radio_w is None):
            return None
        return power_w * busy_ms + (radio_w or 0.0) * push_ms

    def _edge_sums(self, precision: Precision) -> list[float]:
        places = self._places
        return self._sums_of("edge", places.edge, places.edge_layers, places.edge_whole_ms, precision)

    def _cloud_sums(self, precision: Precision) -> list[float]:
        places = self._places
        return self._sums_of("cloud", places.cloud, places.cloud_layers, places.cloud_whole_ms, precision)

    def _sums_of(
        self, side: str, device: Device, layers: Layers, whole_ms: Mapping[Precision, float], precision: Precision
    ) -> list[float]:
        """Running sums over the nodes; one entry more than there are nodes."""
        key = side, precision
        if key not in self._sums:
            known = layers.get(precision)
            each = [known.get(one.value, 0.0) for one in self._work] if known else self._predicted(device, precision)
            total = sum(each)
            scale = whole_ms[precision] / total if not known and precision in whole_ms and total else 1.0
            self._sums[key] = list(accumulate((scale * ms for ms in each), initial=0.0))
        return self._sums[key]

    def _predicted(self, device: Device, precision: Precision) -> list[float]:
        return [
            work_ms(device, work, precision) if work.leader == index else 0.0 for index, work in enumerate(self._work)
        ]

    def _position(self, name: str) -> int:
        node = self._model.flow.values[name].producer()
        return -1 if node is None else self._model.flow.position[node]


def work_ms(device: Device, work: Work, precision: Precision) -> float:
    """Predicted milliseconds of one group of nodes, in what the device computes ``precision`` in; none without work."""
    if work.kind == "none":
        return 0.0
    precision = device.arithmetic(precision)
    size = ELEMENT_BYTES[precision]
    return layer_ms(device, work.kind, work.flops, size * work.weights, size * work.moved, precision)


def _over(sums: Sequence[float], nodes: frozenset[int]) -> float:
    return sum(sums[index + 1] - sums[index] for index in sorted(nodes))
