"""Joint and segment angles, in degrees.

`ANGLES` lists them, each with its zero, its sign and the source of its definition. They follow the
recommendations of the International Society of Biomechanics (ISB) as far as 17 joints allow:

    Wu et al. 2002       ISB recommendation on joint coordinate systems, part I: ankle, hip and
                         spine, J. Biomechanics 35, 543-548
    Wu et al. 2005       part II: shoulder, elbow, wrist and hand, J. Biomechanics 38, 981-992
    Grood & Suntay 1983  A joint coordinate system for the clinical description of three-
                         dimensional motions: application to the knee, J. Biomech. Eng. 105, 136-144

With one point per joint, the rotation of a segment about its long axis is unknown, so there is no
internal or external rotation, no pronation and no knee varus. `RFoot` and `LFoot` are the ankles,
so there is no ankle angle. Where an angle is undefined, such as for an arm that points along the
axis of rotation, it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import gaps_in, runs_between

UNDEFINED_WITHIN_DEG = 15.0
"""An in-plane angle is undefined if the segment is this close to the plane's normal, and body axes
are undefined if two directions that define them are this close to parallel: errors of the joints
would be amplified four times."""
SHORTEST_M = 0.01
"""The direction between two joints closer than this is undefined."""
AMBIGUOUS_DEG = 90.0
"""For a larger step between two frames, the direction of rotation is ambiguous."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Body:
    """Axes and segments of one side of a person: unit vectors or NaN."""

    joints: Floats
    """(T, 17, 3) metres, a right-handed frame."""
    up: Floats | None
    """(3,) unit vector in that frame, if the world is known."""
    left: bool

    def direction(self, start: str, end: str) -> Floats:
        """(T, 3) from joint to joint; for the left side, names are mirrored."""
        order = H36M17.mirrored if self.left else range(len(H36M17))
        first, last = (order[H36M17.index(joint)] for joint in (start, end))
        return _unit(self.joints[:, last] - self.joints[:, first], SHORTEST_M)

    @property
    def trunk(self) -> Floats:
        return self.direction("Hip", "Thorax")

    @property
    def vertical(self) -> Floats:
        """(T, 3), up."""
        assert self.up is not None
        return np.broadcast_to(self.up, (len(self.joints), 3))

    def forward(self, up: Floats, outward: Floats) -> Floats:
        """(T, 3) the direction that the body faces; `outward` points to this side of the body."""
        return np.cross(outward, up) if self.left else np.cross(up, outward)

    def pelvis(self) -> tuple[Floats, Floats]:
        """Forward and up, both perpendicular to the line of the hips; up is the trunk without its
        component along that line.
        """
        outward = self.direction("LHip", "RHip")
        up = _square(self.trunk, outward)
        return self.forward(up, outward), up

    def thorax(self) -> tuple[Floats, Floats, Floats]:
        """Forward, up and outward. Up is the trunk, because shoulders are raised independently."""
        outward = _square(self.direction("LShoulder", "RShoulder"), self.trunk)
        return self.forward(self.trunk, outward), self.trunk, outward

    def heading(self) -> tuple[Floats, Floats, Floats]:
        """Forward, up and outward. Up is vertical, outward the horizontal part of the hip line."""
        outward = _square(self.direction("LHip", "RHip"), self.vertical)
        return self.forward(self.vertical, outward), self.vertical, outward


