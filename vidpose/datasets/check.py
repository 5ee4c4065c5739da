"""Checks of a dataset's folder: what is there, what is missing or invalid, and how to fix it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from vidpose.datasets import custom, h36m, humaneva, mpi_inf_3dhp
from vidpose.datasets.choice import Choice
from vidpose.datasets.dataset import PoseSequence
from vidpose.datasets.joint_clips import is_joint_file, read_joint_file
from vidpose.datasets.marks import NOT_REAL, is_synthetic
from vidpose.datasets.motion_clips import motion_files, read_clip
from vidpose.datasets.videopose import Layout, Pair, read_2d, read_3d
from vidpose.errors import DataError, UsageError

VIDEOPOSE_FILES = "https://dl.fbaipublicfiles.com/video-pose-3d/"
DOWNLOADS = ("cpn_ft_h36m_dbb", "detectron_ft_h36m")
"""2D joints of Human3.6M that VideoPose3D publishes."""
LISTED = 5
"""Number of problems listed for each file; further ones are only counted."""
DOCS = "see docs/datasets.md"

# Takes per subject in the public datasets, to recognise incomplete or synthetic ones.
TAKES = {"h36m": 30, "synthetic": 30, "humaneva": 5}
NOT_PUBLIC = {"Train/S3": 1, "Validate/S3": 1, "Validate/S1": 1}
"""Takes of HumanEva's subjects that VideoPose3D's files lack: ThrowCatch 1, which is damaged or has
no motion capture."""
MPI_INF_3DHP_SEQUENCES = 2

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line about one file."""

    dataset: str
    file: str
    state: State
    """note: something optional is missing, or there is less than in the public dataset; broken:
    the dataset cannot be opened."""
    found: str
    fix: str | None = None
    """How to fix it."""


def check_dataset(name: str, folder: str | Path) -> list[Finding]:
    """Read all of a dataset's files in a folder and check them, without changing anything.

    Args:
        name: h36m, humaneva, mpi_inf_3dhp, custom, mocap, or synthetic, which has h36m's files.
        folder: the dataset's folder.

    Raises:
        UsageError: there is no such dataset.
    """
    checks: dict[str, Callable[[Path], Iterator[Finding]]] = {
        "h36m": lambda folder: _check_layout("h36m", h36m, folder),
        "humaneva": lambda folder: _check_layout("humaneva", humaneva, folder),
        "mpi_inf_3dhp": _check_3dhp,
        "synthetic": lambda folder: _check_layout("synthetic", h36m, folder),
        "custom": _check_custom,
        "mocap": _check_mocap,
    }
    if name not in checks:
        raise UsageError(f"dataset {name}: choose {', '.join(checks)}.")
    return list(checks[name](Path(folder)))


