"""Training windows of motion capture seen by random virtual cameras.

All operations are batched, on the device that holds the motion. B is windows, F frames, J joints.
World frame: z up, metres. Camera frame: x right, y down, z away from the camera, metres.
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
    sizes,
    swap_left_right,
)
from vidpose.datasets.random_tensors import RandomTensors
from vidpose.utils.constants import constant

MIN_DEPTH_M = 1.0


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Distributions of cameras, bodies, motion and 2D noise; angles in degrees, `girdles` in
    radians.

    Pairs are bounds of a uniform distribution, `_sd` are standard deviations, and both are drawn
    per window.
    """

    elevation: tuple[float, float] = (-15.0, 60.0)
    """Elevation of the camera as seen from the person; above 0, it looks down."""
    roll_sd: float = 8.0
    """Camera roll."""
    distance: tuple[float, float] = (2.0, 15.0)
    """Metres from camera to person, log-uniform."""
    off_axis: float = 25.0
    """Largest angle between the person and the optical axis, horizontally and vertically."""
    focal_error_sd: float = 0.15
    """Error of the focal length assumed in inference (logarithm)."""
    segment_sd: float | None = 0.08
    """Variation of bone lengths (logarithm) per segment, equal on both sides; ignored if `bodies`
    is set. None: keep the captured bodies."""
    bodies: float = 0.0
    """Draw realistic bodies, see `draw_bodies`; scales how much they vary. 0: off."""
    girdles: float = 0.0
    """Standard deviation in radians of tilts of hips, trunk, shoulders and head, see
    `turn_girdles`."""
    tumbling: float = 0.0
    """Share of windows in which the person has a random orientation."""
    speed: tuple[float, float] = (0.7, 1.4)
    """Playback speed."""
    mirror: float = 0.5
    """Share of windows that are mirrored."""
    mixed: float = 0.0
    """Share of windows that combine trunk, arms and legs of several motions, which
    gives far more poses than were captured."""
    noise: float = 1.0
    """Scale of the detector noise model; 0: perfect 2D."""
    noise_scale: tuple[float, float] = (1.0, 1.0)
    """Scale of the 2D error of joints that are neither dropped nor outliers; drawn per window,
    because some videos are easier than others."""
    correlated_noise: tuple[float, float] = (0.0, 0.0)
    """Standard deviation of errors that last a few frames (`CORRELATION_S`), in units of the
    person's size in the image."""
    limb_dropout: float = 0.0
    """Share of windows in which a limb, or everything below the hips or knees, is missing for some
    or all frames, as behind a table or outside the image."""
    left_right_exchange: float = 0.0
    """Rate of left/right swaps per second; each lasts up to `SWAP_S`."""

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values for runs and checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Variation:
        """Inverse of `to_dict`; also reads what older versions stored.

        Raises:
            TypeError: a name is unknown.
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
"""Names of `Variation`'s fields in runs and checkpoints of older versions."""


