"""Evaluate a checkpoint on a dataset's test sequences, with the protocol of the dataset's papers.

Every frame of a sequence is lifted as in inference and compared with the root-relative ground
truth. Errors are stored by frame and joint; all tables are means of them. Only one sequence is
lifted at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.errors import DataError, UsageError, VidposeError
from vidpose.evaluation.leakage import leaks
from vidpose.evaluation.protocols import Protocol, protocol_of, scored_joints
from vidpose.events import Info, Report, Warn, ignore
from vidpose.lifting.sliding_window import slide
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
from vidpose.models.base import SlidingForm
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.models.sliding import sliding_form
from vidpose.skeleton import SKELETONS, Skeleton
from vidpose.utils.progress import Progress, silent

METRICS = {
    "mpjpe_mm": "MPJPE",
    "p_mpjpe_mm": "P-MPJPE",
    "n_mpjpe_mm": "N-MPJPE",
    "mpjve_mm": "MPJVE",
    "pck": "PCK",
    "auc": "AUC",
}
"""Keys and names of the metrics. Units: mm, MPJVE in mm per frame, PCK and AUC in percent."""
SAME_RATE = 0.02
"""Frame rates with a smaller relative difference count as equal."""
RESAMPLES = 1000
"""Bootstrap resamples."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceErrors:
    """The errors of one sequence; N scored frames, S scored joints."""

    subject: str
    action: str
    camera: str
    group: str
    seconds: Floats
    """(N,), times of the scored frames."""
    mpjpe_mm: NDArray[np.float32]
    """(N, S)."""
    p_mpjpe_mm: NDArray[np.float32]
    """(N, S)."""
    means: dict[str, Floats]
    """By key of `METRICS`: (S,), means over the frames. MPJVE is NaN without two consecutive
    frames."""

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
    """The checkpoint's name in tables and plots."""
    network: str
    frames: int
    """Frames per window."""
    sha256: str | None
    dataset: str
    keypoints: str
    skeleton: str
    joint_names: tuple[str, ...]
    """(S,), the scored joints."""
    all_joints: bool
    """Whether all joints of the skeleton are scored."""
    pck_joints: NDArray[np.bool_]
    """(S,), the joints that PCK and AUC average."""
    flip: bool
    """Whether flip averaging was used."""
    protocol: Protocol
    sequences: tuple[SequenceErrors, ...]
    synthetic: bool = False
    """Whether the dataset is synthetic, whatever its name."""

    @cached_property
    def groups(self) -> dict[str, list[SequenceErrors]]:
        """The sequences by row of the table, in the papers' order."""
        found: dict[str, list[SequenceErrors]] = {}
        for sequence in self.sequences:
            found.setdefault(sequence.group, []).append(sequence)
        order = {name: i for i, name in enumerate(self.protocol.order)}
        return {n: found[n] for n in sorted(found, key=lambda n: (order.get(n, len(order)), n))}

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """The additional rows of the table: each a name and the groups it averages."""
        found = {f: self.protocol.family(f, self.groups) for f in self.protocol.families}
        return {family: groups for family, groups in found.items() if groups}

    @property
    def scored_frames(self) -> int:
        return sum(len(sequence) for sequence in self.sequences)

    def pooled(self, metric: str, sequences: ListOf[SequenceErrors] | None = None) -> Floats:
        """Return the mean over all frames of some sequences, by default all, (S,).

        A sequence's mean is weighted by its number of frames N, also for MPJVE, which has N - 1
        steps (as in Pavllo et al., CVPR 2019).
        """
        chosen = sequences or self.sequences
        means = np.stack([sequence.means[metric] for sequence in chosen])
        return _weighted(means, np.array([len(sequence) for sequence in chosen], float))

    def by_group(self, metric: str, groups: ListOf[str] | None = None) -> Floats:
        """Return the unweighted mean of groups, by default all, (S,)."""
        names = groups or list(self.groups)
        return np.mean([self.pooled(metric, self.groups[name]) for name in names], axis=0)

    def per_joint(self, metric: str, group: str | None = None) -> Floats:
        """Return the metric by joint, of one group or with the protocol's mean, (S,)."""
        if group is not None:
            return self.pooled(metric, self.groups[group])
        return self.by_group(metric) if self.protocol.mean_of_groups else self.pooled(metric)

    def value(self, metric: str, group: str | None = None) -> float:
        """Return one number, of one group or with the protocol's mean, as papers print it."""
        return self.over_joints(metric, self.per_joint(metric, group))

    def over_joints(self, metric: str, per_joint: Floats) -> float:
        """Average (S,) values over the joints that count for the metric."""
        return float((per_joint[self.pck_joints] if metric in ("pck", "auc") else per_joint).mean())

    def all_metrics(self, per_joint: Callable[[str], Floats]) -> dict[str, float]:
        """Return one number per metric; `per_joint` maps its key to means by joint, (S,)."""
        return {key: self.over_joints(key, per_joint(key)) for key in METRICS}

    def worst(self, count: int) -> list[SequenceErrors]:
        """The sequences with the largest MPJPE, largest first."""
        return sorted(self.sequences, key=lambda s: -s.means["mpjpe_mm"].mean())[:count]

    def spread(self, low: float = 25, high: float = 75, group: str | None = None) -> Floats:
        """Return two percentiles of each joint's error over the frames, (2, S), mm."""
        chosen = self.sequences if group is None else self.groups[group]
        pooled = np.concatenate([sequence.mpjpe_mm for sequence in chosen])
        return np.asarray(np.percentile(pooled, (low, high), axis=0), np.float64)

    def cumulative(self, thresholds_mm: Floats) -> Floats:
        """The percentage of `pck_joints`, over all frames, with an error below each threshold."""
        joints = [s.mpjpe_mm[:, self.pck_joints].ravel() for s in self.sequences]
        pooled = np.sort(np.concatenate(joints))
        return 100 * np.searchsorted(pooled, thresholds_mm, side="left") / len(pooled)

    def interval(self, metric: str, seed: int = 0) -> tuple[float, float] | None:
        """Return the headline's 95 % bootstrap interval over takes; None with one take per group.

        Takes are resampled with all their cameras, within each group if the headline is a mean of
        groups. The interval estimates how much the number could change with other motions of the
        same people, not with other people or cameras.
        """
        by_group = self.protocol.mean_of_groups
        strata = self.groups.values() if by_group else [self.sequences]
        generator = np.random.default_rng(seed)
        drawn, several = [], False
        for stratum in strata:
            takes: dict[tuple[str, str], list[SequenceErrors]] = {}
            for sequence in stratum:
                takes.setdefault(sequence.take, []).append(sequence)
            several = several or len(takes) > 1
            means = [self.over_joints(metric, self.pooled(metric, t)) for t in takes.values()]
            frames = [sum(map(len, take)) for take in takes.values()]
            pick = generator.integers(len(takes), size=(len(takes), RESAMPLES))
            drawn.append(_weighted(np.array(means)[pick], np.array(frames, float)[pick]))
        if not several:
            return None
        low, high = np.percentile(np.mean(drawn, axis=0), (2.5, 97.5))
        return float(low), float(high)


