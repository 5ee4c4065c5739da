"""Synthetic motion of people who walk, sit, reach, wave and turn, from joint angles.

A motion is a set of joint-angle curves. Most of them pass smoothly through random postures,
walking adds the swing of the limbs, and the pelvis follows from the feet on the floor. Nothing is
recorded, but limbs keep their length, feet do not slide and motion is continuous, so a network can
learn from it.

Body frame: x forward, y to the person's left, z up; world: z up, the floor at 0; metres, radians.
T is frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vidpose.skeleton import H36M17

Curve = NDArray[np.float64]
Bounds = tuple[float, float]

# Offsets of the joints from their parents in a person 1 m tall, standing with arms hanging down.
# Segment lengths after R. Drillis, R. Contini, "Body segment parameters", 1966.
OFFSETS = {
    **{"RHip": (0, -0.06, 0), "RKnee": (0, 0, -0.245), "RFoot": (0, 0, -0.246)},
    **{"LHip": (0, 0.06, 0), "LKnee": (0, 0, -0.245), "LFoot": (0, 0, -0.246)},
    **{"Spine": (-0.012, 0, 0.135), "Thorax": (0.006, 0, 0.15)},
    **{"Neck/Nose": (0.035, 0, 0.065), "Head": (-0.015, 0, 0.075)},
    **{"LShoulder": (0, 0.09, -0.015), "LElbow": (0, 0, -0.16), "LWrist": (0, 0, -0.146)},
    **{"RShoulder": (0, -0.09, -0.015), "RElbow": (0, 0, -0.16), "RWrist": (0, 0, -0.146)},
}
CLEARANCE = {"RFoot": 0.045, "LFoot": 0.045, "RKnee": 0.035, "LKnee": 0.035, "Hip": 0.06}
"""Height above the floor of joints that carry the body, as a fraction of the body height."""
MIDDLE = 0.4
"""Largest distance of a motion's centre from the origin along x and y, metres."""
CONTACT = 0.012
"""Height over which floor contact fades in and out, metres."""

STANDING: dict[str, Bounds] = {
    # Per side, "l_" or "r_": flexion, abduction and rotation of the hip, flexion of the knee ...
    **{
        "hip": (-0.05, 0.1),
        "hip_out": (0.02, 0.1),
        "hip_turn": (-0.15, 0.15),
        "knee": (0.03, 0.15),
    },
    **{"arm": (-0.15, 0.3), "arm_out": (0.08, 0.25), "arm_turn": (-0.3, 0.5), "elbow": (0.2, 0.7)},
    # ... and of the trunk: lean forward, lean left, turn left; the same for the head.
    **{"lean": (-0.02, 0.12), "side": (-0.06, 0.06), "twist": (-0.2, 0.2)},
    **{"chest": (-0.02, 0.15), "chest_twist": (-0.15, 0.15)},
    **{"nod": (-0.15, 0.3), "look": (-0.6, 0.6), "tilt": (-0.12, 0.12)},
}
"""Ranges of the angles of a standing person's postures."""
SIDED = ("hip", "hip_out", "hip_turn", "knee", "arm", "arm_out", "arm_turn", "elbow")


@dataclass(frozen=True, kw_only=True)
class Style:
    """Parameters of an action's motion."""

    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    """Angle ranges that differ from `STANDING`, for both sides ("arm") or one ("r_arm")."""
    hold_s: Bounds = (0.6, 2.0)
    """Time from one posture to the next."""
    steps: float = 0.0
    """Swing of the legs in walking, radians; 0: standing."""
    stride_hz: float = 0.9
    arm_swing: float = 0.45
    turn_radius: Bounds = (0.7, 1.4)
    """Radius of the circles walked, metres."""
    turning: float = 0.25
    """Turning rate while standing, radians per second."""
    wave: Mapping[str, float] = field(default_factory=dict)
    """Angles that oscillate at about 1.5 Hz, with their amplitude."""


