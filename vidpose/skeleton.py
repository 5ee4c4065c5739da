"""Skeleton definitions, and the named conversions between them.

Skeletons are always identified by name, never by the number of joints: COCO and Human3.6M both have
17.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Skeleton:
    """Joint names and their tree.

    Names of left and right joints contain `left` or `right`, or begin with L or R.
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    """Parent of every joint; -1 for a joint without a parent."""

    def __post_init__(self) -> None:
        if len(self.parents) != len(self.joint_names):
            raise ValueError(
                f"{self.name}: {len(self.parents)} parents for {len(self.joint_names)} joints"
            )

    def __len__(self) -> int:
        return len(self.joint_names)

    def index(self, joint: str) -> int:
        """The index of a joint."""
        return self.joint_names.index(joint)

    @cached_property
    def left(self) -> tuple[int, ...]:
        """The joints of the left side."""
        return tuple(j for j, name in enumerate(self.joint_names) if _mirror_name(name))

    @cached_property
    def right(self) -> tuple[int, ...]:
        """The right counterparts of `left`, in the same order."""
        return tuple(self.index(_mirror_name(self.joint_names[joint])) for joint in self.left)

    @cached_property
    def root(self) -> int:
        """The root joint: the first without a parent."""
        return self.parents.index(-1)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every bone."""
        return tuple((p, child) for child, p in enumerate(self.parents) if p >= 0)

    @cached_property
    def mirrored(self) -> NDArray[np.intp]:
        """(J,) permutation: `joints[..., mirrored, :]` swaps left and right."""
        order = np.arange(len(self))
        order[list(self.left)], order[list(self.right)] = self.right, self.left
        return order


def _mirror_name(name: str) -> str:
    """The name of a left joint's right counterpart; empty for any other joint."""
    if "left" in name:
        return name.replace("left", "right")
    return f"R{name[1:]}" if name[0] == "L" else ""


def _skeleton(name: str, joints: str, parents: tuple[int, ...]) -> Skeleton:
    return Skeleton(name, tuple(joints.split()), parents)