def find_datasets(folder: Path) -> list[tuple[str, Path]]:
    """Find datasets in a folder and its direct subfolders.

    Raises:
        UsageError: it is not a folder.
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
    others = {path for pattern in patterns.values() for path in folder.glob(pattern)}
    if any(custom.is_custom(path) for path in folder.glob("*.npz") if path not in others):
        yield "custom"
    if any(folder.glob("*/*.bvh")) or any(map(is_joint_file, folder.glob("*.npz"))):
        yield "mocap"


@dataclass(frozen=True)
class _File:
    """A file to check, and how to fix it if it cannot be used."""

    dataset: str
    path: Path
    fix: str | None

    def ok(self, found: str) -> Finding:
        return Finding(self.dataset, self.path.name, "ok", self._kind() + found)

    def note(self, found: str) -> Finding:
        return Finding(self.dataset, self.path.name, "note", self._kind() + found, self.fix)

    def _kind(self) -> str:
        """A note if the file is synthetic."""
        return f"{NOT_REAL}: " if is_synthetic(self.path) else ""

    def broken(self, found: str | DataError) -> Finding:
        text = found if isinstance(found, str) else _short(self.path, found)
        return Finding(self.dataset, self.path.name, "broken", text, self.fix)

    def frames(self, problems: list[str], frames: Counter[str]) -> Iterator[Finding]:
        """Report the number of frames, or the problems."""
        if not problems:
            yield self.ok(f"{frames['frames']:,} frames in {frames['views']} views")
        for problem in problems[:LISTED]:
            yield self.broken(problem)
        if len(problems) > LISTED:
            yield self.broken(f"and {len(problems) - LISTED} more like that")


def _short(path: Path, error: DataError) -> str:
    """Strip the file's name, which has a column of its own, from a message."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def _check_layout(dataset: str, module: ModuleType, folder: Path) -> Iterator[Finding]:
    """Check a dataset in VideoPose3D's file format."""
    layout: Layout = module.LAYOUT
    prepare = f"vidpose prepare {dataset} SOURCE -o '{folder}'"
    if dataset == "synthetic":
        prepare = f"vidpose prepare synthetic -o '{folder}'"
    file = _File(dataset, layout.path_3d(folder), prepare)
    world: dict[str, Any] = {}
    if not file.path.exists():
        yield file.broken("missing")
    else:
        try:
            world = read_3d(file.path)
        except DataError as error:
            yield file.broken(error)
        else:
            yield _check_world(file, world, module)

    def views(path: Path) -> _File:
        published = path.stem.endswith(DOWNLOADS)
        fix = f"curl -fL -o '{path}' {VIDEOPOSE_FILES}{path.name}" if published else prepare
        return _File(dataset, path, fix)

    there = sorted(folder.glob(layout.path_2d(folder, "*").name))
    for keypoints in dict.fromkeys((module.KEYPOINTS, "gt")):
        missing = layout.path_2d(folder, keypoints)
        if missing not in there:
            # Human3.6M can be opened with either of them.
            file = views(missing)
            yield file.note("missing") if there else file.broken("missing")
    for path in there:
        yield from _check_views(views(path), module, world)


def _check_world(file: _File, world: dict[str, Any], module: ModuleType) -> Finding:
    counts = {s: len(branch) for s, branch in world.items() if isinstance(branch, dict)}
    protocol = (*module.TRAIN, *module.TEST)
    found = f"{len(counts)} subjects, {sum(counts.values())} takes"
    absent = [subject for subject in protocol if subject not in world]
    if absent:
        return file.broken(f"{found}; no {', '.join(absent)}, which the protocol needs")
    fewer = []
    for subject in filter(counts.get, protocol):
        left_out = {action for who, action in module.LAYOUT.corrupt if who == subject}
        takes = {module.LAYOUT.recording(action) for action in world[subject]} - left_out
        public = TAKES[file.dataset] - len(left_out) - NOT_PUBLIC.get(subject, 0)
        if len(takes) < public:
            fewer.append(f"{subject} {len(takes)} of {public}")
    if fewer:
        return file.note(f"{found}; fewer than the public dataset has: {', '.join(fewer)}")
    return file.ok(found)


def _check_views(file: _File, module: ModuleType, world: dict[str, Any]) -> Iterator[Finding]:
    """Check every take of both files by opening it."""
    layout: Layout = module.LAYOUT
    try:
        views = read_2d(file.path, layout.skeleton)
    except DataError as error:
        yield file.broken(error)
        return
    known = [subject for subject in (*module.TRAIN, *module.TEST) if subject in world]
    problems = [f"no subject {subject}" for subject in known if subject not in views]
    subjects = tuple(subject for subject in known if subject in views)
    keypoints = file.path.stem.removeprefix(f"data_2d_{layout.name}_")
    choice = Choice(keypoints=keypoints, train_subjects=subjects, test_subjects=())
    pair = Pair(layout, file.path.parent, choice, world, views)
    frames: Counter[str] = Counter()
    for subject in subjects:
        try:
            for sequences in pair.takes(subject):
                problems += _count(file.path, sequences, frames)
        except DataError as error:
            problems.append(_short(file.path, error))
    yield from file.frames(problems, frames)


