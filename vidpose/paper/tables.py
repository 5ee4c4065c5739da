"""Definitions of Tables 1 to 5 and 7: networks, data and columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vidpose.evaluation.published import BASELINE, CPN, POSEFORMER

SMALL: dict[str, Any] = {"embed_dim": 16, "depth": 2, "frames": 9}
PAPER_SIZE: dict[str, Any] = {"embed_dim": 32, "depth": 4}
NOT_RECOVERED = "not recovered"
"""Shown in place of a number of the paper that could not be recovered."""


@dataclass(frozen=True)
class Row:
    """One network of a table."""

    name: str
    """Its name for `--only`."""
    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Changed fields of the recipe."""
    paper: tuple[str, int] | None = None
    """Method and window of the paper's number, in `published.PUBLISHED`."""
    missing: str = ""
    """Why the paper's number is missing."""
    fine_tuned: bool = False
    """Whether it is fine-tuned from a network trained on Human3.6M or its replacement."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One of the paper's tables."""

    title: str
    dataset: str
    """The paper's dataset, a key of `datasets.PUBLIC`."""
    metrics: tuple[str, ...]
    rows: Callable[[dict[str, Any]], tuple[Row, ...]]
    """Maps the sizes of a PoseFormer, `SMALL` or `PAPER_SIZE`, to the rows."""
    keypoints: str | None = None
    frames: int = 9
    """The paper's window."""
    family: str = ""
    """The family of columns that the mean is over (`evaluate.Evaluation.families`); empty: all."""
    with_columns: bool = True
    with_others: bool = True
    """Whether to print published results of other networks."""
    note: str = ""
    compared: tuple[str, str] | None = None
    """The two rows that the table compares: without and with."""


def _networks(sizes: dict[str, Any], paper_frames: int) -> tuple[Row, ...]:
    """PoseFormer and the networks to compare it with."""
    return (
        Row("poseformer", "PoseFormer", paper=(POSEFORMER, paper_frames)),
        Row("temporal", "temporal baseline", _temporal(sizes)),
        Row("videopose", "VideoPose3D", {"model": "videopose"}),
        Row("martinez", "Martinez et al.", {"model": "martinez", "frames": 1}),
    )


def _temporal(sizes: dict[str, Any]) -> dict[str, Any]:
    """The temporal baseline, as wide as PoseFormer's temporal stage."""
    return {"model": "temporal", "embed_dim": 17 * sizes["embed_dim"]}


def _ablation(sizes: dict[str, Any]) -> tuple[Row, ...]:
    no_joints, no_frames = {"joint_positions": False}, {"frame_positions": False}
    return (
        Row("baseline", "no spatial stage", _temporal(sizes), paper=(BASELINE, 9)),
        Row("full", "both stages, both embeddings", paper=(POSEFORMER, 9)),
        Row("spatial", "spatial embedding only", no_frames, missing=NOT_RECOVERED),
        Row("temporal", "temporal embedding only", no_joints, missing=NOT_RECOVERED),
        Row("none", "no positional embedding", no_joints | no_frames, missing=NOT_RECOVERED),
    )


def _sizes(sizes: dict[str, Any]) -> tuple[Row, ...]:
    """Sizes around the paper's choice, (c, L_S, L_T) = (32, 4, 4), or around half of it."""
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
            missing=NOT_RECOVERED,
        )
        for width, spatial, temporal in settings
    )


SCRATCH, TUNED = (f"{POSEFORMER}, from {start}" for start in ("scratch", "Human3.6M"))
"""Methods of Table 7, as in `published.PUBLISHED`."""


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
        note="Our numbers use protocol {protocol}: root at 0, valid test frames of MPI-INF-3DHP, "
        "PCK and AUC over 14 joints. The paper's protocol was never released: do not compare its "
        "77.1 mm with the 57.7 mm that others measured for PoseFormer with this protocol.",
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
