"""What a folder has of a dataset, what is missing or of the wrong shape, and what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from vidpose.datasets import custom, h36m, humaneva, mpi_inf_3dhp
from vidpose.datasets.choice import Choice
from vidpose.datasets.dataset import Sequence
from vidpose.datasets.mocap import read_clip
from vidpose.datasets.videopose import Layout, Pair, read_2d, read_3d
from vidpose.errors import DataError, UsageError

VIDEOPOSE_FILES = "https://dl.fbaipublicfiles.com/video-pose-3d/"
DOWNLOADS = {"cpn_ft_h36m_dbb", "detectron_ft_h36m"}
"""2D joints of Human3.6M that VideoPose3D publishes."""
LISTED = 5
"""Problems named for each file; of more there is only the number."""

# The public datasets' own sizes, to tell a part of them, or made-up data, from the whole.
H36M_TAKES, HUMANEVA_TAKES = 30, 5
MPI_INF_3DHP_SEQUENCES = 2

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line about one file."""

    dataset: str
    file: str
    state: State
    """note: something optional is missing, or there is less than the public dataset has; broken:
    the dataset cannot be opened as it is."""
    found: str
    fix: str | None = None
    """What mends it."""


def check_dataset(name: str, folder: str | Path) -> list[Finding]:
    """Look at all that a folder has of a dataset, to the last number; nothing is changed.

    Args:
        name: h36m, humaneva, mpi_inf_3dhp, custom, mocap, or synthetic, which has h36m's files.
        folder: where its files should be.

    Raises:
        UsageError: there is no such dataset.
    """
    folder = Path(folder)
    if name in ("h36m", "synthetic"):
        return list(_check_layout(name, h36m.LAYOUT, h36m, folder, H36M_TAKES))
    if name == "humaneva":
        return list(_check_layout(name, humaneva.LAYOUT, humaneva, folder, HUMANEVA_TAKES))
    if name == "mpi_inf_3dhp":
        return list(_check_3dhp(folder))
    if name == "custom":
        return list(_check_custom(folder))
    if name == "mocap":
        return list(_check_mocap(folder))
    raise UsageError(
        f"dataset {name}: choose h36m, humaneva, mpi_inf_3dhp, synthetic, custom, mocap."
    )


