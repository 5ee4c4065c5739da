"""Error of weights on training subjects, held-out subjects and other datasets; P-MPJPE, mm.

    python benchmarks/people.py MOCAP WEIGHTS... [--ui-prmd DIR] [--humaneva DIR]
        [-o outputs/people.md]

MOCAP is the CMU motion capture of the lifting benchmark (see `benchmarks/lifting.py`). The DIRs are
the folders of UI-PRMD's joints (<subject>.npz, see `vidpose/datasets/joint_clips.py`) and of
HumanEva-I's files. Rows: held-out and training subjects of each source, seen by virtual cameras
with the benchmark's default noise; the gap between the two; CMU's held-out motions with the bone
lengths of UI-PRMD's subjects; HumanEva's Validate part from true 2D. UI-PRMD's subjects keep their
own bodies; CMU's, which all have the same one, get bodies drawn as in the lifting benchmark.
Weights whose metadata does not list these subjects as held out are named first. HumanEva is for
measurement only, never for selection. Errors are of the 12 joints of arms and legs, because each
source derives trunk and head from different markers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import argument_parser, markdown_table, publish, run_script
from keypoint_noise import Floats
from lifting import SEED, Condition, labels, lift, see, stretches
from numpy.typing import NDArray
from real_cameras import LIMBS

from vidpose.camera import pixels_to_rays
from vidpose.datasets import open_dataset
from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.mocap import TEST
from vidpose.datasets.motion_clips import read_folder
from vidpose.datasets.virtual_cameras import VirtualCameras
from vidpose.evaluation.leakage import held_out_subjects, leaks
from vidpose.events import Warn
from vidpose.lifting.lifter import Lifter, load_lifter_checkpoint
from vidpose.metrics import p_mpjpe_per_joint
from vidpose.postprocess.refinement import refine_track
from vidpose.skeleton import H36M17, HUMANEVA15
from vidpose.utils.files import check_writable

UI_PRMD_TEST = ("s07", "s08", "s09")
"""Subjects of UI-PRMD that are held out from the training of our weights."""
EVERY = {"CMU": 1, "UI-PRMD": 10}
"""Measure every n-th clip: UI-PRMD repeats each movement ten times, twice over."""
EVERY_TRAINED = {"CMU": 3, "UI-PRMD": 30}
OWN = Condition(name="own bodies", about="default noise, subjects' own bodies", segment_sd=None)
DRAWN = Condition(name="drawn bodies", about="default noise, bodies drawn as in the benchmark")


def limb_errors(predicted: Floats, truth: Floats) -> Floats:
    """P-MPJPE of the 12 arm and leg joints: (T, 17, 3) metres -> (T,) mm."""
    errors = p_mpjpe_per_joint(1000 * predicted[:, LIMBS], 1000 * truth[:, LIMBS])
    return np.asarray(errors.mean(axis=-1))


def on_motion(
    lifters: Sequence[Lifter], clips: Sequence[MotionClip], condition: Condition
) -> list[float]:
    """Mean error over all frames for each of the weights."""
    cameras = VirtualCameras(clips)
    errors: list[list[Floats]] = [[] for _ in lifters]
    for number, stretch in enumerate(stretches(clips)):
        view = see(cameras, stretch, number, condition)
        for found, lifter in zip(errors, lifters, strict=True):
            found.append(limb_errors(lift(lifter, view, match_rate=True), view.joints))
    return [float(np.concatenate(found).mean()) for found in errors]


def with_bodies(clips: Sequence[MotionClip], people: Sequence[MotionClip]) -> list[MotionClip]:
    """The same motions (bone directions) with the bone lengths of other subjects, in turn."""
    by_subject: dict[str, list[Floats]] = {}
    for clip in people[:: EVERY["UI-PRMD"]]:
        by_subject.setdefault(clip.subject, []).append(_lengths(clip.joints))
    bodies = [np.mean(lengths, axis=0) for _, lengths in sorted(by_subject.items())]
    out = []
    for number, clip in enumerate(clips):
        joints = clip.joints.copy()
        factor = bodies[number % len(bodies)] / _lengths(clip.joints)
        for bone, (parent, child) in enumerate(H36M17.bones):
            before = clip.joints[:, child] - clip.joints[:, parent]
            joints[:, child] = joints[:, parent] + before * factor[bone]
        out.append(replace(clip, joints=joints))
    return out


def _lengths(joints: NDArray[np.floating[Any]]) -> Floats:
    """Mean length of each bone: (T, 17, 3) -> (16,)."""
    ends = [joints[:, child] - joints[:, parent] for parent, child in H36M17.bones]
    return np.asarray(np.linalg.norm(np.stack(ends, axis=1), axis=-1).mean(axis=0), np.float64)


def on_humaneva(lifters: Sequence[Lifter], folder: Path) -> list[float]:
    """Like `on_motion`, for HumanEva's Validate part, all cameras; limbs have the same names."""
    places = [_in_humaneva(name) for name in H36M17.joint_names]
    known = np.array([place is not None for place in places])
    source = np.array([place or 0 for place in places])
    errors: list[list[Floats]] = [[] for _ in lifters]
    for sequence in open_dataset("humaneva", folder, keypoints="gt").test:
        pixels = sequence.keypoints_2d[:, source].astype(np.float64)
        truth = sequence.joints_3d[:, source].astype(np.float64)
        spine = H36M17.index("Spine")
        ends = [H36M17.index("Hip"), H36M17.index("Thorax")]
        pixels[:, spine] = pixels[:, ends].mean(axis=1)
        pixels[:, ~known & (np.arange(len(known)) != spine)] = np.nan
        times = np.arange(len(pixels)) / sequence.fps
        for found, lifter in zip(errors, lifters, strict=True):
            size, focal_px = sequence.frame_size, sequence.focal_px or 1.0
            lifted = lifter(pixels, times, size, focal_px).joints
            joints = refine_track(lifted, pixels_to_rays(pixels, size, focal_px), times)
            valid = sequence.valid
            found.append(limb_errors(joints[valid].astype(np.float64), truth[valid]))
    return [float(np.concatenate(found).mean()) for found in errors]


