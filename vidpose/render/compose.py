"""The overlay video: the source with its skeletons, next to the 3D scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidpose.errors import UsageError, VideoError
from vidpose.poses import Pose3D
from vidpose.postprocess.smoothing import smooth_pictures
from vidpose.render import colours, draw
from vidpose.render.colours import INK, LEGEND
from vidpose.render.draw import Image
from vidpose.render.overlay import draw_people
from vidpose.render.scene import ScenePanel
from vidpose.render.view import parse_view
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, silent
from vidpose.utils.threads import ahead
from vidpose.video import Frame, VideoReader, VideoWriter, is_ours

SMALLEST_HEIGHT = 360
"""Pixels; smaller videos are enlarged to it, or framed where that would make them too wide."""
WIDEST_ENLARGED = 960
SAME_TIME_S = 1e-3
PICTURES_AHEAD = 3
"""Pictures that wait for the next stage; more only take memory."""
LATEST_START_S = 1.0
"""A source that starts later than this (an odd clock) gets an overlay that starts at 0."""


def render_video(
    result: Pose3D,
    video: str | Path,
    out: str | Path,
    *,
    view: str = "three-quarter",
    smooth: str | None = None,
    progress: Progress = silent,
) -> list[str]:
    """Write the video with 2D skeletons, next to the 3D scene.

    Only the frames of the result are in it, each at its own time, so that an overlay of an entire
    video has its frame count, time stamps and duration. A part that begins later starts at 0.

    Args:
        result: the people.
        video: the video the result was made from.
        out: an .mp4.
        view: where to look at the scene from, see `parse_view`.
        smooth: none, savgol or one-euro: how joints are smoothed for the picture, unless they are
            in the result; by default as `infer` would have, see `vidpose.postprocess.smoothing`.
        progress: wraps the stream of frames.

    Returns:
        What was wrong with the video, one sentence each.

    Raises:
        UsageError: there is no such view or smoothing, or `out` is the video itself.
        VideoError: the video cannot be read, or is not the result's.
        VidposeError: `out` cannot be written.
    """
    video, out = Path(video), Path(out)
    seen_from = parse_view(view)
    check_out(out)
    result = smooth_pictures(result, smooth)
    layout = Layout.of(result.frame_size)
    with VideoReader(video) as reader:
        if reader.size != result.frame_size:
            theirs, ours = ("x".join(map(str, s)) for s in (reader.size, result.frame_size))
            raise _wrong_video(video, f"its pictures are {theirs} pixels, not {ours}")
        scene = ScenePanel(result, layout.panel, seen_from)
        start = _start(result)

        def drawn(frames: Iterable[Frame]) -> Iterator[Frame]:
            for t, frame in enumerate(frames):
                image = compose_frame(result, t, frame.image, scene, layout)
                yield Frame(frame.index, frame.time_s - start, image, frame.duration_s)

        # Decoding, drawing and encoding at the same time.
        with (
            VideoWriter(out, layout.size, time_base=reader.time_base) as writer,
            ahead(_frames_of(result, reader), PICTURES_AHEAD, "decode") as frames,
            ahead(drawn(frames), PICTURES_AHEAD, "draw") as pictures,
        ):
            for picture in progress(pictures, result.frames, "rendering"):
                writer.write(picture.image, picture.time_s, picture.duration_s)
        return reader.warnings


def source_video(result: Pose3D) -> Path:
    """The video a result was made from.

    Raises:
        UsageError: the result does not say, or the video is no longer there.
    """
    source = result.meta.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str):
        raise UsageError(
            "This result does not say which video it was made from; name it with --video."
        )
    if not Path(path).exists():
        raise UsageError(
            f"{path}, from which this result was made, is no longer there; "
            "name the video with --video."
        )
    return Path(path)


def check_out(out: Path) -> None:
    """Find out before long work whether the overlay could be written to `out` at its end.

    Raises:
        UsageError: there is a file already that vidpose did not write, such as the video itself.
        VidposeError: its folder cannot be written to.
    """
    check_writable(out)
    if out.exists() and not is_ours(out):
        raise UsageError(
            f"{out} is there already and is not vidpose's to overwrite; choose another -o."
        )


def _start(result: Pose3D) -> float:
    """The time that becomes 0, seconds."""
    first = float(result.timestamps[0])
    from_start = result.frame_indices[0] == 0
    return 0.0 if from_start and 0 <= first <= LATEST_START_S else first


def _frames_of(result: Pose3D, reader: VideoReader) -> Iterator[Frame]:
    """The result's frames of a video, each checked to be the one it was made from."""
    indices, times = result.frame_indices.tolist(), result.timestamps.tolist()
    t = 0
    for frame in reader:
        if t == len(indices):
            return
        if frame.index < indices[t]:
            continue
        if abs(frame.time_s - times[t]) > SAME_TIME_S:
            raise _wrong_video(reader.path, f"frame {frame.index} is at another time")
        yield frame
        t += 1
    if t < len(indices):
        raise _wrong_video(reader.path, f"it ends before frame {indices[t]}")


