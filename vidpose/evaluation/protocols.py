"""Evaluation protocols: how each dataset's papers average errors, and over which joints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets import h36m, humaneva, mpi_inf_3dhp
from vidpose.datasets.choice import action_group
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.errors import UsageError
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, Skeleton

NOT_IN_14 = {
    H36M17.name: ("Hip", "Spine", "Neck/Nose"),
    MPI_INF_3DHP.name: ("pelvis", "spine", "head"),
    HUMANEVA15.name: ("pelvis",),
}
"""Joints that are not among the 14 of LSP: limbs, neck and top of the head."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a dataset's papers average errors into the numbers they print."""

    name: str
    group: Callable[[PoseSequence], str]
    """Maps a sequence to its row of the table."""
    zero_root: bool
    """Set the predicted root to 0 before comparing; otherwise its error counts."""
    mean_of_groups: bool
    """The headline number is the unweighted mean of the groups; otherwise the mean of all
    frames."""
    headline: str = "mpjpe_mm"
    """The metric of the headline number."""
    groups_are: str = "action"
    """What a row of the table is, for its header."""
    test_subjects: tuple[str, ...] = ()
    """The subjects of the papers' numbers."""
    order: tuple[str, ...] = ()
    """Groups in the order of the papers' tables; others follow alphabetically."""
    families: tuple[str, ...] = ()
    """Additional means, over the groups whose last word is in the name: "Walk and Jog" averages
    Walk and Jog."""
    pck_joints: Callable[[Skeleton, int], bool] = lambda skeleton, joint: True
    """Whether PCK and AUC average a joint."""

    def comparable(self, subjects: Iterable[str]) -> bool:
        """Whether rows of these subjects compare with the papers' rows.

        A row of an action needs all test subjects, one of a subject only that subject.
        """
        found, wanted = set(subjects), set(self.test_subjects)
        return found == wanted or (self.groups_are != "action" and found < wanted)

    def family(self, name: str, groups: Iterable[str]) -> list[str]:
        """Return the groups that one of `families` averages."""
        return [group for group in groups if group.split(" ")[-1] in name.split(" and ")]


def _action(sequence: PoseSequence) -> str:
    return action_group(sequence.action)


def _subject_and_action(sequence: PoseSequence) -> str:
    """Make the group "S1 Walk" from the subject Validate/S1 and the action "Walking 1 chunk0"."""
    action = _action(sequence)
    return f"{sequence.subject.split('/')[-1]} {'Walk' if action == 'Walking' else action}"


def _is_one_of_14(skeleton: Skeleton, joint: int) -> bool:
    return skeleton.joint_names[joint] not in NOT_IN_14.get(skeleton.name, ())


H36M = Protocol(
    name="Human3.6M",
    group=_action,
    # The papers' code sets the true root to 0 and keeps the predicted one, so its error counts.
    zero_root=False,
    mean_of_groups=True,
    test_subjects=h36m.TEST,
    order=h36m.ACTIONS,
)
MPI = Protocol(
    name="MPI-INF-3DHP",
    group=lambda sequence: sequence.subject,
    groups_are="subject",
    zero_root=True,
    mean_of_groups=False,
    test_subjects=mpi_inf_3dhp.TEST,
    order=mpi_inf_3dhp.TEST,
    pck_joints=_is_one_of_14,
)
HUMANEVA = Protocol(
    name="HumanEva-I",
    group=_subject_and_action,
    groups_are="subject, action",
    zero_root=False,
    mean_of_groups=True,
    headline="p_mpjpe_mm",
    test_subjects=humaneva.TEST,
    order=tuple(f"S{s} {action}" for action in ("Walk", "Jog", "Box") for s in (1, 2, 3)),
    families=("Walk", "Jog", "Box", "Walk and Jog"),
)
DEFAULT = Protocol(name="default", group=_action, zero_root=True, mean_of_groups=False)
PROTOCOLS = {"h36m": H36M, "synthetic": H36M, "mpi_inf_3dhp": MPI, "humaneva": HUMANEVA}


def protocol_of(dataset: Dataset) -> Protocol:
    return PROTOCOLS.get(dataset.name, DEFAULT)


def scored_joints(skeleton: Skeleton, count: int | None) -> NDArray[np.intp]:
    """Return the indices of the joints to average errors over.

    All by default. 16 of 17 exclude the root, whose error is often 0 by definition; 14 are the
    limbs, the neck and the top of the head (all except `NOT_IN_14`).

    Raises:
        UsageError: the skeleton has no such choice of joints.
    """
    every = np.arange(len(skeleton))
    if count is None or count == len(skeleton):
        return every
    if count == 16 and len(skeleton) == 17:
        return np.delete(every, skeleton.root)
    if count == 14 and skeleton.name in NOT_IN_14:
        return np.array([j for j in every if _is_one_of_14(skeleton, int(j))])
    raise UsageError(
        f"--joints {count}: {skeleton.name} has {len(skeleton)} joints and no standard choice of "
        f"{count}; omit --joints."
    )
