"""The lifting benchmark: 3D error of weights on held-out subjects; mm and m/s2.

    python benchmarks/lifting.py MOCAP WEIGHTS... [--quick] [-o outputs/lifting]
        [--only CONDITION...] [--trained] [--no-rigid] [--live] [--every N]

MOCAP is a folder of motion capture (<subject>/<clip>.bvh). Cameras drawn from fixed distributions
view its held-out subjects; a noise model of a detector is added, and the clips are lifted as by
`vidpose infer`. WEIGHTS are files or names, of any of vidpose's networks; all get the same people,
cameras and noise. The output folder gets benchmark.md, benchmark.csv, conditions.png and
joints.png. --trained measures the training subjects instead. --no-rigid leaves out refinement.
--live lifts each frame as `vidpose live` does: with few or no frames after it, and without flip
averaging. --every N uses only every n-th stretch of motion.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import argument_parser, markdown_table, run_script
from keypoint_noise import CLEAN, DEFAULT, EMBEDDED, Floats, Noise, add_noise, hide
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px, pixels_to_rays, rays_to_pixels
from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.mocap import STRETCH_S, TEST
from vidpose.datasets.motion_clips import read_clip
from vidpose.datasets.virtual_cameras import Variation, VirtualCameras
from vidpose.errors import DataError, UsageError
from vidpose.evaluation.leakage import held_out_in_stage, held_out_subjects, leaks
from vidpose.lifting.lifter import Lifter, load_lifter_checkpoint
from vidpose.metrics import mpjpe_per_joint, n_mpjpe_per_joint, p_mpjpe_per_joint
from vidpose.models import Checkpoint
from vidpose.postprocess.refinement import refine_track
from vidpose.render.charts import Bars, joint_bars
from vidpose.render.plots import legend_below, panels, save
from vidpose.render.plots import title as plot_title
from vidpose.skeleton import H36M17
from vidpose.utils.files import check_writable, replacing
from vidpose.zoo.registry import find_weights

SEED = 6
FRAME_SIZE = (1000, 1000)
STRETCHES = 2
"""Maximum per clip: bounds the run time and the weight of long clips."""
FUTURES = (0, 3, 6, 10, 20, 40)
"""Future frames that `--live` gives the lifter, at 30 frames/s."""


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """The distribution of cameras around a moving person."""

    about: str
    elevation: tuple[float, float] = (-15.0, 60.0)
    """Degrees above the horizontal, seen from the person."""
    roll_sd: float = 8.0
    """Degrees; clipped at three standard deviations."""
    distance: tuple[float, float] = (2.0, 15.0)
    """Metres, log-uniform."""
    off_axis: float = 25.0
    """Maximum angle between the person and the optical axis, degrees."""
    focal: tuple[float, float] = (0.77, 1.30)
    """Focal length in units of the image's longer side, log-uniform; the lifter assumes 1."""

    @property
    def variation(self) -> Variation:
        """For `VirtualCameras.watch`, without the variation of bodies."""
        return Variation(
            elevation=self.elevation,
            roll_sd=self.roll_sd,
            distance=self.distance,
            off_axis=self.off_axis,
            noise=0.0,
        )


