"""The data an experiment runs on: the public set if it is there, else what there is instead."""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vidpose.datasets import h36m, humaneva, mpi_inf_3dhp, open_dataset, synthetic
from vidpose.datasets.dataset import Dataset, Sequence
from vidpose.datasets.mocap import Clip, read_folder
from vidpose.datasets.virtual_cameras import TEST, look_at_clips
from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import Protocol, protocol_of
from vidpose.utils.progress import Progress, silent

PUBLIC = {"h36m": "Human3.6M", "mpi_inf_3dhp": "MPI-INF-3DHP", "humaneva": "HumanEva-I"}
NOT_REAL = "made-up people: the numbers mean nothing for real ones"


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Sequences to measure on, and what to train on."""

    dataset: Dataset
    """Its test sequences; those to train on too, unless there are `clips`."""
    stands_for: str
    """The paper's dataset, a key of `PUBLIC`."""
    is_public: bool
    """It is that very dataset."""
    told: str
    """What it is, for titles."""
    clips: tuple[Clip, ...] = ()
    """Motion capture, all of it."""
    held_out: tuple[str, ...] = ()
    """Its subjects that are measured on."""

    @property
    def short(self) -> str:
        """What it is, for narrow titles."""
        kind = "motion capture" if self.clips else "made-up people"
        public = PUBLIC[self.stands_for]
        return public if self.is_public else f"{kind}, not {public}"

    @property
    def keypoints(self) -> str:
        """What its 2D joints are; a made-up detector goes by no real one's name."""
        return self.dataset.keypoints if self.is_public or self.clips else _kind(self.dataset)

    @cached_property
    def knows_lenses(self) -> bool:
        """Every focal length is known, so that networks can look at the person alone."""
        sequences = self.dataset.train + self.dataset.test
        return all(sequence.focal_px is not None for sequence in sequences)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What tells it from other material; JSON values."""
        return {
            "dataset": self.dataset.name,
            "keypoints": self.dataset.keypoints,
            "held_out": list(self.held_out),
            "train_frames": sum(len(c.joints) for c in self.clips)
            or sum(map(len, self.dataset.train)),
            "test_frames": sum(map(len, self.dataset.test)),
        }

    def column(self, sequence: Any) -> str:
        """The column of the table that a sequence, or its errors, belong to."""
        # Clips are too many to stand side by side.
        return sequence.subject if self.clips else self.protocol.group(sequence)

    @property
    def protocol(self) -> Protocol:
        return protocol_of(self.dataset)

    def shortened(self, frames: int) -> Dataset:
        """The first frames of every test sequence, about so many in all."""
        each = max(1, frames // max(1, len(self.dataset.test)))
        return replace(self.dataset, test=tuple(_first(s, each) for s in self.dataset.test))


def find_material(
    stands_for: str,
    data: Path,
    *,
    keypoints: str | None = None,
    mocap: Path | None = None,
    test_subjects: ListOf[str] | None = None,
    use_mocap: bool = True,
    progress: Progress = silent,
) -> Material:
    """Open the paper's dataset; where it is missing, motion capture; else a made-up set.

    Args:
        stands_for: a key of `PUBLIC`.
        data: the folder with its files; `mocap/` in it is looked at, `synthetic/` made.
        keypoints: the 2D joints of the paper's dataset; gt stands for clean virtual cameras, too.
        mocap: motion capture to use, whatever else there is.
        test_subjects: whom to measure on, of whatever it is.
        use_mocap: False: it will not do; the made-up set follows at once.
        progress: wraps reading.

    Raises:
        DataError: files are damaged, or have no such subject.
    """
    subjects = None if test_subjects is None else tuple(test_subjects)
    if use_mocap and mocap is not None:
        return _mocap(stands_for, mocap, keypoints, subjects, progress)
    if _has(stands_for, data):
        dataset = open_dataset(stands_for, data, keypoints=keypoints, test_subjects=subjects)
        told = f"{PUBLIC[stands_for]}, 2D joints {dataset.keypoints}"
        return Material(dataset=dataset, stands_for=stands_for, is_public=True, told=told)
    folder = data / "mocap"
    if use_mocap and any(folder.glob("*/*.bvh")):
        return _mocap(stands_for, folder, keypoints, subjects, progress)
    return _synthetic(stands_for, data, keypoints, subjects, progress)


def _has(name: str, data: Path) -> bool:
    if name == "mpi_inf_3dhp":
        return mpi_inf_3dhp.path_test(data).exists()
    layout = {"h36m": h36m, "humaneva": humaneva}[name].LAYOUT
    return layout.path_3d(data).exists()


def _mocap(
    stands_for: str,
    folder: Path,
    keypoints: str | None,
    subjects: tuple[str, ...] | None,
    progress: Progress,
) -> Material:
    clips = tuple(read_folder(folder, lambda paths: progress(paths, len(paths), "reading")))
    held_out = subjects or TEST
    kind = "clean" if keypoints == "gt" else "noisy"
    return Material(
        dataset=look_at_clips(clips, kind, held_out),
        stands_for=stands_for,
        is_public=False,
        told=f"motion capture under virtual cameras, {kind} 2D joints, held-out subjects "
        + ", ".join(held_out),
        clips=clips,
        held_out=held_out,
    )


def _synthetic(
    stands_for: str,
    data: Path,
    keypoints: str | None,
    subjects: tuple[str, ...] | None,
    progress: Progress,
) -> Material:
    if stands_for == "h36m":
        folder, name = data / "synthetic", "synthetic"
    else:
        folder, name = data / "synthetic" / stands_for, stands_for
        if not _has(stands_for, folder):
            synthetic.write_synthetic(folder, stands_for, progress=progress)
    dataset = open_dataset(name, folder, keypoints=keypoints, test_subjects=subjects)
    return Material(
        dataset=dataset,
        stands_for=stands_for,
        is_public=False,
        told=f"a synthetic set in {PUBLIC[stands_for]}'s layout, {_kind(dataset)} 2D joints; "
        + NOT_REAL,
    )


def _kind(made_up: Dataset) -> str:
    return "true" if made_up.keypoints == "gt" else "noisy"


def find_sequence(material: Material, name: str | None, like: str = "Sitting") -> Sequence:
    """A test sequence by its name, subject/action/camera; by default one whose action is so.

    Raises:
        UsageError: there is no such sequence.
    """
    sequences = [s for s in material.dataset.test if s.valid.any()]
    if name is None:
        return next((s for s in sequences if s.action.split(" ")[0] == like), sequences[0])
    for sequence in sequences:
        if sequence.name == name:
            return sequence
    raise UsageError(
        f"--sequence {name}: there is none; the {len(sequences)} are named like "
        f"{sequences[0].name} (subject/action/camera)."
    )


def _first(sequence: Sequence, frames: int) -> Sequence:
    return replace(
        sequence,
        keypoints_2d=sequence.keypoints_2d[:frames],
        joints_3d=sequence.joints_3d[:frames],
        valid=sequence.valid[:frames],
    )
