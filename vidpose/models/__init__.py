"""Networks: plain torch modules that know no files and no video, and their checkpoints."""

from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import (
    MODELS,
    Checkpoint,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from vidpose.models.poseformer import PoseFormer, PoseFormerConfig

__all__ = [
    "MODELS",
    "Checkpoint",
    "LiftingModel",
    "PoseFormer",
    "PoseFormerConfig",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
]