def _unit(vectors: Floats, shortest: float) -> Floats:
    """(T, 3) unit vectors; NaN where a vector is too short to have a direction."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length < shortest, np.nan, length)


def _square(vectors: Floats, axis: Floats) -> Floats:
    """(T, 3) unit vectors, orthogonalised against unit vectors; NaN if nearly parallel to them."""
    along = (vectors * axis).sum(axis=-1, keepdims=True)
    return _unit(vectors - along * axis, float(np.sin(np.radians(UNDEFINED_WITHIN_DEG))))


def _between(a: Floats, b: Floats) -> Floats:
    """(T,) angle between unit vectors, 0 to 180 degrees; unlike arccos, exact near both ends."""
    across = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(across, (a * b).sum(axis=-1)))


def _in_plane(segment: Floats, zero: Floats, positive: Floats) -> Floats:
    """(T,) direction of a segment projected onto a plane, -180 to 180 degrees.

    Args:
        segment: unit vectors.
        zero, positive: perpendicular unit vectors of the plane: where 0 and 90 degrees are.
    """
    x, y = (segment * zero).sum(axis=-1), (segment * positive).sum(axis=-1)
    seen = np.hypot(x, y) >= np.sin(np.radians(UNDEFINED_WITHIN_DEG))
    return np.where(seen, np.degrees(np.arctan2(y, x)), np.nan)


def _bend(joints: tuple[str, str, str], body: _Body) -> Floats:
    first, middle, last = joints
    return _between(body.direction(first, middle), body.direction(middle, last))


def _to_vertical(joints: tuple[str, str], body: _Body) -> Floats:
    """Angle of a hanging segment to the vertical; joints from top to bottom."""
    return _between(body.direction(*joints), -body.vertical)


def _hip_flexion(body: _Body) -> Floats:
    forward, up = body.pelvis()
    return _in_plane(body.direction("RHip", "RKnee"), -up, forward)


def _hip_abduction(body: _Body) -> Floats:
    outward = body.direction("LHip", "RHip")
    return 90 - _between(body.direction("RHip", "RKnee"), outward)


def _shoulder_flexion(body: _Body) -> Floats:
    forward, up, _ = body.thorax()
    return _in_plane(body.direction("RShoulder", "RElbow"), -up, forward)


def _shoulder_abduction(body: _Body) -> Floats:
    _, up, outward = body.thorax()
    return _in_plane(body.direction("RShoulder", "RElbow"), -up, outward)


def _shoulder_elevation(body: _Body) -> Floats:
    return _between(body.direction("RShoulder", "RElbow"), -body.trunk)


def _plane_of_elevation(body: _Body) -> Floats:
    forward, _, outward = body.thorax()
    return _in_plane(body.direction("RShoulder", "RElbow"), outward, forward)


def _trunk_lean(body: _Body) -> Floats:
    return _between(body.trunk, body.vertical)


def _trunk_forward_lean(body: _Body) -> Floats:
    forward, up, _ = body.heading()
    return _in_plane(body.trunk, up, forward)


def _trunk_side_lean(body: _Body) -> Floats:
    _, up, outward = body.heading()
    return _in_plane(body.trunk, up, outward)


SIDES = ("right", "left")


@dataclass(frozen=True, kw_only=True)
class Angle:
    """Definition of an angle, for both sides if it has sides."""

    name: str
    sides: tuple[str, ...] = SIDES
    """Empty for an angle of the trunk."""
    points: tuple[str, ...]
    """Joints used, for the right side."""
    about: str
    """What the angle measures."""
    zero: str
    """The pose in which it is 0."""
    sign: str
    """What is positive, and the range."""
    source: str
    needs_world: bool = False
    middle_deg: float | None = None
    """Middle of the 360-degree range of a signed angle, whose ends no body reaches. None if the
    angle cannot wrap around."""
    measure: Callable[[_Body], Floats]

    @property
    def names(self) -> tuple[str, ...]:
        """`right_knee_flexion`, `left_knee_flexion`; angles of the trunk have no side."""
        return tuple(f"{side}_{self.name}" for side in self.sides) or (self.name,)


_GROOD = "Grood & Suntay 1983"
_HIP = ("LHip", "RHip", "Hip", "Thorax", "RKnee")
_KNEE, _ELBOW = ("RHip", "RKnee", "RFoot"), ("RShoulder", "RElbow", "RWrist")
_SHOULDER = ("LShoulder", "RShoulder", "Hip", "Thorax", "RElbow")
_BENT = "bent is positive, 0 to 180; no sign: a hyperextended joint counts as bent"
_TURN = "0 to 180, no sign"
_HANGING = "pointing straight down"
_SEGMENT = "segment angle (Winter 2009, Biomechanics and Motor Control), from the vertical"
_ISO = "trunk inclination of ISO 11226"

ANGLES: tuple[Angle, ...] = (
    Angle(
        name="hip_flexion", points=_HIP, middle_deg=45.0, measure=_hip_flexion,
        about="thigh to trunk, seen along the line of the hips; includes flexion of the spine",
        zero="thigh in line with the trunk, as in standing",
        sign="forward is positive (flexion), backward negative (extension)",
        source=f"Wu et al. 2002, {_GROOD}: about the pelvis' Z axis",
    ),
    Angle(
        name="hip_abduction", points=("LHip", "RHip", "RKnee"), measure=_hip_abduction,
        about="thigh out of the plane that is perpendicular to the line of the hips",
        zero="thigh perpendicular to the line of the hips",
        sign="outward is positive (abduction), -90 to 90; the ISB counts adduction as positive",
        source=f"Wu et al. 2002, {_GROOD}: about the floating axis",
    ),
    Angle(
        name="knee_flexion", points=_KNEE, measure=partial(_bend, _KNEE),
        about="shank out of the line of the thigh, in their common plane",
        zero="straight leg", sign=_BENT,
        source=f"{_GROOD}, for a knee without varus and valgus",
    ),
    Angle(
        name="shoulder_flexion", points=_SHOULDER, middle_deg=90.0, measure=_shoulder_flexion,
        about="upper arm to trunk, seen from the side",
        zero="arm hangs along the trunk",
        sign="forward is positive (flexion), backward negative (extension), overhead 180",
        source="clinical use: goniometer in the sagittal plane",
    ),
    Angle(
        name="shoulder_abduction", points=_SHOULDER, middle_deg=90.0, measure=_shoulder_abduction,
        about="upper arm to trunk, seen from the front",
        zero="arm hangs along the trunk",
        sign="outward is positive (abduction), across the body negative, overhead 180",
        source="clinical use: goniometer in the frontal plane",
    ),
    Angle(
        name="shoulder_elevation", points=("Hip", "Thorax", "RShoulder", "RElbow"),
        measure=_shoulder_elevation,
        about="upper arm to trunk, in whatever plane the arm is raised",
        zero="arm hangs along the trunk",
        sign=f"raised is positive, {_TURN}; the ISB counts it as negative",
        source="Wu et al. 2005, humerus relative to thorax, second angle of Y-X-Y",
    ),
    Angle(
        name="shoulder_plane_of_elevation", points=_SHOULDER, middle_deg=45.0,
        measure=_plane_of_elevation,
        about="direction in which the upper arm is raised, seen along the trunk",
        zero="arm raised to the side",
        sign="arm raised forward: 90, backward: -90",
        source="Wu et al. 2005, humerus relative to thorax, first angle of Y-X-Y",
    ),
    Angle(
        name="elbow_flexion", points=_ELBOW, measure=partial(_bend, _ELBOW),
        about="forearm out of the line of the upper arm, in their common plane",
        zero="straight arm", sign=_BENT,
        source="Wu et al. 2005, for an elbow without carrying angle",
    ),
    Angle(
        name="trunk_lean", sides=(), points=("Hip", "Thorax"), needs_world=True,
        measure=_trunk_lean,
        about="trunk (middle of the hips to middle of the shoulders) to the vertical",
        zero="upright", sign=_TURN, source=_ISO,
    ),
    Angle(
        name="trunk_forward_lean", sides=(), points=("LHip", "RHip", "Hip", "Thorax"),
        needs_world=True, middle_deg=0.0, measure=_trunk_forward_lean,
        about="trunk to the vertical, seen along the line of the hips",
        zero="upright", sign="forward is positive, backward negative", source=_ISO,
    ),
    Angle(
        name="trunk_side_lean", sides=(), points=("LHip", "RHip", "Hip", "Thorax"),
        needs_world=True, middle_deg=0.0, measure=_trunk_side_lean,
        about="trunk to the vertical, seen from the front",
        zero="upright", sign="to the person's right is positive, to the left negative", source=_ISO,
    ),
    *(
        Angle(
            name=f"{segment.replace(' ', '_')}_to_vertical", points=ends, needs_world=True,
            measure=partial(_to_vertical, ends),
            about=f"{segment} to the vertical", zero=_HANGING, sign=_TURN, source=_SEGMENT,
        )
        for segment, ends in (
            ("thigh", ("RHip", "RKnee")),
            ("shank", ("RKnee", "RFoot")),
            ("upper arm", ("RShoulder", "RElbow")),
            ("forearm", ("RElbow", "RWrist")),
        )
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class JointAngles:
    """Angles of all people over time; P people, T frames, A angles."""

    names: tuple[str, ...]
    """(A,), as `right_knee_flexion`: see `ANGLES`."""
    degrees: NDArray[np.float32]
    """(P, T, A); NaN where the person is absent or the angle undefined."""
    timestamps: Floats
    """(T,) seconds."""
    person_ids: NDArray[np.int32]
    """(P,)"""

    def __repr__(self) -> str:
        people, frames, _ = self.degrees.shape
        return f"JointAngles({people} people, {frames} frames: {', '.join(self.names)})"

    def of(self, name: str) -> NDArray[np.float32]:
        """(P, T) degrees of one angle.

        Raises:
            UsageError: there is none of that name.
        """
        if name in self.names:
            return self.degrees[..., self.names.index(name)]
        if any(name in angle.names for angle in ANGLES):
            raise UsageError(f"{name} needs a world frame; run `vidpose infer --world`.")
        raise UsageError(f"there is no angle {name}; there are {', '.join(self.names)}.")

    def velocity(self) -> NDArray[np.float32]:
        """(P, T, A) degrees per second.

        The slope at each frame of the parabola through it and its two neighbours, at their
        timestamps; next to a gap or at the ends, of the line to the only neighbour. NaN where an
        angle is NaN, and where both neighbours are missing, beyond a gap
        (`vidpose.utils.gaps.LONGEST_STEP_S`), or `AMBIGUOUS_DEG` away.
        Differences amplify jitter: smooth the joints first (`vidpose infer --smooth`).
        """
        out = np.full_like(self.degrees, np.nan)
        far = gaps_in(self.timestamps)
        for p, a in np.ndindex(len(out), len(self.names)):
            steps = (np.diff(self.degrees[p, :, a]) + 180) % 360 - 180
            breaks = far | (np.abs(steps) >= AMBIGUOUS_DEG)
            for run in runs_between(np.isfinite(self.degrees[p, :, a]), breaks):
                if run.stop - run.start >= 2:
                    angle = np.unwrap(self.degrees[p, run, a].astype(np.float64), period=360)
                    out[p, run, a] = np.gradient(angle, self.timestamps[run])
        return out


def joint_angles(poses: Pose3D) -> JointAngles:
    """The angles of `ANGLES`, for each person in each frame.

    Args:
        poses: with a world frame (`camera_to_world`) for the angles that need one.

    Returns:
        Angles without jumps by 360 degrees: a signed angle lies around the middle of its range, and
        continues beyond while an arm swings in full circles.
    """
    up = None if poses.camera_to_world is None else poses.camera_to_world[2, :3]
    angles = [angle for angle in ANGLES if up is not None or not angle.needs_world]
    names = tuple(name for angle in angles for name in angle.names)
    degrees = np.full((poses.people, poses.frames, len(names)), np.nan, np.float32)
    for p, joints in enumerate(poses.joints_3d):
        columns = _measure(joints.astype(np.float64), up, angles)
        for a, values in enumerate(columns):
            degrees[p, :, a] = values
    return JointAngles(names, degrees, poses.timestamps, poses.person_ids)


def _measure(joints: Floats, up: Floats | None, angles: list[Angle]) -> Iterator[Floats]:
    """Yield (T,) for each angle and side."""
    for angle in angles:
        for side in angle.sides or SIDES[:1]:
            values = angle.measure(_Body(joints, up, left=side == "left"))
            yield values if angle.middle_deg is None else _continuous(values, angle.middle_deg)


def _continuous(values: Floats, middle: float) -> Floats:
    """(T,) the same directions, unwrapped by multiples of 360 to lie around `middle`."""
    steps = (np.diff(values) + 180) % 360 - 180
    out = values.copy()
    for piece in runs_between(np.isfinite(values), np.abs(steps) >= AMBIGUOUS_DEG):
        whole = np.unwrap(values[piece], period=360)
        out[piece] = whole - 360 * np.round((np.median(whole) - middle) / 360)
    return out
