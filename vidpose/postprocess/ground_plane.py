"""Where up and the floor are, from the people who stand on it.

Nothing in a picture of unknown pitch says where up is, except the people: who stands or walks,
stands upright on average; feet that rest, rest on one floor; and the lowest floor on which feet
rest is the one that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px, pixels_to_rays
from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import runs

Horizon = float | Sequence[float]
"""Where the horizon is in the picture, see `up_of_horizon`."""

AXES = "x right, y away from the camera, z up; metres; floor at z = 0, origin below the camera"
CAMERA_UP = np.array([0.0, -1.0, 0.0])
ANKLE_HEIGHT_M = 0.08
"""The ankle joint over the sole, in an adult."""
FEET = (H36M17.index("RFoot"), H36M17.index("LFoot"))

# How people stand. Left to right they are level; forward they lean, and more so when they walk.
SIDEWAYS_SD = np.radians(8.0)
FORWARD_SD = np.radians(20.0)
CAMERA_SD = np.radians(30.0)
"""How far from level a camera is held: what is left to believe where nobody stands."""
MOMENTS_PER_SECOND = 2.0
"""Poses closer in time than half a second say the same."""
BENT_DEG, STRAIGHT_DEG = 110.0, 150.0
"""Opening of knees and hips of somebody who does not stand, and of somebody who does."""
FARTHEST_TILT_DEG = 60.0
"""Somebody further from the camera's own up than this lies rather than stands."""
FARTHEST_LEAN_DEG = 30.0
"""Somebody further from the others' up than this leans rather than stands."""

# How feet rest.
REST_SPEED = 0.35
"""Metres a second across the line of sight: a foot slower than this rests."""
SPEED_OVER_S = 0.2
"""Seconds over which speed is measured, against jitter."""
REST_S = 0.15
"""Seconds; what is shorter is a turning point, not a rest."""
REST_SD = 0.05
"""Metres; how well the height of a resting foot is known ..."""
DEPTH_SD = 0.04
"""... and how well its distance, as a fraction: under a camera that looks down it is height."""
LEVEL_M, LEVEL_SLOPE = 0.3, 0.15
"""A foot that comes to rest higher or lower than before by more than this, and by more than this
fraction of the way, rests on something else."""
SLOPE_SD = np.radians(5.0)
"""Floors are level to about this."""

BIAS_SD = np.radians(2.0)
"""What is wrong with all poses alike, however many there are."""
SURE_SD = np.radians(10.0)
"""Up that is less well known is told to be uncertain."""
LOWEST_SHARE, FLOOR_BAND_M = 0.15, 0.3
"""The floor is the lowest band of this height in which feet spend this share of their rests."""
FLOOR_PERCENTILE = 20.0
"""Where no foot rests, of the lowest foot's heights: near the floor in some frames, in the air in
others."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The floor, camera frame (x right, y down, z away), metres."""

    up: NDArray[np.float64]
    """(3,) unit vector away from the floor."""
    point: NDArray[np.float64]
    """(3,) a point of the floor."""
    tilt_sd: float = 0.0
    """How far off `up` is expected to be, radians; 0 if it was given."""
    floor_sd: float = np.nan
    """How far apart the heights are at which feet rest on the floor, metres; NaN if none rests."""

    @property
    def world_from_camera(self) -> NDArray[np.float64]:
        """(3, 3) rotation to axes x right, y away from the camera along the floor, z up."""
        # A camera that looks straight down sees "away" in the direction of the picture's top.
        looking = np.array([0.0, 0.0, 1.0]) if abs(self.up[2]) < 0.98 else CAMERA_UP
        right = np.cross(looking, self.up)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(self.up, right), self.up])

    @property
    def camera_to_world(self) -> NDArray[np.float64]:
        """(4, 4) camera frame to world: x right, y away, z height over the floor; the origin is
        the point of the floor under the camera.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = self.world_from_camera
        matrix[2, 3] = -self.point @ self.up
        return matrix

    @classmethod
    def of(cls, camera_to_world: NDArray[np.float64]) -> Ground:
        """The inverse of `camera_to_world`."""
        up = camera_to_world[2, :3]
        return cls(up, -camera_to_world[2, 3] * up)

    def to_world(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(..., 3) camera frame to world, see `camera_to_world`."""
        world: NDArray[np.float64] = points @ self.world_from_camera.T
        world[..., 2] -= self.point @ self.up
        return world

    @property
    def pitch_deg(self) -> float:
        """How far down the camera looks; negative: up."""
        return float(np.degrees(np.arcsin(np.clip(-self.up[2], -1, 1))))

    @property
    def roll_deg(self) -> float:
        """How far what is upright leans in the picture, clockwise."""
        return float(np.degrees(np.arctan2(self.up[0], -self.up[1])))

    @property
    def camera_height(self) -> float:
        """Of the camera over the floor, metres."""
        return float(-self.point @ self.up)


