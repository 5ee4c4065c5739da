"""All windows of a dataset, gathered by index: no window is ever cut out, padded or mirrored alone.

Every track lies once in one long table of frames, its first and last frame repeated as the paper's
protocol asks, and once more mirrored. A window is then `frames` rows from some row on, so a batch
is one gather of overlapping rows.
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
"""The table may take this part of a GPU's free memory; the rest is for the network."""


@dataclass(frozen=True, eq=False)
class Track:
    """A sequence as the network sees it; T frames, J joints."""

    inputs: Tensor
    """(T, J, 2), normalised."""
    targets: Tensor
    """(T, J, 3), metres, relative to the root, in the frame in which the network answers."""
    valid: Tensor
    """(T,) bool, the frames that are trained on and scored."""


def tracks(
    sequences: Iterable[PoseSequence], normalisation: str, skeleton: Skeleton
) -> list[Track]:
    """Normalise sequences for a network.

    Raises:
        UsageError: the normalisation needs the camera's focal length and a sequence has none.
    """
    return [track(sequence, normalisation, skeleton) for sequence in sequences]


def track(sequence: PoseSequence, normalisation: str, skeleton: Skeleton) -> Track:
    """Normalise one sequence; see `tracks`."""
    if sequence.focal_px is None and normalisation != "screen":
        raise UsageError(
            f"{sequence.name} does not have its camera's focal length, which the normalisation "
            f"{normalisation!r} needs; use 'screen'."
        )
    keypoints = torch.tensor(sequence.keypoints_2d)
    inputs, rotation = NORMALISATIONS[normalisation](
        keypoints, sequence.frame_size, sequence.focal_px or 1.0, skeleton.root
    )
    joints = torch.tensor(sequence.joints_3d)
    relative = joints - joints[:, skeleton.root, None]
    return Track(inputs, relative @ rotation.mT, torch.tensor(sequence.valid))


class Windows:
    """Windows around every valid frame of tracks, and around their mirror images.

        windows = Windows(tracks, frames=81, mirrored=torch.from_numpy(skeleton.mirrored))
        inputs, targets = windows[index]  # (B, 81, J, 2), (B, 1, J, 3)

    Args:
        tracks: of one skeleton.
        frames: odd; edge frames are repeated where a window reaches beyond its track.
        mirrored: (J,) permutation that swaps left and right: sample i + N is the mirror image of
            sample i, and there are 2 N; None: there are no mirror images.
        all_frames: targets are the poses of all frames of a window, not of its centre only.
        device: where the table lies and batches are made.
        folder: lay the table out in files there and map them into memory, for a dataset larger
            than the device's memory; batches are then made on the host.

    Raises:
        VidposeError: the folder cannot be written to.
        ValueError: there is no window.
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
        reach = frames // 2
        rows = [len(track.inputs) + 2 * reach for track in tracks]
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
                    table[row : row + count] = _repeat_edges(joints.flatten(1), reach)
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
        """What the tables take."""
        return sum(t.numel() * t.element_size() for t in (self._inputs, self._targets))

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Windows by their numbers.

        Args:
            index: (B,) whole numbers below `len(self)`, in any order.

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


def _repeat_edges(rows: Tensor, reach: int) -> Tensor:
    """(T, N) -> (T + 2 * reach, N)."""
    around = torch.arange(-reach, len(rows) + reach)
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
                # Now, since a write into mapped memory that finds the disk full ends the process.
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.truncate(size)
            table = np.memmap(stream, np.float32, "r+", shape=(rows, columns))
        return torch.from_numpy(table)


def _gather(table: Tensor, starts: Tensor, frames: int) -> Tensor:
    """(R, N) and (B,) -> (B, frames, N): rows from each start on."""
    columns = table.shape[1]
    shape, strides = (len(table) - frames + 1, frames * columns), (columns, 1)
    view = table.as_strided(shape, strides)
    if table.is_cuda:
        rows = view.index_select(0, starts)
    else:
        # One thread copies row after row at the memory's speed, and needs none of PyTorch's
        # woken up, which takes longer than the copy where the cores are shared.
        rows = torch.from_numpy(view.numpy()[starts.numpy()])
    return rows.unflatten(-1, (frames, columns))
