"""Export of the lifter to ONNX, for programs without PyTorch. See docs/onnx.md.

The ONNX model lifts one person's track from pixels to metres, including gap filling, normalisation,
sliding windows and flip augmentation. It does not resample: the track must have the frame rate in
the file's metadata.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidpose import __version__
from vidpose.errors import MissingDependencyError, UsageError, VidposeError
from vidpose.events import Info, Report, ignore
from vidpose.lifting.sliding_window import Lifted, mirror
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.models.normalisation import NORMALISATIONS, missing_inputs
from vidpose.skeleton import SKELETONS
from vidpose.utils.files import replacing
from vidpose.utils.gaps import interpolate
from vidpose.utils.marks import check_replaceable
from vidpose.zoo.registry import find_weights, shipped

FORMAT = "vidpose-onnx/1"
OPSET = 18
"""The exporter's default; ONNX Runtime supports it since version 1.14."""
INPUTS = ("keypoints_px", "frame_size", "focal_px")
OUTPUT = "joints_m"
TOLERANCE = 1e-4
"""Largest allowed difference from PyTorch in metres, 0.1 mm; for coordinates above a metre,
relative to the largest one."""


class TrackLifter(nn.Module):
    """A module that computes what `Lifter` computes for a track.

    `torch.export` can trace it for any number of frames. It processes all frames at once, so memory
    grows with the length of the track.
    """

    def __init__(self, checkpoint: Checkpoint, *, flip: bool) -> None:
        super().__init__()
        self.model = checkpoint.model
        self._normalise = NORMALISATIONS[checkpoint.normalisation]
        self._flip = flip
        skeleton = SKELETONS[checkpoint.skeleton]
        self.mirrored: Tensor
        self.is_root: Tensor
        self.register_buffer("mirrored", torch.from_numpy(skeleton.mirrored))
        self.register_buffer("is_root", torch.arange(len(skeleton))[:, None] == 0)

    def forward(self, keypoints_px: Tensor, frame_size: Tensor, focal_px: Tensor) -> Tensor:
        """Lift a track.

        Args:
            keypoints_px: (T, J, 2), at the checkpoint's rate; NaN where a joint is missing.
            frame_size: (2,) width and height in pixels.
            focal_px: (1,) focal length in pixels.

        Returns:
            (T, J, 3) metres, camera frame, the root at 0; NaN if all joints are missing.
        """
        times = torch.arange(keypoints_px.shape[0], device=keypoints_px.device)
        filled = interpolate(keypoints_px, times.to(keypoints_px.dtype))
        missing = ~keypoints_px.isfinite().all(dim=-1)
        shown = missing_inputs(missing, knows_missing=self.model.knows_missing)
        track = filled.where(~shown[..., None], math.nan)
        inputs, rotation = self._normalise(track, frame_size, focal_px)
        flipped = None
        if self._flip:
            flipped = mirror(self._slide(mirror(inputs, self.mirrored)), self.mirrored)
        poses = Lifted(self._slide(inputs), flipped).poses
        joints = poses.where(~self.is_root, 0.0) @ rotation
        return joints.where(~missing.all(), math.nan)

    def _slide(self, inputs: Tensor) -> Tensor:
        """(T, J, 2) -> (T, J, 3); edge frames are repeated."""
        frames, context = inputs.shape[0], self.model.context
        around = torch.arange(-context, frames + context, device=inputs.device)
        return self.model.slide(inputs[around.clamp(0, frames - 1)])


def export_onnx(
    weights: str | Path,
    out: str | Path | None = None,
    *,
    flip: bool = True,
    report: Report = ignore,
) -> Path:
    """Write weights as an ONNX file, atomically.

    The file is first run with ONNX Runtime on tracks of several lengths and compared with PyTorch.

    Args:
        weights: name of weights that come with vidpose, or path of a checkpoint.
        out: the file; by default the weights' name with .onnx, in the working directory.
        flip: include test-time flip augmentation, as `infer` does; without it, the model takes
            half the time.
        report: receives a message before the slow part.

    Returns:
        The path of the file.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
        WeightsError: the weights cannot be read.
        UsageError: `out` does not end in .onnx, or is a file that vidpose did not write.
        VidposeError: the file cannot be written, or its results differ from PyTorch's.
    """
    check_installed()
    checkpoint = load_checkpoint(find_weights(weights))
    path = Path(f"{Path(weights).stem}.onnx") if out is None else Path(out)
    if path.suffix.lower() != ".onnx":
        raise UsageError(f"-o {path}: give a file that ends in .onnx.")
    check_replaceable(path, FORMAT.encode())
    report(Info("Converting, and comparing with PyTorch; this takes up to a minute ..."))
    net = TrackLifter(checkpoint, flip=flip).eval()
    model = _convert(net)
    for key, value in metadata(checkpoint, flip=flip).items():
        model.metadata_props.add(key=key, value=value)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        _check(temporary, net)
    return path