def up_of_camera(pitch_deg: float, roll_deg: float = 0.0) -> NDArray[np.float64]:
    """(3,) up in the camera frame; the inverse of `Ground.pitch_deg` and `Ground.roll_deg`.

    Args:
        pitch_deg: how far down the camera looks.
        roll_deg: how far what is upright leans in the picture, clockwise.
    """
    pitch, roll = np.radians([pitch_deg, roll_deg])
    return np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])


def up_of_horizon(
    horizon_px: Horizon, frame_size: tuple[int, int], focal_px: float
) -> NDArray[np.float64]:
    """(3,) up in the camera frame, from where the horizon is in the picture.

    Args:
        horizon_px: its height, pixels from the top; or x1, y1, x2, y2, two of its points. It may
            lie outside the picture.
        frame_size: width and height, pixels.
        focal_px: focal length, pixels.
    """
    if isinstance(horizon_px, (int, float)):
        horizon_px = (0.0, horizon_px, 1.0, horizon_px)
    points = np.array(horizon_px, np.float64).reshape(2, 2)
    rays = pixels_to_rays(points[points[:, 0].argsort()], frame_size, focal_px)
    # Up is at right angles to both lines of sight.
    towards = np.column_stack([rays, np.ones(2)])
    return _unit(np.cross(towards[1], towards[0]))


def check_camera(
    pitch_deg: float | None, roll_deg: float | None, horizon_px: Horizon | None
) -> None:
    """Find out whether what is said about the camera makes sense; see `place_in_world`.

    Raises:
        UsageError: it does not.
    """
    if pitch_deg is not None and horizon_px is not None:
        raise UsageError("--camera-pitch and --horizon say the same; give one of them.")
    if roll_deg is not None and pitch_deg is None:
        raise UsageError("--camera-roll goes with --camera-pitch; give both.")
    if pitch_deg is not None and not -90 <= pitch_deg <= 90:
        raise UsageError(
            f"--camera-pitch {pitch_deg:g}: give how far down the camera looks, from -90 to 90 "
            "degrees; level is 0, straight down 90."
        )
    if roll_deg is not None and not -90 <= roll_deg <= 90:
        raise UsageError(
            f"--camera-roll {roll_deg:g}: give how far upright things lean in the picture, from "
            "-90 to 90 degrees clockwise."
        )
    if horizon_px is None:
        return
    numbers = [horizon_px] if isinstance(horizon_px, (int, float)) else list(horizon_px)
    if len(numbers) not in (1, 4) or not np.isfinite(numbers).all():
        raise UsageError(
            "--horizon: give its height in pixels from the top, as in 420, or two of its points, "
            "as in 0,400,1919,440."
        )
    if len(numbers) == 4 and abs(numbers[2] - numbers[0]) <= abs(numbers[3] - numbers[1]):
        raise UsageError(
            f"--horizon {_told(horizon_px)}: this line rises by more than 45 degrees; give two "
            "points far apart from left to right."
        )


