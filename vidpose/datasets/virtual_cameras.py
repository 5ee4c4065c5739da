"""Motion capture seen by random virtual cameras: windows for training, made in batches.

All of it is tensor arithmetic on the device of the motion: no window is ever touched alone.
B is windows, F frames, J joints. World frame: z up, metres. Camera frame: x right, y down,
z away from the camera, metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidpose.datasets.dataset import Dataset
from vidpose.datasets.dataset import Sequence as View
from vidpose.datasets.mocap import Clip, read_folder, split
from vidpose.errors import UsageError
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import fill_missing

HEIGHT = 1.72
SEGMENTS = {
    # Mean length as a fraction of the body height, and the bones (children) that have it.
    # Fractions: R. Drillis, R. Contini, "Body segment parameters", 1966, as printed in
    # D. Winter, "Biomechanics and Motor Control of Human Movement". The shoulder joint lies
    # about 0.025 of the height inside the acromion, which is what they measured; hips are
    # given as the joint centres that 2D detectors mark.
    "thigh": (0.245, ("RKnee", "LKnee")),
    "shank": (0.246, ("RFoot", "LFoot")),
    "upper arm": (0.186, ("RElbow", "LElbow")),
    "forearm": (0.146, ("RWrist", "LWrist")),
    "shoulder": (0.105, ("RShoulder", "LShoulder")),
    "hip": (0.065, ("RHip", "LHip")),
    "half trunk": (0.144, ("Spine", "Thorax")),
    "neck": (0.135, ("Neck/Nose",)),
    "head": (0.075, ("Head",)),
}


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What is drawn for every window; angles in degrees."""

    elevation: tuple[float, float] = (-15.0, 60.0)
    """How far above the person's level the camera is, seen from the person."""
    roll_sd: float = 8.0
    distance: tuple[float, float] = (2.0, 15.0)
    """Metres from camera to person, evenly in the logarithm."""
    off_axis: float = 25.0
    """The person is up to this far from the optical axis, each way."""
    focal_error_sd: float = 0.15
    """The focal length that inference assumes is wrong by this factor (logarithm)."""
    segment_sd: float = 0.08
    """Bone lengths (logarithm), per segment, alike on both sides."""
    speed: tuple[float, float] = (0.7, 1.4)
    mirror: float = 0.5
    mixed: float = 0.0
    """Share of windows in which people are put together of the upper bodies, arms and legs of
    several motions: far more poses than were captured."""
    noise: float = 1.0
    """Scales everything a detector does wrong; 0 gives perfect 2D."""
    wobble: tuple[float, float] = (0.0, 0.0)
    """What detectors are off by for a few frames (`WOBBLE_S`), in sizes of the person in the
    picture; drawn per window."""
    hidden: float = 0.0
    """Share of windows in which a limb, or all below hips or knees, is lost for a while or for
    good, as behind a table or the picture's edge."""
    swapped: float = 0.0
    """How often a second the detector begins to take left for right, for up to `SWAPPED_S`."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# What a detector does wrong, at noise 1. Lengths are in the person's size in the picture (mean
# distance of the joints from the hip, about 0.45 m of a standing person).
JITTER_SD = (0.005, 0.035)  # from frame to frame, drawn per window
DRIFT_SD = 0.04  # slow: a bias per joint, and a swing over about a second
OUTLIER_RATE, OUTLIER_SD = 0.006, 0.4  # per joint and frame
DROP_RATE, DROP_S = 0.067, 0.9  # per joint: how often a second it is lost, and up to how long
DROP_GONE = 0.5  # share of the lost ones that are absent; the rest is guessed, badly
DROP_GUESS_SD = 0.25

WOBBLE_S = 0.14
"""Measured on the embedded detector: see docs/weights.md."""
SWAPPED_S = 0.3
SWAPPED = [
    [H36M17.index(side + name) for name in names for side in "RL"]
    for names in (("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist"))
]
"""What a detector takes for its other side together."""
HIDDEN = [
    [H36M17.index(name) for name in names]
    for names in (
        ("RKnee", "LKnee", "RFoot", "LFoot"),
        ("RFoot", "LFoot"),
        ("RKnee", "RFoot"),
        ("LKnee", "LFoot"),
        ("RElbow", "RWrist"),
        ("LElbow", "LWrist"),
    )
]
"""What is hidden together."""

NEAREST_M = 1.0
STRETCH_S = 8.0
VIEW_PX = 1000


class VirtualCameras:
    """Draws windows of motion with what a camera sees of them."""

    def __init__(self, clips: Sequence[Clip], device: str | torch.device = "cpu") -> None:
        """Lay all clips end to end on the device."""
        joints = torch.from_numpy(np.concatenate([clip.joints for clip in clips]))
        self.joints = joints.to(device)  # (frames of all clips, 17, 3)
        lengths = torch.tensor([len(clip.joints) for clip in clips])
        self.ends = lengths.cumsum(0).to(device)
        self.starts = self.ends - lengths.to(device)
        self.fps = torch.tensor([clip.fps for clip in clips], device=device)
        self.device = self.joints.device

    def __len__(self) -> int:
        return len(self.joints)

    def draw(
        self, count: int, frames: int, fps: float, vary: Variation, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw windows.

        Returns:
            rays (count, frames, 17, 2), the 2D joints as a detector would give them for a camera
            whose focal length is not quite known, NaN where lost; and joints (count, frames,
            17, 3), metres, camera frame, relative to the root.
        """
        random = _Random(generator, self.device)
        world = self._windows(count, frames, fps, vary, random)
        if vary.mixed:
            world = _mix(world, vary.mixed, random)
        world = _resize(world, vary.segment_sd, random)
        world = _mirror(world, random.flag(vary.mirror, count))
        camera = _see(world, vary, random)
        rays = camera[..., :2] / camera[..., 2:].clamp_min(0.3)
        if vary.noise:
            rays = _detect(rays, fps, vary.noise, random)
        if vary.wobble[1]:
            rays = _wobble(rays, fps, vary.wobble, random)
        if vary.swapped:
            rays = _swap(rays, fps, vary.swapped, random)
        if vary.hidden:
            rays = _hide(rays, vary.hidden, random)
        rays = rays * random.normal(count, 1, 1, 1).mul(vary.focal_error_sd).exp()
        return rays, camera - camera[:, :, :1]

    def watch(
        self, clip: int, first: float, frames: int, fps: float, vary: Variation, seed: int
    ) -> tuple[Tensor, Tensor]:
        """A stretch of one clip, however long, as one still camera sees it, at its own speed.

        Args:
            clip: its number.
            first: seconds from the clip's first frame.
            frames: how many, at `fps`.
            fps: frames a second.
            vary: body, camera and noise are drawn from it.
            seed: decides them.

        Returns:
            rays (frames, 17, 2), NaN where lost, and joints (frames, 17, 3), metres, camera
            frame; nobody comes nearer to the camera than `NEAREST_M`.
        """
        random = _Random(torch.Generator(self.device).manual_seed(seed), self.device)
        rate = self.fps[clip].item()
        place = (first + torch.arange(frames, device=self.device) / fps) * rate
        world = self._at(torch.tensor([clip], device=self.device), place[None])
        world = _resize(world, vary.segment_sd, random)
        camera = _see(world, vary, random)
        camera[..., 2] += (NEAREST_M - camera[..., 2].min()).clamp_min(0)
        rays = camera[..., :2] / camera[..., 2:]
        if vary.noise:
            rays = _detect(rays, fps, vary.noise, random)
        return rays[0], camera[0]

    def _windows(
        self, count: int, frames: int, fps: float, vary: Variation, random: _Random
    ) -> Tensor:
        """(B, F, J, 3), world, at places and speeds of their own; ends of clips are held."""
        centre = random.integers(len(self), count)
        clip = torch.searchsorted(self.ends, centre, right=True)
        speed = random.uniform(vary.speed, count)
        step = speed * self.fps[clip] / fps
        offset = torch.arange(frames, device=self.device) - frames // 2
        return self._at(clip, (centre - self.starts[clip])[:, None] + step[:, None] * offset)

    def _at(self, clip: Tensor, place: Tensor) -> Tensor:
        """(B,) clips and (B, F) frames of them -> (B, F, J, 3); the clips' ends are held.

        Fractions of a frame are kept: the clips are sampled between their frames.
        """
        last = (self.ends - self.starts)[clip, None] - 1
        place = place.clamp_min(0).minimum(last)
        below = place.floor().long().minimum((last - 1).clamp_min(0))
        part = (place - below)[..., None, None]
        first = self.starts[clip, None] + below
        return torch.lerp(
            self.joints[first], self.joints[(first + 1).clamp_max(len(self) - 1)], part
        )