# The default is the training distribution of the first weights; its focal lengths have the same
# standard deviation. People stay within the field of view, and the image edge cuts off nobody.
CAMERAS = {
    "default": Cameras(about="as in training"),
    "level": Cameras(about="level", elevation=(-5, 5), roll_sd=0),
    "down": Cameras(about="looking down 20 to 60 degrees", elevation=(20, 60)),
    "rolled": Cameras(about="rolled, standard deviation 20 degrees", roll_sd=20),
    "wide lens": Cameras(about="wide lens, near", focal=(0.5, 0.7), distance=(1.5, 4), off_axis=35),
    "long lens": Cameras(about="long lens, far", focal=(2, 4), distance=(8, 25), off_axis=8),
    "near": Cameras(about="1.5 to 3 m away", distance=(1.5, 3)),
    "far": Cameras(about="15 to 40 m away", distance=(15, 40)),
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One row of the table."""

    name: str
    about: str
    cameras: Cameras = CAMERAS["default"]
    noise: Noise = DEFAULT
    fps: float = 30.0
    match_rate: bool = True
    """Resample to the weights' frame rate as `infer` does; else treat the frames as if at that
    rate."""
    hidden: str = ""
    """See `keypoint_noise.HIDDEN`; only frames in which these joints are hidden are scored."""
    guessed: bool = False
    """Whether hidden joints are guessed instead of missing."""
    focal_known: bool = False
    segment_sd: float | None = 0.08
    """Standard deviation of log bone lengths, as in training; at 0 all people have one build."""
    every: int = 1
    """Use only every n-th stretch, to save time; compare with the condition `half`."""
    future: int | None = None
    """Number of future frames that the lifter sees; None: the whole track."""


def conditions(quick: bool) -> list[Condition]:
    first = Condition(name="default", about="default cameras, default noise, 30 frames/s")
    clean = replace(first, name="clean", about="true 2D", noise=CLEAN)
    slow = replace(first, name="25 fps", about="25 frames/s, resampled", fps=25.0)
    if quick:
        return [first, clean, slow]
    half = replace(
        first, name="half", about="default on half of the stretches, as all below", every=2
    )
    cameras = [
        replace(half, name=name, about=f"cameras {it.about}", cameras=it)
        for name, it in CAMERAS.items()
        if name != "default"
    ]
    hidden = [
        replace(half, name=f"{what} hidden", about=f"{what} hidden for 1 or 2 s", hidden=what)
        for what in ("legs", "arm")
    ]
    guessed = "legs hidden for 1 or 2 s, and guessed"
    hidden.append(replace(hidden[0], name="legs guessed", about=guessed, guessed=True))
    cut_off = "feet below the image's edge throughout"
    hidden.append(replace(half, name="feet cut off", about=cut_off, hidden="feet"))
    embedded = replace(
        first, name="embedded", about="2D like the embedded detector's", noise=EMBEDDED
    )
    known = replace(half, name="focal known", about="focal length known", focal_known=True)
    ideal = replace(known, name="ideal", about="true 2D, focal length known", noise=CLEAN)
    build = replace(ideal, name="one build", about=f"{ideal.about}, one build", segment_sd=0.0)
    rates = []
    for fps in (25.0, 50.0, 60.0):
        at = replace(half, name=f"{fps:g} fps, half", about=f"{fps:g} frames/s, resampled", fps=fps)
        off = f"{fps:g} frames/s, taken as the weights' rate"
        rates += [at, replace(at, name=f"{fps:g} as is, half", about=off, match_rate=False)]
    return [first, clean, slow, embedded, half, known, ideal, build, *cameras, *hidden, *rates]


def live_conditions() -> list[Condition]:
    """Conditions of `vidpose live`, which lifts with few future frames."""
    all_frames = Condition(name="all", about="the whole track, as `infer`", every=2)
    few = [
        replace(
            all_frames,
            name=f"{n} ahead",
            about=f"{n} future frames, {n / 30:.2f} s; no flip averaging",
            future=n,
        )
        for n in FUTURES
    ]
    return [*few, all_frames]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a clip; all conditions see the same ones."""

    clip: int
    first: float
    """Seconds from the clip's first frame."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class View:
    """A stretch as given to the lifter, and its ground truth."""

    pixels: Floats
    """(T, 17, 2), NaN where a joint is missing."""
    joints: Floats
    """(T, 17, 3) metres, camera frame, relative to the hip."""
    scored: NDArray[np.bool_]
    fps: float
    focal_px: float
    """The focal length given to the lifter: known or assumed."""


@dataclass
class Errors:
    """Errors of one file of weights under one condition; (N, 17) each, before any mean."""

    weights: str
    condition: Condition
    mpjpe_mm: list[Floats] = field(default_factory=list)
    p_mpjpe_mm: list[Floats] = field(default_factory=list)
    n_mpjpe_mm: list[Floats] = field(default_factory=list)
    jitter: list[Floats] = field(default_factory=list)

    def add(self, predicted: Floats, view: View) -> None:
        p, t = 1000 * predicted[view.scored], 1000 * view.joints[view.scored]
        self.mpjpe_mm.append(mpjpe_per_joint(p, t))
        self.p_mpjpe_mm.append(p_mpjpe_per_joint(p, t))
        self.n_mpjpe_mm.append(n_mpjpe_per_joint(p, t))
        bend = np.diff(predicted - view.joints, 2, axis=0) * view.fps**2
        inside = view.scored[2:] & view.scored[1:-1] & view.scored[:-2]
        self.jitter.append(np.linalg.norm(bend[inside], axis=-1))

    def per_joint(self, metric: str) -> Floats:
        """(17,)"""
        return np.asarray(np.concatenate(getattr(self, metric)).mean(axis=0))

    def value(self, metric: str) -> float:
        return float(self.per_joint(metric).mean())


METRICS = {
    "p_mpjpe_mm": "P-MPJPE, mm",
    "mpjpe_mm": "MPJPE, mm",
    "n_mpjpe_mm": "N-MPJPE, mm",
    "jitter": "acceleration error, m/s²",
}


def stretches(clips: Sequence[MotionClip]) -> list[Stretch]:
    """Clips in parts of `STRETCH_S` seconds; at most `STRETCHES` of a clip, evenly spread."""
    chosen = []
    for number, clip in enumerate(clips):
        length = len(clip.joints) / clip.fps
        parts = max(1, math.ceil(length / STRETCH_S - 0.25))
        for part in np.unique(np.linspace(0, parts - 1, min(parts, STRETCHES)).round()).tolist():
            first = part * STRETCH_S
            chosen.append(Stretch(clip=number, first=first, seconds=min(STRETCH_S, length - first)))
    return chosen


def see(cameras: VirtualCameras, stretch: Stretch, number: int, condition: Condition) -> View:
    """A stretch seen by a camera; `number` seeds body, camera and noise, at any frame rate."""
    frames = max(3, int(stretch.seconds * condition.fps))
    vary = replace(condition.cameras.variation, segment_sd=condition.segment_sd)
    seen = cameras.view(
        stretch.clip, stretch.first, frames, condition.fps, vary, 1000 * SEED + number
    )
    rays, joints = (part.numpy().astype(np.float64) for part in seen)
    rays = add_noise(rays, condition.fps, condition.noise, (SEED, number, 0))
    scored = np.ones(frames, bool)
    if condition.hidden:
        seed = (SEED, number, 1)
        scored = hide(rays, condition.fps, condition.hidden, seed, guessed=condition.guessed)
    low, high = np.log(condition.cameras.focal)
    drawn = math.exp(np.random.default_rng((SEED, number, 2)).uniform(low, high))
    focal_px = drawn * max(FRAME_SIZE)
    return View(
        pixels=rays_to_pixels(rays, FRAME_SIZE, focal_px),
        joints=joints - joints[:, :1],
        scored=scored,
        fps=condition.fps,
        focal_px=focal_px if condition.focal_known else assumed_focal_px(FRAME_SIZE),
    )


def lift(
    lifter: Lifter,
    view: View,
    match_rate: bool,
    rigid: bool = True,
    future: int | None = None,
) -> Floats:
    fps = view.fps if match_rate else lifter.checkpoint.fps
    times = np.arange(len(view.pixels)) / fps
    if future is None:
        joints = lifter(view.pixels, times, FRAME_SIZE, view.focal_px).joints
    else:
        joints = np.stack([_as_live(lifter, view, times, t, future) for t in range(len(times))])
    if rigid:
        rays = pixels_to_rays(view.pixels, FRAME_SIZE, view.focal_px)
        joints = refine_track(joints, rays, np.arange(len(joints)) / view.fps)
    return np.asarray(joints, np.float64)


def _as_live(lifter: Lifter, view: View, times: Floats, t: int, future: int) -> Floats:
    """(17, 3), a frame lifted with only so many future frames."""
    first = max(0, t - int(lifter.model.config.frames))
    part = slice(first, t + future + 1)
    return np.asarray(
        lifter.frame(view.pixels[part], times[part], t - first, FRAME_SIZE, view.focal_px)
    )


def check_held_out(training: dict[str, Any], name: str) -> None:
    """Check that weights were not trained or selected on the held-out subjects.

    Args:
        training: of a checkpoint; the weights it was fine-tuned from are checked, too.
        name: of the weights, for the message.

    Raises:
        UsageError: they may have been.
    """
    for leak in leaks(training, "mocap", TEST, name):
        raise UsageError(
            f"{leak}; measure weights that were trained with `--test-subjects {','.join(TEST)}` "
            "and `--select-on validation`."
        )


def labels(weights: Sequence[str]) -> list[str]:
    """Short names of the files, with as many parent folders as needed to be unique.

    Raises:
        UsageError: a file is named twice.
    """
    if len({find_weights(name).resolve() for name in weights}) < len(weights):
        raise UsageError("a file of weights is named twice; name each once.")
    paths = [Path(name).with_suffix("") for name in weights]
    for parts in range(1, 2 + max(len(path.parts) for path in paths)):
        short = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(short)) == len(short):
            return short
    return list(weights)


def read_people(folder: Path, trained: bool = False) -> list[MotionClip]:
    """The clips of the held-out subjects, or of all others."""
    paths = sorted(folder.glob("*/*.bvh"))
    if not set(TEST) <= {path.parent.name for path in paths}:
        raise DataError(
            f"{folder} lacks one of the subjects {', '.join(TEST)}; give the complete folder."
        )
    return [read_clip(path) for path in paths if (path.parent.name not in TEST) == trained]


def measure(
    checkpoints: dict[str, Checkpoint],
    clips: Sequence[MotionClip],
    rows: Sequence[Condition],
    rigid: bool = True,
) -> Iterator[list[Errors]]:
    """Yield the errors of all weights, row by row."""
    cameras, chosen = VirtualCameras(clips), stretches(clips)
    for condition in rows:
        flip = condition.future is None  # `vidpose live` leaves the mirror image out
        lifters = {name: Lifter(checkpoint, flip=flip) for name, checkpoint in checkpoints.items()}
        errors = [Errors(weights=name, condition=condition) for name in lifters]
        for number, stretch in list(enumerate(chosen))[:: condition.every]:
            view = see(cameras, stretch, number, condition)
            for lifter, found in zip(lifters.values(), errors, strict=True):
                how = condition.match_rate, rigid, condition.future
                found.add(lift(lifter, view, *how), view)
        yield errors


def markdown(results: Sequence[Sequence[Errors]]) -> str:
    names = [errors.weights for errors in results[0]]
    parts = []
    for metric, title in METRICS.items():
        digits = 2 if metric == "jitter" else 1
        lines = []
        for row in results:
            numbers = [f"{errors.value(metric):.{digits}f}" for errors in row]
            lines.append([row[0].condition.name, row[0].condition.about, *numbers])
        table = markdown_table(["condition", "description", *names], lines)
        parts.append(f"## {title}\n\n{table}")
    lines = [
        [joint, *(f"{errors.per_joint('p_mpjpe_mm')[j]:.1f}" for errors in results[0])]
        for j, joint in enumerate(H36M17.joint_names)
    ]
    title = f"P-MPJPE by joint, condition {results[0][0].condition.name}, mm"
    parts.append(f"## {title}\n\n{markdown_table(['joint', *names], lines)}")
    return "\n".join(parts)


def write_csv(out: Path, results: Sequence[Sequence[Errors]]) -> None:
    """A line for each file of weights, condition and metric: the mean, then each joint."""
    with replacing(out) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["weights", "condition", "metric", "mean", *H36M17.joint_names])
        for row in results:
            for errors in row:
                for metric in METRICS:
                    joints = [f"{value:.3f}" for value in errors.per_joint(metric)]
                    mean = f"{errors.value(metric):.3f}"
                    name = "jitter_m_s2" if metric == "jitter" else metric
                    writer.writerow([errors.weights, errors.condition.name, name, mean, *joints])


def draw(folder: Path, results: Sequence[Sequence[Errors]]) -> None:
    """Bars over the conditions, and over the joints of the first one."""
    bars = {
        errors.weights: [row[i].value("p_mpjpe_mm") for row in results]
        for i, errors in enumerate(results[0])
    }
    names = [row[0].condition.name for row in results]
    _bars(folder / "conditions.png", "P-MPJPE on held-out people, by condition", names, bars)
    joints = {e.weights: e.per_joint("p_mpjpe_mm").tolist() for e in results[0]}
    title = f"P-MPJPE on held-out people, by joint, condition {names[0]}"
    _bars(folder / "joints.png", title, list(H36M17.joint_names), joints)


def _bars(out: Path, title: str, names: list[str], bars: dict[str, list[float]]) -> None:
    figure, (axes,) = panels(1, max(6.0, 2 + 0.45 * len(names)), 4.2)
    unknown = np.full(len(names), np.nan)
    joint_bars(
        axes, names, [Bars(n, np.array(values), unknown, unknown) for n, values in bars.items()]
    )
    axes.set_ylabel("P-MPJPE, mm")
    plot_title(axes, title)
    legend_below(figure, axes, columns=4)
    save(figure, out)


def load_weights(weights: Sequence[str], trained: bool) -> dict[str, Checkpoint]:
    """Checkpoints by label; all must be trained on the measured subjects (`trained`), or none.

    Raises:
        UsageError: one does not.
    """
    checkpoints = {}
    for label, name in zip(labels(weights), weights, strict=True):
        checkpoints[label] = load_lifter_checkpoint(name)
        if not trained:
            check_held_out(checkpoints[label].training, name)
        elif not set(TEST) <= held_out_in_stage(checkpoints[label].training):
            raise UsageError(
                f"{name} was not trained on all subjects except {', '.join(TEST)}; --trained "
                "measures on those it was trained on."
            )
    return checkpoints


def introduction(
    clips: Sequence[MotionClip], trained: bool, rigid: bool, every: int | None = None
) -> str:
    seconds = sum(stretch.seconds for stretch in stretches(clips)[:: every or 1])
    return (
        f"# The lifting benchmark\n\nSubjects {', '.join(sorted({c.subject for c in clips}))}"
        f"{', training subjects' if trained else ''}: {seconds:.0f} s of motion for each "
        "condition, mean over frames and 17 joints, root-relative; flip averaging; the focal "
        "length assumed as by `infer`, unless a row says otherwise; "
        f"{'refined as by infer' if rigid else 'without refinement'}.\n"
    )


def run(
    folder: Path,
    weights: Sequence[str],
    *,
    quick: bool,
    out: Path,
    only: Sequence[str] = (),
    trained: bool = False,
    rigid: bool = True,
    live: bool = False,
    every: int | None = None,
) -> None:
    there = live_conditions() if live else conditions(quick)
    rows = [replace(row, every=every or row.every) for row in there if not only or row.name in only]
    if unknown := set(only) - {row.name for row in rows}:
        known = ", ".join(row.name for row in there)
        raise UsageError(f"--only {', '.join(sorted(unknown))}: choose from {known}.")
    checkpoints = load_weights(weights, trained)
    out.mkdir(parents=True, exist_ok=True)
    check_writable(out / "benchmark.md")
    clips = read_people(folder, trained)
    if trained:  # some of the others may have been held out to choose the best epoch
        out_of_all = set().union(*(held_out_subjects(it.training) for it in checkpoints.values()))
        clips = [clip for clip in clips if clip.subject not in out_of_all]
    about = introduction(clips, trained, rigid, every)
    results, start = [], time.perf_counter()
    for errors in measure(checkpoints, clips, rows, rigid):
        results.append(errors)
        values = ", ".join(f"{e.weights} {e.value('p_mpjpe_mm'):.1f} mm" for e in errors)
        seconds = time.perf_counter() - start
        print(f"[{seconds:4.0f} s] {errors[0].condition.name}: P-MPJPE {values}", file=sys.stderr)
        text = f"{about}\n{markdown(results)}"
        with replacing(out / "benchmark.md") as temporary:  # after each, since a run takes long
            temporary.write_text(text)
        write_csv(out / "benchmark.csv", results)
    print(text)
    draw(out, results)
    print(f"Written to {out}")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("mocap", type=Path, help="folder of <subject>/<clip>.bvh")
    parser.add_argument("weights", nargs="+", help="files, or names of vidpose's own")
    parser.add_argument("--quick", action="store_true", help="three conditions only")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/lifting"))
    parser.add_argument("--only", nargs="+", default=[], metavar="CONDITION", help="these rows")
    parser.add_argument("--no-rigid", dest="rigid", action="store_false", help="no refinement")
    parser.add_argument("--live", action="store_true", help="with few future frames")
    parser.add_argument("--every", type=int, metavar="N", help="only every n-th stretch")
    parser.add_argument("--trained", action="store_true", help="measure training subjects")
    given = vars(parser.parse_args())
    torch.manual_seed(SEED)
    run(given.pop("mocap"), given.pop("weights"), **given)


if __name__ == "__main__":
    run_script(main)
