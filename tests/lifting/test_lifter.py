from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import vidpose
from tests.results import make_result
from vidpose.errors import UsageError
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.lifting.sliding_window import BLOCK, slide
from vidpose.models import Checkpoint, Martinez, PoseFormer, SequencePoseFormer, save_checkpoint
from vidpose.models.normalisation import person
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17
from vidpose.utils.batches import Batches
from vidpose.utils.gaps import fill_missing


@pytest.fixture
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    model = PoseFormer(frames=9, embed_dim=8, depth=1).eval()
    return Checkpoint(model=model, normalisation="person", fps=30.0, skeleton="h36m17")


SIZE, FOCAL_PX = (640, 480), 640.0


def lift_with(
    checkpoint: Checkpoint,
    keypoints: NDArray[np.floating],
    time: NDArray[np.float64],
    flip: bool = True,
    precision: str = "fp32",
) -> NDArray[np.float32]:
    lifter = Lifter(checkpoint, flip=flip, precision=precision)
    return lifter(keypoints, time, SIZE, FOCAL_PX).joints


def track(frames: int, fps: float = 30.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, 17, 2) pixels of a swaying person, and (T,) seconds."""
    time = np.arange(frames) / fps
    pose = np.random.default_rng(0).normal(size=(1, 17, 2)) * 0.1
    sway = np.sin(2 * np.pi * 0.5 * time)[:, None, None] * np.linspace(0, 0.05, 17)[:, None]
    return (pose + sway) * FOCAL_PX + [319.5, 239.5], time


def test_equals_a_separate_window_for_every_frame(checkpoint: Checkpoint) -> None:
    """Reference: pad, cut out each window, run the network on it and its mirror image, average."""
    pixels, time = track(20)
    inputs, rotation = person(torch.tensor(pixels, dtype=torch.float32), SIZE, FOCAL_PX)
    padded = torch.cat([inputs[:1].expand(4, -1, -1), inputs, inputs[-1:].expand(4, -1, -1)])
    windows = torch.stack([padded[t : t + 9] for t in range(20)])
    mirrored = windows[:, :, H36M17.mirrored] * torch.tensor([-1.0, 1.0])
    with torch.no_grad():
        plain = checkpoint.model(windows)[:, 0]
        back = checkpoint.model(mirrored)[:, 0, H36M17.mirrored] * torch.tensor([-1.0, 1.0, 1.0])
    expected = (plain + back) / 2
    expected[:, 0] = 0
    expected = expected @ rotation
    np.testing.assert_allclose(lift_with(checkpoint, pixels, time), expected.numpy(), atol=1e-5)
    apart = Lifter(checkpoint, precision="fp32")(pixels, time, SIZE, FOCAL_PX).flip_disagreement_m
    distance = (plain - back).norm(dim=-1).mean(dim=-1).numpy()
    np.testing.assert_allclose(apart, distance, atol=1e-5)
    plain[:, 0] = 0
    np.testing.assert_allclose(
        lift_with(checkpoint, pixels, time, flip=False), (plain @ rotation).numpy(), atol=1e-5
    )


def test_precision_is_chosen_and_known(checkpoint: Checkpoint) -> None:
    pixels, time = track(20)
    exact, half = (lift_with(checkpoint, pixels, time, precision=p) for p in ("fp32", "bf16"))
    assert 0 < np.abs(half - exact).mean() < 0.01
    assert Lifter(checkpoint, precision="bf16").precision == "bf16"
    assert Lifter(checkpoint).precision in ("fp32", "bf16")
    with pytest.raises(UsageError, match="--precision int8"):
        Lifter(checkpoint, precision="int8")


@pytest.mark.parametrize("frames", [1, 2, 5, 600])
def test_every_frame_gets_a_pose(checkpoint: Checkpoint, frames: int) -> None:
    joints = lift_with(checkpoint, *track(frames))
    assert joints.shape == (frames, 17, 3)
    assert np.isfinite(joints).all()
    assert (joints[:, 0] == 0).all()


def test_mirrored_people_get_mirrored_poses(checkpoint: Checkpoint) -> None:
    pixels, time = track(20)
    mirrored = pixels[:, H36M17.mirrored] * [-1, 1] + [639, 0]
    np.testing.assert_allclose(
        lift_with(checkpoint, mirrored, time),
        lift_with(checkpoint, pixels, time)[:, H36M17.mirrored] * [-1, 1, 1],
        atol=1e-5,
    )


@pytest.mark.parametrize("fps", [15.0, 60.0, 120.0])
def test_other_frame_rates_give_the_same_motion(checkpoint: Checkpoint, fps: float) -> None:
    reference, time_30 = track(91)
    pixels, time = track(round(3 * fps) + 1, fps)
    expected = lift_with(checkpoint, reference, time_30)
    found = lift_with(checkpoint, pixels, time)
    assert len(found) == len(pixels)
    at = [int(np.abs(time - t).argmin()) for t in np.arange(0, 3, 0.2)]
    same = [int(np.abs(time_30 - t).argmin()) for t in np.arange(0, 3, 0.2)]
    assert np.abs(found[at] - expected[same]).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("fps", [24.0, 25.0, 50.0, 60.0])
@pytest.mark.parametrize("frames", [2, 27, 28])
@pytest.mark.parametrize("began_s", [0.0, 1.7e9])
def test_the_last_frame_does_not_lag_at_another_rate(
    fps: float, frames: int, began_s: float
) -> None:
    torch.manual_seed(0)
    model = Martinez(width=8, depth=1).eval()  # looks at each frame alone
    checkpoint = Checkpoint(model=model, normalisation="person", fps=30.0, skeleton="h36m17")
    lifter = Lifter(checkpoint, precision="fp32")
    pixels, time = track(frames, fps)
    found = lifter(pixels, began_s + time, SIZE, FOCAL_PX)
    alone = lifter(pixels[-1:], time[-1:], SIZE, FOCAL_PX)
    np.testing.assert_allclose(found.joints[-1], alone.joints[0], atol=1e-6)
    np.testing.assert_allclose(found.flip_disagreement_m[-1:], alone.flip_disagreement_m, atol=1e-6)


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_every_frame_has_a_flip_disagreement(checkpoint: Checkpoint, fps: float) -> None:
    pixels, time = track(round(3 * fps) + 1, fps)
    lifter = Lifter(checkpoint, precision="fp32")
    apart = lifter(pixels, time, SIZE, FOCAL_PX).flip_disagreement_m
    assert (apart > 0).all()
    reference, time_30 = track(91)
    expected = lifter(reference, time_30, SIZE, FOCAL_PX).flip_disagreement_m
    np.testing.assert_allclose(apart[:: round(fps / 30)], expected, rtol=0.02)
    plain = Lifter(checkpoint, flip=False)(pixels, time, SIZE, FOCAL_PX)
    assert np.isnan(plain.flip_disagreement_m).all()


@pytest.fixture
def knowing() -> Checkpoint:
    """A checkpoint of a network with `knows_missing`."""
    torch.manual_seed(0)
    model = SequencePoseFormer(frames=9, embed_dim=8, depth=1, stride=4).eval()
    torch.nn.init.normal_(model.missing_joint)
    return Checkpoint(model=model, normalisation="person", fps=30.0, skeleton="h36m17")


def test_a_network_with_knows_missing_gets_missing_joints(knowing: Checkpoint) -> None:
    pixels, time = track(2 * BLOCK + 22)
    pixels[20:80, 2] = np.nan
    pixels[100:103, 0] = np.nan  # the root is interpolated: the others are seen around it
    filled = fill_missing(pixels, time)
    filled[20:80, 2] = np.nan
    inputs, rotation = person(torch.tensor(filled, dtype=torch.float32), SIZE, FOCAL_PX)
    expected = slide(knowing.model, inputs, None).poses
    expected[:, 0] = 0
    found = lift_with(knowing, pixels, time, flip=False)
    np.testing.assert_allclose(found, (expected @ rotation).numpy(), atol=1e-5)


@pytest.mark.parametrize("stride", [5, 6, 7])
def test_a_long_track_is_lifted_as_at_once(stride: int) -> None:
    torch.manual_seed(0)
    model = SequencePoseFormer(frames=9, embed_dim=8, depth=1, stride=stride).eval()
    checkpoint = Checkpoint(model=model, normalisation="person", fps=30.0, skeleton="h36m17")
    pixels, time = track(2 * BLOCK + 22)
    inputs, rotation = person(torch.tensor(pixels, dtype=torch.float32), SIZE, FOCAL_PX)
    expected = slide(model, inputs, None, batches=Batches(10_000, "frames")).poses
    expected[:, 0] = 0
    found = lift_with(checkpoint, pixels, time, flip=False)
    np.testing.assert_allclose(found, (expected @ rotation).numpy(), atol=1e-5)


def test_missing_joints_at_another_rate(knowing: Checkpoint) -> None:
    reference, time_30 = track(91)
    pixels, time = track(181, 60.0)
    reference[30:60, 2], pixels[60:120, 2] = np.nan, np.nan
    expected = lift_with(knowing, reference, time_30)
    found = lift_with(knowing, pixels, time)[::2]
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    there = lift_with(knowing, track(91)[0], time_30)
    assert np.abs(there - expected)[45].max() > 0.1 * np.abs(expected).max()


def test_29_97_is_not_resampled(checkpoint: Checkpoint) -> None:
    pixels, _ = track(50)
    exact = lift_with(checkpoint, pixels, np.arange(50) / 30)
    ntsc = np.round(np.arange(50) * 1001 / 30000, 3)  # a container that rounds to milliseconds
    np.testing.assert_array_equal(lift_with(checkpoint, pixels, ntsc), exact)


def test_a_dropped_frame_does_not_shift_what_follows(checkpoint: Checkpoint) -> None:
    pixels, time = track(91)
    kept = np.r_[0:40, 42:91]
    np.testing.assert_allclose(
        lift_with(checkpoint, pixels[kept], time[kept])[60:],
        lift_with(checkpoint, pixels, time)[62:],
        atol=0.01,
    )


def test_joints_that_are_always_missing_do_not_affect_the_others(checkpoint: Checkpoint) -> None:
    pixels, time = track(20)
    pixels[:, [2, 3, 5, 6]] = np.nan  # cut off at the hips
    assert np.isfinite(lift_with(checkpoint, pixels, time)).all()
    assert np.isfinite(lift_with(checkpoint, pixels, time / 2)).all()  # 60 frames/s


def test_everybody_is_lifted_where_they_are_present(checkpoint: Checkpoint) -> None:
    made = make_result(people=2, frames=40)
    present = np.ones((2, 40), bool)
    present[1, :15] = False
    keypoints = np.where(present[..., None, None], made.keypoints_2d, np.nan)
    fields: dict[str, Any] = {name: getattr(made, name) for name in Pose2D.__dataclass_fields__}
    poses = Pose2D(**fields | {"keypoints_2d": keypoints, "present": present, "observed": present})
    lifted = lift_poses(poses, Lifter(checkpoint))
    result = lifted.poses
    assert lifted.focal_px == 640.0
    assert np.isfinite(lifted.flip_disagreement_m).tolist() == present.tolist()
    assert np.isfinite(result.joints_3d).all(axis=(2, 3)).tolist() == present.tolist()
    assert np.isnan(result.root_3d).all()


def test_weights_for_another_skeleton_are_rejected(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    other = Checkpoint(model=checkpoint.model, normalisation="person", fps=30, skeleton="coco17")
    save_checkpoint(path, other)
    with pytest.raises(UsageError, match="is for the skeleton coco17"):
        vidpose.lift(track(3)[0], (640, 480), 30, weights=path, device="cpu")


def test_a_frame_in_the_middle_of_its_window_is_lifted_as_in_the_whole_track(
    checkpoint: Checkpoint,
) -> None:
    pixels, time = track(30)
    lifter = Lifter(checkpoint, precision="fp32")
    whole = lifter(pixels, time, SIZE, FOCAL_PX).joints
    for at in (0, 3, 12, 29):  # the ends are repeated here and there
        one = lifter.frame(pixels, time, at, SIZE, FOCAL_PX)
        np.testing.assert_allclose(one, whole[at], atol=1e-5)


@pytest.mark.parametrize("ahead", [0, 2, 4, 8])
@pytest.mark.parametrize("flip", [True, False])
def test_a_window_of_a_sequence_ends_where_the_track_does(ahead: int, flip: bool) -> None:
    """Up to half a window after the frame; later frames have no effect."""
    torch.manual_seed(0)
    model = SequencePoseFormer(frames=9, embed_dim=8, depth=1).eval()
    lifter = Lifter(
        Checkpoint(model=model, normalisation="person", fps=30.0, skeleton="h36m17"),
        flip=flip,
        precision="fp32",
    )
    pixels, time = track(30)
    at = len(time) - 1 - ahead
    one = lifter.frame(pixels, time, at, SIZE, FOCAL_PX)
    slot = 8 - min(ahead, 4)
    window = torch.tensor(pixels[at - slot : at - slot + 9], dtype=torch.float32)
    inputs, rotation = person(window, SIZE, FOCAL_PX)
    sides = torch.tensor([-1.0, 1.0])
    with torch.no_grad():
        plain = model(inputs[None])[0]
        back = model((inputs[:, H36M17.mirrored] * sides)[None])[0][:, H36M17.mirrored]
    back = back * torch.tensor([-1.0, 1.0, 1.0])
    expected = ((plain + back) / 2 if flip else plain)[slot]
    expected[0] = 0
    np.testing.assert_allclose(one, expected @ rotation[slot], atol=1e-5)


def test_a_frame_of_another_rate_has_its_window_around_its_own_time(
    checkpoint: Checkpoint,
) -> None:
    lifter = Lifter(checkpoint, precision="fp32")
    pixels, time = track(60, 60.0)
    slow, slow_time = track(30, 30.0)
    one = lifter.frame(pixels, time, 30, SIZE, FOCAL_PX)
    np.testing.assert_allclose(one, lifter.frame(slow, slow_time, 15, SIZE, FOCAL_PX), atol=1e-4)
    pixels[:, 3] = np.nan  # a joint may be missing in all frames
    assert np.isfinite(lifter.frame(pixels, time, 30, SIZE, FOCAL_PX)).all()
    pixels[:] = np.nan
    with pytest.raises(ValueError, match="all joints are missing"):
        lifter.frame(pixels, time, 30, SIZE, FOCAL_PX)
    alone = lifter.frame(slow[:1], slow_time[:1], 0, SIZE, FOCAL_PX)
    assert np.isfinite(alone).all()