def watch_clips(clips: Sequence[Clip], fps: float, seed: int, noise: float) -> list[View]:
    """Whole clips as sequences of a dataset, each seen by a camera of its own.

    Clips are cut into stretches of `STRETCH_S`, for a still camera sees nobody much longer.
    Cameras and bodies are drawn as for training, but the focal length is known; lost joints
    are interpolated.

    Args:
        clips: what to look at.
        fps: frames a second of the sequences.
        seed: decides bodies, cameras and noise.
        noise: scales everything a detector does wrong.
    """
    cameras = VirtualCameras(clips)
    vary = Variation(noise=noise)
    seen: list[View] = []
    for number, clip in enumerate(clips):
        length = len(clip.joints) / clip.fps
        for part in range(max(1, math.ceil(length / STRETCH_S - 0.25))):
            first = part * STRETCH_S
            frames = max(1, int(min(STRETCH_S, length - first) * fps))
            rays, joints = cameras.watch(number, first, frames, fps, vary, seed + len(seen))
            times = np.arange(frames) / fps
            pixels = fill_missing(rays.numpy(), times) * VIEW_PX + (VIEW_PX - 1) / 2
            seen.append(
                View(
                    subject=clip.subject,
                    action=clip.name,
                    camera=str(part),
                    keypoints_2d=np.nan_to_num(pixels, nan=VIEW_PX / 2).astype(np.float32),
                    joints_3d=joints.numpy(),
                    valid=np.ones(frames, bool),
                    frame_size=(VIEW_PX, VIEW_PX),
                    fps=fps,
                    focal_px=float(VIEW_PX),
                )
            )
    return seen


