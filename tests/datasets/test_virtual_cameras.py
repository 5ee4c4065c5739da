import math
from typing import Any

import numpy as np
import pytest
import torch

from vidpose.datasets.body_variation import HEIGHT, SEGMENTS
from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.detector_noise import DROPPED_LIMBS, SWAPPED_LIMBS
from vidpose.datasets.mocap import view_clips
from vidpose.datasets.random_tensors import RandomTensors
from vidpose.datasets.virtual_cameras import Variation, VirtualCameras
from vidpose.skeleton import H36M17

STANDING = {
    **{"Hip": (0, 0, 0.9), "Spine": (0, 0, 1.15), "Thorax": (0, 0, 1.4)},
    **{"Neck/Nose": (0.1, 0, 1.55), "Head": (0, 0, 1.7)},
    **{"LHip": (0, 0.1, 0.9), "LKnee": (0, 0.1, 0.5), "LFoot": (0, 0.1, 0.1)},
    **{"RHip": (0, -0.1, 0.9), "RKnee": (0, -0.1, 0.5), "RFoot": (0, -0.1, 0.1)},
    **{"LShoulder": (0, 0.2, 1.4), "LElbow": (0, 0.2, 1.1), "LWrist": (0, 0.2, 0.9)},
    **{"RShoulder": (0, -0.2, 1.4), "RElbow": (0, -0.2, 1.1), "RWrist": (0, -0.2, 0.9)},
}
"""A standing person who faces along x; z is up, so their left is +y."""
PERFECT = Variation(noise=0, focal_error_sd=0, segment_sd=0, mirror=0, speed=(1, 1), roll_sd=0)


def standing(frames: int = 200, fps: float = 100.0) -> MotionClip:
    """A person who glides along x at 1 m/s."""
    pose = np.array([STANDING[name] for name in H36M17.joint_names], np.float32)
    joints = np.repeat(pose[None], frames, 0)
    joints[..., 0] += (np.arange(frames) / fps)[:, None]
    return MotionClip("a", "01", joints, fps)


