"""The transform that costs least at equal answers, by measurement."""

from __future__ import annotations

from typing import ClassVar

from splitc.codec.transforms.base import Transform


class Auto(Transform):
    """Whichever of the others gives the fewest bytes on calibration features at an equal divergence of the answers.

    The divergence is that of plain steps of the asked size, on features that the candidates are not fitted on. What was
    chosen, with its own step, is what the contract holds.
    """

    name: ClassVar[str] = "auto"
    wire_id: ClassVar[int] = 255
    is_choice: ClassVar[bool] = True