class _Random:
    """Draws on one device from one generator."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def uniform(self, bounds: tuple[float, float], *shape: int) -> Tensor:
        low, high = bounds
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def flag(self, chance: float | Tensor, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device) < chance

    def integers(self, below: int, *shape: int) -> Tensor:
        return torch.randint(below, shape, generator=self.generator, device=self.device)


def _resize(joints: Tensor, sd: float, random: _Random) -> Tensor:
    """Give every window's person bone lengths of their own, both sides alike."""
    count = len(joints)
    bones = _bones(joints)
    for fraction, names in SEGMENTS.values():
        length = HEIGHT * fraction * random.normal(count).mul(sd).exp()
        for name in names:
            child = H36M17.index(name)
            actual = bones[child].norm(dim=-1).mean(dim=1).clamp_min(1e-3)
            bones[child] = bones[child] * (length / actual)[:, None, None]
    return _joined(joints[..., 0, :], bones)


def _bones(joints: Tensor) -> dict[int, Tensor]:
    """(..., J, 3) -> every bone, (..., 3), by the joint at its end."""
    return {child: joints[..., child, :] - joints[..., parent, :] for parent, child in H36M17.bones}


def _joined(root: Tensor, bones: dict[int, Tensor]) -> Tensor:
    """The inverse of `_bones`: the root, (..., 3), and the bones -> (..., J, 3)."""
    out = [root]
    for parent, child in H36M17.bones:  # parents come before their children
        out.append(out[parent] + bones[child])
    return torch.stack(out, dim=-2)


PARTS: tuple[tuple[tuple[str, str], tuple[str, str], tuple[str, ...]], ...] = (
    (
        ("RHip", "LHip"),
        ("Hip", "Spine"),
        (
            *("Spine", "Thorax", "Neck/Nose", "Head"),
            *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
        ),
    ),
    (("RHip", "LHip"), ("Hip", "Spine"), ("RKnee", "RFoot")),
    (("RHip", "LHip"), ("Hip", "Spine"), ("LKnee", "LFoot")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax"), ("RElbow", "RWrist")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax"), ("LElbow", "LWrist")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax"), ("Neck/Nose", "Head")),
)
"""What `_mix` takes from elsewhere: the axes across and up the trunk that it is fixed to, each from
one joint to another, and the bones, by the joint at their end."""


def _mix(joints: Tensor, share: float, random: _Random) -> Tensor:
    """Give people, part by part, the bones of others, as they lie in the trunk; (B, F, J, 3)."""
    mixed = random.flag(share, len(joints))
    for across, up, names in PARTS:
        order = torch.randperm(len(joints), generator=random.generator, device=random.device)
        donors = _mirror(joints[order], random.flag(0.5, len(joints)))
        turn = _trunk(joints, across, up) @ _trunk(donors, across, up).mT
        bones, theirs = _bones(joints), _bones(donors)
        for child in map(H36M17.index, names):
            bones[child] = (turn @ theirs[child][..., None])[..., 0]
        chosen = mixed & random.flag(0.5, len(joints))
        put_together = _joined(joints[..., 0, :], bones)
        joints = torch.where(chosen[:, None, None, None], put_together, joints)
    return joints


