"""Motion capture seen by random virtual cameras: windows for training, made in batches.

All of it is tensor arithmetic on the device of the motion: no window is ever touched alone.
B is windows, F frames, J joints. World frame: z up, metres. Camera frame: x right, y down,
z away from the camera, metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidpose.datasets.body_variation import (
    draw_bodies,
    mirror,
    mix_limbs,
    tumble,
    turn_girdles,
    vary_bone_lengths,
)
from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.detector_noise import (
    add_correlated_noise,
    add_detector_noise,
    drop_limbs,
    exchange_left_right,
    sizes,
)
from vidpose.datasets.random_tensors import RandomTensors
from vidpose.utils.constants import constant

NEAREST_M = 1.0


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
    segment_sd: float | None = 0.08
    """Bone lengths (logarithm), per segment, alike on both sides; without `bodies`. None: people
    keep their own bodies."""
    bodies: float = 0.0
    """Draw bodies as real people's are, see `draw_bodies`: a scale of how much they vary."""
    girdles: float = 0.0
    """Tilts hips, trunk, shoulders and head by this (radians), see `turn_girdles`."""
    tumbling: float = 0.0
    """Share of windows in which people are any way up."""
    speed: tuple[float, float] = (0.7, 1.4)
    mirror: float = 0.5
    mixed: float = 0.0
    """Share of windows in which people get upper bodies, arms and legs of several motions: far
    more poses than were captured."""
    noise: float = 1.0
    """Scales everything a detector does wrong; 0 gives perfect 2D."""
    noise_scale: tuple[float, float] = (1.0, 1.0)
    """Scales how far joints are off that are neither lost nor outliers; drawn per window, because
    some videos are easier than others."""
    correlated_noise: tuple[float, float] = (0.0, 0.0)
    """What detectors are off by for a few frames (`CORRELATION_S`), in sizes of the person in the
    picture; drawn per window."""
    limb_dropout: float = 0.0
    """Share of windows in which a limb, or all below hips or knees, is lost for a while or for
    good, as behind a table or the picture's edge."""
    left_right_exchange: float = 0.0
    """How often a second the detector begins to exchange left and right, for up to
    `EXCHANGE_S`."""

    def to_dict(self) -> dict[str, Any]:
        """What runs and checkpoints store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Variation:
        """The inverse of `to_dict`, of what older versions stored, too.

        Raises:
            TypeError: there is an unknown name.
        """
        values: dict[str, Any] = {
            OLD_NAMES.get(name, name): tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return cls(**values)


OLD_NAMES = {
    "wobble": "correlated_noise",
    "hidden": "limb_dropout",
    "swapped": "left_right_exchange",
}
"""Of `Variation`, in runs and checkpoints of older versions."""


class VirtualCameras:
    """Draws windows of motion with what a camera sees of them."""

    def __init__(
        self,
        clips: Sequence[MotionClip],
        device: str | torch.device = "cpu",
        weights: Sequence[float] | None = None,
    ) -> None:
        """Lay all clips end to end on the device.

        Args:
            clips: what to look at.
            device: where.
            weights: of one frame of each clip, how often it is drawn; by default all alike.
        """
        joints = torch.from_numpy(np.concatenate([clip.joints for clip in clips]))
        self.joints = joints.to(device)  # (frames of all clips, 17, 3)
        lengths = torch.tensor([len(clip.joints) for clip in clips])
        self.ends = lengths.cumsum(0).to(device)
        self.starts = self.ends - lengths.to(device)
        self.fps = torch.tensor([clip.fps for clip in clips], device=device)
        self.device = self.joints.device
        self.shares = None
        if weights is not None:  # of the clips, a running total
            frame_weights = torch.tensor(weights, dtype=torch.float64)
            self.shares = (frame_weights * lengths).cumsum(0).to(device)

    def __len__(self) -> int:
        return len(self.joints)

    def draw(
        self, count: int, frames: int, fps: float, vary: Variation, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw windows.

        Returns:
            rays (count, frames, 17, 2), the 2D joints as a detector would give them for a camera
            whose focal length is not quite known, NaN where lost; and joints (count, frames,
            17, 3), metres, camera frame, relative to the root. Nobody comes nearer to the camera
            than `NEAREST_M`.
        """
        random = RandomTensors(generator, self.device)
        world = self._windows(count, frames, fps, vary, random)
        if vary.mixed:
            world = mix_limbs(world, vary.mixed, random)
        if vary.girdles:
            world = turn_girdles(world, vary.girdles, random)
        world = _other_bodies(world, vary, random)
        if vary.tumbling:
            world = tumble(world, vary.tumbling, random)
        world = mirror(world, random.flag(vary.mirror, count))
        camera = _kept_away(_random_view(world, vary, random))
        rays = camera[..., :2] / camera[..., 2:]
        size = sizes(rays)  # while every joint is there
        scale: Tensor | float = 1.0
        if vary.noise_scale != (1.0, 1.0):
            scale = random.uniform(vary.noise_scale, count, 1, 1, 1)
        if vary.noise:
            rays = add_detector_noise(rays, size, fps, vary.noise, random, scale)
        if vary.correlated_noise[1]:
            rays = add_correlated_noise(rays, scale * size, fps, vary.correlated_noise, random)
        if vary.left_right_exchange:
            rays = exchange_left_right(rays, fps, vary.left_right_exchange, random)
        if vary.limb_dropout:
            rays = drop_limbs(rays, vary.limb_dropout, random)
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
        random = RandomTensors(torch.Generator(self.device).manual_seed(seed), self.device)
        rate = self.fps[clip].item()
        place = (first + torch.arange(frames, device=self.device) / fps) * rate
        world = self._at(torch.tensor([clip], device=self.device), place[None])
        world = _other_bodies(world, vary, random)
        camera = _kept_away(_random_view(world, vary, random))
        rays = camera[..., :2] / camera[..., 2:]
        if vary.noise:
            rays = add_detector_noise(rays, sizes(rays), fps, vary.noise, random)
        return rays[0], camera[0]

    def _windows(
        self, count: int, frames: int, fps: float, vary: Variation, random: RandomTensors
    ) -> Tensor:
        """(B, F, J, 3), world, at places and speeds of their own; ends of clips are held."""
        clip, place = self._moments(count, random)
        speed = random.uniform(vary.speed, count)
        step = speed * self.fps[clip] / fps
        offset = torch.arange(frames, device=self.device) - frames // 2
        return self._at(clip, place[:, None] + step[:, None] * offset)

    def _moments(self, count: int, random: RandomTensors) -> tuple[Tensor, Tensor]:
        """(B,) clips and a frame of each, every frame as likely as its clip's weight says."""
        if self.shares is None:
            centre = random.integers(len(self), count)
            clip = torch.searchsorted(self.ends, centre, right=True)
            return clip, centre - self.starts[clip]
        drawn = self.shares[-1] * random.uniform((0.0, 1.0), count).double()
        clip = torch.searchsorted(self.shares, drawn, right=True).clamp_max(len(self.shares) - 1)
        lengths = (self.ends - self.starts)[clip]
        part = random.uniform((0.0, 1.0), count)
        return clip, (part * lengths).long().minimum(lengths - 1)

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


