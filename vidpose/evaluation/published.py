"""Published results on the datasets, each marked as read in a source or as unverified.

`READ`: read in the public source that is named with it. `UNVERIFIED`: not read in print. These
numbers are shown next to our own measurements, never in place of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vidpose.datasets.h36m import ACTIONS

READ = "read"
UNVERIFIED = "unverified"

POSEFORMER = "PoseFormer"
BASELINE = "Temporal baseline of PoseFormer's authors"
"""Without a spatial stage; their Table 4."""


@dataclass(frozen=True)
class PublishedNumber:
    """One method's published result for one metric."""

    dataset: str
    keypoints: str | None
    """The 2D joints; None if unknown."""
    method: str
    frames: int | None
    """Frames per window; None if unknown."""
    metric: str
    """`mpjpe_mm`, `p_mpjpe_mm`, `pck` or `auc`."""
    value: float
    mark: str
    """Of `value`: `READ` or `UNVERIFIED`."""
    source: str = ""
    """Where `value` was read; empty if unverified."""
    of: str | None = None
    """The family of rows (`Protocol.families`) that `value` averages; None: the protocol's mean."""
    groups: dict[str, float] = field(default_factory=dict)
    """Values by row of vidpose's table; always unverified."""
    note: str = ""
    """The protocol, if results of several are in print."""

    @property
    def same_protocol(self) -> bool:
        """Whether it was measured with the protocol of `vidpose eval`."""
        return self.note != _OWN_3DHP


def _mark(source: str) -> str:
    return READ if source else UNVERIFIED


def _by_row(names: Iterable[str], values: str) -> dict[str, float]:
    return dict(zip(names, map(float, values.split()), strict=True))


def _h36m(keypoints: str, metric: str, *rows: tuple) -> Iterator[PublishedNumber]:
    """Make numbers from rows (method, frames, value, source or "" if unverified[, by action])."""
    for method, frames, value, source, *groups in rows:
        by_action = _by_row(ACTIONS, *groups) if groups else {}
        about = "h36m", keypoints, method, frames, metric
        yield PublishedNumber(*about, value, _mark(source), source, groups=by_action)


def _3dhp(
    method: str, frames: int | None, numbers: tuple[float, float, float], source: str, note: str
) -> Iterator[PublishedNumber]:
    """`numbers` are PCK, AUC, MPJPE."""
    for metric, value in zip(("pck", "auc", "mpjpe_mm"), numbers, strict=True):
        about = "mpi_inf_3dhp", "gt", method, frames, metric
        yield PublishedNumber(*about, value, _mark(source), source, note=note)


def _humaneva(how: str, value: float, source: str, groups: str) -> PublishedNumber:
    rows = (f"S{s} {action}" for action in ("Walk", "Jog") for s in (1, 2, 3))
    about = "humaneva", None, f"{POSEFORMER}, {how}", 43, "p_mpjpe_mm"
    of = "Walk and Jog"
    return PublishedNumber(*about, value, _mark(source), source, of, _by_row(rows, groups))


CPN = "cpn_ft_h36m_dbb"
_VIDEOPOSE_BOXES = "VideoPose3D's README, with the true boxes"
_OWN_3DHP = "the papers' own protocol, not this one"
_THIS_3DHP = "this protocol"