def find_datasets(folder: Path) -> list[tuple[str, Path]]:
    """Which datasets have files in a folder, or in a folder directly in it.

    Raises:
        UsageError: it is no folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give the one with the datasets.")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [(name, place) for place in places for name in _names_in(place)]
    # A folder of motion capture is a folder of folders.
    return [(n, p) for n, p in found if not (n == "mocap" and (n, p.parent) in found)]


def _names_in(folder: Path) -> Iterator[str]:
    patterns = {
        "h36m": "data_?d_h36m*.npz",
        "humaneva": "data_?d_humaneva15*.npz",
        "mpi_inf_3dhp": "data_*_3dhp.npz",
    }
    for name, pattern in patterns.items():
        if any(folder.glob(pattern)):
            yield name
    if any(custom.is_custom(path) for path in folder.glob("*.npz")):
        yield "custom"
    if any(folder.glob("*/*.bvh")):
        yield "mocap"


def _check_layout(
    dataset: str, layout: Layout, module: ModuleType, folder: Path, takes: int
) -> Iterator[Finding]:
    path = layout.path_3d(folder)
    raw = "h36m" if dataset == "synthetic" else dataset
    prepare = f"vidpose prepare {raw} SOURCE -o '{folder}'"
    if dataset == "synthetic":
        prepare = f"vidpose prepare synthetic -o '{folder}'"
    world: dict[str, Any] = {}
    if not path.exists():
        yield Finding(dataset, path.name, "broken", "missing", prepare)
    else:
        try:
            world = read_3d(path)
        except DataError as error:
            yield Finding(dataset, path.name, "broken", _short(path, error), prepare)
        else:
            yield from _check_world(dataset, path, world, module, takes, prepare)
    there = sorted(folder.glob(layout.path_2d(folder, "*").name))
    for keypoints in dict.fromkeys((module.KEYPOINTS, "gt")):
        missing = layout.path_2d(folder, keypoints)
        if missing not in there:
            # Human3.6M can be opened with either of them.
            state: State = "note" if there else "broken"
            yield Finding(dataset, missing.name, state, "missing", _fetch(missing, prepare))
    for seen in there:
        keypoints = seen.stem.removeprefix(f"data_2d_{layout.name}_")
        yield from _check_views(dataset, layout, module, folder, keypoints, world, prepare)


def _fetch(path: Path, prepare: str) -> str:
    if any(path.name.endswith(f"_{keypoints}.npz") for keypoints in DOWNLOADS):
        return f"curl -fL -o '{path}' {VIDEOPOSE_FILES}{path.name}"
    return prepare


def _check_world(
    dataset: str, path: Path, world: dict[str, Any], module: ModuleType, takes: int, prepare: str
) -> Iterator[Finding]:
    counts = {s: len(branch) for s, branch in world.items() if isinstance(branch, dict)}
    protocol = (*module.TRAIN, *module.TEST)
    absent = [subject for subject in protocol if subject not in world]
    found = f"{len(counts)} subjects, {sum(counts.values())} takes"
    if absent:
        found += f"; no {', '.join(absent)}, whom the protocol needs"
        yield Finding(dataset, path.name, "broken", found, prepare)
        return
    groups = {
        subject: {_take(dataset, action) for action in world[subject]} - _left_out(module, subject)
        for subject in protocol
        if subject in counts
    }
    fewer = [
        f"{subject} {len(there)} of {whole}"
        for subject, there in groups.items()
        if len(there) < (whole := takes - len(_left_out(module, subject)))
    ]
    if fewer:
        found += f"; fewer than the public dataset has: {', '.join(fewer)}"
        yield Finding(dataset, path.name, "note", found, prepare)
    else:
        yield Finding(dataset, path.name, "ok", found)


def _take(dataset: str, action: str) -> str:
    """HumanEva's chunks are parts of one take."""
    return action.split(" chunk")[0] if dataset == "humaneva" else action


def _left_out(module: ModuleType, subject: str) -> set[str]:
    return {action for who, action in module.LAYOUT.corrupt if who == subject}


def _check_views(
    dataset: str,
    layout: Layout,
    module: ModuleType,
    folder: Path,
    keypoints: str,
    world: dict[str, Any],
    prepare: str,
) -> Iterator[Finding]:
    """Every take of both files, as it would be opened."""
    path = layout.path_2d(folder, keypoints)
    fix = _fetch(path, prepare)
    try:
        views = read_2d(path, layout.skeleton)
    except DataError as error:
        yield Finding(dataset, path.name, "broken", _short(path, error), fix)
        return
    subjects = tuple(s for s in (*module.TRAIN, *module.TEST) if s in world and s in views)
    absent = [s for s in (*module.TRAIN, *module.TEST) if s in world and s not in views]
    choice = Choice(keypoints=keypoints, train_subjects=subjects, test_subjects=())
    pair = Pair(layout, folder, choice, world, views)
    problems = [f"no subject {subject}" for subject in absent]
    frames: Counter[str] = Counter()
    for subject in subjects:
        try:
            for sequences in pair.takes(subject):
                problems += _consume(path, sequences, frames)
        except DataError as error:
            problems.append(_short(path, error))
    yield from _summary(dataset, path, problems, frames, fix)


def _consume(path: Path, sequences: Iterator[Sequence], frames: Counter[str]) -> list[str]:
    """Count a take's frames in the views of all cameras; or what is wrong with it."""
    try:
        for sequence in sequences:
            frames["frames"] += len(sequence)
            frames["valid"] += int(sequence.valid.sum())
            frames["views"] += 1
    except DataError as error:
        return [_short(path, error)]
    return []


