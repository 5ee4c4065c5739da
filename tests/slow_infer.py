"""Slow inference in a separate process, to be killed: VIDEO OUT WEIGHTS [FRAME].

At FRAME it prints a line and waits for its standard input to end.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator

import vidpose
from tests.fakes import FakeDetector
from vidpose import pipeline
from vidpose.detect import Detections, cache
from vidpose.video import Frame

HALTED = "halted"


class SlowDetector(FakeDetector):
    halt_at: int | None = None

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        for number, found in enumerate(super().detect(frames)):
            time.sleep(0.02)
            if number == self.halt_at:
                print(HALTED, flush=True)
                sys.stdin.read()
            yield found


def main() -> None:
    # A shell's background jobs begin with Ctrl-C ignored, and so does what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    video, out, weights, *halt_at = sys.argv[1:]
    cache.STRETCH_S = 0.1
    detector = SlowDetector(lambda index: index % 7 != 3)
    detector.halt_at = int(halt_at[0]) if halt_at else None
    vars(pipeline)["open_detector"] = lambda *_, **__: (detector, "a stand-in")
    vidpose.infer(video, out, weights=weights, report=lambda event: print(event, flush=True))


if __name__ == "__main__":
    main()
