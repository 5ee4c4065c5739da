"""Speed of lifting and drawing for 1 to 8 people; frames/s.

    python benchmarks/run.py --only number_of_people [--quick] [--runs N] [--cpu-time]

The cost of more people in detection depends on the detector and is not measured here.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from common import Settings, Table, alternate
from rendering_speed import SIZE, draw
from synthetic_people import in_2d, people

from vidpose.lifting.lifter import Lifter, lift_poses, load_lifter_checkpoint


def table(settings: Settings) -> Table:
    frames = 30 if settings.quick else 300
    counts = (1, 4) if settings.quick else (1, 2, 4, 8)
    lifter = Lifter(load_lifter_checkpoint("default"))
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    crowds = {count: people(count, frames, SIZE) for count in counts}
    ways = {
        f"{what} {count}": way
        for count, crowd in crowds.items()
        for what, way in (
            ("lift", partial(lift_poses, in_2d(crowd), lifter, float(max(SIZE)))),
            ("draw", partial(draw, crowd, [picture] * frames)),
        )
    }
    seconds = alternate(ways, settings.runs, settings.cpu_time)

    def cells(what: str, count: int) -> tuple[str, str]:
        some = seconds[f"{what} {count}"]
        return f"{frames / some:.1f}", f"{some / seconds[f'{what} {counts[0]}'] / count:.2f}"

    return Table(
        title="Number of people",
        note=f"{frames} frames of {SIZE[0]}x{SIZE[1]}; the weights that come with vidpose. Lifting "
        "includes equal bone lengths and the root trajectory. The cost per person is relative to "
        "that of a single person.",
        header=(
            "people", "lifted frames/s", "cost per person", "drawn frames/s", "cost per person",
        ),
        rows=[(str(count), *cells("lift", count), *cells("draw", count)) for count in counts],
    )  # fmt: skip
