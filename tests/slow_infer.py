"""Slow inference in a process of its own, to be killed: VIDEO OUT WEIGHTS."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import vidpose
from tests.fakes import FakeDetector
from vidpose import pipeline
from vidpose.detect import Detections, cache
from vidpose.video import Frame

SLOWLY_S = 3.0
"""How long the detection of 60 frames takes, or more."""


class SlowDetector(FakeDetector):
    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        for found in super().detect(frames):
            time.sleep(SLOWLY_S / 60)
            yield found


def main() -> None:
    video, out, weights = sys.argv[1:]
    cache.STRETCH_S = 0.1
    detector = SlowDetector(lambda index: index % 7 != 3)
    vars(pipeline)["open_detector"] = lambda *_, **__: (detector, "a stand-in")
    vidpose.infer(video, out, weights=weights, report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
