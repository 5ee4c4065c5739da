"""The data of an experiment: the paper's dataset if available, otherwise a replacement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vidpose.datasets import h36m, humaneva, mpi_inf_3dhp, open_dataset, synthetic
from vidpose.datasets.choice import action_group
from vidpose.datasets.dataset import Dataset, MotionClip, PoseSequence
from vidpose.datasets.mocap import TEST, mocap_dataset
from vidpose.datasets.motion_clips import motion_files, read_folder
from vidpose.errors import UsageError
from vidpose.evaluation.protocols import Protocol, protocol_of
from vidpose.paper.workspace import Workspace

PUBLIC = {"h36m": "Human3.6M", "mpi_inf_3dhp": "MPI-INF-3DHP", "humaneva": "HumanEva-I"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExperimentData:
    """Test sequences and training data."""

    dataset: Dataset
    """The test sequences; also the training sequences, unless there are `clips`."""
    replaces: str
    """The paper's dataset, a key of `PUBLIC`."""
    is_public: bool
    """Whether `dataset` is the paper's dataset."""
    description: str
    """For titles."""
    clips: tuple[MotionClip, ...] = ()
    """All motion capture clips, of training and held-out subjects."""
    held_out: tuple[str, ...] = ()
    """The held-out subjects of `clips`, for evaluation."""

    @property
    def short_name(self) -> str:
        """A short description, for narrow titles."""
        kind = "motion capture" if self.clips else "synthetic people"
        public = PUBLIC[self.replaces]
        return public if self.is_public else f"{kind}, not {public}"

    @property
    def keypoints(self) -> str:
        """The name of the 2D joints; synthetic ones do not carry a real detector's name."""
        return self.dataset.keypoints if self.is_public or self.clips else _kind(self.dataset)

    @cached_property
    def has_focal_lengths(self) -> bool:
        """Whether all focal lengths are known, so that input can be normalised by person."""
        sequences = self.dataset.train + self.dataset.test
        return all(sequence.focal_px is not None for sequence in sequences)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What distinguishes these data from others, as JSON values."""
        train = [clip.joints for clip in self.clips] or self.dataset.train
        return {
            "dataset": self.dataset.name,
            "keypoints": self.dataset.keypoints,
            "held_out": list(self.held_out),
            "train_frames": sum(map(len, train)),
            "test_frames": sum(map(len, self.dataset.test)),
        }

    def column(self, sequence: Any) -> str:
        """Return the table column of a sequence or of its errors."""
        # There are too many clips for one column each.
        return sequence.subject if self.clips else self.protocol.group(sequence)

    @property
    def protocol(self) -> Protocol:
        return protocol_of(self.dataset)

    @property
    def has_test_subjects(self) -> bool:
        """Whether the test subjects are those of the paper's numbers."""
        return {s.subject for s in self.dataset.test} == set(self.protocol.test_subjects)

    def shortened(self, frames: int | None) -> Dataset:
        """Keep the first frames of every test sequence, about `frames` in total; None: all."""
        if frames is None:
            return self.dataset
        each = max(1, frames // max(1, len(self.dataset.test)))
        return replace(self.dataset, test=tuple(_first(s, each) for s in self.dataset.test))


def find_data(
    replaces: str,
    workspace: Workspace,
    *,
    keypoints: str | None = None,
    mocap: Path | None = None,
    test_subjects: tuple[str, ...] | None = None,
    use_mocap: bool = True,
    training: bool = True,
) -> ExperimentData:
    """Open the paper's dataset; if it is missing, motion capture, or else a synthetic dataset.

    Args:
        replaces: the paper's dataset, a key of `PUBLIC`.
        workspace: its data folder has the dataset's files, `mocap/`, or `synthetic/`, which is
            generated if missing.
        keypoints: the 2D joints of the paper's dataset; gt also means virtual cameras without
            noise.
        mocap: motion capture to use even if the paper's dataset is available.
        test_subjects: the test subjects of the dataset that is opened.
        use_mocap: False if motion capture cannot replace the dataset.
        training: False if nothing is trained: the training files of a dataset may be missing.

    Raises:
        DataError: files are damaged, or lack a subject.
    """
    data, progress = workspace.data, workspace.progress
    if mocap is None and not _has(replaces, data) and motion_files(data / "mocap"):
        mocap = data / "mocap"
    if use_mocap and mocap is not None:
        clips = tuple(read_folder(mocap, lambda paths: progress(paths, len(paths), "reading")))
        held_out, kind = test_subjects or TEST, "clean" if keypoints == "gt" else "noisy"
        return ExperimentData(
            dataset=mocap_dataset(clips, kind, held_out),
            replaces=replaces,
            is_public=False,
            description=f"motion capture with virtual cameras, {kind} 2D joints, held-out "
            f"subjects {', '.join(held_out)}",
            clips=clips,
            held_out=held_out,
        )
    is_public, folder, name = _has(replaces, data), data, replaces
    if not is_public:
        folder, name = data / "synthetic", "synthetic"
        if replaces != "h36m":
            folder, name = folder / replaces, replaces
            if not _has(replaces, folder):
                synthetic.write_synthetic(folder, replaces, progress=progress)
    dataset = open_dataset(
        name,
        folder,
        keypoints=keypoints,
        train_subjects=None if training else (),
        test_subjects=test_subjects,
    )
    is_public = is_public and not dataset.synthetic
    description = f"{PUBLIC[replaces]}, 2D joints {dataset.keypoints}"
    if not is_public:
        description = (
            f"a synthetic dataset in {PUBLIC[replaces]}'s layout, {_kind(dataset)} 2D joints; "
            "errors on it say nothing about real people"
        )
    return ExperimentData(
        dataset=dataset, replaces=replaces, is_public=is_public, description=description
    )


def _has(name: str, data: Path) -> bool:
    if name == "mpi_inf_3dhp":
        return mpi_inf_3dhp.path_test(data).exists()
    layout = {"h36m": h36m, "humaneva": humaneva}[name].LAYOUT
    return layout.path_3d(data).exists()


def _kind(synthetic_set: Dataset) -> str:
    return "true" if synthetic_set.keypoints == "gt" else "noisy"


def find_sequence(data: ExperimentData, name: str | None) -> PoseSequence:
    """Return a test sequence by its name, subject/action/camera; by default one of Sitting.

    Raises:
        UsageError: there is no such sequence.
    """
    sequences = [s for s in data.dataset.test if s.valid.any()]
    if name is None:
        return next((s for s in sequences if action_group(s.action) == "Sitting"), sequences[0])
    for sequence in sequences:
        if sequence.name == name:
            return sequence
    raise UsageError(
        f"--sequence {name}: there is no such sequence; choose one of {len(sequences)}, such as "
        f"{sequences[0].name} (subject/action/camera)."
    )


def _first(sequence: PoseSequence, frames: int) -> PoseSequence:
    return replace(
        sequence,
        keypoints_2d=sequence.keypoints_2d[:frames],
        joints_3d=sequence.joints_3d[:frames],
        valid=sequence.valid[:frames],
    )