def _weighted(values: Floats, weights: Floats) -> Floats:
    """Weighted mean along the first axis, ignoring NaN; NaN where all values are."""
    weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    known = np.isfinite(values)
    total = (weights * known).sum(axis=0)
    summed = (weights * np.where(known, values, 0)).sum(axis=0)
    return np.where(total > 0, summed / np.where(total > 0, total, 1), np.nan)


def evaluate(
    checkpoint: Checkpoint,
    dataset: Dataset,
    *,
    flip: bool = True,
    joints: int | None = None,
    device: torch.device | str = "cpu",
    label: str | None = None,
    report: Report = ignore,
    progress: Progress = silent,
) -> tuple[Evaluation, ...]:
    """Evaluate a checkpoint on a dataset's test sequences, with the dataset's protocol.

    Args:
        checkpoint: a checkpoint for the dataset's skeleton.
        dataset: every frame of its `test` sequences is lifted, at the sequence's own frame rate.
        flip: use flip averaging.
        joints: 14, 16 or 17 joints to score; by default all. See `scored_joints`.
        device: where to compute.
        label: name of the checkpoint. [default: the stem of its file]
        report: receives a note on other frame rates and warnings about training subjects.
        progress: wraps the sequences.

    Returns:
        One evaluation; with `flip` a second one without it, from the same forward passes.

    Raises:
        UsageError: the checkpoint is for another skeleton, or the skeleton has no such choice of
            joints.
        DataError: the dataset has no frame to score.
        VidposeError: the network predicts NaN or infinity.
    """
    check_fits(checkpoint, dataset)
    _note_other_rates(checkpoint, dataset, report)
    _warn_about_leaks(checkpoint, dataset, label, report)
    protocol, skeleton = protocol_of(dataset), dataset.skeleton
    scored = scored_joints(skeleton, joints)
    errors: dict[bool, list[SequenceErrors]] = {
        flipped: [] for flipped in ((True, False) if flip else (False,))
    }
    model = sliding_form(checkpoint.model.to(device).eval())
    sequences = [sequence for sequence in dataset.test if sequence.valid.any()]
    for sequence in progress(sequences, len(sequences), "evaluating"):
        for flipped, predicted in _lift(model, checkpoint, sequence, skeleton, flip).items():
            if not np.isfinite(predicted).all():
                raise VidposeError(
                    f"{label or checkpoint.path or 'the network'} predicts NaN or infinity for "
                    f"{sequence.name}; its weights are damaged, use others."
                )
            errors[flipped].append(_measure(predicted, sequence, protocol, skeleton.root, scored))
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
            flip=flipped,
            protocol=protocol,
            sequences=tuple(measured),
            synthetic=dataset.synthetic,
        )
        for flipped, measured in errors.items()
    )


