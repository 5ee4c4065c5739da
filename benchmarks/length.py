"""Memory and time over the length of a video: `vidpose.infer` on the same one, again and again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from measuring import Settings, Table
from memory import memory_over_length, small


def table(settings: Settings) -> Table:
    minutes = [0.25, 0.5] if settings.quick else [1.0, 60.0]
    with tempfile.TemporaryDirectory() as name:
        video = small(settings.video, Path(name) / "small.mp4")
        found = memory_over_length(video, minutes, Path(name))
    first = found[0]["peak"] - found[0]["arrays"]
    rows: list[tuple[str, ...]] = []
    for row in found:
        rest = row["peak"] - row["arrays"]
        cells = f"{row['minutes']:g}", str(row["frames"]), f"{row['peak'] / 1e6:.0f}"
        rate = row["frames"] / row["took"]
        rows.append((*cells, f"{row['arrays'] / 1e6:.1f}", f"{rest / first:.2f}", f"{rate:.0f}"))
    return Table(
        title="Length of the video",
        note="The video, made small, forwards and backwards, repeated without encoding it again; "
        "two people in every frame by a stand-in for the detector; each length in a process of its "
        "own, once.",
        header=(
            *("minutes", "frames", "peak memory, MB", "result arrays, MB"),
            *("peak without them, relative", "frames/s"),
        ),
        rows=rows,
    )
