"""Two landmark networks, so that the slow one works only where the quick one is in doubt.

A landmark is found twice by the same network: as a point, and as the peak of its heat map. Where
network takes one leg for the other, or both for one, the two often differ, or the peak is low. Then
a larger network, which hardly makes these mistakes, looks at the same region. docs/blazepose.md has
what this catches, and what it costs, in comparison with a second look of the same network at the
mirrored picture.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.blazepose_network import (
    DEFAULT_SIZE,
    JOINTS,
    LANDMARK_FILES,
    Landmarks,
    Networks,
    OnnxNetworks,
)
from vidpose.detect.blazepose_regions import Region
from vidpose.skeleton import BLAZEPOSE33

QUICK, SURE = "full", "heavy"
LEGS = [
    BLAZEPOSE33.index(f"{side}_{joint}")
    for side in ("left", "right")
    for joint in ("knee", "ankle")
]
"""The joints whose doubt counts. Arms are in doubt more often, mostly because they are hidden."""


def open_networks(size: str = DEFAULT_SIZE) -> Networks:
    """The networks of a size: adaptive, or one in `LANDMARK_FILES`.

    Raises:
        WeightsError: the networks are not here, or damaged.
    """
    return OnnxNetworks(size) if size in LANDMARK_FILES else Cascade()


class Cascade:
    """The networks of size `QUICK`, and `SURE` where these are in doubt.

    Raises:
        WeightsError: the networks are not here, or damaged.
    """

    def __init__(self) -> None:
        self._quick = OnnxNetworks(QUICK)
        about = self._quick.description
        self.description: dict[str, Any] = {
            **about,
            "network": f"{about['network']}, {SURE} where it is in doubt",
            "weights": about["weights"] | OnnxNetworks.hashes(SURE),
        }

    @cached_property
    def _sure(self) -> OnnxNetworks:
        """Opened when it is needed for the first time; many videos never do."""
        return OnnxNetworks(SURE)

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], sure: float
    ) -> list[list[Region]]:
        """See `Networks.find`."""
        return self._quick.find(image, windows, sure)

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool
    ) -> Landmarks:
        """See `Networks.landmarks`."""
        found = self._quick.landmarks(image, regions, mirrored=mirrored)
        again = np.flatnonzero(in_doubt(found, regions, image.shape[1], image.shape[0]))
        if len(again):
            surer = self._sure.landmarks(image, [regions[n] for n in again], mirrored=mirrored)
            rows = np.concatenate([again, again + len(regions)]) if mirrored else again
            for values, better in zip(found, surer, strict=True):
                values[rows] = better
        return found


def in_doubt(found: Landmarks, regions: list[Region], width: int, height: int) -> NDArray[np.bool_]:
    """(N,) whether a leg in the picture is unclear.

    Args:
        found: in N regions, and perhaps in their mirror images after them, which do not count.
        regions: N of them.
        width, height: of the picture, pixels; legs outside it are guesses, and stay so.
    """
    doubt = np.zeros(len(regions), bool)
    for n, region in enumerate(regions):
        x, y = region.to_picture(found.points[n, :JOINTS][LEGS]).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        doubt[n] = (found.unclear[n, LEGS] & inside).any()
    return doubt