def check_fits(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise the UsageError or DataError of `evaluate`, before any long work."""
    name = checkpoint.path or "the checkpoint"
    if checkpoint.skeleton != dataset.skeleton.name:
        raise UsageError(
            f"{name} is for {len(SKELETONS[checkpoint.skeleton])} joints of "
            f"{checkpoint.skeleton}, but {dataset.name} has {len(dataset.skeleton)} of "
            f"{dataset.skeleton.name}; choose weights for that skeleton."
        )
    if not any(sequence.valid.any() for sequence in dataset.test):
        raise DataError(
            f"{dataset.name} has no test sequence with a frame to score; choose other test "
            "subjects or actions."
        )


def _note_other_rates(checkpoint: Checkpoint, dataset: Dataset, report: Report) -> None:
    rates = sorted({round(sequence.fps, 2) for sequence in dataset.test})
    others = [f"{rate:g}" for rate in rates if abs(rate / checkpoint.fps - 1) > SAME_RATE]
    if others:
        report(
            Info(
                f"Note: {dataset.name} has {', '.join(others)} frames/s, the weights were trained "
                f"at {checkpoint.fps:g}. The protocol does not resample, so motion appears slower "
                "or faster to the network than in training."
            )
        )


def _warn_about_leaks(
    checkpoint: Checkpoint, dataset: Dataset, label: str | None, report: Report
) -> None:
    name = label or (checkpoint.path.stem if checkpoint.path else "the checkpoint")
    subjects = {sequence.subject for sequence in dataset.test}
    for leak in leaks(checkpoint.training, dataset.name, subjects, name):
        report(Warn(f"{leak}, so the errors may not hold for unseen people."))


def _lift(
    model: SlidingForm,
    checkpoint: Checkpoint,
    sequence: PoseSequence,
    skeleton: Skeleton,
    flip: bool,
) -> dict[bool, Floats]:
    """Lift a sequence; key: flip averaging or not, value: (T, J, 3) metres, camera frame."""
    device = next(checkpoint.model.parameters()).device
    mirrored = torch.from_numpy(skeleton.mirrored).to(device)
    inputs, rotation = NORMALISATIONS[checkpoint.normalisation](
        torch.tensor(sequence.keypoints_2d, device=device),
        sequence.frame_size,
        sequence.focal_px or assumed_focal_px(sequence.frame_size),
        skeleton.root,
    )
    lifted = slide(model, inputs, mirrored if flip else None)
    poses = {True: lifted.poses, False: lifted.plain} if flip else {False: lifted.plain}
    return {key: (joints @ rotation).double().cpu().numpy() for key, joints in poses.items()}


def _measure(
    predicted: Floats,
    sequence: PoseSequence,
    protocol: Protocol,
    root: int,
    scored: NDArray[np.intp],
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
    """MPJVE by joint over the steps between consecutive scored frames, (S,); NaN without any."""
    steps = valid[1:] & valid[:-1]
    if not steps.any():
        return np.full(predicted.shape[1], np.nan)
    return np.asarray(mpjve_per_joint(predicted, target)[steps].mean(axis=0))