def place_in_world(
    result: Pose3D,
    *,
    camera_pitch: float | None = None,
    camera_roll: float | None = None,
    horizon: Horizon | None = None,
) -> Pose3D:
    """The same result with `camera_to_world`, and `meta["world"]`, which says where it is from.

    Args:
        result: the people, seen by a camera that stood still.
        camera_pitch: how far down the camera looks, degrees; by default up is found from the
            people's motion, see `estimate_ground`.
        camera_roll: how far what is upright leans in the picture, degrees clockwise; 0 unless
            given.
        horizon: instead, where the horizon is in the picture, see `up_of_horizon`.

    Raises:
        UsageError: what is said about the camera makes no sense.
    """
    check_camera(camera_pitch, camera_roll, horizon)
    up: NDArray[np.float64] | None = None
    source = "motion"
    if camera_pitch is not None:
        up, source = up_of_camera(camera_pitch, camera_roll or 0.0), "--camera-pitch"
    elif horizon is not None:
        up, source = up_of_horizon(horizon, result.frame_size, _focal_px(result)), "--horizon"
    ground = estimate_ground(result, up)
    meta = result.meta | {"world": describe(result, ground, source)}
    return replace(result, camera_to_world=ground.camera_to_world, meta=meta)


def _focal_px(result: Pose3D) -> float:
    camera = result.meta.get("camera")
    told = camera.get("focal_px") if isinstance(camera, dict) else None
    return float(told) if told else assumed_focal_px(result.frame_size)


def describe(result: Pose3D, ground: Ground, source: str) -> dict[str, Any]:
    """What `meta` says about a world; JSON values only."""
    found = source == "motion"
    over = ground.to_world(result.joints_camera()[:, :, FEET].astype(np.float64))[..., 2]
    lowest = over.min(axis=2) - ANKLE_HEIGHT_M
    return {
        "axes": AXES,
        "up": source,
        "tilt_sd_deg": round(float(np.degrees(ground.tilt_sd)), 2) if found else None,
        "sure": bool(ground.tilt_sd <= SURE_SD),
        "camera_pitch_deg": round(ground.pitch_deg, 2),
        "camera_roll_deg": round(ground.roll_deg, 2),
        "camera_height_m": round(ground.camera_height, 3),
        "floor": "lowest feet" if np.isnan(ground.floor_sd) else "feet at rest",
        "floor_sd_m": None if np.isnan(ground.floor_sd) else round(ground.floor_sd, 3),
        "feet_over_floor_m": {
            str(person): round(float(np.nanmedian(heights)), 3)
            for person, heights in zip(result.person_ids.tolist(), lowest, strict=True)
            if np.isfinite(heights).any()
        },
    }


def _told(horizon_px: Horizon) -> str:
    numbers = [horizon_px] if isinstance(horizon_px, (int, float)) else horizon_px
    return ",".join(f"{number:g}" for number in numbers)


def ground_of(result: Pose3D) -> Ground:
    """The floor that a result tells, or else the one that is estimated from its people."""
    told = result.camera_to_world
    return estimate_ground(result) if told is None else Ground.of(told)


def estimate_ground(result: Pose3D, up: NDArray[np.float64] | None = None) -> Ground:
    """The floor under the people of a result; the camera must have stood still.

    Up is the direction that fits best to four things, each as much as it can be trusted: who
    stands is level from left to right (`SIDEWAYS_SD`), upright from front to back
    (`FORWARD_SD`); the places where somebody's feet rest are level with each other (`REST_SD`,
    `DEPTH_SD`); and the camera is about level (`CAMERA_SD`), which is all there is where nobody
    stands. The floor lies `ANKLE_HEIGHT_M` under the ankles of feet that rest, on the lowest
    level if there are several: somebody may stand on something.

    Args:
        result: the people.
        up: (3,) unit vector, camera frame, if it is known.
    """
    placed = _Placed.of(result)
    tilt_sd = 0.0
    if up is None:
        up, tilt_sd = _up(result, placed)
    return _floor(placed, up, tilt_sd)


@dataclass(frozen=True, eq=False)
class _Placed:
    """What is known of everybody's place: camera frame, metres."""

    roots: NDArray[np.float64]
    """(N, 3) of all people and frames."""
    lowest: NDArray[np.float64]
    """(N, 2, 3) both feet, likewise."""
    rests: list[_Rests]
    """By person."""

    @classmethod
    def of(cls, result: Pose3D) -> _Placed:
        joints = result.joints_camera()[:, :, (0, *FEET)].astype(np.float64)
        known = np.isfinite(joints).all(axis=(2, 3))
        rests = [
            _Rests.of(joints[person, :, 1:], known[person], result.timestamps)
            for person in range(result.people)
        ]
        there = joints[known]
        if len(there) == 0:  # nobody's place is known: the floor is under the bodies as they are
            there = result.joints_3d[result.present][:, (0, *FEET)].astype(np.float64)
        return cls(there[:, 0], there[:, 1:], rests)