_SEAT: dict[str, Bounds] = {
    **{"hip": (1.3, 1.6), "hip_out": (0.03, 0.3), "knee": (1.25, 1.75)},
    **{"lean": (-0.15, 0.3), "chest": (0.0, 0.3)},
}
_FLOOR: dict[str, Bounds] = {
    **{"hip": (1.6, 2.1), "hip_out": (0.1, 0.6), "knee": (0.1, 0.7)},
    **{"lean": (-0.35, 0.35), "chest": (0.0, 0.35)},
}
_UP: dict[str, Bounds] = {"r_arm": (0.9, 2.2), "r_arm_out": (0.2, 0.9), "r_elbow": (0.5, 1.6)}
_TO_FACE: dict[str, Bounds] = {"r_arm": (0.6, 1.1), "r_arm_turn": (0.3, 0.9), "r_elbow": (1.7, 2.4)}
_LIVELY: dict[str, Bounds] = {
    **{"arm": (0.0, 1.2), "arm_out": (0.1, 0.7), "arm_turn": (-0.4, 0.9), "elbow": (0.5, 1.9)},
    "chest_twist": (-0.35, 0.35),
}

STYLES = {
    "Directions": Style(
        ranges={"arm": (0.0, 1.7), "arm_out": (0.1, 1.2), "elbow": (0.05, 0.6)}, turning=0.4
    ),
    "Discussion": Style(ranges=_LIVELY, hold_s=(0.4, 1.2)),
    "Eating": Style(ranges=_SEAT | _TO_FACE | {"r_arm": (0.2, 1.1), "r_elbow": (0.8, 2.4)}),
    "Greeting": Style(ranges=_UP, hold_s=(0.8, 1.6), wave={"r_elbow": 0.35, "r_arm_turn": 0.3}),
    "Phoning": Style(ranges=_TO_FACE | {"r_arm_out": (0.3, 0.6)}, turning=0.5),
    "Photo": Style(
        ranges={"arm": (0.8, 1.3), "elbow": (1.2, 1.9), "hip": (0.0, 0.5), "knee": (0.1, 0.7)}
    ),
    "Posing": Style(
        ranges={"arm": (-0.5, 2.2), "arm_out": (0.1, 1.5), "hip_out": (0.02, 0.35)}, hold_s=(1, 3)
    ),
    "Purchases": Style(
        ranges=_LIVELY | {"lean": (0.0, 1.1), "hip": (0.0, 0.9), "knee": (0.05, 1.1)}
    ),
    "Sitting": Style(ranges=_LIVELY | _SEAT, turning=0.0),
    "SittingDown": Style(ranges=_LIVELY | _FLOOR, hold_s=(1.0, 2.5), turning=0.1),
    "Smoking": Style(ranges=_TO_FACE | {"r_arm": (0.1, 1.1), "r_elbow": (0.5, 2.4)}),
    "Waiting": Style(ranges={"hip_out": (0.0, 0.2), "side": (-0.15, 0.15)}, hold_s=(1.5, 3.0)),
    "WalkDog": Style(
        ranges={"r_arm": (0.2, 0.7), "r_elbow": (0.2, 0.6), "lean": (0.0, 0.25)}, steps=0.42
    ),
    "Walking": Style(steps=0.45),
    "WalkTogether": Style(steps=0.38, stride_hz=0.8, ranges={"look": (-0.9, 0.9)}),
    # HumanEva's.
    "Jog": Style(steps=0.6, stride_hz=1.3, arm_swing=0.7, ranges={"elbow": (1.3, 1.7)}),
    "ThrowCatch": Style(ranges=_LIVELY, hold_s=(0.3, 0.8)),
    "Gestures": Style(ranges=_UP, wave={"r_elbow": 0.4}),
    "Box": Style(
        ranges={"arm": (0.5, 1.6), "arm_out": (0.0, 0.3), "elbow": (0.2, 2.2)}, hold_s=(0.2, 0.5)
    ),
}
"""Styles by action; others use Discussion's."""