class VirtualCameras:
    """Draws windows of motion capture and their 2D joints in random cameras."""

    def __init__(
        self,
        clips: Sequence[MotionClip],
        device: str | torch.device = "cpu",
        weights: Sequence[float] | None = None,
    ) -> None:
        """Concatenate all clips on the device.

        Args:
            clips: the motion capture.
            device: where to store it and draw windows.
            weights: each clip's sampling weight per frame; by default uniform over all frames.
        """
        joints = torch.from_numpy(np.concatenate([clip.joints for clip in clips]))
        self.joints = joints.to(device)  # (frames of all clips, 17, 3)
        lengths = torch.tensor([len(clip.joints) for clip in clips])
        self.ends = lengths.cumsum(0).to(device)
        self.starts = self.ends - lengths.to(device)
        self.fps = torch.tensor([clip.fps for clip in clips], device=device)
        self.device = self.joints.device
        self.shares = None
        if weights is not None:  # cumulative over clips
            frame_weights = torch.tensor(weights, dtype=torch.float64)
            self.shares = (frame_weights * lengths).cumsum(0).to(device)

    def __len__(self) -> int:
        return len(self.joints)

    def draw(
        self, count: int, frames: int, fps: float, vary: Variation, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw windows.

        Returns:
            rays (count, frames, 17, 2), noisy 2D joints for an inexact focal length, NaN where
            missing; and joints (count, frames, 17, 3), metres, camera frame, root-relative. All
            joints are at least `MIN_DEPTH_M` from the camera.
        """
        random = RandomTensors(generator, self.device)
        world = self._windows(count, frames, fps, vary, random)
        if vary.mixed:
            world = mix_limbs(world, vary.mixed, random)
        if vary.girdles:
            world = turn_girdles(world, vary.girdles, random)
        world = _vary_bodies(world, vary, random)
        if vary.tumbling:
            world = tumble(world, vary.tumbling, random)
        world = mirror(world, random.flag(vary.mirror, count))
        camera = _limit_depth(_random_view(world, vary, random))
        rays = camera[..., :2] / camera[..., 2:]
        size = sizes(rays)  # before joints are dropped
        scale: Tensor | float = 1.0
        if vary.noise_scale != (1.0, 1.0):
            scale = random.uniform(vary.noise_scale, count, 1, 1, 1)
        if vary.noise:
            rays = add_detector_noise(rays, size, fps, vary.noise, random, scale)
        if vary.correlated_noise[1]:
            rays = add_correlated_noise(rays, scale * size, fps, vary.correlated_noise, random)
        if vary.left_right_exchange:
            rays = swap_left_right(rays, fps, vary.left_right_exchange, random)
        if vary.limb_dropout:
            rays = drop_limbs(rays, vary.limb_dropout, random)
        rays = rays * random.normal(count, 1, 1, 1).mul(vary.focal_error_sd).exp()
        return rays, camera - camera[:, :, :1]

    def view(
        self, clip: int, first: float, frames: int, fps: float, vary: Variation, seed: int
    ) -> tuple[Tensor, Tensor]:
        """View a part of one clip, of any length, in one still camera at the captured speed.

        Args:
            clip: index of the clip.
            first: start, seconds from the clip's first frame.
            frames: number of frames.
            fps: frame rate.
            vary: distributions; only those of bodies, cameras (without `focal_error_sd`) and
                `noise` are used.
            seed: random seed.

        Returns:
            rays (frames, 17, 2), NaN where missing, and joints (frames, 17, 3), metres, camera
            frame. All joints are at least `MIN_DEPTH_M` from the camera.
        """
        random = RandomTensors(torch.Generator(self.device).manual_seed(seed), self.device)
        rate = self.fps[clip].item()
        place = (first + torch.arange(frames, device=self.device) / fps) * rate
        world = self._sample(torch.tensor([clip], device=self.device), place[None])
        world = _vary_bodies(world, vary, random)
        camera = _limit_depth(_random_view(world, vary, random))
        rays = camera[..., :2] / camera[..., 2:]
        if vary.noise:
            rays = add_detector_noise(rays, sizes(rays), fps, vary.noise, random)
        return rays[0], camera[0]

    def _windows(
        self, count: int, frames: int, fps: float, vary: Variation, random: RandomTensors
    ) -> Tensor:
        """Draw windows (B, F, J, 3), world, with random centres and speeds."""
        clip, place = self._draw_centres(count, random)
        speed = random.uniform(vary.speed, count)
        step = speed * self.fps[clip] / fps
        offset = torch.arange(frames, device=self.device) - frames // 2
        return self._sample(clip, place[:, None] + step[:, None] * offset)

    def _draw_centres(self, count: int, random: RandomTensors) -> tuple[Tensor, Tensor]:
        """Draw (B,) clips and a frame of each, according to the clips' weights."""
        if self.shares is None:
            centre = random.integers(len(self), count)
            clip = torch.searchsorted(self.ends, centre, right=True)
            return clip, centre - self.starts[clip]
        drawn = self.shares[-1] * random.uniform((0.0, 1.0), count).double()
        clip = torch.searchsorted(self.shares, drawn, right=True).clamp_max(len(self.shares) - 1)
        lengths = (self.ends - self.starts)[clip]
        part = random.uniform((0.0, 1.0), count)
        return clip, (part * lengths).long().minimum(lengths - 1)

    def _sample(self, clip: Tensor, place: Tensor) -> Tensor:
        """Sample (B,) clips at (B, F) fractional frames -> (B, F, J, 3).

        Interpolates linearly, and repeats the first and last frame beyond a clip's ends.
        """
        last = (self.ends - self.starts)[clip, None] - 1
        place = place.clamp_min(0).minimum(last)
        below = place.floor().long().minimum((last - 1).clamp_min(0))
        part = (place - below)[..., None, None]
        first = self.starts[clip, None] + below
        return torch.lerp(
            self.joints[first], self.joints[(first + 1).clamp_max(len(self) - 1)], part
        )


def _vary_bodies(world: Tensor, vary: Variation, random: RandomTensors) -> Tensor:
    if vary.bodies:
        return draw_bodies(world, vary.bodies, random)
    if vary.segment_sd is None:
        return world
    return vary_bone_lengths(world, vary.segment_sd, random)


def _random_view(world: Tensor, vary: Variation, random: RandomTensors) -> Tensor:
    """Transform (B, F, J, 3) from the world to the frame of one random still camera per window."""
    count, frames = world.shape[:2]
    world = world - world[:, frames // 2, :1][:, None]
    radians = math.pi / 180
    azimuth = random.uniform((-math.pi, math.pi), count)
    elevation = random.uniform(vary.elevation, count) * radians
    level = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], dim=-1)
    up = constant((0.0, 0.0, 1.0), level.device).expand_as(level)
    # Direction from the person's root to the camera, and the axes of a camera that looks back.
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


def _limit_depth(camera: Tensor) -> Tensor:
    """Shift each window (B, F, J, 3) along the optical axis to at least `MIN_DEPTH_M`, because
    people who walk far could reach the camera.
    """
    camera[..., 2] += (MIN_DEPTH_M - camera[..., 2].amin(dim=(1, 2), keepdim=True)).clamp_min(0)
    return camera


def _rotation(axis: int, angle: Tensor) -> Tensor:
    """(B,) radians -> (B, 3, 3), rotations about one axis."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    rows = {
        0: [one, zero, zero, zero, cos, -sin, zero, sin, cos],
        1: [cos, zero, sin, zero, one, zero, -sin, zero, cos],
        2: [cos, -sin, zero, sin, cos, zero, zero, zero, one],
    }
    return torch.stack(rows[axis], dim=-1).unflatten(-1, (3, 3))