def _in_humaneva(name: str) -> int | None:
    """The index in humaneva15 of a joint of h36m17; None if it has none."""
    sides = {"R": "right_", "L": "left_"}
    if name[1:2].isupper():
        limb = {"Foot": "ankle"}.get(name[1:], name[1:].lower())
        return HUMANEVA15.index(sides[name[0]] + limb)
    trunk = {"Hip": "pelvis", "Thorax": "thorax", "Head": "head"}
    return HUMANEVA15.index(trunk[name]) if name in trunk else None


def rows(
    lifters: Sequence[Lifter], mocap: Path, ui_prmd: Path | None, humaneva: Path | None
) -> Iterator[tuple[str, list[float]]]:
    """Row names, and a number for each of the weights.

    "Training" subjects are those that none of the weights held out, not even for validation.
    """
    out_of_any = set().union(*(held_out_subjects(one.checkpoint.training) for one in lifters))
    sources = {"CMU": (mocap, TEST)}
    if ui_prmd is not None:
        sources["UI-PRMD"] = (ui_prmd, UI_PRMD_TEST)
    for name, (folder, held_out) in sources.items():
        clips = read_folder(folder)
        out = [clip for clip in clips if clip.subject in held_out][:: EVERY[name]]
        others_too = {*held_out, *out_of_any}
        known = [clip for clip in clips if clip.subject not in others_too][:: EVERY_TRAINED[name]]
        condition = OWN if name == "UI-PRMD" else DRAWN  # one body for everybody in CMU's
        there, others = on_motion(lifters, out, condition), on_motion(lifters, known, condition)
        yield f"{name}, held out ({', '.join(held_out)})", there
        yield f"{name}, training", others
        yield f"{name}, gap", [a - b for a, b in zip(there, others, strict=True)]
        if name == "CMU":
            of_cmu = out
        else:
            bodied = with_bodies(of_cmu, clips)
            yield "CMU, held out, with bodies of UI-PRMD", on_motion(lifters, bodied, OWN)
    if humaneva is not None:
        yield "HumanEva-I, Validate, true 2D", on_humaneva(lifters, humaneva)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("mocap", type=Path, help="folder of <subject>/<clip>.bvh")
    parser.add_argument("weights", nargs="+", help="files, or names of vidpose's own")
    parser.add_argument("--ui-prmd", type=Path, help="folder of <subject>.npz")
    parser.add_argument("--humaneva", type=Path, help="folder of HumanEva-I's two files")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/people.md"))
    given = parser.parse_args()
    torch.manual_seed(SEED)
    check_writable(given.out)
    names = labels(given.weights)
    lifters = [Lifter(load_lifter_checkpoint(weights)) for weights in given.weights]
    measured = TEST if given.ui_prmd is None else (*TEST, *UI_PRMD_TEST)
    for name, lifter in zip(names, lifters, strict=True):
        for leak in leaks(lifter.checkpoint.training, "mocap", measured, name):
            print(Warn(f"{leak}."), file=sys.stderr, flush=True)
    lines = []
    for name, values in rows(lifters, given.mocap, given.ui_prmd, given.humaneva):
        lines.append([name, *(f"{value:.1f}" for value in values)])
        print(*lines[-1], flush=True)
    publish(markdown_table(["P-MPJPE of 12 limb joints, mm", *names], lines), given.out)


if __name__ == "__main__":
    run_script(main)