@dataclass(frozen=True, eq=False)
class _Rests:
    """Where and when somebody's feet rest, in the order of time."""

    places: NDArray[np.float64]
    """(R, 3) of the ankle, camera frame, metres."""
    seconds: NDArray[np.float64]
    """(R,) how long."""
    frames: NDArray[np.intp]
    """(R,) the frame in the middle."""

    @classmethod
    def of(
        cls,
        feet: NDArray[np.float64],
        known: NDArray[np.bool_],
        timestamps: NDArray[np.float64],
    ) -> _Rests:
        """From (T, 2, 3) feet that are `known` in some frames."""
        found: list[tuple[int, float, NDArray[np.float64]]] = []
        for run in runs(known):
            for foot in (0, 1):
                path, times = feet[run, foot], timestamps[run]
                for rest in runs(_slow(path, times)):
                    seconds = float(times[rest.stop - 1] - times[rest.start])
                    if seconds >= REST_S:
                        middle = run.start + (rest.start + rest.stop) // 2
                        found.append((middle, seconds, np.median(path[rest], axis=0)))
        found.sort(key=lambda rest: rest[0])
        return cls(
            np.array([place for _, _, place in found]).reshape(-1, 3),
            np.array([seconds for _, seconds, _ in found]),
            np.array([frame for frame, _, _ in found], np.intp),
        )


def _slow(path: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, 3) path of a foot to the (T,) frames in which it rests.

    Speed counts across the line of sight only: along it, jitter would be taken for steps.
    """
    if len(path) < 2:
        return np.zeros(len(path), bool)
    rays = path / np.maximum(np.linalg.norm(path, axis=1, keepdims=True), 1e-9)
    before = np.maximum(times - SPEED_OVER_S / 2, times[0])
    after = np.minimum(times + SPEED_OVER_S / 2, times[-1])
    moved = [np.interp(after, times, ray) - np.interp(before, times, ray) for ray in rays.T]
    across = np.linalg.norm(moved, axis=0) * np.linalg.norm(path, axis=1)
    slow: NDArray[np.bool_] = across < REST_SPEED * (after - before)
    return slow


def _up(result: Pose3D, placed: _Placed) -> tuple[NDArray[np.float64], float]:
    """The direction in which people stand, and how far off it is expected to be, radians."""
    poses = result.joints_3d[result.present].astype(np.float64)

    def at(name: str) -> NDArray[np.float64]:
        return poses[:, H36M17.index(name)]

    ankles = (at("RFoot") + at("LFoot")) / 2
    body = _unit(at("Thorax") - ankles)
    leftward = _unit(_unit(at("LHip") - at("RHip")) + _unit(at("LShoulder") - at("RShoulder")))
    forward = _unit(np.cross(leftward, body))

    openings = [_opening(at(f"{s}Hip"), at(f"{s}Knee"), at(f"{s}Foot")) for s in "RL"]
    openings.append(_opening(at("Thorax"), at("Hip"), ankles))
    straight = (np.min(openings, axis=0) - BENT_DEG) / (STRAIGHT_DEG - BENT_DEG)
    stands = np.clip(straight, 0, 1) * _within(body, CAMERA_UP, FARTHEST_TILT_DEG)

    # Each counts for this many independent poses.
    trust = MOMENTS_PER_SECOND / result.fps
    # Up is level with none of these directions: it is where their spread is least.
    camera = np.diag([1.0, 0.0, 1.0]) / CAMERA_SD**2
    up, _ = _least(camera + _spread(leftward, forward, trust * stands))
    stands *= _within(body, up, FARTHEST_LEAN_DEG)
    bodies = camera + _spread(leftward, forward, trust * stands)
    up, tilt_sd = _least(bodies)

    standing = np.zeros(result.present.shape)
    standing[result.present] = stands
    for _ in range(3):
        levels = [
            _spread_of_rests(rests, standing[person], up)
            for person, rests in enumerate(placed.rests)
        ]
        up, tilt_sd = _least(bodies + sum(levels, np.zeros((3, 3))))
    return up, tilt_sd


def _spread_of_rests(
    rests: _Rests, standing: NDArray[np.float64], up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 3) scatter of the ways between places where one person's feet rest, in standard
    deviations of their height; `up` is what is believed so far.

    Args:
        rests: of the person.
        standing: (T,) how far the person stands, 0 to 1.
        up: (3,).
    """
    scatter: NDArray[np.float64] = np.zeros((3, 3))
    stands = standing[rests.frames]
    kept = stands > 0
    places, stands = rests.places[kept], stands[kept]
    if len(places) < 2:
        return scatter
    height = places @ up
    way = np.linalg.norm(np.diff(places, axis=0), axis=1)
    new_level = np.abs(np.diff(height)) > np.maximum(LEVEL_M, LEVEL_SLOPE * way)
    for part in np.split(np.arange(len(places)), np.flatnonzero(new_level) + 1):
        variance = REST_SD**2 + (DEPTH_SD * height[part]) ** 2
        weight = stands[part] / variance
        apart = places[part] - np.average(places[part], axis=0, weights=weight)
        # Robust against feet that rest on something, or not at all (Cauchy).
        allowed = variance + (SLOPE_SD * np.linalg.norm(apart, axis=1)) ** 2
        weight = weight / (1 + (apart @ up) ** 2 / (4 * allowed))
        scatter += (apart * weight[:, None]).T @ apart
    return scatter