def body(rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Generate a person: each joint's offset from its parent, metres, equal on both sides."""
    height = rng.normal(1.72, 0.08)
    segment = {name.lstrip("LR"): rng.normal(1, 0.04) for name in OFFSETS}
    return {
        name: height * segment[name.lstrip("LR")] * np.array(offset)
        for name, offset in OFFSETS.items()
    }


def move(
    action: str,
    body: Mapping[str, NDArray[np.float64]],
    frames: int,
    fps: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Generate a motion.

    Args:
        action: a name in `STYLES`.
        body: from `body`.
        frames: T, number of frames.
        fps: frame rate.
        rng: source of randomness.

    Returns:
        (T, 17, 3) h36m17, metres, world; within about 2 m of its origin.
    """
    style = STYLES.get(action, STYLES["Discussion"])
    angles = _angles(style, frames, fps, rng)
    heading = rng.uniform(-np.pi, np.pi) + _drift(frames, fps, 1.5, rng) * style.turning * 2
    if style.steps:
        leg = -body["LKnee"][2] - body["LFoot"][2]
        speed = 4 * style.steps * leg * style.stride_hz
        way = rng.choice([-1, 1]) * speed / rng.uniform(*style.turn_radius)
        heading = heading + way * np.arange(frames) / fps + 0.5 * _drift(frames, fps, 2.0, rng)
        _walk(style, angles, frames, fps, rng)
    joints = _pose(body, angles, heading)
    middle = [*rng.uniform(-MIDDLE, MIDDLE, 2), 0.0]
    return _on_the_floor(joints, body, fps) + middle


def _angles(style: Style, frames: int, fps: float, rng: np.random.Generator) -> dict[str, Curve]:
    """Generate the angle curves, through random postures."""
    names = [f"{side}_{n}" if n in SIDED else n for n in STANDING for side in ("l", "r")]
    names = list(dict.fromkeys(names))
    count = int(frames / fps / style.hold_s[0]) + 3
    times = np.cumsum(rng.uniform(*style.hold_s, count)) - style.hold_s[1] * rng.random()
    now = np.arange(frames) / fps
    beat = 2 * np.pi * (1.5 * now + 0.3 * _drift(frames, fps, 1.0, rng)) + rng.uniform(0, 6)
    angles = {}
    for name in names:
        plain = name[2:] if name[2:] in SIDED else name
        low, high = style.ranges.get(name, style.ranges.get(plain, STANDING[plain]))
        through = np.interp(now, times, rng.uniform(low, high, count))
        # Smooth the corners to the speed of a limb.
        curve = gaussian_filter1d(through, 0.12 * fps, mode="nearest")
        angles[name] = curve + 0.02 * _drift(frames, fps, 0.4, rng)
        if name in style.wave:
            angles[name] = angles[name] + style.wave[name] * np.sin(beat)
    return angles


def _drift(frames: int, fps: float, seconds: float, rng: np.random.Generator) -> Curve:
    """Generate a random curve (T,) of unit variance and a time scale in seconds."""
    sigma = max(seconds * fps, 1.0)
    margin = int(4 * sigma)
    noise = gaussian_filter1d(rng.normal(size=frames + 2 * margin), sigma, mode="constant")
    return noise[margin : margin + frames] * np.sqrt(2 * sigma * np.sqrt(np.pi))


def _walk(
    style: Style, angles: dict[str, Curve], frames: int, fps: float, rng: np.random.Generator
) -> None:
    """Add the swing of legs, arms and trunk in walking."""
    pace = style.stride_hz * (1 + 0.08 * _drift(frames, fps, 1.5, rng))
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(pace) / fps
    for side, offset in (("l", 0.0), ("r", np.pi)):
        swing = np.sin(phase + offset)
        forward = np.clip(np.cos(phase + offset), 0, None)  # the leg is in the air
        angles[f"{side}_hip"] = angles[f"{side}_hip"] + style.steps * swing + 0.25 * forward**2
        angles[f"{side}_knee"] = angles[f"{side}_knee"] + 1.1 * forward**2
        angles[f"{side}_arm"] = angles[f"{side}_arm"] - style.arm_swing * swing
        angles[f"{side}_elbow"] = angles[f"{side}_elbow"] - 0.2 * style.arm_swing * swing
    angles["twist"] = 0.3 * angles["twist"] + 0.08 * np.sin(phase)
    angles["chest_twist"] = 0.3 * angles["chest_twist"] - 0.16 * np.sin(phase)


def _turn(axis: int, angle: Curve) -> NDArray[np.float64]:
    """Make rotations (T, 3, 3) about x, y or z."""
    out = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = np.cos(angle)
    out[:, j, i] = np.sin(angle)
    out[:, i, j] = -out[:, j, i]
    return out


def _pose(
    body: Mapping[str, NDArray[np.float64]], angles: dict[str, Curve], heading: Curve
) -> NDArray[np.float64]:
    """Forward kinematics: (T, 17, 3) with the pelvis at the origin."""
    pelvis = _turn(2, heading)
    lower = (
        pelvis @ _turn(2, angles["twist"]) @ _turn(1, angles["lean"]) @ _turn(0, -angles["side"])
    )
    upper = lower @ _turn(2, angles["chest_twist"]) @ _turn(1, angles["chest"])
    head = upper @ _turn(2, angles["look"]) @ _turn(1, angles["nod"]) @ _turn(0, angles["tilt"])
    turned = {"Spine": lower, "Thorax": upper, "Neck/Nose": head, "Head": head}
    for side, out in (("L", 1), ("R", -1)):
        a = {n: angles[f"{side.lower()}_{n}"] for n in SIDED}
        hip = pelvis @ _turn(1, -a["hip"]) @ _turn(0, out * a["hip_out"])
        hip = hip @ _turn(2, out * a["hip_turn"])
        arm = upper @ _turn(1, -a["arm"]) @ _turn(0, out * a["arm_out"])
        arm = arm @ _turn(2, -out * a["arm_turn"])
        turned |= {
            **{f"{side}Hip": pelvis, f"{side}Knee": hip, f"{side}Foot": hip @ _turn(1, a["knee"])},
            **{f"{side}Shoulder": upper, f"{side}Elbow": arm},
            f"{side}Wrist": arm @ _turn(1, -a["elbow"]),
        }
    joints = np.zeros((len(heading), len(H36M17), 3))
    for parent, child in H36M17.bones:  # parents come before their children
        name = H36M17.joint_names[child]
        joints[:, child] = joints[:, parent] + turned[name] @ body[name]
    return joints


def _on_the_floor(
    joints: NDArray[np.float64], body: Mapping[str, NDArray[np.float64]], fps: float
) -> NDArray[np.float64]:
    """Place the lowest joints on the floor, and move the pelvis so that they do not slide."""
    height = -(body["LKnee"][2] + body["LFoot"][2]) / 0.491
    names = list(CLEARANCE)
    low = joints[:, [H36M17.index(name) for name in names]]
    clear = height * np.array([CLEARANCE[name] for name in names])
    above = low[..., 2] - clear
    lowest = above.min(axis=1, keepdims=True)
    bearing = np.exp(-(above - lowest) / CONTACT)
    bearing /= bearing.sum(axis=1, keepdims=True)
    rise = -(lowest[:, 0] - CONTACT * np.log(np.exp(-(above - lowest) / CONTACT).mean(axis=1)))
    slip = np.diff(low[..., :2], axis=0, prepend=low[:1, :, :2])
    path = -np.cumsum((bearing[..., None] * slip).sum(axis=1), axis=0)
    # Long walks would leave the room: keep only the path relative to its moving average.
    path -= gaussian_filter1d(path, 4 * fps, axis=0, mode="nearest")
    place = np.concatenate([path, gaussian_filter1d(rise, 0.03 * fps)[:, None]], axis=1)
    return joints + place[:, None]