def check_installed() -> None:
    """Raise MissingDependencyError if onnx or onnxscript is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "ONNX files need onnx and onnxscript, which are not installed: "
            "pip install 'vidpose[onnx]'"
        ) from None


def metadata(checkpoint: Checkpoint, *, flip: bool) -> dict[str, str]:
    """Make the file's metadata, its `metadata_props`. Numbers and lists are JSON."""
    skeleton, model = SKELETONS[checkpoint.skeleton], checkpoint.model
    step = model.step
    about: dict[str, Any] = {
        "format": FORMAT,
        "vidpose_version": __version__,
        "weights": checkpoint.path.name if checkpoint.path else "",
        "weights_sha256": checkpoint.sha256 or "",
        "model": model.name,
        "config": asdict(model.config),
        "normalisation": checkpoint.normalisation,
        "flip": flip,
        "fps": checkpoint.fps,
        "window_frames": model.config.frames,
        "stride_frames": step,
        # Context frames for lifting a long track in parts, with windows at the same positions.
        "margin_frames": step * math.ceil(model.context / step),
        "skeleton": checkpoint.skeleton,
        "joint_names": skeleton.joint_names,
        "parents": list(skeleton.parents),
        "units": {"keypoints_px": "px", "frame_size": "px", "focal_px": "px", OUTPUT: "m"},
        "axes": "camera: x right, y down, z away from the camera; the root joint at 0",
    }
    if checkpoint.path in shipped().values():
        about["licence"] = "Apache-2.0"
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}


def _convert(net: TrackLifter) -> Any:
    """Convert to an ONNX model, an `onnx.ModelProto`."""
    frames = 2 * net.model.config.frames  # an arbitrary number
    example = (
        torch.rand(frames, len(net.is_root), 2),
        torch.tensor([1280.0, 720.0]),
        torch.tensor([1280.0]),
    )
    any_length = ({0: torch.export.Dim.DYNAMIC}, None, None)
    with warnings.catch_warnings(), torch.no_grad():
        # Warnings about PyTorch's internals, which differ between versions.
        warnings.simplefilter("ignore")
        program = torch.export.export(net, example, dynamic_shapes=any_length, strict=False)
        written = torch.onnx.export(
            program,
            dynamo=True,
            input_names=INPUTS,
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert written is not None
    return _clean(written.model_proto)


def _clean(model: Any) -> Any:
    """Name the frame dimension, and remove the exporter's notes about our source code."""
    for value in (*model.graph.input, *model.graph.output):
        shape = value.type.tensor_type.shape
        if value.name in (INPUTS[0], OUTPUT):
            shape.dim[0].dim_param = "frames"
    del model.graph.value_info[:]
    for part in (
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
    ):
        del part.metadata_props[:]
    model.graph.name = "vidpose"
    return model


def _check(path: Path, net: TrackLifter) -> None:
    """Compare a file with PyTorch, on tracks shorter than, equal to and longer than a window.

    Raises:
        VidposeError: the results differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    window = net.model.config.frames
    random = torch.Generator().manual_seed(0)
    for frames in sorted({1, window // 2 + 1, window, window + 7}):
        steps = torch.randn(frames, len(net.is_root), 2, generator=random)
        keypoints_px = 500 + 100 * steps[:1] + 5 * steps.cumsum(dim=0)
        keypoints_px[steps[..., 0] > 1] = math.nan
        keypoints_px[0, 0] = 500
        given = keypoints_px, torch.tensor([1280.0, 720.0]), torch.tensor([1280.0])
        with torch.inference_mode():
            expected = net(*given).numpy()
        values = {name: value.numpy() for name, value in zip(INPUTS, given, strict=True)}
        apart = float(np.abs(session.run(None, values)[0] - expected).max())
        if not apart <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise VidposeError(
                f"the ONNX model differs from the network by {1000 * apart:.3g} mm, so it was not "
                f"written; try another version of PyTorch than {torch.__version__}."
            )