def _other_bodies(world: Tensor, vary: Variation, random: RandomTensors) -> Tensor:
    if vary.bodies:
        return draw_bodies(world, vary.bodies, random)
    if vary.segment_sd is None:
        return world
    return vary_bone_lengths(world, vary.segment_sd, random)


def _random_view(world: Tensor, vary: Variation, random: RandomTensors) -> Tensor:
    """(B, F, J, 3) world -> camera frame of one random, still camera per window."""
    count, frames = world.shape[:2]
    world = world - world[:, frames // 2, :1][:, None]
    radians = math.pi / 180
    azimuth = random.uniform((-math.pi, math.pi), count)
    elevation = random.uniform(vary.elevation, count) * radians
    level = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], dim=-1)
    up = constant((0.0, 0.0, 1.0), level.device).expand_as(level)
    # From the person's root towards the camera, and the axes of a camera that looks back.
    out = level * elevation.cos()[:, None] + up * elevation.sin()[:, None]
    down = level * elevation.sin()[:, None] - up * elevation.cos()[:, None]
    axes = torch.stack([torch.linalg.cross(down, -out), down, -out], dim=1)
    low, high = (math.log(metres) for metres in vary.distance)
    distance = random.uniform((low, high), count).exp()
    camera = world @ axes[:, None].mT
    ahead = constant((0.0, 0.0, 1.0), camera.device)
    camera = camera + ahead * distance[:, None, None, None]
    angles = random.uniform((-vary.off_axis, vary.off_axis), 2, count)
    roll = random.normal(count).clamp(-3, 3) * vary.roll_sd
    turn = _rotation(2, roll * radians)
    turn = turn @ _rotation(1, angles[0] * radians) @ _rotation(0, angles[1] * radians)
    return camera @ turn[:, None].mT


def _kept_away(camera: Tensor) -> Tensor:
    """(B, F, J, 3) camera frame, each window moved along the axis until it is `NEAREST_M` away:
    whoever walks a long way would walk through the camera.
    """
    camera[..., 2] += (NEAREST_M - camera[..., 2].amin(dim=(1, 2), keepdim=True)).clamp_min(0)
    return camera


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