def _trunk(joints: Tensor, across: tuple[str, str], up: tuple[str, str]) -> Tensor:
    """(..., 3, 3), whose columns are the axes of a part of the trunk."""

    def direction(ends: tuple[str, str]) -> Tensor:
        first, last = map(H36M17.index, ends)
        return joints[..., last, :] - joints[..., first, :]

    x = torch.nn.functional.normalize(direction(across), dim=-1)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, direction(up)), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def _mirror(joints: Tensor, which: Tensor) -> Tensor:
    flipped = joints[..., torch.from_numpy(H36M17.mirrored).to(joints.device), :]
    flipped = flipped * flipped.new_tensor([-1.0, 1.0, 1.0])
    return torch.where(which[:, None, None, None], flipped, joints)


def _see(world: Tensor, vary: Variation, random: _Random) -> Tensor:
    """(B, F, J, 3) world -> camera frame of one random, still camera per window."""
    count, frames = world.shape[:2]
    world = world - world[:, frames // 2, :1][:, None]
    radians = math.pi / 180
    azimuth = random.uniform((-math.pi, math.pi), count)
    elevation = random.uniform(vary.elevation, count) * radians
    level = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], dim=-1)
    up = level.new_tensor([0.0, 0.0, 1.0]).expand_as(level)
    # From the person's root towards the camera, and the axes of a camera that looks back.
    out = level * elevation.cos()[:, None] + up * elevation.sin()[:, None]
    down = level * elevation.sin()[:, None] - up * elevation.cos()[:, None]
    axes = torch.stack([torch.linalg.cross(down, -out), down, -out], dim=1)
    low, high = (math.log(metres) for metres in vary.distance)
    distance = random.uniform((low, high), count).exp()
    camera = world @ axes[:, None].mT
    camera = camera + camera.new_tensor([0.0, 0.0, 1.0]) * distance[:, None, None, None]
    angles = random.uniform((-vary.off_axis, vary.off_axis), 2, count)
    roll = random.normal(count).clamp(-3, 3) * vary.roll_sd
    turn = _rotation(2, roll * radians)
    turn = turn @ _rotation(1, angles[0] * radians) @ _rotation(0, angles[1] * radians)
    return camera @ turn[:, None].mT


