"""What a training run is: the network's sizes and how it learns. Named recipes per dataset."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from vidpose.errors import UsageError
from vidpose.models import MODELS
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.utils.devices import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run learns; stored in its checkpoints.

    The defaults are the paper's for Human3.6M (section 4.2): see docs/training.md.

    Raises:
        UsageError: a value makes no sense.
    """

    name: str = "paper"
    model: str = "poseformer"
    """A name in `vidpose.models.MODELS`."""
    frames: int = 81
    embed_dim: int = 32
    depth: int = 4
    temporal_depth: int | None = None
    """Of PoseFormer only, as the next two: temporal blocks; None: as many as spatial ones."""
    joint_positions: bool = True
    """Whether joints are told apart by a learned embedding."""
    frame_positions: bool = True
    """Whether frames are."""
    stride: int = 4
    """Of the network `sequence` only: frames from one window to the next, when it slides."""
    drop_path: float = 0.1
    normalisation: str = "screen"
    epochs: int = 130
    batch: int = 1024
    """Windows in a step, over all processes together."""
    accumulate: int = 1
    """Parts in which a process computes its share of a step, to save memory."""
    optimizer: str = "adamw"
    """adamw; muon: that for the matrices of a transformer's blocks, AdamW for the rest."""
    lr: float = 2e-4
    schedule: str = "exponential"
    """exponential: times `lr_decay` after every epoch; cosine: a short rise, then half a cosine."""
    lr_decay: float = 0.98
    warmup: float = 0.02
    """Share of the run in which a cosine schedule rises."""
    weight_decay: float = 0.1
    velocity: float = 0.0
    """Of a network that answers for all frames: weight of the error of the joints' velocities
    (metres a frame) beside that of their positions, against jitter."""
    procrustes: float = 0.0
    """Weight of the error that is left once each pose is moved, turned and scaled to fit."""
    ema: float = 0.0
    """The weights that are measured and kept are a moving average over the steps, which keeps
    this part of itself at each; 0: the weights themselves."""
    mirror: bool = True
    """Learn from the mirror images, too: every window comes twice in an epoch, once mirrored."""
    val_fraction: float = 0.05
    """Of the training subjects' takes, set aside to choose the best weights."""
    select_on: str = "validation"
    """What chooses the best weights: validation, or test, as the official code does."""
    precision: str = "auto"
    """auto: bf16 where the hardware computes in it; bf16; fp32."""
    seed: int = 0

    fps: float = 30.0
    """For motion capture under virtual cameras only, like those below: the windows' rate."""
    windows: int = 16_384
    """Windows drawn for an epoch."""
    singles: bool = False
    """Of a network that answers for all frames: show it single frames in place of windows. A
    window's frames are much alike, single ones are as many people and cameras. What the network
    knows of other frames stays as it is."""
    val_windows: int = 2048

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate", "depth", "embed_dim", "windows"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.val_windows < 1:
            raise UsageError(f"val_windows must be at least 1, not {self.val_windows}.")
        if self.frames < 1 or self.frames % 2 == 0:
            raise UsageError(f"frames must be odd, for a window has a centre; not {self.frames}.")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"val_fraction lies between 0 and 1, not at {self.val_fraction:g}.")
        if not (self.lr > 0 and 0 < self.lr_decay <= 1 and math.isfinite(self.lr)):
            raise UsageError("lr must be positive, and lr_decay above 0 and at most 1.")
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema lies from 0 to below 1, not at {self.ema:g}.")
        for name in ("velocity", "procrustes"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise UsageError(f"{name} must not be negative, but is {value:g}.")
        choices = {
            "model": tuple(MODELS),
            "normalisation": tuple(NORMALISATIONS),
            "optimizer": ("adamw", "muon"),
            "schedule": ("exponential", "cosine"),
            "select_on": ("validation", "test"),
            "precision": ("auto", *PRECISIONS),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name} is one of {', '.join(known)}; not {getattr(self, name)!r}."
                )
        if self.singles and not MODELS[self.model].all_frames:
            raise UsageError("singles are for the network sequence, which answers for all frames.")

    def lr_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted over the whole run."""
        if self.schedule == "exponential":
            return self.lr * self.lr_decay ** (step // steps_per_epoch)
        total = self.epochs * steps_per_epoch
        warmup = max(1, round(self.warmup * total))
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


PAPER = Recipe()
OFFICIAL = replace(PAPER, name="official", batch=512, epochs=200, lr_decay=0.99)
"""The official repository's commands, by input: 4e-5 on CPN's 2D joints, 4e-4 on true ones."""
MOCAP = Recipe(
    name="vidpose",
    model="sequence",
    frames=81,
    drop_path=0.0,
    normalisation="person",
    epochs=10,
    batch=32,
    optimizer="muon",
    lr=8e-4,
    schedule="cosine",
    weight_decay=0.05,
    velocity=3.0,
    procrustes=1.0,
    ema=0.999,
    windows=4096,
    val_windows=256,
)
"""The last stage of `default`, which begins with weights that saw single frames: see its card."""


def recipe_for(dataset: str, name: str | None = None, keypoints: str | None = None) -> Recipe:
    """The named recipe for a dataset; by default its own.

    Args:
        dataset: h36m, mpi_inf_3dhp, humaneva, synthetic, custom or mocap.
        name: paper, official or vidpose.
        keypoints: where the 2D joints come from; the official repository's recipe depends on it.

    Raises:
        UsageError: there is no such recipe.
    """
    name = name or ("vidpose" if dataset == "mocap" else "paper")
    if name == "vidpose":
        return MOCAP if dataset == "mocap" else replace(MOCAP, normalisation="screen")
    if name == "official":
        recipe = replace(OFFICIAL, lr=4e-4 if keypoints == "gt" else 4e-5)
    elif name == "paper":
        recipe = PAPER
    else:
        raise UsageError(f"There is no recipe {name!r}; there are paper, official and vidpose.")
    if dataset == "mocap":
        return replace(recipe, normalisation="person")
    if dataset == "humaneva":
        # 43 frames are the paper's; batch, epochs and decay are VideoPose3D's for this set, for
        # the paper tells none.
        return replace(recipe, frames=43, batch=128, epochs=1000, lr_decay=0.996)
    if dataset == "mpi_inf_3dhp":
        return replace(recipe, frames=9)
    return recipe