H36M17 = _skeleton(
    "h36m17",
    "Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head LShoulder LElbow "
    "LWrist RShoulder RElbow RWrist",
    (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)

COCO17 = _skeleton(
    "coco17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle",
    # COCO's own limbs form a graph with cycles; this is a tree of it, with the nose as its root.
    (-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
)

BLAZEPOSE33 = _skeleton(
    "blazepose33",
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
    "left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index "
    "left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle "
    "left_heel right_heel left_foot_index right_foot_index",
    (
        *(-1, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0, 0, 0, 11, 12, 13, 14),
        *(15, 16, 15, 16, 15, 16, 11, 12, 23, 24, 25, 26, 27, 28, 27, 28),
    ),
)

OPENPOSE25 = _skeleton(
    "openpose25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist hip "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye "
    "right_ear left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe "
    "right_heel",
    (1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
)

OPENPOSE18 = _skeleton(
    "openpose18",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye "
    "right_ear left_ear",
    (1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15),
)

HALPE26 = _skeleton(
    "halpe26",
    f"{' '.join(COCO17.joint_names)} head neck hip left_big_toe right_big_toe left_small_toe "
    "right_small_toe left_heel right_heel",
    (
        *(18, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14),
        *(18, -1, 18, 15, 16, 20, 21, 15, 16),
    ),
)

OPENPOSE25B = _skeleton(
    "openpose25b",
    f"{' '.join(COCO17.joint_names)} upper_neck head left_big_toe left_small_toe left_heel "
    "right_big_toe right_small_toe right_heel",
    (17, 0, 0, 1, 2, 17, 17, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14, -1, 0, 15, 19, 15, 16, 22, 16),
)
"""OpenPose's experimental model: as many joints as BODY_25, in another order."""


def _hand(side: str, root: int) -> tuple[str, tuple[int, ...]]:
    """Names and parents of a hand's 21 joints; the first, at the wrist, has index `root`."""
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    names = [f"{side}_{finger}{n}" for finger in fingers for n in range(1, 5)]
    parents = [root if n % 4 == 0 else root + n for n in range(20)]
    return f"{side}_hand_root {' '.join(names)}", tuple(parents)


def _with_face_and_hands(
    name: str, joints: str, parents: tuple[int, ...], wrists: tuple[int, int]
) -> Skeleton:
    """A body, followed by 68 face landmarks, the left and the right hand."""
    face = " ".join(f"face-{n}" for n in range(68))
    left = len(parents) + 68
    left_hand, left_parents = _hand("left", left)
    right_hand, right_parents = _hand("right", left + 21)
    return _skeleton(
        name,
        f"{joints} {face} {left_hand} {right_hand}",
        (*parents, *[0] * 68, wrists[0], *left_parents, wrists[1], *right_parents),
    )


WHOLEBODY133 = _with_face_and_hands(
    "wholebody133",
    f"{' '.join(COCO17.joint_names)} left_big_toe left_small_toe left_heel right_big_toe "
    "right_small_toe right_heel",
    (*COCO17.parents, 15, 17, 15, 16, 20, 16),
    (9, 10),
)
"""COCO-WholeBody's joints, named as in MMPose."""

HALPE136 = _with_face_and_hands("halpe136", " ".join(HALPE26.joint_names), HALPE26.parents, (9, 10))

HUMANEVA15 = _skeleton(
    "humaneva15",
    "pelvis thorax left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist "
    "left_hip left_knee left_ankle right_hip right_knee right_ankle head",
    (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
)

MPI_INF_3DHP = _skeleton(
    "mpi_inf_3dhp",
    "head_top neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine head",
    (16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1),
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (
        *(H36M17, COCO17, BLAZEPOSE33, OPENPOSE25, OPENPOSE25B, OPENPOSE18, HALPE26),
        *(WHOLEBODY133, HALPE136, HUMANEVA15, MPI_INF_3DHP),
    )
}


Formula = dict[str, float]
"""A point as a weighted sum of named joints; the weights sum to one."""


@dataclass(frozen=True)
class Conversion:
    """Every target joint as a weighted sum of source joints, with fallbacks.

    `formulas[j]` lists the formulas of target joint j, best first: the first one whose source
    joints are all present is used. If there is none, the joint is missing. The sums are affine, so
    they work in pixels and in metres.
    """

    source: Skeleton
    target: Skeleton
    formulas: tuple[tuple[Formula, ...], ...]

    def __call__(
        self, joints: NDArray[np.floating], scores: NDArray[np.floating] | None = None
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Convert joints and their scores.

        Args:
            joints: (..., J_source, D), any unit and frame; NaN where a joint is missing.
            scores: (..., J_source), 0 to 1; by default 1 where a joint is present.

        Returns:
            joints (..., J_target, D), NaN where missing, and scores (..., J_target): the minimum
            score of the source joints, 0 where missing.
        """
        if joints.shape[-2] != len(self.source):
            raise ValueError(
                f"expected {len(self.source)} {self.source.name} joints, got {joints.shape[-2]}"
            )
        there = np.isfinite(joints).all(axis=-1)
        if scores is None:
            scores = there.astype(joints.dtype)
        shape = joints.shape[:-2]
        out = np.full((*shape, len(self.target), joints.shape[-1]), np.nan, joints.dtype)
        out_scores = np.zeros((*shape, len(self.target)), scores.dtype)
        for j, ways in enumerate(self.formulas):
            for formula in reversed(ways):  # the best formula is applied last and wins
                sources = [self.source.index(name) for name in formula]
                weights = np.fromiter(formula.values(), joints.dtype)
                usable = there[..., sources].all(axis=-1)
                point = np.einsum("...jd,j->...d", joints[..., sources, :], weights)
                out[..., j, :] = np.where(usable[..., None], point, out[..., j, :])
                least = scores[..., sources].min(axis=-1)
                out_scores[..., j] = np.where(usable, least, out_scores[..., j])
        return out, out_scores


HEAD_TOP_BEYOND_EARS = 0.6
"""The head top lies on the line from the thorax (midpoint of the shoulder joints) through the
midpoint of the ears, this fraction of their distance beyond: about 13 cm above the ear canal
(tragion to vertex) over about 22 cm from the shoulder joints to the ears in an adult."""


def _mean(*formulas: Formula) -> Formula:
    out: Formula = {}
    for formula in formulas:
        for joint, weight in formula.items():
            out[joint] = out.get(joint, 0.0) + weight / len(formulas)
    return out


def _beyond(start: Formula, through: Formula, fraction: float) -> Formula:
    """The point beyond `through` on the line from `start`, by `fraction` of their distance."""
    out = {joint: -fraction * weight for joint, weight in start.items()}
    for joint, weight in through.items():
        out[joint] = out.get(joint, 0.0) + (1 + fraction) * weight
    return out


def conversion_to_h36m17(source: Skeleton) -> Conversion:
    """From any skeleton with COCO's joint names to h36m17.

    Limb joints are unchanged. Hip is the midpoint of the hips, Thorax the midpoint of the
    shoulders, Spine the midpoint of those two, Neck/Nose the nose, and Head the head top
    (`HEAD_TOP_BEYOND_EARS`). If an ear is missing, the eyes replace the ears, and if an eye is
    missing, too, the nose does.

    A skeleton may have `head` (the head top), `neck` (in OpenPose and Halpe the midpoint of the
    shoulders) and `hip` (the midpoint of the hips). A detected head top is better than a derived
    one. Neck and hip are only used if a shoulder or a hip is missing, so that these joints mean the
    same for every source.
    """

    def joint(name: str) -> Formula:
        return {name: 1.0}

    def middle(name: str) -> Formula:
        return _mean(joint(f"left_{name}"), joint(f"right_{name}"))

    hips, thoraxes = (middle("hip"), joint("hip")), (middle("shoulder"), joint("neck"))
    faces = (middle("ear"), middle("eye"), joint("nose"))
    ways: dict[str, tuple[Formula, ...]] = {
        "Hip": hips,
        "Spine": tuple(_mean(hip, thorax) for hip in hips for thorax in thoraxes),
        "Thorax": thoraxes,
        "Neck/Nose": (joint("nose"),),
        "Head": (
            joint("head"),
            *(_beyond(t, face, HEAD_TOP_BEYOND_EARS) for face in faces for t in thoraxes),
        ),
    }
    limbs = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in ("left", "right"):
        for limb in limbs:
            name = "Foot" if limb == "ankle" else limb.capitalize()
            ways[side[0].upper() + name] = (joint(f"{side}_{limb}"),)
    there = set(source.joint_names)
    possible = {
        name: tuple(formula for formula in formulas if there.issuperset(formula))
        for name, formulas in ways.items()
    }
    return Conversion(source, H36M17, tuple(possible[name] for name in H36M17.joint_names))


_FROM_H36M17: dict[str, dict[str, Formula]] = {
    HUMANEVA15.name: {"pelvis": {"Hip": 1}, "thorax": {"Thorax": 1}, "head": {"Head": 1}},
    MPI_INF_3DHP.name: {
        **{"pelvis": {"Hip": 1}, "spine": {"Spine": 1}, "neck": {"Thorax": 1}},
        **{"head_top": {"Head": 1}, "head": {"Neck/Nose": 0.5, "Head": 0.5}},
    },
}
"""The joints of the trunk; limb joints are the same in all skeletons."""
_H36M17_LIMBS = {"ankle": "Foot"}


def _from_h36m17(target: Skeleton) -> Conversion:
    """To another dataset's skeleton, for our detections in its videos.

    Positions are those of h36m17 under the other's names; the dataset's own annotations may differ,
    especially on the head.
    """
    formulas = []
    for name in target.joint_names:
        side, _, limb = name.partition("_")
        ours = f"{side[0].upper()}{_H36M17_LIMBS.get(limb, limb.capitalize())}"
        formulas.append((_FROM_H36M17[target.name].get(name, {ours: 1.0}),))
    return Conversion(H36M17, target, tuple(formulas))


CONVERSIONS = {
    **{
        (source.name, H36M17.name): conversion_to_h36m17(source)
        for source in (
            *(COCO17, BLAZEPOSE33, OPENPOSE25, OPENPOSE25B, OPENPOSE18, HALPE26),
            *(WHOLEBODY133, HALPE136),
        )
    },
    **{(H36M17.name, target.name): _from_h36m17(target) for target in (HUMANEVA15, MPI_INF_3DHP)},
}


def conversion(source: str, target: str) -> Conversion:
    """The conversion between two skeletons, by name.

    Raises:
        ValueError: there is none.
    """
    try:
        return CONVERSIONS[source, target]
    except KeyError:
        known = ", ".join(f"{a} to {b}" for a, b in CONVERSIONS)
        raise ValueError(f"no conversion from {source} to {target}; choose from {known}") from None
