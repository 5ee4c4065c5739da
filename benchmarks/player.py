"""The player's page size, time to the first frame, and drawing speed.

    python benchmarks/player.py [--result RESULT.npz]

Drives a headless Chromium with software rendering; with a graphics card, the display limits the
frames/s. `drawing` is the CPU time per frame of the scene, over all of Chromium's processes, which
does not depend on other load; frames/s follow from it for one core. Needs playwright and a
Chromium: `pip install vidpose[browser]`, and VIDPOSE_CHROMIUM if it is not on the path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from common import argument_parser, machine, markdown_table, publish, run_script
from synthetic_people import FPS, people

from tests.viewer.chromium import open_browser, wait_until, why_no_browser
from vidpose.errors import MissingDependencyError
from vidpose.poses import Pose3D, load
from vidpose.viewer.options import ViewOptions
from vidpose.viewer.page import write_page

WINDOW = {"width": 1280, "height": 720}
DRAWN_FRAMES = 100
DRAW = """(() => {
  const context = document.querySelector("#scene").getContext("webgl2");
  const pixel = new Uint8Array(4);
  for (let frame = 0; frame < %d; frame++) {
    vidpose.seek(frame);
    vidpose.draw();
    // Reading back waits until drawing has finished.
    context.readPixels(0, 0, 1, 1, context.RGBA, context.UNSIGNED_BYTE, pixel);
  }
})()"""
HEADER = ("page", "size", "first frame after", "drawing", "frames/s")


def measure(browser: Any, path: Path) -> tuple[float, float]:
    """Seconds until the first frame, and CPU seconds to draw one."""
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    start = time.perf_counter()
    page.goto(path.as_uri())
    wait_until(page, "!!window.vidpose && vidpose.drawn > 0", seconds=300)
    loaded = time.perf_counter() - start
    page.evaluate(DRAW % DRAWN_FRAMES)  # compiles the shaders
    start = cpu_s()
    page.evaluate(DRAW % DRAWN_FRAMES)
    draw = (cpu_s() - start) / DRAWN_FRAMES
    context.close()
    return loaded, draw


def cpu_s() -> float:
    """CPU seconds that this script's child processes have used so far."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(used.user + used.system for used in times)


def results(given: Path | None) -> Iterator[tuple[str, Pose3D, ViewOptions]]:
    without = ViewOptions(without_video=True)
    for count, minutes in ((1, 1), (2, 1), (8, 1), (8, 10)):
        who = "1 person" if count == 1 else f"{count} people"
        frames = round(60 * minutes * FPS)
        yield f"{who}, {minutes} min, no video", people(count, frames), without
    if given is not None:
        result = load(given)
        name = f"{result.people} people, {result.timestamps[-1]:.0f} s, with the video"
        yield name, result, ViewOptions()


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--result", type=Path, help="a result whose video exists")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/player.md"))
    given = parser.parse_args()
    if missing := why_no_browser():
        raise MissingDependencyError(f"{missing}; install vidpose[browser] and a Chromium.")
    about = f"{machine()}; window of {WINDOW['width']}x{WINDOW['height']}"
    rows = []
    with TemporaryDirectory() as folder, open_browser() as browser:
        for name, result, options in results(given.result):
            path = write_page(result, Path(folder) / "page.html", options=options)
            loaded, draw = measure(browser, path)
            size = f"{os.path.getsize(path) / 1e6:.1f} MB"
            rows.append((name, size, f"{loaded:.1f} s", f"{draw * 1000:.0f} ms", f"{1 / draw:.0f}"))
    publish(f"{markdown_table(HEADER, rows)}\n{about}.\n", given.out)


if __name__ == "__main__":
    run_script(main)
