"""T-C3D's pipeline on weights alone: prune, share, relative index, Huffman; one row for each of its Table VIII."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.native import _core
from splitc.weights import (
    Item,
    Planes,
    Raw,
    Shared,
    WeightTensor,
    container_bytes,
    keep_largest,
    lossless_items,
    open_container,
    share,
)
from splitc.weights.encodings.relative import entries_of

SPARSITY = {"conv": 0.90, "fc": 0.95}
CODE_BITS = {"conv": 8, "fc": 5}
INDEX_BITS = {"conv": 8, "fc": 5}


@dataclass(frozen=True)
class SizeRow:
    """A container of one row of the table; ``over_entropy``: to its streams at their entropies and all other bytes."""

    network: str
    step: str
    bytes: int
    ratio: float
    over_entropy: float | None = None
    section: str = "tc3d"


def rows(network: str, tensors: Sequence[WeightTensor], classifier: str) -> Iterator[SizeRow]:
    """Sizes after each step. ``classifier`` names the tensor that counts as fully connected."""
    whole = sum(tensor.nbytes for tensor in tensors)
    yield SizeRow(network, "float32", whole, 1.0)
    yield _row(network, "lossless byte planes", whole, container_bytes(lossless_items(tensors)))
    pruned = [_pruned(tensor, _role(tensor, classifier)) for tensor in tensors]
    yield SizeRow(network, "prune, nonzero values alone", _nonzero(pruned), whole / _nonzero(pruned))
    yield _row(network, "prune, values and indices", whole, _packed(pruned, classifier, "fixed", has_codes=False))
    shared = [_shared(tensor, _role(tensor, classifier)) for tensor in pruned]
    yield _row(network, "quantize, fixed width", whole, _packed(shared, classifier, "fixed", has_codes=True))
    coded = _packed(shared, classifier, "huffman", has_codes=True)
    bound = _bound(shared, classifier, coded)
    yield SizeRow(network, "Huffman", len(coded), whole / len(coded), len(coded) / bound)
    csc = _packed(shared, classifier, "huffman", has_codes=True, basis="csc")
    yield _row(network, "Huffman, CSC", whole, csc)


def _row(network: str, step: str, whole: int, data: bytes) -> SizeRow:
    with open_container(io.BytesIO(data)) as container:
        assert sum(container.ledger.values()) == len(data), "the ledger does not sum to the file"
    return SizeRow(network, step, len(data), whole / len(data))


def _role(tensor: WeightTensor, classifier: str) -> str:
    if tensor.dtype != "float32" or tensor.values.ndim < 2:
        return ""
    return "fc" if tensor.name == classifier else "conv"


def _pruned(tensor: WeightTensor, role: str) -> WeightTensor:
    if not role:
        return tensor
    kept = keep_largest(tensor.values, SPARSITY[role])
    return WeightTensor(tensor.name, tensor.dtype, np.where(kept, tensor.values, np.float32(0)))


def _shared(tensor: WeightTensor, role: str) -> WeightTensor:
    return WeightTensor(tensor.name, tensor.dtype, share(tensor.values, CODE_BITS[role])) if role else tensor


def _packed(
    tensors: Sequence[WeightTensor], classifier: str, coder: str, *, has_codes: bool, basis: str = "csr"
) -> bytes:
    items = []
    for tensor in tensors:
        role = _role(tensor, classifier)
        options = {"basis": basis, "coder": coder, "index_bits": INDEX_BITS.get(role, 8)}
        options["code_bits"] = CODE_BITS[role] if role and has_codes else 0
        plain = Planes() if tensor.nbytes > 64 else Raw()
        items.append(Item(tensor, Shared.model_validate(options) if role else plain))
    return container_bytes(items)


def _nonzero(tensors: Sequence[WeightTensor]) -> int:
    return sum(int(np.count_nonzero(one.values)) * one.values.itemsize for one in tensors)


def _bound(tensors: Sequence[WeightTensor], classifier: str, data: bytes) -> float:
    """The container with every Huffman code at the entropy of its stream, layer by layer; code tables stay."""
    spared = 0.0
    for tensor in tensors:
        role = _role(tensor, classifier)
        if role:
            matrix = tensor.values.reshape(len(tensor.values), -1)
            entries = entries_of(matrix != 0, INDEX_BITS[role])
            stored = np.where(entries.sources < 0, 0, matrix.reshape(-1)[entries.sources])
            spared += sum(_code_bits(stream) - _entropy_bits(stream) for stream in (entries.gaps, stored))
    return len(data) - spared / 8


def _code_bits(symbols: npt.NDArray[np.generic]) -> int:
    counts = np.unique(symbols, return_counts=True)[1].tolist()
    lengths = _core.huffman_lengths(counts)
    return sum(count * length for count, length in zip(counts, lengths, strict=True)) if len(counts) > 1 else 0


def _entropy_bits(symbols: npt.NDArray[np.generic]) -> float:
    counts = np.unique(symbols, return_counts=True)[1]
    share_of = counts / max(1, counts.sum())
    return float(-(share_of * np.log2(share_of)).sum() * counts.sum())
