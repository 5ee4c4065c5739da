"""Convert joint positions to rotations of a skeleton with fixed bone lengths, and back.

The rest pose is a T-pose: y up, facing z, the left hand towards x. The rotation of a node is
relative to its parent, and points the bone below the node. Several bones start at Hip and Thorax,
at varying angles to each other; each of them has a node of its own at the same position
(`LowerBack`, `LPelvis`, `LCollar` ...), as in CMU's motion capture. The conversion thus keeps all
bone directions, and joint positions differ only because bone lengths are fixed.

Joint positions do not determine the twist of a bone about its own axis. Pelvis and chest turn with
the lines of hips and shoulders, and thighs and upper arms are twisted so that knees and elbows bend
about one fixed axis. Every other twist is zero: the rotation relative to the parent is the shortest
arc from rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.export.motion import JOINT_NAMES
from vidpose.postprocess.bone_lengths import bone_lengths
from vidpose.utils.gaps import runs

HINGE_DEG = 15.0
"""The plane of a limb that is bent by less than this is undefined."""
MOMENT_S = 0.2
"""A limb that is bent backwards for less than this is treated as a straight limb with noise."""
SMALLEST = 1e-9
"""Keeps divisions finite; metres, or the sine of an angle."""

LEFT, RIGHT, UP, DOWN = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)


class Node(NamedTuple):
    """A node of the hierarchy."""

    name: str
    parent: int
    joint: int
    """The joint at its position, in h36m17."""
    rest: tuple[float, float, float]
    """Direction from the parent at rest; zero if at the same position."""


def _tree() -> tuple[Node, ...]:
    """The hierarchy, parents first."""
    here = (0.0, 0.0, 0.0)
    nodes: list[Node] = []

    def add(parent: str, *chain: tuple[str, tuple[float, float, float]]) -> None:
        for name, rest in chain:
            above = next((n for n, node in enumerate(nodes) if node.name == parent), -1)
            joint = nodes[above].joint if rest == here and nodes else JOINT_NAMES.index(name)
            nodes.append(Node(name, above, joint, rest))
            parent = name

    add("", ("Hip", here))
    for side, out in (("R", RIGHT), ("L", LEFT)):
        leg = ((f"{side}Hip", out), (f"{side}Knee", DOWN), (f"{side}Foot", DOWN))
        add("Hip", (f"{side}Pelvis", here), *leg)
    add("Hip", ("LowerBack", here), ("Spine", UP), ("Thorax", UP))
    add("Thorax", ("NeckBase", here), ("Nose", UP), ("Head", UP))
    for side, out in (("L", LEFT), ("R", RIGHT)):
        arm = ((f"{side}Shoulder", out), (f"{side}Elbow", out), (f"{side}Wrist", out))
        add("Thorax", (f"{side}Collar", here), *arm)
    return tuple(nodes)


NODES = _tree()
NODE_OF = {node.name: n for n, node in enumerate(NODES)}
JOINT_NODES = tuple(NODE_OF[name] for name in JOINT_NAMES)
"""The node of every joint of h36m17."""

_FRAMES = {
    "Hip": ("RHip", "LHip", "Hip", "Spine"),
    "Thorax": ("RShoulder", "LShoulder", "Spine", "Thorax"),
}
"""Nodes with a full orientation, from joints: right, left, below, above."""
_HINGES = {
    **{f"{side}Hip": (f"{side}Foot", LEFT) for side in "LR"},
    "LShoulder": ("LWrist", DOWN),
    "RShoulder": ("RWrist", UP),
}
"""Nodes of thighs and upper arms: the end of the limb, and the axis at rest about which positive
angles bend knee or elbow (heels move back, hands move forward)."""


@dataclass(frozen=True, eq=False)
class RigidMotion:
    """Motion of a skeleton with fixed bone lengths; N nodes, see `NODES`, and T frames."""

    offsets: NDArray[np.float64]
    """(N, 3) metres, from the parent, at rest."""
    root: NDArray[np.float64]
    """(T, 3) position of the hip, metres."""
    rotations: tuple[Rotation, ...]
    """N of T frames each: from a node's axes to its parent's."""

    def nodes(self) -> NDArray[np.float64]:
        """Forward kinematics: (T, N, 3) positions of the nodes, metres."""
        places = np.empty((len(self.root), len(NODES), 3))
        turned: list[Rotation] = []
        for n, node in enumerate(NODES):
            if node.parent < 0:
                places[:, n] = self.root
                turned.append(self.rotations[n])
                continue
            above = turned[node.parent]
            places[:, n] = places[:, node.parent] + above.apply(self.offsets[n])
            turned.append(above * self.rotations[n])
        return places

    def joints(self) -> NDArray[np.float64]:
        """(T, 17, 3) metres, h36m17; the inverse of `rigid_motion`."""
        return self.nodes()[:, JOINT_NODES]

    def turned(self, matrix: NDArray[np.float64]) -> RigidMotion:
        """The same motion, and the same rest pose, in other axes: x' = matrix x."""
        turn = Rotation.from_matrix(matrix)
        return replace(
            self,
            offsets=turn.apply(self.offsets),
            root=turn.apply(self.root),
            rotations=tuple(turn * rotation * turn.inv() for rotation in self.rotations),
        )


