"""Synthetic people in front of synthetic cameras, in the file formats of the public datasets.

Errors on these data say nothing about real people. They serve to run, test and time training,
evaluation and plots without licensed data, at up to Human3.6M's size.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.datasets import h36m, humaneva, mpi_inf_3dhp
from vidpose.datasets.cameras import MILLIMETRE, Camera, h36m_cameras
from vidpose.datasets.marks import SYNTHETIC, mark
from vidpose.datasets.synthetic_motion import body, move
from vidpose.errors import UsageError
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, conversion
from vidpose.utils.npz import write_pickled_npz
from vidpose.utils.progress import Progress, silent

LAYOUTS = ("h36m", "humaneva", "mpi_inf_3dhp")
Names = tuple[str, ...] | None
SECONDS = 3.0
LABEL = "drawing people"
H36M_ACTIONS = ("Directions", "Eating", "Greeting", "Sitting", "SittingDown", "Walking")
"""The default; "Sitting" and "SittingDown" test whether similar names are kept apart."""
DETECTOR_SD_PX = 4.0
DETECTOR_STEP_PX = 1 / 16
"""Detections are rounded to this, which halves the file size."""
EXTRA_VIDEO_FRAMES = 2
"""Number of frames by which the detections are longer than the motion capture."""
INVALID_SHARE = 0.15
RECORDED = np.searchsorted(h36m.KEPT, np.arange(h36m.RECORDED_JOINTS), side="right") - 1
"""Index in h36m17 of each of the 32 recorded joints; joints it lacks repeat the one before."""


def write_synthetic(
    folder: Path,
    layout: str = "h36m",
    *,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    seconds: float = SECONDS,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Path]:
    """Generate a synthetic dataset and write its files atomically.

    A take depends only on seed, subject and action, a person's size only on seed and subject.
    All 15 actions, two takes each, with 52 seconds reach Human3.6M's size: 1.56 million frames of
    the training subjects in all cameras, 500 MB on disk and 1.2 GB in memory.

    Args:
        folder: output folder; existing files are replaced.
        layout: one of `LAYOUTS`, the dataset whose file format to use.
        subjects: names as in that dataset; by default all.
        actions: action groups; by default `H36M_ACTIONS` or HumanEva's five. Not for mpi_inf_3dhp,
            which has no actions.
        seconds: length of each take.
        seed: random seed.
        progress: wraps the takes.

    Returns:
        The paths of the files.

    Raises:
        UsageError: a name is unknown, or a number is out of range.
        VidposeError: a file cannot be written.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"layout {layout}: choose {', '.join(LAYOUTS)}.")
    if not 0.1 <= seconds <= 3600:
        raise UsageError(f"{seconds:g} seconds: give 0.1 to 3600.")
    chosen = None if actions is None else tuple(actions)
    if chosen is not None and layout == "mpi_inf_3dhp":
        raise UsageError("mpi_inf_3dhp has no actions; leave them out.")
    write = {"h36m": _h36m, "humaneva": _humaneva, "mpi_inf_3dhp": _mpi_inf_3dhp}[layout]
    people = _People(seconds, seed, progress)
    return write(folder, None if subjects is None else tuple(subjects), chosen, people)


def make_if_missing(folder: Path) -> None:
    """Write the small default dataset in Human3.6M's format, unless the folder has its files."""
    wanted = (
        h36m.LAYOUT.path_3d(folder),
        *(h36m.LAYOUT.path_2d(folder, keypoints) for keypoints in ("gt", h36m.KEYPOINTS)),
    )
    if not any(path.exists() for path in wanted):
        write_synthetic(folder)


@dataclass(frozen=True)
class _Take:
    """One person's performance of an action."""

    subject: str
    name: str
    """Its name in the files."""
    action: str
    fps: float
    seeds: tuple[str, str]
    """Seeds of the person and of the take."""


class _People:
    """Generates people and their motions, each from its own seed."""

    def __init__(self, seconds: float, seed: int, progress: Progress) -> None:
        self.seconds, self.seed, self._progress = seconds, seed, progress

    def rng(self, *names: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *(zlib.crc32(name.encode()) for name in names)])

    def act(self, takes: Sequence[_Take]) -> Iterator[tuple[_Take, NDArray[np.float64]]]:
        """Yield each take with its joints (T, 17, 3), h36m17, metres, world."""
        for take in self._progress(takes, len(takes), LABEL):
            who = body(self.rng(take.seeds[0]))
            frames = max(2, round(self.seconds * take.fps))
            yield take, move(take.action, who, frames, take.fps, self.rng(*take.seeds))


def _h36m(folder: Path, subjects: Names, actions: Names, people: _People) -> list[Path]:
    layout = h36m.LAYOUT
    subjects = _known(subjects, tuple(h36m_cameras()))
    actions = _known(actions, h36m.ACTIONS, H36M_ACTIONS)
    world: dict[str, Any] = {subject: {} for subject in subjects}
    takes = [
        _Take(subject, name, action, h36m.FPS, (subject, name))
        for subject in subjects
        for action in actions
        for name in (action, f"{action} 1")
        if (subject, name) not in layout.corrupt
    ]
    for take, joints in people.act(takes):
        world[take.subject][take.name] = joints[:, RECORDED].astype(np.float32)
    seen = layout.project(world)
    detected: dict[str, Any] = {subject: {} for subject in subjects}
    for take in takes:
        rng = people.rng(*take.seeds, "detector")
        views = seen[take.subject][take.name]
        detected[take.subject][take.name] = [_detect(view, rng) for view in views]
    return [
        *layout.write(folder, world, seen, source=SYNTHETIC),
        layout.write_2d(folder, h36m.KEYPOINTS, detected, "h36m", source=SYNTHETIC),
    ]