def _count(path: Path, sequences: Iterable[PoseSequence], frames: Counter[str]) -> list[str]:
    """Add a take's frames in all cameras to `frames`; return its problems."""
    try:
        for sequence in sequences:
            frames["frames"] += len(sequence)
            frames["valid"] += int(sequence.valid.sum())
            frames["views"] += 1
    except DataError as error:
        return [_short(path, error)]
    return []


def _check_3dhp(folder: Path) -> Iterator[Finding]:
    prepare = f"vidpose prepare mpi_inf_3dhp SOURCE -o '{folder}'"
    for path, subjects in (
        (mpi_inf_3dhp.path_train(folder), mpi_inf_3dhp.TRAIN),
        (mpi_inf_3dhp.path_test(folder), mpi_inf_3dhp.TEST),
    ):
        file = _File("mpi_inf_3dhp", path, prepare)
        if not path.exists():
            yield file.broken("missing")
            continue
        try:
            data = mpi_inf_3dhp.read(path)
        except DataError as error:
            yield file.broken(error)
            continue
        counts = Counter(name.split(" ")[0] for name in data)
        problems = [f"no subject {subject}" for subject in subjects if not counts[subject]]
        frames: Counter[str] = Counter()
        valid: dict[str, int] = {}
        for name in data:
            before = frames["valid"]
            problems += _count(path, mpi_inf_3dhp.sequences(path, name, data[name]), frames)
            valid[name] = frames["valid"] - before
        yield from file.frames(problems, frames)
        if subjects == mpi_inf_3dhp.TEST:
            other = [
                f"{name} {valid[name]} of {public} valid frames"
                for name, public in mpi_inf_3dhp.VALID_FRAMES.items()
                if valid.get(name, public) != public
            ]
        else:
            other = [
                f"{subject} {counts[subject]} of {MPI_INF_3DHP_SEQUENCES} sequences"
                for subject in subjects
                if counts[subject] < MPI_INF_3DHP_SEQUENCES
            ]
        if other and not problems:
            yield file.note(f"different from the public dataset: {', '.join(other)}")


def _check_custom(folder: Path) -> Iterator[Finding]:
    paths = sorted(path for path in folder.glob("*.npz") if custom.is_custom(path))
    if not paths:
        found = "no .npz with keypoints_2d and joints_3d, and no result of vidpose"
        yield Finding("custom", str(folder), "broken", found, DOCS)
    for path in paths:
        file = _File("custom", path, None)
        try:
            skeleton, sequences = custom.read_file(path)
        except DataError as error:
            yield file.broken(error)
            continue
        who = ", ".join(sorted({sequence.subject for sequence in sequences}))
        yield file.ok(f"{sum(map(len, sequences)):,} frames of {who}, {skeleton.name}")


def _check_mocap(folder: Path) -> Iterator[Finding]:
    """Read every .npz but only one BVH file per subject, because all would take minutes."""
    paths = motion_files(folder)
    if not paths:
        found = "no <subject>/<clip>.bvh and no <subject>.npz"
        yield Finding("mocap", str(folder), "broken", found, DOCS)
        return
    bvh = [path for path in paths if path.suffix == ".bvh"]
    subjects, clips = {path.parent.name for path in bvh}, len(bvh)
    first = {path.parent.name: path for path in reversed(bvh)}
    for path in [*sorted(first.values()), *paths[len(bvh) :]]:
        try:
            if path.suffix == ".bvh":
                read_clip(path)
            else:
                read = read_joint_file(path)
                subjects |= {clip.subject for clip in read}
                clips += len(read)
        except DataError as error:
            name = str(path.relative_to(folder))
            yield Finding("mocap", name, "broken", _short(path, error))
    who = f"{len(subjects)} subject{'s' if len(subjects) != 1 else ''}"
    found = f"{who}, {clips} clips; one file of each subject was read"
    yield Finding("mocap", str(folder), "ok", found)
