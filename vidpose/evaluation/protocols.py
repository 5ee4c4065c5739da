"""Evaluation protocols: how each dataset's papers average errors, and over which joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.choice import action_group
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.datasets.h36m import ACTIONS
from vidpose.errors import UsageError
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, Skeleton

FOURTEEN = {
    H36M17.name: ("Hip", "Spine", "Neck/Nose"),
    MPI_INF_3DHP.name: ("pelvis", "spine", "head"),
    HUMANEVA15.name: ("pelvis",),
}
"""Joints to exclude for 14 joints: limbs, neck and top of the head remain, as in LSP."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a dataset's papers average errors."""

    name: str
    group: Callable[[PoseSequence], str]
    """The row of the table that a sequence belongs to."""
    zero_root: bool
    """Set the predicted root to 0 before the comparison; otherwise its error counts."""
    mean_of_groups: bool
    """Whether the headline is the unweighted mean of the groups, or the mean of all frames."""
    headline: str = "mpjpe_mm"
    groups_are: str = "action"
    order: tuple[str, ...] = ()
    """Groups in the order of the papers' tables; others follow alphabetically."""
    families: tuple[str, ...] = ()
    """Further rows: means over the groups whose name ends in the word, or in either word of
    "Walk and Jog"."""
    pck_joints: Callable[[Skeleton, int], bool] = lambda skeleton, joint: True
    """Whether PCK and AUC include a joint."""


def _action(sequence: PoseSequence) -> str:
    return action_group(sequence.action)


def _subject_and_action(sequence: PoseSequence) -> str:
    """Make the group "S1 Walk" from the subject Validate/S1 and the action "Walking 1 chunk0"."""
    action = _action(sequence)
    return f"{sequence.subject.split('/')[-1]} {'Walk' if action == 'Walking' else action}"


def _is_one_of_14(skeleton: Skeleton, joint: int) -> bool:
    return skeleton.joint_names[joint] not in FOURTEEN.get(skeleton.name, ())


H36M = Protocol(
    name="Human3.6M",
    group=_action,
    # The papers' code sets only the true root to 0, so the error of the predicted root counts.
    zero_root=False,
    mean_of_groups=True,
    order=ACTIONS,
)
MPI = Protocol(
    name="MPI-INF-3DHP",
    group=lambda sequence: sequence.subject,
    groups_are="subject",
    zero_root=True,
    mean_of_groups=False,
    pck_joints=_is_one_of_14,
)
HUMANEVA = Protocol(
    name="HumanEva-I",
    group=_subject_and_action,
    groups_are="subject, action",
    zero_root=False,
    mean_of_groups=True,
    headline="p_mpjpe_mm",
    order=tuple(f"S{s} {action}" for action in ("Walk", "Jog", "Box") for s in (1, 2, 3)),
    families=("Walk", "Jog", "Box", "Walk and Jog"),
)
DEFAULT = Protocol(name="default", group=_action, zero_root=True, mean_of_groups=False)
PROTOCOLS = {"h36m": H36M, "synthetic": H36M, "mpi_inf_3dhp": MPI, "humaneva": HUMANEVA}


def protocol_of(dataset: Dataset) -> Protocol:
    return PROTOCOLS.get(dataset.name, DEFAULT)


def scored_joints(skeleton: Skeleton, count: int | None) -> NDArray[np.intp]:
    """Return the indices of the joints to average errors over.

    By default all. 16 of 17 are all except the root, whose error is 0 by definition in some
    protocols; 14 are the limbs, the neck and the top of the head (`FOURTEEN`).

    Raises:
        UsageError: the skeleton has no such set.
    """
    everything = np.arange(len(skeleton))
    if count is None or count == len(skeleton):
        return everything
    if count == 16 and len(skeleton) == 17:
        return np.delete(everything, skeleton.root)
    if count == 14 and skeleton.name in FOURTEEN:
        return np.array([j for j in everything if _is_one_of_14(skeleton, int(j))])
    raise UsageError(
        f"--joints {count}: {skeleton.name} has {len(skeleton)} joints and no such choice of "
        "them; leave --joints out."
    )
