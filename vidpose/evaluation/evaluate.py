"""A checkpoint measured on a dataset's test sequences, by the protocol its papers use.

Every frame of a sequence is lifted as in inference and compared with the truth, relative to the
root. What is kept are errors by frame and joint; every table is a mean of them. One sequence is
held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px
from vidpose.datasets.dataset import Dataset, Sequence
from vidpose.errors import DataError, UsageError, VidposeError
from vidpose.evaluation.published import H36M_ACTIONS
from vidpose.lifting.sliding_window import mirror, slide
from vidpose.metrics import (
    PCK_THRESHOLD_M,
    auc_of_errors,
    mpjpe_per_joint,
    mpjve_per_joint,
    n_mpjpe_per_joint,
    p_mpjpe_per_joint,
    pck_of_errors,
)
from vidpose.models import Checkpoint
from vidpose.models.base import Slides
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, SKELETONS, Skeleton
from vidpose.utils.progress import Progress, silent

METRICS = {
    "mpjpe_mm": "MPJPE",
    "p_mpjpe_mm": "P-MPJPE",
    "n_mpjpe_mm": "N-MPJPE",
    "mpjve_mm": "MPJVE",
    "pck": "PCK",
    "auc": "AUC",
}
"""Keys and what they are called; mm, MPJVE in mm a frame, PCK and AUC in percent."""
SAME_RATE = 0.02
RESAMPLES = 1000
"""Of the bootstrap."""

FOURTEEN = {
    H36M17.name: ("Hip", "Spine", "Neck/Nose"),
    MPI_INF_3DHP.name: ("pelvis", "spine", "head"),
    HUMANEVA15.name: ("pelvis",),
}
"""What 14 joints leave out: limbs, neck and top of the head remain, as in LSP."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a dataset's papers turn errors into the number they print."""

    name: str
    group: Callable[[Sequence], str]
    """The row of the table that a sequence belongs to."""
    zero_root: bool
    """Put the predicted root at 0 before it is compared; otherwise its error counts."""
    mean_of_groups: bool
    """The headline is the unweighted mean of the groups; otherwise, of all frames."""
    headline: str = "mpjpe_mm"
    groups_are: str = "action"
    order: tuple[str, ...] = ()
    """Groups in the order of the papers' tables; others follow by name."""
    families: tuple[str, ...] = ()
    """Further means: of the groups whose name ends in one of the words, "Walk and Jog" in both."""
    pck_joints: Callable[[Skeleton, int], bool] = lambda skeleton, joint: True
    """Joints over which PCK and AUC are meant."""


def _first_word(sequence: Sequence) -> str:
    """The action without its number: "Walking 1" is Walking, and WalkDog is another."""
    return sequence.action.split(" ")[0]


def _subject_and_action(sequence: Sequence) -> str:
    """Validate/S1 and "Walking 1 chunk0" make "S1 Walk"."""
    action = _first_word(sequence)
    return f"{sequence.subject.split('/')[-1]} {'Walk' if action == 'Walking' else action}"


def _is_one_of_14(skeleton: Skeleton, joint: int) -> bool:
    return skeleton.joint_names[joint] not in FOURTEEN.get(skeleton.name, ())