def _humaneva(folder: Path, subjects: Names, actions: Names, people: _People) -> list[Path]:
    subjects = _known(subjects, humaneva.TRAIN + humaneva.TEST)
    actions = _known(actions, humaneva.ACTIONS)
    world: dict[str, Any] = {subject: {} for subject in subjects}
    takes = [
        _Take(subject, a, a, humaneva.FPS, (subject.rpartition("/")[2], f"{a} {subject}"))
        for subject in subjects
        for a in actions
    ]
    for take, joints in people.act(takes):
        joints = conversion(H36M17.name, HUMANEVA15.name)(joints)[0].astype(np.float32)
        # A gap in the motion capture, which counts as chunk 1.
        hole = len(joints) // 2
        for chunk, part in ((0, joints[:hole]), (2, joints[hole + 1 :])):
            if len(part):
                world[take.subject][f"{take.name} 1 chunk{chunk}"] = part
    layout = humaneva.LAYOUT
    views = layout.project(world)
    return [*layout.write(folder, world, views, layout.name, source=SYNTHETIC)]


def _mpi_inf_3dhp(folder: Path, subjects: Names, actions: Names, people: _People) -> list[Path]:
    subjects = _known(subjects, mpi_inf_3dhp.TRAIN + mpi_inf_3dhp.TEST)
    kinds = ("Walking", "Discussion", "Sitting", "Greeting", "SittingDown", "Purchases")
    train: dict[str, Any] = {}
    test: dict[str, Any] = {}
    names = [
        (subject, name)
        for subject in subjects
        for name in (("Seq1", "Seq2") if subject in mpi_inf_3dhp.TRAIN else ("",))
    ]
    takes = [
        _Take(subject, name, action, 50 if name == "Seq2" else 25, (subject, name))
        for (subject, name), action in zip(names, cycle(kinds), strict=False)
    ]
    for take, joints in people.act(takes):
        head = joints[:, H36M17.index("Neck/Nose")]
        joints = np.asarray(conversion(H36M17.name, MPI_INF_3DHP.name)(joints)[0], np.float64)
        joints[:, MPI_INF_3DHP.index("head")] = head
        if take.name:
            views = {c: _view_3dhp(_camera_3dhp(int(c)), joints) for c in mpi_inf_3dhp.CAMERAS}
            train[f"{take.subject} {take.name}"] = [views, take.fps]
        else:
            outdoor = take.subject in mpi_inf_3dhp.OUTDOOR
            size = mpi_inf_3dhp.OUTDOOR_FRAME_SIZE if outdoor else mpi_inf_3dhp.FRAME_SIZE
            valid = np.ones(len(joints))
            valid[len(joints) // 2 :][: round(INVALID_SHARE * len(joints))] = 0
            test[take.subject] = _view_3dhp(_camera_3dhp(0, size), joints) | {
                "valid": valid.astype(float)
            }
    return [
        write_pickled_npz(path, {"data": data} | mark(SYNTHETIC))
        for path, data in (
            (mpi_inf_3dhp.path_train(folder), train),
            (mpi_inf_3dhp.path_test(folder), test),
        )
        if data
    ]


def _view_3dhp(camera: Camera, joints: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    inside = camera.world_to_camera(joints)
    return {
        "data_2d": camera.project(inside).astype(np.float32),
        "data_3d": (inside / MILLIMETRE).astype(np.float32),
    }


def _camera_3dhp(number: int, size: tuple[int, int] = mpi_inf_3dhp.FRAME_SIZE) -> Camera:
    """A camera that looks at the middle of the room from chest, knee or ceiling height."""
    azimuth = 2 * np.pi * number / 9
    height = (1.3, 0.6, 2.6)[number % 3]
    focal = 0.73 * size[0]
    place = np.array([4.2 * np.cos(azimuth), 4.2 * np.sin(azimuth), height])
    return Camera(
        id=str(number),
        frame_size=size,
        focal_px=(focal, focal),
        centre_px=(size[0] / 2, size[1] / 2),
        orientation=_towards(place, np.array([0.0, 0.0, 0.9])),
        translation=(place[0], place[1], place[2]),
    )


def _towards(
    place: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Quaternion w, x, y, z, camera to world, of an upright camera that looks at a point."""
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward], axis=1)
    x, y, z, w = Rotation.from_matrix(axes).as_quat()
    return (float(w), float(x), float(y), float(z))


def _detect(view: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Add detector noise, largest at wrists and ankles, and some frames at the end."""
    view = np.concatenate([view, np.repeat(view[-1:], EXTRA_VIDEO_FRAMES, axis=0)])
    noise = rng.normal(size=view.shape).astype(np.float32) * DETECTOR_SD_PX
    ends = [H36M17.index(name) for name in ("RWrist", "LWrist", "RFoot", "LFoot")]
    noise[:, ends] *= 1.5
    bias = rng.normal(size=view.shape[1:]).astype(np.float32) * DETECTOR_SD_PX
    return np.round((view + noise + bias) / DETECTOR_STEP_PX) * np.float32(DETECTOR_STEP_PX)


def _known(asked: Names, known: tuple[str, ...], default: tuple[str, ...] = ()) -> tuple[str, ...]:
    if asked is None:
        return default or known
    for name in asked:
        if name not in known:
            raise UsageError(f"{name}: choose among {', '.join(known)}.")
    return asked
