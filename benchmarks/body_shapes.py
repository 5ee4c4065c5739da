"""Bone lengths of real people for `draw_bodies`: means, standard deviations, correlations.

    python benchmarks/body_shapes.py UI_PRMD [-o outputs/body_shapes.md]

UI_PRMD is the folder of UI-PRMD's joints (<subject>.npz, see `vidpose/datasets/joint_clips.py`).
Lengths are means over a subject's frames and sides. They become fractions of the body height: each
is divided by the subject's stacked length (thigh, shank, twice half the trunk, neck, head) and
multiplied by the stacked length of the published proportions. The tables go into `PEOPLE` and
`CORRELATION` of `vidpose/datasets/body_variation.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import argument_parser, markdown_table, publish, run_script
from numpy.typing import NDArray

from vidpose.datasets.body_variation import SEGMENTS
from vidpose.datasets.joint_clips import read_joint_file
from vidpose.errors import DataError
from vidpose.skeleton import H36M17
from vidpose.utils.files import check_writable

SAME_PERSON = ("s05b", "s10b")
"""Additional sessions of two subjects, with other marker positions."""
EVERY = 25
"""Every how many frames are used; neighbouring frames are nearly identical."""
STACKED = {"thigh": 1, "shank": 1, "half trunk": 2, "neck": 1, "head": 1}

Floats = NDArray[np.float64]


def lengths(path: Path) -> tuple[str, Floats]:
    """A subject and the mean length of each of `SEGMENTS`, metres."""
    clips = read_joint_file(path)
    joints = np.concatenate([clip.joints[::EVERY] for clip in clips]).astype(np.float64)
    bone = {
        H36M17.joint_names[child]: np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        for parent, child in H36M17.bones
    }
    segments = [np.mean([bone[name] for name in names]) for _, names in SEGMENTS.values()]
    return clips[0].subject, np.array(segments)


def measure(folder: Path, out: Path) -> None:
    check_writable(out)
    people = dict(lengths(path) for path in sorted(folder.glob("*.npz")))
    table = np.array([found for who, found in people.items() if who not in SAME_PERSON])
    if len(table) < 3:
        raise DataError(f"{folder} has {len(table)} people; at least three are needed.")
    published = np.array([fraction for fraction, _ in SEGMENTS.values()])
    counts = np.array([STACKED.get(name, 0) for name in SEGMENTS])
    stature = table @ counts
    logs = np.log(table / stature[:, None] * (published @ counts))
    mean, sd = np.exp(logs.mean(axis=0)), logs.std(axis=0, ddof=1)
    rows = [
        [name, f"{m:.3f}", f"{s:.3f}", f"{p:.3f}"]
        for name, m, s, p in zip(SEGMENTS, mean, sd, published, strict=True)
    ]
    header = ("segment", "mean, of the body height", "standard deviation (log)", "published")
    correlation = np.corrcoef(logs.T)
    names = list(SEGMENTS)
    cross = [[name, *(f"{value:.1f}" for value in correlation[i])] for i, name in enumerate(names)]
    publish(
        f"# Bodies of {len(table)} people\n\n{markdown_table(header, rows)}\n\n"
        f"Standard deviation of the height (log): {np.log(stature).std(ddof=1):.3f}\n\n"
        f"{markdown_table(['correlation', *names], cross)}",
        out,
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder of <subject>.npz")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/body_shapes.md"))
    given = parser.parse_args()
    measure(given.folder, given.out)


if __name__ == "__main__":
    run_script(main)
