"""Definitions of Tables 1 to 5 and 7: networks, data and columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vidpose.evaluation.published import BASELINE, CPN, POSEFORMER

SMALL: dict[str, Any] = {"embed_dim": 16, "depth": 2, "frames": 9}
PAPER_SIZE: dict[str, Any] = {"embed_dim": 32, "depth": 4}
LOST = "not recovered"
"""Instead of a number of the paper that is not known."""


@dataclass(frozen=True)
class Row:
    """One network of a table."""

    name: str
    """Its name for `--only`."""
    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Changes to the recipe's fields."""
    paper: tuple[str, int] | None = None
    """Method and window of the paper's own number, in `published.PUBLISHED`."""
    missing: str = ""
    """Why there is no number of the paper."""
    fine_tuned: bool = False
    """Whether it is pre-trained on Human3.6M or its replacement."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One of the paper's tables."""

    title: str
    dataset: str
    """The paper's dataset, a key of `datasets.PUBLIC`."""
    metrics: tuple[str, ...]
    rows: Callable[[dict[str, Any]], tuple[Row, ...]]
    """Makes the rows from the sizes of a PoseFormer."""
    keypoints: str | None = None
    frames: int = 9
    """The paper's window."""
    family: str = ""
    """Columns to average over (`evaluate.Evaluation.families`); empty: all."""
    with_columns: bool = True
    with_others: bool = True
    """Whether to list published results of other networks."""
    note: str = ""
    compared: tuple[str, str] | None = None
    """Two rows to compare, without and with the component that the table is about."""


def _networks(sizes: dict[str, Any], paper_frames: int) -> tuple[Row, ...]:
    """PoseFormer and its competitors; VideoPose3D's windows are powers of three."""
    return (
        Row("poseformer", "PoseFormer", paper=(POSEFORMER, paper_frames)),
        Row("temporal", "temporal baseline", _temporal(sizes)),
        Row("videopose", "VideoPose3D", {"model": "videopose"}),
        Row("martinez", "Martinez et al.", {"model": "martinez", "frames": 1}),
    )


def _temporal(sizes: dict[str, Any]) -> dict[str, Any]:
    """Give the temporal baseline the width of PoseFormer's temporal stage."""
    return {"model": "temporal", "embed_dim": 17 * sizes["embed_dim"]}


def _ablation(sizes: dict[str, Any]) -> tuple[Row, ...]:
    no_joints, no_frames = {"joint_positions": False}, {"frame_positions": False}
    return (
        Row("baseline", "no spatial stage", _temporal(sizes), paper=(BASELINE, 9)),
        Row("full", "both stages, both embeddings", paper=(POSEFORMER, 9)),
        Row("spatial", "spatial embedding only", no_frames, missing=LOST),
        Row("temporal", "temporal embedding only", no_joints, missing=LOST),
        Row("none", "no positional embedding", no_joints | no_frames, missing=LOST),
    )


def _sizes(sizes: dict[str, Any]) -> tuple[Row, ...]:
    """Sizes around the paper's choice, (c, L_S, L_T) = (32, 4, 4), or half of it."""
    c, depth = sizes["embed_dim"], sizes["depth"]
    half, more = depth // 2, depth + depth // 2
    settings = (
        *((c // 2, depth, depth), (c, depth, depth), (c * 3 // 2, depth, depth)),
        *((c, half, half), (c, more, more), (c, half, depth), (c, depth, half)),
    )
    chosen = PAPER_SIZE["embed_dim"], PAPER_SIZE["depth"], PAPER_SIZE["depth"]
    return tuple(
        Row(
            f"{width}-{spatial}-{temporal}",
            f"c={width}, L_S={spatial}, L_T={temporal}",
            {"embed_dim": width, "depth": spatial, "temporal_depth": temporal},
            paper=(POSEFORMER, 9) if (width, spatial, temporal) == chosen else None,
            missing=LOST,
        )
        for width, spatial, temporal in settings
    )


SCRATCH, TUNED = (f"{POSEFORMER}, from {start}" for start in ("scratch", "Human3.6M"))
"""The paper's methods in Table 7."""


def _humaneva(sizes: dict[str, Any]) -> tuple[Row, ...]:
    return (
        Row("scratch", "from scratch", paper=(SCRATCH, 43)),
        Row("finetuned", "fine-tuned", paper=(TUNED, 43), fine_tuned=True),
    )


EXPERIMENTS = {
    "table1": Experiment(
        title="Table 1: error by action, detected 2D joints",
        dataset="h36m",
        keypoints=CPN,
        frames=81,
        metrics=("mpjpe_mm", "p_mpjpe_mm"),
        rows=lambda sizes: _networks(sizes, 81),
    ),
    "table2": Experiment(
        title="Table 2: error by action, true 2D joints",
        dataset="h36m",
        keypoints="gt",
        frames=81,
        metrics=("mpjpe_mm",),
        rows=lambda sizes: _networks(sizes, 81),
    ),
    "table3": Experiment(
        title="Table 3: MPI-INF-3DHP",
        dataset="mpi_inf_3dhp",
        metrics=("pck", "auc", "mpjpe_mm"),
        rows=lambda sizes: _networks(sizes, 9),
        with_columns=False,
        note="Ours are measured with protocol {protocol}: the root at 0; on MPI-INF-3DHP, valid "
        "test frames only, PCK and AUC over 14 joints. The paper's own protocol was never "
        "released; its 77.1 mm cannot be compared with the 57.7 mm that others measured for it "
        "with this protocol.",
    ),
    "table4": Experiment(
        title="Table 4: with and without the spatial stage, and the positional embeddings",
        dataset="h36m",
        keypoints=CPN,
        metrics=("mpjpe_mm", "p_mpjpe_mm"),
        rows=_ablation,
        with_columns=False,
        with_others=False,
        compared=("baseline", "full"),
    ),
    "table5": Experiment(
        title="Table 5: width and depth",
        dataset="h36m",
        keypoints=CPN,
        metrics=("mpjpe_mm", "p_mpjpe_mm"),
        rows=_sizes,
        with_columns=False,
        with_others=False,
    ),
    "table7": Experiment(
        title="Table 7: HumanEva-I, from scratch and fine-tuned",
        dataset="humaneva",
        frames=43,
        metrics=("p_mpjpe_mm",),
        rows=_humaneva,
        family="Walk and Jog",
        with_others=False,
        compared=("scratch", "finetuned"),
    ),
}