def _floor(placed: _Placed, up: NDArray[np.float64], tilt_sd: float) -> Ground:
    if len(placed.roots) == 0:
        return Ground(up, -up, tilt_sd)
    heights = np.concatenate([rests.places @ up for rests in placed.rests])
    seconds = np.concatenate([rests.seconds for rests in placed.rests])
    if len(heights):
        low = _lowest_level(heights, seconds)
        height = _median(heights[low], seconds[low])
        floor_sd = float(1.4826 * _median(np.abs(heights[low] - height), seconds[low]))
    else:
        height = float(np.percentile((placed.lowest @ up).min(axis=1), FLOOR_PERCENTILE))
        floor_sd = np.nan
    middle = np.median(placed.roots, axis=0)
    point = middle + (height - ANKLE_HEIGHT_M - middle @ up) * up
    return Ground(up, point, tilt_sd, floor_sd)


def _lowest_level(heights: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rests are on the lowest level: `LOWEST_SHARE` of all, within `FLOOR_BAND_M`."""
    enough = LOWEST_SHARE * seconds.sum()
    for bottom in np.sort(heights):
        band = (heights >= bottom) & (heights <= bottom + FLOOR_BAND_M)
        if seconds[band].sum() >= enough:
            return np.asarray(band)
    return np.ones(len(heights), bool)  # everybody is on a level of their own


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = values.argsort()
    reached = weights[order].cumsum()
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _spread(
    leftward: NDArray[np.float64], forward: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) directions and (N,) weights to their (3, 3) scatter in standard deviations."""
    scatter: NDArray[np.float64] = np.zeros((3, 3))
    for directions, sd in ((leftward, SIDEWAYS_SD), (forward, FORWARD_SD)):
        scatter += (directions * weights[:, None]).T @ directions / sd**2
    return scatter


def _least(scatter: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(3, 3) scatter to the (3,) unit vector along which it is least, on the camera's up side,
    and how far off that is expected to be, radians.
    """
    values, vectors = np.linalg.eigh(scatter)
    direction: NDArray[np.float64] = vectors[:, 0]
    up = direction if direction @ CAMERA_UP > 0 else -direction
    variance = (1 / np.maximum(values[1:] - values[0], 1e-9)).sum() + BIAS_SD**2
    return up, float(np.sqrt(min(variance, np.pi**2)))


def _within(
    directions: NDArray[np.float64], axis: NDArray[np.float64], degrees: float
) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = directions @ axis > np.cos(np.radians(degrees))
    return near


def _opening(
    a: NDArray[np.float64], corner: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) points to the (N,) angles a-corner-b in degrees."""
    cosine = (_unit(a - corner) * _unit(b - corner)).sum(axis=-1)
    opening: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return opening


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(length, 1e-9)
    return unit
