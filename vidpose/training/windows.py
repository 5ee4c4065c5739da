"""All windows of a dataset in one table, from which batches are gathered by index.

The table holds the frames of every track once, with the first and last frame repeated as in the
paper's protocol, and once more mirrored. A window is `frames` consecutive rows, so a batch is one
gather of overlapping row ranges.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidpose.datasets.dataset import PoseSequence
from vidpose.errors import UsageError
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.skeleton import Skeleton
from vidpose.utils.files import new_file, writing

SPARE_MEMORY = 0.5
"""Share of a GPU's free memory that the table may take; the rest is for the network."""


@dataclass(frozen=True, eq=False)
class Track:
    """A normalised sequence; T frames, J joints."""

    inputs: Tensor
    """(T, J, 2), normalised."""
    targets: Tensor
    """(T, J, 3), metres, root-relative, in the frame in which the network predicts."""
    valid: Tensor
    """(T,) bool, the frames to train on and to score."""


def tracks(
    sequences: Iterable[PoseSequence], normalisation: str, skeleton: Skeleton
) -> list[Track]:
    """Normalise sequences for a network.

    Raises:
        UsageError: the normalisation needs the focal length and a sequence does not have it.
    """
    return [track(sequence, normalisation, skeleton) for sequence in sequences]


def track(sequence: PoseSequence, normalisation: str, skeleton: Skeleton) -> Track:
    """Normalise one sequence; see `tracks`."""
    if sequence.focal_px is None and normalisation != "screen":
        raise UsageError(
            f"{sequence.name} has no focal length, which the normalisation {normalisation!r} "
            "needs; add it to the data (focal_px), or use 'screen'."
        )
    keypoints = torch.tensor(sequence.keypoints_2d)
    inputs, rotation = NORMALISATIONS[normalisation](
        keypoints, sequence.frame_size, sequence.focal_px or 1.0, skeleton.root
    )
    joints = torch.tensor(sequence.joints_3d)
    relative = joints - joints[:, skeleton.root, None]
    return Track(inputs, relative @ rotation.mT, torch.tensor(sequence.valid))


class Windows:
    """Windows around every valid frame of tracks, and of their mirror images.

        windows = Windows(tracks, frames=81, mirrored=torch.from_numpy(skeleton.mirrored))
        inputs, targets = windows[index]  # (B, 81, J, 2), (B, 1, J, 3)

    Args:
        tracks: tracks of one skeleton.
        frames: window length, odd; edge frames are repeated beyond the ends of a track.
        mirrored: (J,) permutation that swaps left and right. Sample i + N is then the mirror image
            of sample i, and there are 2 N samples. None: no mirror images.
        all_frames: targets are the poses of all frames of a window, not only of its centre.
        device: device of the table and of the batches.
        folder: store the table in memory-mapped files there, for a dataset larger than the
            device's memory; batches are then made on the host.

    Raises:
        VidposeError: the folder cannot be written.
        ValueError: there is no valid frame.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        frames: int,
        *,
        mirrored: Tensor | None = None,
        all_frames: bool = False,
        device: torch.device | str = "cpu",
        folder: Path | None = None,
    ) -> None:
        if not any(bool(track.valid.any()) for track in tracks):
            raise ValueError("there is no frame to make a window around")
        self.frames, self.all_frames = frames, all_frames
        self.joints = tracks[0].inputs.shape[1]
        context = frames // 2
        rows = [len(track.inputs) + 2 * context for track in tracks]
        copies = 1 if mirrored is None else 2
        total = copies * sum(rows)
        self._inputs = _table(total, self.joints * 2, device, folder, "inputs")
        self._targets = _table(total, self.joints * 3, device, folder, "targets")
        starts = []
        row = 0
        for copy in range(copies):
            for track, count in zip(tracks, rows, strict=True):
                for table, joints in ((self._inputs, track.inputs), (self._targets, track.targets)):
                    if copy and mirrored is not None:
                        joints = joints[:, mirrored] * _mirror(joints)
                    table[row : row + count] = _repeat_edges(joints.flatten(1), context)
                starts.append(row + track.valid.nonzero()[:, 0])
                row += count
        self._starts = torch.cat(starts).to(self._inputs.device)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def device(self) -> torch.device:
        return self._inputs.device

    @property
    def rows(self) -> int:
        """Frames in the table, repeated edges and mirror images included."""
        return len(self._inputs)

    @property
    def bytes(self) -> int:
        """Size of the tables in bytes."""
        return sum(t.numel() * t.element_size() for t in (self._inputs, self._targets))

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Gather windows by index.

        Args:
            index: (B,) indices below `len(self)`, in any order.

        Returns:
            inputs (B, frames, J, 2) and targets (B, 1 or frames, J, 3), metres.
        """
        starts = self._starts[index.to(self._starts.device)]
        inputs = _gather(self._inputs, starts, self.frames)
        if self.all_frames:
            targets = _gather(self._targets, starts, self.frames)
        else:
            targets = _gather(self._targets, starts + self.frames // 2, 1)
        return inputs.unflatten(-1, (self.joints, 2)), targets.unflatten(-1, (self.joints, 3))


def fits(tracks: Sequence[Track], mirror: bool, device: torch.device) -> bool:
    """Whether the table of these tracks leaves room for the network on the device."""
    if device.type != "cuda":
        return True
    numbers = sum(t.inputs.numel() + t.targets.numel() for t in tracks) * (2 if mirror else 1)
    return 4 * numbers < SPARE_MEMORY * torch.cuda.mem_get_info(device)[0]


def _mirror(joints: Tensor) -> Tensor:
    return joints.new_tensor([-1.0] + [1.0] * (joints.shape[-1] - 1))


def _repeat_edges(rows: Tensor, context: int) -> Tensor:
    """(T, N) -> (T + 2 * context, N)."""
    around = torch.arange(-context, len(rows) + context)
    return rows[around.clamp(0, len(rows) - 1)]


def _table(
    rows: int, columns: int, device: torch.device | str, folder: Path | None, name: str
) -> Tensor:
    if folder is None:
        return torch.empty(rows, columns, device=device)
    path = folder / f"{name}.f32"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(path) as stream:
            size = 4 * rows * columns
            if hasattr(os, "posix_fallocate"):
                # Allocate now: a write to mapped memory on a full disk would kill the process.
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.truncate(size)
            table = np.memmap(stream, np.float32, "r+", shape=(rows, columns))
        return torch.from_numpy(table)


def _gather(table: Tensor, starts: Tensor, frames: int) -> Tensor:
    """Gather `frames` rows from each start: (R, N) and (B,) -> (B, frames, N)."""
    columns = table.shape[1]
    shape, strides = (len(table) - frames + 1, frames * columns), (columns, 1)
    view = table.as_strided(shape, strides)
    if table.is_cuda:
        rows = view.index_select(0, starts)
    else:
        # NumPy copies in one thread at memory speed. Waking PyTorch's threads would take longer
        # than the copy where cores are shared.
        rows = torch.from_numpy(view.numpy()[starts.numpy()])
    return rows.unflatten(-1, (frames, columns))
