"""Datasets, one module each; independent of the networks.

`open_dataset` opens any of them as a `Dataset`. docs/datasets.md lists the files each one needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from vidpose.datasets import custom, h36m, humaneva, mocap, mpi_inf_3dhp, synthetic
from vidpose.datasets.check import check_dataset, find_datasets
from vidpose.datasets.choice import Choice
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.datasets.marks import any_synthetic
from vidpose.errors import DataError, UsageError

__all__ = [
    "DATASETS",
    "DEFAULT_KEYPOINTS",
    "Dataset",
    "PoseSequence",
    "check_dataset",
    "find_datasets",
    "is_synthetic",
    "open_dataset",
]

_MODULES: dict[str, ModuleType] = {
    "h36m": h36m,
    "humaneva": humaneva,
    "mpi_inf_3dhp": mpi_inf_3dhp,
    "synthetic": h36m,  # written in that layout
}
DATASETS = (*_MODULES, "custom", "mocap")
DEFAULT_KEYPOINTS = {
    **{name: module.KEYPOINTS for name, module in _MODULES.items()},
    "custom": custom.KEYPOINTS,
    "mocap": mocap.KEYPOINTS,
}
"""Default source of the 2D joints."""


def open_dataset(
    name: str,
    folder: str | Path,
    *,
    keypoints: str | None = None,
    train_subjects: Iterable[str] | None = None,
    test_subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    downsample: int = 1,
) -> Dataset:
    """Read a dataset from a folder. Nothing in its files is ever executed.

    Args:
        name: one of `DATASETS`. synthetic is generated if its files are missing; mocap has only
            test sequences (`mocap.open_mocap`).
        folder: the folder with its files.
        keypoints: source of the 2D joints, as in the file names: `gt`, `cpn_ft_h36m_dbb`; by
            default `DEFAULT_KEYPOINTS`.
        train_subjects: training subjects; by default the usual protocol's.
        test_subjects: test subjects; by default the usual protocol's.
        actions: exact names of action groups ("Sitting" is "Sitting" and "Sitting 1", not
            "SittingDown"); by default the usual protocol's.
        downsample: take every n-th frame.

    Raises:
        DataError: a file is missing, damaged or in another format, or lacks a subject or action;
            the message names file and key, what was expected and what was found.
        UsageError: the dataset does not support an option.
    """
    folder = Path(folder)
    if name not in DATASETS:
        raise UsageError(f"dataset {name}: choose {', '.join(DATASETS)}.")
    if downsample < 1:
        raise UsageError(f"downsample {downsample}: give 1 or more.")
    if name in ("custom", "mpi_inf_3dhp") and keypoints not in (None, DEFAULT_KEYPOINTS[name]):
        raise UsageError(f"{name} has only one kind of 2D joints; leave {keypoints} out.")
    if name in ("mpi_inf_3dhp", "mocap") and actions is not None:
        raise UsageError(f"{name} has no actions to choose from; choose subjects.")
    if name == "mocap" and (train_subjects is not None or downsample != 1):
        raise UsageError("mocap has no other options than test subjects; leave the others out.")
    if name == "synthetic":
        synthetic.make_if_missing(folder)
    elif not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder; give the folder with the files of {name} as --data "
            "(docs/datasets.md lists them)."
        )
    train, test, chosen = _tuple(train_subjects), _tuple(test_subjects), _tuple(actions)
    if name == "mocap":
        return mocap.open_mocap(folder, keypoints or mocap.KEYPOINTS, test or mocap.TEST)
    if name == "custom":
        return custom.open_custom(folder, train, test, chosen, downsample)
    module = _MODULES[name]
    choice = Choice(
        keypoints=keypoints or DEFAULT_KEYPOINTS[name],
        train_subjects=_default(train, module.TRAIN, test),
        test_subjects=_default(test, module.TEST, train),
        actions=chosen or getattr(module, "DEFAULT_ACTIONS", None),
        downsample=downsample,
    )
    if module is mpi_inf_3dhp:
        return mpi_inf_3dhp.open_mpi_inf_3dhp(folder, choice)
    dataset = module.LAYOUT.open(folder, choice)
    return replace(dataset, name=name, synthetic=dataset.synthetic or name == "synthetic")


def is_synthetic(name: str, folder: Path) -> bool:
    """Whether a dataset's files are marked as synthetic; reads only the marks."""
    if name not in _MODULES:
        return False
    if name == "mpi_inf_3dhp":
        return any_synthetic((mpi_inf_3dhp.path_train(folder), mpi_inf_3dhp.path_test(folder)))
    return name == "synthetic" or any_synthetic([_MODULES[name].LAYOUT.path_3d(folder)])


def _tuple(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _default(
    given: tuple[str, ...] | None, protocol: tuple[str, ...], other: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Subjects of one split: as given, or the protocol's without those of the other split."""
    return tuple(s for s in protocol if s not in (other or ())) if given is None else given