def draw(vary: Variation, count: int = 64, frames: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Rays, and the joints of the centre frame."""
    cameras = VirtualCameras([standing()])
    rays, joints = cameras.draw(count, frames, 30.0, vary, torch.Generator().manual_seed(0))
    assert joints.shape == (count, frames, 17, 3)
    return rays, joints[:, frames // 2]


def test_shapes_and_reproducibility() -> None:
    rays, target = draw(Variation())
    assert rays.shape == (64, 9, 17, 2)
    assert target.shape == (64, 17, 3)
    assert (target[:, 0] == 0).all()
    again = draw(Variation())
    assert torch.equal(rays.nan_to_num(7), again[0].nan_to_num(7))
    assert torch.equal(target, again[1])


def test_level_camera_sees_people_upright_and_not_mirrored() -> None:
    level = Variation(**(PERFECT.to_dict() | {"elevation": (0.0, 0.0), "off_axis": 0.0}))
    rays, target = draw(level)
    head, foot = H36M17.index("Head"), H36M17.index("LFoot")
    assert (target[:, head, 1] < -0.5).all()  # y is down
    assert (rays[:, 4, head, 1] < rays[:, 4, foot, 1]).all()
    left = target[:, H36M17.index("LShoulder")] - target[:, H36M17.index("RShoulder")]
    up = target[:, H36M17.index("Thorax")]
    nose = target[:, H36M17.index("Neck/Nose")] - target[:, H36M17.index("Head")]
    assert (torch.linalg.cross(left, up) * nose).sum(dim=-1).min() > 0


def test_camera_above_looks_down() -> None:
    above = Variation(**(PERFECT.to_dict() | {"elevation": (60.0, 60.0), "off_axis": 0.0}))
    _, target = draw(above)
    up = target[:, H36M17.index("Thorax")]
    # Seen from above, the upper body is nearer to the camera: sin 60 of its length.
    torch.testing.assert_close(up[:, 2] / up.norm(dim=-1), torch.full((64,), -(0.75**0.5)))


def test_rays_are_the_projection_of_the_target() -> None:
    on_axis = Variation(**(PERFECT.to_dict() | {"off_axis": 0.0, "distance": (5.0, 5.0)}))
    rays, target = draw(on_axis)
    depth = target[..., 2:] + 5
    torch.testing.assert_close(rays[:, 4], target[..., :2] / depth, atol=1e-5, rtol=0)


def test_camera_turns_off_the_person_and_rolls() -> None:
    turned = Variation(**(PERFECT.to_dict() | {"off_axis": 25.0, "roll_sd": 8.0}))
    rays, target = draw(turned)
    assert 0.2 < rays[:, 4, 0].abs().max() < 0.7  # up to tan 25 degrees, and a corner's more
    # Rays are the projection of the target put at some depth along the root's ray.
    root = torch.cat([rays[:, 4, 0], torch.ones(64, 1)], dim=1)[:, None]
    depth = torch.linspace(1.0, 20.0, 2000)[:, None, None, None]
    points = target + root * depth
    off = (points[..., :2] / points[..., 2:] - rays[:, 4]).norm(dim=-1).mean(dim=2)
    assert off.min(dim=0).values.max() < 2e-3
    flat = Variation(**(turned.to_dict() | {"off_axis": 0.0, "elevation": (0.0, 0.0)}))
    up = draw(flat)[1][:, H36M17.index("Thorax")]
    rolled = torch.rad2deg(torch.atan2(up[:, 0], -up[:, 1]))
    assert 4 < rolled.std() < 12


def test_focal_error_scales_the_rays() -> None:
    wrong = Variation(**(PERFECT.to_dict() | {"focal_error_sd": 0.15}))
    factor = (draw(wrong)[0] / draw(PERFECT)[0]).flatten(1)
    assert factor.std(dim=1).max() < 1e-3
    assert 0.1 < factor[:, 0].log().std() < 0.2


def test_bones_have_anthropometric_lengths() -> None:
    _, target = draw(PERFECT)
    for fraction, names in SEGMENTS.values():
        for child in map(H36M17.index, names):
            length = (target[:, child] - target[:, H36M17.parents[child]]).norm(dim=-1)
            torch.testing.assert_close(length, torch.full((64,), HEIGHT * fraction))


def test_windows_have_the_requested_frame_rate() -> None:
    """The walker covers 1/30 m between frames at 30 frames/s, 1/60 m at half the speed."""
    for speed in (1.0, 0.5):
        vary = Variation(**(PERFECT.to_dict() | {"speed": (speed, speed)}))
        world = VirtualCameras([standing(2000)])._windows(32, 9, 30.0, vary, _random())
        steps = world[:, :, 0, 0].diff(dim=1)
        inside = steps.min(dim=1).values > 0  # not held at a clip's end
        assert inside.sum() > 25
        torch.testing.assert_close(
            steps[inside], torch.full_like(steps[inside], speed / 30), atol=1e-4, rtol=0
        )


def _random() -> RandomTensors:
    return RandomTensors(torch.Generator().manual_seed(0), torch.device("cpu"))


def test_windows_never_mix_clips() -> None:
    near, far = standing(50), standing(50)
    far.joints[..., 1] += 100
    world = VirtualCameras([near, far])._windows(500, 9, 30.0, PERFECT, _random())
    assert (world[:, :, 0, 1] - world[:, :1, 0, 1]).abs().max() < 1e-3


def test_mirroring_swaps_sides() -> None:
    always = Variation(**(PERFECT.to_dict() | {"mirror": 1.0}))
    clip = standing()
    clip.joints[:, H36M17.index("LWrist"), 2] = 1.6  # the left arm is up
    cameras = VirtualCameras([clip])
    _, joints = cameras.draw(8, 3, 30.0, always, torch.Generator().manual_seed(0))
    target = joints[:, 1]
    left, right = H36M17.index("LWrist"), H36M17.index("RWrist")
    head = target[:, H36M17.index("Head")]
    assert ((target[:, right] - target[:, left]) * head).sum(dim=-1).min() > 0
    nose = target[:, H36M17.index("Neck/Nose")] - head
    side = target[:, H36M17.index("LShoulder")] - target[:, H36M17.index("RShoulder")]
    up = target[:, H36M17.index("Thorax")]
    assert (torch.linalg.cross(side, up) * nose).sum(dim=-1).min() > 0  # still a proper body


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_noise_resembles_a_detectors(noise: float) -> None:
    clean, _ = draw(PERFECT, count=512)
    vary = Variation(**(PERFECT.to_dict() | {"noise": noise}))
    cameras = VirtualCameras([standing()])
    noisy, _ = cameras.draw(512, 9, 30.0, vary, torch.Generator().manual_seed(0))
    size = (clean - clean[:, :, :1]).norm(dim=-1).mean(dim=(1, 2))[:, None, None]
    off = (noisy - clean).norm(dim=-1) / size
    lost = off.isnan()
    assert 0.003 < lost.float().mean() < 0.05
    median = off[~lost].median()
    assert 0.03 * noise < median < 0.09 * noise
    assert off[~lost].max() > 0.5 * noise  # outliers there are


def varied(**changes: Any) -> Variation:
    return Variation(**(PERFECT.to_dict() | changes))


def test_a_missing_hip_leaves_other_joints_visible() -> None:
    vary = varied(noise=1.0, correlated_noise=(0.0, 0.03))
    lost = draw(vary, count=4000, frames=1)[0].isnan().any(dim=-1)[:, 0]
    without_hip = lost[lost[:, 0]]
    assert len(without_hip) > 20
    assert without_hip.float().mean() < 0.2


def test_nobody_walks_through_the_camera() -> None:
    cameras = VirtualCameras([standing(frames=1000)])  # ten metres
    vary = varied(distance=(2.0, 2.5), elevation=(0.0, 0.0))
    rays, _ = cameras.draw(64, 301, 30.0, vary, torch.Generator().manual_seed(0))
    slope = (rays[:, :, H36M17.index("Head")] - rays[:, :, 0]).norm(dim=-1)
    assert slope.max() < 1.2  # of 0.8 m, from a metre away


def test_limbs_are_dropped_for_some_or_all_frames() -> None:
    rays, _ = draw(varied(limb_dropout=0.5), count=512, frames=27)
    lost = rays.isnan().any(dim=-1)
    assert 0.4 < lost.any(dim=(1, 2)).float().mean() < 0.6
    for window in lost[lost.any(dim=(1, 2))]:
        joints = window.any(dim=0).nonzero()[:, 0].tolist()
        assert joints in [sorted(group) for group in DROPPED_LIMBS]
        assert (window[:, joints] == window[:, joints[:1]]).all()  # together
    while_lost = lost.any(dim=2).sum(dim=1)
    assert (while_lost == 27).any()
    assert ((while_lost > 0) & (while_lost < 27)).any()


def test_left_and_right_are_swapped_for_some_frames() -> None:
    clean, _ = draw(PERFECT, count=512, frames=27)
    rays, _ = draw(varied(left_right_exchange=0.5), count=512, frames=27)
    wrong = (rays != clean).any(dim=-1)
    assert 0.4 < wrong.any(dim=(1, 2)).float().mean() < 0.6
    assert wrong.any(dim=2).sum(dim=1).max() <= 9
    mirrored = torch.from_numpy(H36M17.mirrored)
    assert torch.equal(rays[wrong], clean[:, :, mirrored][wrong])
    for window in wrong[wrong.any(dim=(1, 2))]:
        assert set(window.any(dim=0).nonzero()[:, 0].tolist()) in map(set, SWAPPED_LIMBS)


def test_mixed_limbs_keep_bone_lengths_and_sides() -> None:
    other = standing()
    for height, name in ((1.7, "LElbow"), (1.9, "LWrist")):
        other.joints[:, H36M17.index(name), 2] = height  # an arm that is up
    cameras = VirtualCameras([standing(), other])
    vary = varied(mixed=1.0, mirror=0.0)
    _, joints = cameras.draw(256, 3, 30.0, vary, torch.Generator().manual_seed(0))
    for fraction, names in SEGMENTS.values():
        for child in map(H36M17.index, names):
            length = (joints[:, :, child] - joints[:, :, H36M17.parents[child]]).norm(dim=-1)
            torch.testing.assert_close(length, torch.full((256, 3), HEIGHT * fraction))
    target = joints[:, 1]
    up = target[:, H36M17.index("Thorax")]
    raised = [
        ((target[:, H36M17.index(name)] * up).sum(dim=-1) > up.square().sum(dim=-1))
        for name in ("LWrist", "RWrist")
    ]
    # Nobody was captured with both arms up, or with the right one.
    assert (raised[0] & raised[1]).any()
    assert (raised[1] & ~raised[0]).any()
    assert (~raised[0] & ~raised[1]).any()
    side = target[:, H36M17.index("LShoulder")] - target[:, H36M17.index("RShoulder")]
    nose = target[:, H36M17.index("Neck/Nose")] - target[:, H36M17.index("Head")]
    assert (torch.linalg.cross(side, up) * nose).sum(dim=-1).min() > 0


def test_correlated_noise_lasts_for_a_few_frames() -> None:
    clean, _ = draw(PERFECT, count=256, frames=27)
    rays, _ = draw(varied(correlated_noise=(0.03, 0.03)), count=256, frames=27)
    size = (clean - clean[:, :, :1]).norm(dim=-1).mean(dim=(1, 2))[:, None, None, None]
    off = (rays - clean) / size
    assert off.std().item() == pytest.approx(0.03, rel=0.02)
    beside = (off[:, 1:] * off[:, :-1]).mean() / off.square().mean()
    assert beside.item() == pytest.approx(math.exp(-1 / (0.14 * 30)), abs=0.02)


def test_some_windows_are_easier_than_others() -> None:
    """The scale affects the size of errors, not the rate of missing joints or outliers."""
    count = 512
    clean, _ = draw(PERFECT, count=count, frames=27)
    size = (clean - clean[:, :, :1]).norm(dim=-1).mean(dim=(1, 2))[:, None, None]

    def off(**noise: Any) -> torch.Tensor:
        rays, _ = draw(varied(**noise), count=count, frames=27)
        return (rays - clean).norm(dim=-1) / size

    for noise in ({"noise": 1.0}, {"correlated_noise": (0.03, 0.03)}):
        half = off(noise_scale=(0.5, 0.5), **noise)
        assert half.nanmedian() / off(**noise).nanmedian() == pytest.approx(0.5, abs=0.02)
    everything = off(noise=1.0, noise_scale=(0.0, 0.0))
    lost = everything.isnan()
    assert 0.01 < lost.float().mean() < 0.03
    assert 0.01 < (everything[~lost] > 0.01).float().mean() < 0.04  # guesses and outliers
    drawn = off(noise=1.0, noise_scale=(0.2, 1.2)).nanmedian(dim=2).values.median(dim=1).values
    assert drawn.quantile(0.95) > 3 * drawn.quantile(0.05)


@pytest.mark.parametrize(("frames", "count"), [(1, 20_000), (27, 1000), (81, 1000)])
def test_the_error_rate_does_not_depend_on_the_window_length(frames: int, count: int) -> None:
    lost = draw(varied(noise=1.0), count=count, frames=frames)[0].isnan()
    # A joint is lost 0.067 times a second, for 0.45 s on average, and half of them are absent.
    assert lost.float().mean().item() == pytest.approx(0.067 * 0.45 / 2, rel=0.15)
    clean = draw(PERFECT, count=count, frames=frames)[0]
    wrong = (draw(varied(left_right_exchange=0.2), count=count, frames=frames)[0] != clean).flatten(
        2
    )
    assert wrong.any(dim=2).float().mean().item() == pytest.approx(0.2 * 0.15, rel=0.15)


def some_clips() -> list[MotionClip]:
    rng = np.random.default_rng(0)

    def clip(name: str, frames: int, fps: float) -> MotionClip:
        pose = rng.normal(0, 0.4, (1, 17, 3))
        pose[..., 2] += 1
        joints = pose + np.cumsum(rng.normal(0, 0.01, (frames, 17, 3)), axis=0)
        return MotionClip(name, f"0{name}", joints.astype(np.float32), fps)

    return [clip("1", 300, 120.0), clip("2", 90, 60.0), clip("3", 1100, 60.0)]


ALL = Variation(
    mixed=0.6, correlated_noise=(0.0, 0.035), limb_dropout=0.15, left_right_exchange=0.05
)


@pytest.mark.parametrize(
    ("vary", "frames", "rays_sum", "joints_sum", "missing"),
    [
        (Variation(), 1, 2.649563, -33.063919, 12),
        (Variation(), 27, 264.335266, -886.975586, 468),
        (ALL, 1, -16.469955, -10.321668, 78),
        (ALL, 27, -351.102631, -285.365234, 728),
        (Variation(noise=0.0), 27, 105.071960, -886.975586, 0),
    ],
)
def test_random_draws_stay_the_same_across_versions(
    vary: Variation, frames: int, rays_sum: float, joints_sum: float, missing: int
) -> None:
    """A change would make interrupted runs go on with other data. The sums are from the first
    version, but for single frames with correlated noise, of which some lost all their joints.
    """
    cameras = VirtualCameras(some_clips())
    rays, joints = cameras.draw(40, frames, 30.0, vary, torch.Generator().manual_seed(3))
    assert rays.nansum().item() == pytest.approx(rays_sum, rel=1e-4)
    assert joints.sum().item() == pytest.approx(joints_sum, rel=1e-4)
    assert int(rays.isnan().sum()) == missing


def test_each_clip_has_its_own_camera() -> None:
    seen = list(view_clips(some_clips(), 30.0, 7, 1.0))
    assert [sequence.name for sequence in seen] == [
        *("01/1/0", "02/2/0", "03/3/0", "03/3/1", "03/3/2"),
    ]
    assert [len(sequence) for sequence in seen] == [75, 45, 240, 240, 69]
    sums = [float(sequence.keypoints_2d.astype(np.float64).mean()) for sequence in seen]
    assert sums == pytest.approx(
        [545.855722, 427.130604, 637.046554, 404.735446, 353.360110], rel=1e-4
    )


def test_variations_of_older_versions_are_read() -> None:
    assert Variation.from_dict(ALL.to_dict()) == ALL
    old = {
        **{"mixed": 0.6, "elevation": [-15.0, 60.0]},
        **{"wobble": [0.0, 0.035], "hidden": 0.15, "swapped": 0.05},
    }
    assert Variation.from_dict(old) == ALL
    with pytest.raises(TypeError, match="unknown"):
        Variation.from_dict({"unknown": 1})