def _rotation(axis: int, angle: Tensor) -> Tensor:
    """(B,) radians -> (B, 3, 3) about one axis."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    rows = {
        0: [one, zero, zero, zero, cos, -sin, zero, sin, cos],
        1: [cos, zero, sin, zero, one, zero, -sin, zero, cos],
        2: [cos, -sin, zero, sin, cos, zero, zero, zero, one],
    }
    return torch.stack(rows[axis], dim=-1).unflatten(-1, (3, 3))


def _detect(rays: Tensor, fps: float, noise: float, random: _Random) -> Tensor:
    """Put in what a 2D detector does wrong; (B, F, J, 2), NaN where a joint is lost."""
    count, frames, joints, _ = rays.shape
    size = _size(rays)
    jitter = random.uniform(JITTER_SD, count, 1, 1, 1) * random.normal(*rays.shape)
    seconds = (torch.arange(frames, device=rays.device) / fps)[None, :, None, None]
    phase = random.uniform((0, 2 * math.pi), count, 1, joints, 2)
    rate = random.uniform((0.3, 1.5), count, 1, joints, 2) * 2 * math.pi
    bias, swing = random.normal(2, count, 1, joints, 2)
    drift = DRIFT_SD * (0.7 * bias + 0.7 * swing * torch.sin(rate * seconds + phase))
    outlier = random.flag(noise * OUTLIER_RATE, count, frames, joints, 1)
    jump = OUTLIER_SD * random.normal(*rays.shape) * outlier

    lost = _spells(frames, fps, noise * DROP_RATE, DROP_S, random, count, joints)[..., None]
    gone = lost & random.flag(DROP_GONE, count, 1, joints, 1)
    guess = DROP_GUESS_SD * random.normal(count, 1, joints, 2) * lost

    noisy = rays + noise * size * (jitter + drift + jump + guess)
    return noisy.masked_fill(gone, math.nan)


def _wobble(rays: Tensor, fps: float, sd: tuple[float, float], random: _Random) -> Tensor:
    """Add errors that last `WOBBLE_S`, a first-order autoregression; (B, F, J, 2)."""
    keep = math.exp(-1 / (WOBBLE_S * fps))
    fresh = random.normal(*rays.shape)
    errors = [fresh[:, 0]]
    for t in range(1, rays.shape[1]):
        errors.append(keep * errors[-1] + (1 - keep**2) ** 0.5 * fresh[:, t])
    scale = _size(rays) * random.uniform(sd, len(rays), 1, 1, 1)
    return rays + scale * torch.stack(errors, dim=1)


def _size(rays: Tensor) -> Tensor:
    """(B, 1, 1, 1), the mean distance of the joints that are there from the hip."""
    distance = (rays - rays[:, :, :1]).norm(dim=-1)
    return distance.nanmean(dim=(1, 2))[:, None, None, None]


def _swap(rays: Tensor, fps: float, rate: float, random: _Random) -> Tensor:
    """Take left for right for a while, legs or arms; (B, F, J, 2)."""
    count, frames = rays.shape[:2]
    during = _spells(frames, fps, rate, SWAPPED_S, random, count, 1)[..., 0]
    wrong = _one_of(SWAPPED, during, rays, random)
    mirrored = torch.from_numpy(H36M17.mirrored).to(rays.device)
    return torch.where(wrong, rays[:, :, mirrored], rays)


def _hide(rays: Tensor, share: float, random: _Random) -> Tensor:
    """Lose limbs, half of them for a while and half for the whole window; (B, F, J, 2)."""
    whole = random.flag(0.5, len(rays), 1)
    during = (_run(rays, random) | whole) & random.flag(share, len(rays), 1)
    return rays.masked_fill(_one_of(HIDDEN, during, rays, random), math.nan)


def _one_of(
    groups: Sequence[Sequence[int]], during: Tensor, rays: Tensor, random: _Random
) -> Tensor:
    """(B, F, J, 1), the joints of one group for each window, in its frames `during`, (B, F)."""
    group = random.integers(len(groups), len(rays))
    out = torch.zeros(rays.shape[:3], dtype=torch.bool, device=rays.device)
    for number, joints in enumerate(groups):
        out[:, :, joints] |= (during & (group == number)[:, None])[..., None]
    return out[..., None]


def _run(rays: Tensor, random: _Random) -> Tensor:
    """(B, F), a run of frames of each window."""
    count, frames = rays.shape[:2]
    first, length = random.integers(frames, count, 1), 1 + random.integers(frames, count, 1)
    time = torch.arange(frames, device=rays.device)
    return (time >= first) & (time < first + length)


def _spells(
    frames: int, fps: float, rate: float, longest: float, random: _Random, count: int, each: int
) -> Tensor:
    """(count, frames, each), the frames of spells that begin `rate` times a second.

    A window sees the end of one that began before it, so a frame is as likely to be in one
    whatever the length of the window; a window longer than spells are apart has one all the same.

    Args:
        longest: seconds; they last from 0 to this, evenly.
    """
    span = longest + frames / fps
    first = random.uniform((-longest, frames / fps), count, 1, each)
    length = random.uniform((0.0, longest), count, 1, each)
    time = torch.arange(frames, device=random.device)[None, :, None] / fps
    chosen = random.flag(min(1.0, rate * span), count, 1, each)
    return chosen & (time >= first) & (time < first + length)


KEYPOINTS = "noisy"
"""The 2D joints of `open_mocap`: noisy, disturbed as for training, or clean."""
TEST = ("02", "10", "12")
"""Subjects that are not trained on: walking, running, swordplay; soccer; tai chi."""
VIEW_FPS = 30.0
VIEW_SEED = 7


def open_mocap(folder: Path, keypoints: str, test_subjects: Sequence[str]) -> Dataset:
    """The left-out subjects of a folder of motion capture, as virtual cameras see them.

    There is nothing to train on in it: training draws cameras anew for every window
    (`VirtualCameras`).

    Args:
        folder: `<subject>/<clip>.bvh`.
        keypoints: noisy or clean.
        test_subjects: whom to look at.

    Raises:
        DataError: the motion capture cannot be read, or has no such subject.
        UsageError: there are no such 2D joints.
    """
    return look_at_clips(read_folder(folder), keypoints, test_subjects)


def look_at_clips(clips: Sequence[Clip], keypoints: str, test_subjects: Sequence[str]) -> Dataset:
    """`open_mocap` of clips that are read already."""
    if keypoints not in ("noisy", "clean"):
        raise UsageError(f"mocap has noisy and clean 2D joints, not {keypoints}.")
    _, rest = split(clips, test_subjects)
    noise = 1.0 if keypoints == "noisy" else 0.0
    return Dataset(
        name="mocap",
        keypoints=keypoints,
        skeleton=H36M17,
        train=(),
        test=tuple(watch_clips(rest, VIEW_FPS, VIEW_SEED, noise)),
    )