def _wrong_video(video: Path, why: str) -> VideoError:
    return VideoError(
        f"{video} is not the video of this result ({why}); give the one it was made from."
    )


@dataclass(frozen=True)
class Layout:
    """Where picture and panel go: side by side, equally high. All sizes (width, height)."""

    picture: tuple[int, int]
    """Of the video as drawn."""
    panel: tuple[int, int]

    @classmethod
    def of(cls, frame_size: tuple[int, int]) -> Layout:
        """The layout for videos of a size; the panel is square; next to portrait videos it
        is as narrow as they are.
        """
        width, height = frame_size
        panel_height = max(height, SMALLEST_HEIGHT)
        scale = min(panel_height / height, max(1.0, WIDEST_ENLARGED / width))
        picture = round(width * scale), round(height * scale)
        panel_width = min(panel_height, max(picture[0], round(0.6 * panel_height)))
        return cls(picture, (panel_width, panel_height))

    @property
    def size(self) -> tuple[int, int]:
        return self.picture[0] + self.panel[0], self.panel[1]


def compose_frame(
    result: Pose3D, t: int, picture: Image, scene: ScenePanel, layout: Layout
) -> Image:
    """(H, W, 3) RGB of `layout.size`: the result's frame `t`, drawn.

    Args:
        picture: (H, W, 3) RGB, the video's frame.
    """
    width, height = layout.picture
    canvas = np.zeros((layout.size[1], layout.size[0], 3), np.uint8)
    top = (layout.size[1] - height) // 2
    target = canvas[top : top + height, :width]
    scale = np.array(layout.picture) / result.frame_size
    if layout.picture == result.frame_size:
        target[:] = picture
    else:
        target[:] = cv2.resize(picture, layout.picture, interpolation=cv2.INTER_CUBIC)
    # The middle of the first pixel stays the middle of the pixels it becomes.
    keypoints = (result.keypoints_2d[:, t] + 0.5) * scale - 0.5
    keypoints[~result.present[:, t]] = np.nan
    draw_people(target, keypoints, result.scores_2d[:, t], result.observed[:, t], result.person_ids)
    panel = canvas[:, width:]
    scene.draw(t, panel)
    _caption(panel, float(result.timestamps[t]), int(result.frame_indices[t]))
    return canvas


def _caption(panel: Image, time_s: float, index: int) -> None:
    height, width = panel.shape[:2]
    tall = max(7.0, min(height, width) * 0.0145)
    rim = 2.2 * tall
    minutes, seconds = divmod(time_s, 60)
    draw.write(panel, f"{int(minutes)}:{seconds:05.2f}", rim, height - rim, tall, INK)
    frame = f"frame {index}"
    draw.write(panel, frame, width - rim - draw.text_size(frame, tall)[0], height - rim, tall, INK)

    x, y = rim, rim + tall
    shades = colours.side_colours(LEGEND)
    for name, shade in (("left", shades[colours.LEFT]), ("right", shades[colours.RIGHT])):
        ends = (x + tall / 2, y - tall / 2), (x + 2.2 * tall, y - tall / 2)
        draw.bar(panel, *ends, 0.55 * tall, INK)
        draw.bar(panel, *ends, 0.42 * tall, shade)
        x += 3.3 * tall
        draw.write(panel, name, x, y, tall, INK)
        x += draw.text_size(name, tall)[0] + 1.6 * tall
    grid = "grid 1 m"
    draw.write(panel, grid, width - rim - draw.text_size(grid, tall)[0], y, tall, INK)