def _summary(
    dataset: str, path: Path, problems: list[str], frames: Counter[str], fix: str | None
) -> Iterator[Finding]:
    found = f"{frames['frames']:,} frames in {frames['views']} views"
    if not problems:
        yield Finding(dataset, path.name, "ok", found)
        return
    for problem in islice(problems, LISTED):
        yield Finding(dataset, path.name, "broken", problem, fix)
    if len(problems) > LISTED:
        yield Finding(
            dataset, path.name, "broken", f"and {len(problems) - LISTED} more like that", fix
        )


def _check_3dhp(folder: Path) -> Iterator[Finding]:
    prepare = f"vidpose prepare mpi_inf_3dhp SOURCE -o '{folder}'"
    for path, subjects, per_subject in (
        (mpi_inf_3dhp.path_train(folder), mpi_inf_3dhp.TRAIN, MPI_INF_3DHP_SEQUENCES),
        (mpi_inf_3dhp.path_test(folder), mpi_inf_3dhp.TEST, 1),
    ):
        if not path.exists():
            yield Finding("mpi_inf_3dhp", path.name, "broken", "missing", prepare)
            continue
        try:
            data = mpi_inf_3dhp.read(path)
        except DataError as error:
            yield Finding("mpi_inf_3dhp", path.name, "broken", _short(path, error), prepare)
            continue
        there = Counter(name.split(" ")[0] for name in data)
        problems = [f"no subject {subject}" for subject in subjects if subject not in there]
        frames: Counter[str] = Counter()
        valid: dict[str, int] = {}
        for name in data:
            before = frames["valid"]
            problems += _consume(path, mpi_inf_3dhp.sequences(path, name, data[name]), frames)
            valid[name] = frames["valid"] - before
        yield from _summary("mpi_inf_3dhp", path, problems, frames, prepare)
        fewer = [
            f"{subject} {there[subject]} of {per_subject} sequences"
            for subject in subjects
            if 0 < there[subject] < per_subject
        ]
        if per_subject == 1:
            fewer = [
                f"{name} {valid[name]} of {whole} valid frames"
                for name, whole in mpi_inf_3dhp.VALID_FRAMES.items()
                if name in valid and valid[name] != whole
            ]
        if fewer and not problems:
            found = f"other than the public dataset has: {', '.join(fewer)}"
            yield Finding("mpi_inf_3dhp", path.name, "note", found, prepare)


def _check_custom(folder: Path) -> Iterator[Finding]:
    paths = sorted(path for path in folder.glob("*.npz") if custom.is_custom(path))
    if not paths:
        found = "no .npz with keypoints_2d and joints_3d, and no result of vidpose"
        yield Finding("custom", str(folder), "broken", found, "see docs/datasets.md")
        return
    for path in paths:
        try:
            skeleton, sequences = custom.read_file(path)
        except DataError as error:
            yield Finding("custom", path.name, "broken", _short(path, error))
            continue
        frames = sum(map(len, sequences))
        who = ", ".join(sorted({s.subject for s in sequences}))
        yield Finding("custom", path.name, "ok", f"{frames:,} frames of {who}, {skeleton.name}")


def _check_mocap(folder: Path) -> Iterator[Finding]:
    """One clip of every subject is read; all of them would take minutes."""
    subjects: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*.bvh")):
        subjects.setdefault(path.parent.name, []).append(path)
    if not subjects:
        found = "no <subject>/<clip>.bvh"
        yield Finding("mocap", str(folder), "broken", found, "see docs/datasets.md")
        return
    problems: list[Finding] = []
    for paths in subjects.values():
        try:
            read_clip(paths[0])
        except DataError as error:
            name = str(paths[0].relative_to(folder))
            problems.append(Finding("mocap", name, "broken", _short(paths[0], error)))
    yield from problems
    clips = sum(map(len, subjects.values()))
    found = f"{len(subjects)} subjects, {clips} clips; one of each subject was read"
    yield Finding("mocap", str(folder), "ok", found)


def _short(path: Path, error: DataError) -> str:
    """The sentence without the file's name in front, which stands beside it."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
