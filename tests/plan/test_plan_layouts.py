"""Axes that a recipe gives: taken where they can be, and refused for what they are where they cannot."""

from __future__ import annotations

import pytest
from e2e_setting import CUT, tiny_net

from splitc import graph
from splitc.codec import CodecSpec
from splitc.errors import CutError
from splitc.plan import check_asked
from splitc.recipe import SplitSection


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        pytest.param(
            {"batch_axis": 1},
            f"split.batch_axis: value '{CUT}' ['N', 8, 16, 16]: axis 1 cannot be both the samples' and the channels'; "
            "leave split.batch_axis out (splitc takes 0), or name another axis.",
            id="batch",
        ),
        pytest.param(
            {"channel_axis": 5},
            f"split.channel_axis: value '{CUT}' ['N', 8, 16, 16]: axis 5 is not one of the 4 axes of ['N', 8, 16, 16]; "
            "leave split.channel_axis out (splitc takes 1), or name another axis.",
            id="channel",
        ),
        pytest.param(
            {"batch_axis": 1, "channel_axis": 0},
            f"split.batch_axis and split.channel_axis: value '{CUT}' ['N', 8, 16, 16]: axis 0 has no fixed size; leave "
            "split.batch_axis and split.channel_axis out (splitc takes 0 and 1), or name another axis.",
            id="both",
        ),
        pytest.param({"channel_axis": -5}, f"split.channel_axis = -5: value '{CUT}' has 4 axes.", id="from-the-end"),
    ],
)
def test_the_axes_are_at_fault_and_not_the_cut(axes: dict[str, int], message: str) -> None:
    """Another cut would be refused just so, and advising one sends people in circles."""
    model = graph.model_from_ir(graph.from_bytes(tiny_net().SerializeToString()))
    asked = SplitSection.model_validate({"at": [CUT], **axes})
    with pytest.raises(CutError) as caught:
        check_asked(model, [CodecSpec()], asked)
    assert str(caught.value) == message


@pytest.mark.parametrize("axes", [{}, {"channel_axis": 2}, {"channel_axis": -1}, {"batch_axis": 0}], ids=str)
def test_axes_that_fit_are_taken(axes: dict[str, int]) -> None:
    model = graph.model_from_ir(graph.from_bytes(tiny_net().SerializeToString()))
    check_asked(model, [CodecSpec()], SplitSection.model_validate({"at": [CUT], **axes}))
