"""The lifting networks, as plain torch modules without file or video handling, and checkpoints."""

from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import MODELS, Checkpoint, save_checkpoint
from vidpose.models.joint_transformer import JointTransformer
from vidpose.models.loading import load_checkpoint, load_model
from vidpose.models.martinez import Martinez
from vidpose.models.poseformer import AttendedPose, PoseFormer, PoseFormerConfig
from vidpose.models.sequence import SequencePoseFormer
from vidpose.models.temporal_transformer import TemporalTransformer
from vidpose.models.videopose import VideoPose

__all__ = [
    "MODELS",
    "AttendedPose",
    "Checkpoint",
    "JointTransformer",
    "LiftingModel",
    "Martinez",
    "PoseFormer",
    "PoseFormerConfig",
    "SequencePoseFormer",
    "TemporalTransformer",
    "VideoPose",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
]