def rigid_motion(joints: NDArray[np.float64], times: NDArray[np.float64]) -> RigidMotion:
    """Compute the rotations that take the skeleton from rest to each pose.

    Each bone has its median length over frames and both sides, and its direction in each frame.

    Args:
        joints: (T, 17, 3) metres, h36m17, y up.
        times: (T,) seconds.
    """
    lengths = bone_lengths(joints)
    offsets = np.array([lengths[node.joint] * np.array(node.rest) for node in NODES])
    rotations: list[Rotation] = []
    turned: list[Rotation] = []
    for n, node in enumerate(NODES):
        to_parent = turned[node.parent].inv() if node.parent >= 0 else None
        if node.name in _FRAMES:
            whole = _frame(joints, node.name)
            rotation = whole if to_parent is None else to_parent * whole
        else:
            rotation = _pointing(joints, times, n, to_parent)
        rotations.append(rotation)
        turned.append(rotation if to_parent is None else turned[node.parent] * rotation)
    return RigidMotion(offsets, joints[:, 0], tuple(rotations))


def _pointing(
    joints: NDArray[np.float64], times: NDArray[np.float64], n: int, to_parent: Rotation | None
) -> Rotation:
    """The rotation of a node, in its parent's axes, that points the bone below it."""
    node = NODES[n]
    below = next((other for other in NODES if other.parent == n), None)
    if below is None or to_parent is None:
        return Rotation.identity(len(joints))
    along = to_parent.apply(joints[:, below.joint] - joints[:, node.joint])
    arc = shortest_arc(np.array(below.rest), along)
    if node.name not in _HINGES:
        return arc
    end, axis = _HINGES[node.name]
    lower = to_parent.apply(joints[:, JOINT_NAMES.index(end)] - joints[:, below.joint])
    twist = hinge_twist(arc.apply(axis), _unit(along), _unit(lower), times)
    return Rotation.from_rotvec(twist[:, None] * _unit(along)) * arc


def shortest_arc(start: NDArray[np.float64], ends: NDArray[np.float64]) -> Rotation:
    """The rotations without twist from one direction to others.

    Args:
        start: (3,) unit vector.
        ends: (T, 3), of any length; a zero vector gives the identity.
    """
    ends = np.where(np.linalg.norm(ends, axis=1, keepdims=True) > SMALLEST, _unit(ends), start)
    quaternions = np.column_stack([np.cross(start, ends), 1 + ends @ start])
    # The shortest arc of half a turn is not unique; any perpendicular axis will do.
    across = np.append(np.roll(start, 1), 0.0)
    opposite = np.linalg.norm(quaternions, axis=1, keepdims=True) < SMALLEST
    return Rotation.from_quat(np.where(opposite, across, quaternions))


def hinge_twist(
    axes: NDArray[np.float64],
    upper: NDArray[np.float64],
    lower: NDArray[np.float64],
    times: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Twist of a limb's upper bone that makes its hinge axis perpendicular to the limb's plane.

    The plane is defined where the limb is bent by `HINGE_DEG` or more. The twist is interpolated
    in between and held before and after; it is zero for a limb that never bends. If a limb briefly
    seems to bend backwards, the hinge overextends instead of the whole limb turning around.

    Args:
        axes: (T, 3) unit vectors, the hinge axis without twist.
        upper: (T, 3) unit vectors along the upper bone.
        lower: (T, 3) unit vectors along the lower bone.
        times: (T,) seconds.

    Returns:
        (T,) radians about `upper`.
    """
    across = np.cross(upper, lower)
    defined = np.linalg.norm(across, axis=1) >= np.sin(np.radians(HINGE_DEG))
    if not defined.any():
        return np.zeros(len(times))
    sideways = np.cross(upper, axes)
    twist = np.arctan2((across * sideways).sum(axis=1), (across * axes).sum(axis=1))
    before: float | None = None
    for run in runs(defined):
        short = times[run][-1] - times[run][0] < MOMENT_S
        if before is not None and short and np.cos(twist[run][0] - before) < 0:
            twist[run] += np.pi
        before = float(twist[run][-1])
    return np.interp(times, times[defined], np.unwrap(twist[defined]))


def _frame(joints: NDArray[np.float64], name: str) -> Rotation:
    """Orientation of pelvis or chest: x from right to left, y as close to up as possible."""
    right, left, below, above = (JOINT_NAMES.index(joint) for joint in _FRAMES[name])
    across = joints[:, left] - joints[:, right]
    arc = shortest_arc(np.array(LEFT), across)
    x = arc.apply(LEFT)
    up = joints[:, above] - joints[:, below]
    up = up - (up * x).sum(axis=1, keepdims=True) * x
    flat = np.linalg.norm(up, axis=1, keepdims=True) < SMALLEST
    y = np.where(flat, arc.apply(UP), _unit(up))
    return Rotation.from_matrix(np.stack([x, y, np.cross(x, y)], axis=2))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, SMALLEST), np.float64)