PUBLISHED: tuple[PublishedNumber, ...] = (
    *_h36m(
        CPN,
        "mpjpe_mm",
        (
            *(POSEFORMER, 81, 44.3, "PoseFormer's README"),
            "41.5 44.8 39.8 42.5 46.5 51.6 42.1 42.0 53.3 60.7 45.5 43.3 46.1 31.8 32.2",
        ),
        (POSEFORMER, 27, 47.0, "PoseFormer's README"),
        (POSEFORMER, 9, 49.9, ""),
        (BASELINE, 9, 52.5, ""),
        (
            *("VideoPose3D", 243, 46.8, "VideoPose3D's README"),
            "45.2 46.7 43.3 45.6 48.1 55.1 44.6 44.3 57.3 65.8 47.1 44.0 49.0 32.8 33.9",
        ),
        ("VideoPose3D", 81, 47.7, _VIDEOPOSE_BOXES),
        ("VideoPose3D", 27, 48.8, _VIDEOPOSE_BOXES),
        (
            *("Chen et al., Anatomy-aware", 243, 44.1, "P-STMO's README"),
            "41.4 43.5 40.1 42.9 46.6 51.9 41.7 42.3 53.9 60.2 45.4 41.7 46.0 31.5 32.7",
        ),
        (
            *("Chen et al., Anatomy-aware", 81, 44.6, ""),
            "42.1 43.8 41.0 43.8 46.1 53.5 42.4 43.1 53.9 60.5 45.7 42.1 46.2 32.2 33.8",
        ),
        (
            *("Liu et al., Attention", 243, 45.1, "paperswithcode's data"),
            "41.8 44.8 41.1 44.9 47.4 54.1 43.4 42.2 56.2 63.6 45.3 43.5 45.3 31.3 32.2",
        ),
        ("Lin & Lee, Trajectory Space", 50, 46.6, "paperswithcode's data"),
        ("Dabral et al., TP-Net", 20, 52.1, "paperswithcode's data"),
        ("Cai et al.", 7, 48.8, ""),
        ("Wang et al., UGCN", 96, 45.6, ""),
    ),
    *_h36m(
        CPN,
        "p_mpjpe_mm",
        (
            *(POSEFORMER, 81, 34.6, ""),
            "32.5 34.8 32.6 34.6 35.3 39.5 32.1 32.0 42.8 48.5 34.8 32.4 35.3 24.5 26.0",
        ),
        (
            *("VideoPose3D", 243, 36.5, "VideoPose3D's README"),
            "34.1 36.1 34.4 37.2 36.4 42.2 34.4 33.6 45.0 52.5 37.4 33.8 37.8 25.6 27.3",
        ),
        ("VideoPose3D", 81, 37.2, _VIDEOPOSE_BOXES),
        ("VideoPose3D", 27, 38.0, _VIDEOPOSE_BOXES),
        ("Chen et al., Anatomy-aware", 243, 35.0, ""),
        ("Liu et al., Attention", 243, 35.6, ""),
        ("Lin & Lee, Trajectory Space", 50, 36.8, ""),
        ("Dabral et al., TP-Net", 20, 36.3, ""),
        ("Cai et al.", 7, 39.0, ""),
        ("Wang et al., UGCN", 96, 35.5, ""),
    ),
    *_h36m(
        "gt",
        "mpjpe_mm",
        (
            *(POSEFORMER, 81, 31.3, "PoseFormer's README"),
            "30.0 33.6 29.9 31.0 30.2 33.3 34.8 31.4 37.8 38.6 31.7 31.5 29.0 23.3 23.1",
        ),
        ("VideoPose3D", 243, 37.2, "VideoPose3D's README"),
        ("Liu et al., Attention", 243, 34.7, ""),
        ("Chen et al., Anatomy-aware", 243, 32.3, ""),
        ("SRNet", 243, 32.0, ""),
        ("Martinez et al.", None, 45.5, ""),
    ),
    *_h36m("gt", "p_mpjpe_mm", ("VideoPose3D", 243, 27.2, "VideoPose3D's README")),
    *_3dhp(POSEFORMER, 9, (88.6, 56.4, 77.1), "paperswithcode", _OWN_3DHP),
    *_3dhp(POSEFORMER, 9, (95.4, 63.2, 57.7), "PoseFormerV2's issues 3 and 4", _THIS_3DHP),
    *_3dhp("Chen et al., Anatomy-aware", 81, (87.9, 54.0, 78.8), "", _OWN_3DHP),
    *_3dhp("VideoPose3D", 81, (86.0, 51.9, 84.0), "", _OWN_3DHP),
    *_3dhp("Lin & Lee, Trajectory Space", 25, (83.6, 51.4, 79.8), "", _OWN_3DHP),
    *_3dhp("Li et al.", None, (81.2, 46.1, 99.7), "", _OWN_3DHP),
    *_3dhp("Mehta et al., 3DV 2017", None, (75.7, 39.3, 117.6), "", _OWN_3DHP),
    *_3dhp("VNect", None, (76.6, 40.4, 124.7), "", _OWN_3DHP),
    _humaneva("from scratch", 21.6, "sotaverified", "16.3 11.0 47.1 25.0 15.2 15.1"),
    _humaneva("from Human3.6M", 20.1, "", "14.4 10.2 46.6 22.7 13.4 13.4"),
    PublishedNumber(
        *("humaneva", None, "VideoPose3D", 27, "mpjpe_mm", 33.0, READ, "VideoPose3D's README")
    ),
)


class Cost(NamedTuple):
    """One line of PoseFormer's Table 6; everything but the speed is unverified."""

    method: str
    frames: int
    parameters_m: float
    """Parameters, in millions."""
    mflop: float
    frames_per_second: int | None = None
    speed_mark: str = UNVERIFIED
    """Of `frames_per_second`."""

    @property
    def is_poseformer(self) -> bool:
        return self.method == POSEFORMER


COMPLEXITY = (
    Cost(POSEFORMER, 9, 9.58, 150, 320),
    Cost(POSEFORMER, 27, 9.59, 452, 297),
    Cost(POSEFORMER, 81, 9.60, 1358, 269, READ),  # quoted in PoseFormer's issue 15
    Cost("VideoPose3D", 27, 8.56, 17.09, 1492),
    Cost("VideoPose3D", 81, 12.75, 25.48, 1121),
    Cost("VideoPose3D", 243, 16.95, 33.87, 863),
    Cost("Chen et al., Anatomy-aware", 27, 31.88, 61.7, 410),
    Cost("Chen et al., Anatomy-aware", 81, 45.53, 88.9, 315),
    Cost("Chen et al., Anatomy-aware", 243, 59.18, 116, 264),
)
"""The costs of networks in PoseFormer's paper."""


def published(dataset: str, keypoints: str) -> tuple[PublishedNumber, ...]:
    """Return the results on a dataset with these or with unknown 2D joints."""
    return tuple(
        number
        for number in PUBLISHED
        if number.dataset == dataset and number.keypoints in (keypoints, None)
    )