H36M = Protocol(
    name="Human3.6M",
    group=_first_word,
    # The papers' code sets the true root to 0 and leaves the predicted one: it counts.
    zero_root=False,
    mean_of_groups=True,
    order=H36M_ACTIONS,
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
DEFAULT = Protocol(name="default", group=_first_word, zero_root=True, mean_of_groups=False)
PROTOCOLS = {"h36m": H36M, "synthetic": H36M, "mpi_inf_3dhp": MPI, "humaneva": HUMANEVA}


def protocol_of(dataset: Dataset) -> Protocol:
    return PROTOCOLS.get(dataset.name, DEFAULT)


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceErrors:
    """What is kept of one sequence; N scored frames, S scored joints."""

    subject: str
    action: str
    camera: str
    group: str
    seconds: Floats
    """(N,), when the scored frames are."""
    mpjpe_mm: NDArray[np.float32]
    """(N, S)."""
    p_mpjpe_mm: NDArray[np.float32]
    """(N, S)."""
    means: dict[str, Floats]
    """By key of `METRICS`, (S,): over the frames. NaN for a velocity where no frames follow
    each other."""

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.action}/{self.camera}"

    @property
    def take(self) -> tuple[str, str]:
        return self.subject, self.action

    def __len__(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The errors of one checkpoint on one dataset, and their means."""

    label: str
    """The checkpoint, for tables and plots."""
    network: str
    frames: int
    """In a window."""
    sha256: str | None
    dataset: str
    keypoints: str
    skeleton: str
    joint_names: tuple[str, ...]
    """(S,), those that are scored."""
    all_joints: bool
    pck_joints: NDArray[np.bool_]
    """(S,), those that PCK and AUC are meant over."""
    flip: bool
    """Mirror images were averaged."""
    protocol: Protocol
    sequences: tuple[SequenceErrors, ...]

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """The sequences of each row of the table, by number, rows in the papers' order."""
        found: dict[str, list[int]] = {}
        for i, sequence in enumerate(self.sequences):
            found.setdefault(sequence.group, []).append(i)
        order = {name: i for i, name in enumerate(self.protocol.order)}
        return {n: found[n] for n in sorted(found, key=lambda n: (order.get(n, len(order)), n))}

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """Further rows, means of groups: their groups."""
        found = {
            family: [g for g in self.groups if g.split(" ")[-1] in family.split(" and ")]
            for family in self.protocol.families
        }
        return {family: groups for family, groups in found.items() if groups}

    @property
    def scored_frames(self) -> int:
        return sum(len(sequence) for sequence in self.sequences)

    def pooled(self, metric: str, sequences: ListOf[int] | None = None) -> Floats:
        """(S,): the mean over all frames of some sequences, by default of all.

        A sequence's mean weighs as many frames as it has; so does its velocity error, though
        that has a step less (Pavllo et al., CVPR 2019).
        """
        chosen = [self.sequences[i] for i in sequences or range(len(self.sequences))]
        return _weighted(
            np.stack([sequence.means[metric] for sequence in chosen]),
            np.array([len(sequence) for sequence in chosen], float),
        )

    def by_group(self, metric: str, groups: ListOf[str] | None = None) -> Floats:
        """(S,): the unweighted mean of groups, by default of all."""
        names = groups or list(self.groups)
        return np.mean([self.pooled(metric, self.groups[name]) for name in names], axis=0)

    def per_joint(self, metric: str, group: str | None = None) -> Floats:
        """(S,): by joint, in one group, or as the protocol means; its mean is the headline."""
        if group is not None:
            return self.pooled(metric, self.groups[group])
        return self.by_group(metric) if self.protocol.mean_of_groups else self.pooled(metric)

    def value(self, metric: str, group: str | None = None) -> float:
        """One number: of a group, or what the protocol's papers print."""
        return self.over_joints(metric, self.per_joint(metric, group))

    def over_joints(self, metric: str, per_joint: Floats) -> float:
        """(S,) -> the mean over the joints that the metric is meant over."""
        return float((per_joint[self.pck_joints] if metric in ("pck", "auc") else per_joint).mean())

    def worst(self, count: int) -> list[SequenceErrors]:
        """The sequences with the largest MPJPE, largest first."""
        return sorted(self.sequences, key=lambda s: -s.means["mpjpe_mm"].mean())[:count]

    def spread(self, low: float = 25, high: float = 75, group: str | None = None) -> Floats:
        """(2, S): percentiles of the MPJPE of each joint over the frames, mm."""
        chosen = range(len(self.sequences)) if group is None else self.groups[group]
        pooled = np.concatenate([self.sequences[i].mpjpe_mm for i in chosen])
        return np.asarray(np.percentile(pooled, (low, high), axis=0), np.float64)

    def cumulative(self, thresholds_mm: Floats) -> Floats:
        """The percentage of `pck_joints`, of all frames, less than each threshold off."""
        joints = [s.mpjpe_mm[:, self.pck_joints].ravel() for s in self.sequences]
        pooled = np.sort(np.concatenate(joints))
        return 100 * np.searchsorted(pooled, thresholds_mm, side="left") / len(pooled)

    def interval(self, metric: str, seed: int = 0) -> tuple[float, float] | None:
        """The headline's 95 % bootstrap interval over takes; None if there is only one a group.

        Takes are drawn with all their cameras, group by group where groups are meant over: it
        says how far other motions of these people could have moved the number, and nothing of
        other people or cameras.
        """
        strata = list(self.groups.values())
        if not self.protocol.mean_of_groups:
            strata = [[i for group in strata for i in group]]
        generator = np.random.default_rng(seed)
        drawn, several = [], False
        for stratum in strata:
            takes: dict[tuple[str, str], list[int]] = {}
            for i in stratum:
                takes.setdefault(self.sequences[i].take, []).append(i)
            several = several or len(takes) > 1
            means = [self.over_joints(metric, self.pooled(metric, t)) for t in takes.values()]
            frames = [sum(len(self.sequences[i]) for i in t) for t in takes.values()]
            pick = generator.integers(len(takes), size=(len(takes), RESAMPLES))
            drawn.append(_weighted(np.array(means)[pick], np.array(frames, float)[pick]))
        if not several:
            return None
        low, high = np.percentile(np.mean(drawn, axis=0), (2.5, 97.5))
        return float(low), float(high)


def _weighted(values: Floats, weights: Floats) -> Floats:
    """The mean along the first axis, where values may be NaN; NaN where all are."""
    weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    there = np.isfinite(values)
    total = (weights * there).sum(axis=0)
    summed = (weights * np.where(there, values, 0)).sum(axis=0)
    return np.where(total > 0, summed / np.where(total > 0, total, 1), np.nan)


def evaluate(
    checkpoint: Checkpoint,
    dataset: Dataset,
    *,
    flip: bool = True,
    joints: int | None = None,
    device: torch.device | str = "cpu",
    label: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> tuple[Evaluation, ...]:
    """Measure a checkpoint on a dataset's test sequences, by the dataset's protocol.

    Args:
        checkpoint: for the dataset's skeleton.
        dataset: its `test` sequences are lifted at their own frame rate, every frame of them.
        flip: average with the mirror image.
        joints: 14, 16 or 17 of them are scored; by default all. See `scored_joints`.
        device: where to compute.
        label: what to call the checkpoint. [default: its file's name]
        report: takes a sentence on what the reader of the numbers should know.
        progress: wraps the sequences.

    Returns:
        One evaluation; with `flip` two, the second without it, which costs next to nothing more.

    Raises:
        UsageError: the checkpoint is for another skeleton, or it has no such number of joints.
        DataError: there is nothing to measure on.
        VidposeError: the network's poses are not numbers.
    """
    check_fits(checkpoint, dataset)
    for note in notes(checkpoint, dataset):
        report(note)
    protocol = protocol_of(dataset)
    scored = scored_joints(dataset.skeleton, joints)
    ways = (True, False) if flip else (False,)
    errors: dict[bool, list[SequenceErrors]] = {way: [] for way in ways}
    prepared = checkpoint.model.to(device).eval().prepared()
    sequences = [sequence for sequence in dataset.test if sequence.valid.any()]
    for sequence in progress(sequences, len(sequences), "evaluating"):
        for way, predicted in _lift(prepared, checkpoint, sequence, dataset.skeleton, flip).items():
            if not np.isfinite(predicted).all():
                raise VidposeError(
                    f"{label or checkpoint.path or 'the network'} gives poses that are not "
                    f"numbers for {sequence.name}; its weights are damaged, use others."
                )
            errors[way].append(
                _measure(predicted, sequence, protocol, dataset.skeleton.root, scored)
            )
    skeleton = dataset.skeleton
    return tuple(
        Evaluation(
            label=label or (checkpoint.path.stem if checkpoint.path else "weights"),
            network=type(checkpoint.model).__name__,
            frames=checkpoint.model.config.frames,
            sha256=checkpoint.sha256,
            dataset=dataset.name,
            keypoints=dataset.keypoints,
            skeleton=skeleton.name,
            joint_names=tuple(skeleton.joint_names[j] for j in scored),
            all_joints=len(scored) == len(skeleton),
            pck_joints=np.array([protocol.pck_joints(skeleton, j) for j in scored]),
            flip=way,
            protocol=protocol,
            sequences=tuple(errors[way]),
        )
        for way in ways
    )


def check_fits(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise UsageError or DataError, as `evaluate` does, before long work."""
    name = checkpoint.path or "the checkpoint"
    if checkpoint.skeleton != dataset.skeleton.name:
        raise UsageError(
            f"{name} is for {len(SKELETONS[checkpoint.skeleton])} joints of "
            f"{checkpoint.skeleton}, but {dataset.name} has {len(dataset.skeleton)} of "
            f"{dataset.skeleton.name}; give weights that were trained on such joints."
        )
    if not any(sequence.valid.any() for sequence in dataset.test):
        raise DataError(
            f"{dataset.name} has no test sequence with a frame to score; name other test subjects "
            "or actions."
        )


def notes(checkpoint: Checkpoint, dataset: Dataset) -> Iterator[str]:
    """What the reader of the numbers should know of this pair."""
    rates = sorted({round(sequence.fps, 2) for sequence in dataset.test})
    others = [rate for rate in rates if abs(rate / checkpoint.fps - 1) > SAME_RATE]
    if others:
        listed = ", ".join(f"{rate:g}" for rate in others)
        yield (
            f"Note: {dataset.name} has {listed} frames/s, the weights were trained at "
            f"{checkpoint.fps:g}; they see every frame all the same, as the protocol asks, so "
            "motion looks slower or faster to them than in training."
        )


def scored_joints(skeleton: Skeleton, count: int | None) -> NDArray[np.intp]:
    """Which joints the errors are meant over.

    All by default. 16 of 17 are all but the root, whose error is 0 wherever it is put there by
    definition; 14 are the limbs, the neck and the top of the head (`FOURTEEN`).

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


def _lift(
    model: Slides, checkpoint: Checkpoint, sequence: Sequence, skeleton: Skeleton, flip: bool
) -> dict[bool, Floats]:
    """With (if asked for) and without flip averaging: (T, J, 3) metres, camera frame."""
    device = next(checkpoint.model.parameters()).device
    mirrored = torch.from_numpy(skeleton.mirrored).to(device)
    inputs, rotation = NORMALISATIONS[checkpoint.normalisation](
        torch.tensor(sequence.keypoints_2d, device=device),
        sequence.frame_size,
        sequence.focal_px or assumed_focal_px(sequence.frame_size),
        skeleton.root,
    )
    plain = torch.cat(list(slide(model, inputs, None)))
    poses = {False: plain}
    if flip:
        flipped = torch.cat(list(slide(model, mirror(inputs, mirrored), None)))
        poses[True] = (plain + mirror(flipped, mirrored)) / 2
    return {way: (joints @ rotation).double().cpu().numpy() for way, joints in poses.items()}


def _measure(
    predicted: Floats, sequence: Sequence, protocol: Protocol, root: int, scored: NDArray[np.intp]
) -> SequenceErrors:
    target = sequence.joints_3d.astype(np.float64)
    target = (target - target[:, root : root + 1])[:, scored]
    if protocol.zero_root:
        predicted[:, root] = 0
    predicted = predicted[:, scored]
    valid = sequence.valid
    p, t = 1000 * predicted[valid], 1000 * target[valid]
    distance = mpjpe_per_joint(p, t)
    aligned = p_mpjpe_per_joint(p, t)
    return SequenceErrors(
        subject=sequence.subject,
        action=sequence.action,
        camera=sequence.camera,
        group=protocol.group(sequence),
        seconds=np.flatnonzero(valid) / sequence.fps,
        mpjpe_mm=distance.astype(np.float32),
        p_mpjpe_mm=aligned.astype(np.float32),
        means={
            "mpjpe_mm": distance.mean(axis=0),
            "p_mpjpe_mm": aligned.mean(axis=0),
            "n_mpjpe_mm": n_mpjpe_per_joint(p, t).mean(axis=0),
            "mpjve_mm": _velocity(1000 * predicted, 1000 * target, valid),
            "pck": pck_of_errors(distance, 1000 * PCK_THRESHOLD_M).mean(axis=0),
            "auc": auc_of_errors(distance, 1000 * PCK_THRESHOLD_M).mean(axis=0),
        },
    )


def _velocity(predicted: Floats, target: Floats, valid: NDArray[np.bool_]) -> Floats:
    """(S,): over the steps between scored frames that follow each other; NaN if there are none."""
    steps = valid[1:] & valid[:-1]
    if not steps.any():
        return np.full(predicted.shape[1], np.nan)
    return np.asarray(mpjve_per_joint(predicted, target)[steps].mean(axis=0))
