import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.datasets.test_dataset import make
from vidpose.datasets.dataset import PoseSequence
from vidpose.errors import UsageError, VidposeError
from vidpose.skeleton import H36M17
from vidpose.training.windows import Track, Windows, fits, track

MIRRORED = torch.from_numpy(H36M17.mirrored)


def random_track(frames: int, seed: int = 0) -> Track:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(frames, 17, 2, generator=generator)
    targets = torch.randn(frames, 17, 3, generator=generator)
    return Track(inputs, targets, torch.ones(frames, dtype=torch.bool))


def plain(track: Track, centre: int, frames: int) -> Tensor:
    """Reference: a window by slicing and padding."""
    reach = frames // 2
    padded = np.pad(track.inputs.numpy(), ((reach, reach), (0, 0), (0, 0)), "edge")
    return torch.from_numpy(padded[centre : centre + frames])


@pytest.mark.parametrize("on_disk", [False, True])
def test_windows_are_those_of_slicing_and_padding(on_disk: bool, tmp_path: Path) -> None:
    two = [random_track(5), random_track(12, seed=1)]
    windows = Windows(two, 9, mirrored=MIRRORED, folder=tmp_path if on_disk else None)
    assert len(windows) == 2 * (5 + 12)
    order = torch.randperm(len(windows))
    inputs, targets = windows[order]
    assert inputs.shape == (34, 9, 17, 2)
    assert targets.shape == (34, 1, 17, 3)
    centres = [(t, c) for t in two for c in range(len(t.inputs))]
    for place, sample in enumerate(order.tolist()):
        flipped, (source, centre) = sample >= 17, centres[sample % 17]
        window, target = plain(source, centre, 9), source.targets[centre]
        if flipped:
            window = window[:, MIRRORED] * torch.tensor([-1.0, 1.0])
            target = target[MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])
        assert torch.equal(inputs[place], window)
        assert torch.equal(targets[place, 0], target)


def test_only_valid_frames_have_windows_and_all_are_context() -> None:
    source = random_track(10)
    source.valid[:] = False
    source.valid[[2, 7]] = True
    windows = Windows([source], 3)
    assert len(windows) == 2
    inputs, _ = windows[torch.tensor([0, 1])]
    assert torch.equal(inputs[1], source.inputs[6:9])
    source.valid[:] = False
    with pytest.raises(ValueError, match="no frame"):
        Windows([source], 3)


def test_targets_of_all_frames() -> None:
    source = random_track(10)
    _, targets = Windows([source], 5, all_frames=True)[torch.tensor([0, 5])]
    assert targets.shape == (2, 5, 17, 3)
    assert torch.equal(targets[1], source.targets[3:8])
    assert torch.equal(targets[0], source.targets[[0, 0, 0, 1, 2]])


def test_a_sequence_becomes_a_track_relative_to_its_root() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(5, 17, 3)).astype(np.float32) + np.array([0, 0, 5], np.float32)
    sequence = make(joints_3d=joints, keypoints_2d=np.full((5, 17, 2), 500, np.float32))
    made = track(sequence, "screen", H36M17)
    np.testing.assert_allclose(made.targets.numpy(), joints - joints[:, :1], atol=1e-6)
    assert made.inputs.abs().max() < 1e-6
    with pytest.raises(UsageError, match=r"S1/Walking 1/0 has no focal length"):
        track(sequence, "person", H36M17)


def test_rotating_the_camera_rotates_the_targets() -> None:
    joints = np.random.default_rng(0).normal(size=(4, 17, 3)).astype(np.float32) * np.float32(0.3)
    joints += np.array([1, 0.5, 5], np.float32)
    pixels = joints[..., :2] / joints[..., 2:] * 1000 + np.float32(499.5)
    made = track(make_at(joints, pixels), "person", H36M17)
    # Seen by the turned camera, the 2D joints are the 3D ones in perspective.
    distance = np.linalg.norm(joints[:, 0], axis=1)
    seen = made.targets + torch.from_numpy(distance)[:, None, None] * torch.tensor([0.0, 0, 1])
    rays = seen[..., :2] / seen[..., 2:]
    size = rays.norm(dim=-1).sum(dim=-1) / 16
    torch.testing.assert_close(made.inputs, rays / size[:, None, None], atol=1e-4, rtol=1e-3)


def make_at(joints: NDArray[np.float32], pixels: NDArray[np.float32]) -> PoseSequence:
    made: PoseSequence = make(
        joints_3d=joints, keypoints_2d=pixels, valid=np.ones(len(joints), bool), focal_px=1000.0
    )
    return made


def test_the_host_always_has_room() -> None:
    assert fits([random_track(3)], True, torch.device("cpu"))


def test_a_table_on_a_full_disk_is_told_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without preallocation, writing to mapped memory would kill the process."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(VidposeError, match=r"inputs\.f32 cannot be written: the disk is full"):
        Windows([random_track(5)], 3, folder=tmp_path)


def test_a_table_does_not_follow_links(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "windows"
    folder.mkdir()
    (folder / "inputs.f32").symlink_to(victim)
    Windows([random_track(5)], 3, folder=folder)
    assert victim.read_text() == "mine"
