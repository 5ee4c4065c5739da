"""The overlay video: the source with 2D skeletons next to the 3D scene, or only the scene."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidpose.errors import UsageError, VideoError
from vidpose.events import Info, Report, Warn, ignore
from vidpose.options import WIDEST_PX
from vidpose.poses import Pose3D, section
from vidpose.postprocess.smoothing import smooth_pictures
from vidpose.render import colours, draw
from vidpose.render.colours import INK, LEGEND
from vidpose.render.draw import Image
from vidpose.render.overlay import draw_people
from vidpose.render.scene import ScenePanel
from vidpose.render.view import parse_view
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import LONGEST_SHOWN_S, SHOWN_S, shown_s, shown_times
from vidpose.utils.progress import Progress, silent
from vidpose.utils.threads import ahead
from vidpose.video import Frame, Sound, VideoReader, VideoWriter, is_ours

SMALLEST_HEIGHT = 360
"""Pixels; smaller videos are enlarged to it, or padded if that would make them too wide."""
WIDEST_ENLARGED = 960
SCENE_ALONE = (1280, 720)
"""Size of the 3D panel without a video, pixels."""
SAME_TIME_S = 1e-3
PICTURES_AHEAD = 3
"""Queue length between stages; a longer one only takes memory."""
LATEST_START_S = 1.0
"""If the source starts later than this (an odd clock), the overlay starts at 0."""


def render_video(
    result: Pose3D,
    video: str | Path | None,
    out: str | Path,
    *,
    view: str = "three-quarter",
    width: int = WIDEST_PX,
    smooth: str | None = None,
    report: Report = ignore,
    progress: Progress = silent,
) -> list[str]:
    """Write the video with 2D skeletons next to the 3D scene, with its sound.

    It contains the frames of the result at their own times, so that the overlay of an entire video
    has the same frame count, timestamps and duration. A part that begins later starts at 0.
    Frames of more than a minute are shown for a second, see `vidpose.utils.gaps.shown_times`.

    Args:
        result: the people.
        video: the video the result was made from; None draws only the 3D scene.
        out: an .mp4.
        view: viewpoint of the scene, see `parse_view`.
        width: maximum width of the overlay, pixels.
        smooth: none, savgol or one-euro: how to smooth joints for drawing, unless the result is
            smoothed; by default as in `infer`, see `vidpose.postprocess.smoothing`.
        report: called with a warning if the sound cannot be kept.
        progress: wraps the stream of frames.

    Returns:
        Warnings about the video, one sentence each.

    Raises:
        UsageError: there is no such view or smoothing, or `out` is the video itself.
        VideoError: the video cannot be read, or is not the source of the result.
        VidposeError: `out` cannot be written.
    """
    out = Path(out)
    seen_from = parse_view(view)
    check_out(out)
    result = smooth_pictures(result, smooth)
    layout = Layout.scene_alone(width) if video is None else Layout.of(result.frame_size, width)
    start = _start(result)
    shown = shown_times(result.timestamps)
    cut = shown is not result.timestamps
    with ExitStack() as opened:
        reader = sound = None
        frames: Iterable[Frame] = _frames_alone(result)
        if video is not None:
            reader = VideoReader(video, picture_size=layout.picture, fps=result.fps)
            frames = frames_of(result, opened.enter_context(reader))
            check_size(result, reader)
            if not cut and not reader.is_folder:
                sound = opened.enter_context(Sound(video, start))
        scene = ScenePanel(result, layout.panel, seen_from)

        def drawn(frames: Iterable[Frame]) -> Iterator[Frame]:
            for t, frame in enumerate(frames):
                image = compose_frame(result, t, frame.image, scene, layout)
                time = float(shown[t]) if cut else frame.time_s
                yield Frame(frame.index, time - start, image, shown_s(frame.duration_s))

        tick = None if reader is None else reader.time_base
        # Decode, draw and encode in parallel.
        with (
            VideoWriter(out, layout.size, time_base=tick, sound=sound) as writer,
            ahead(frames, PICTURES_AHEAD, "decode") as decoded,
            ahead(drawn(decoded), PICTURES_AHEAD, "draw") as pictures,
        ):
            for picture in progress(pictures, result.frames, "rendering"):
                writer.write(picture.image, picture.time_s, picture.duration_s)
        if cut:
            report(
                Info(
                    f"Frames that would be shown for more than {LONGEST_SHOWN_S:g} s are shown for "
                    f"{SHOWN_S:g} s in {out}, which therefore has no sound."
                )
            )
        if sound is not None and sound.warning is not None:
            report(Warn(sound.warning))
        return [] if reader is None else reader.warnings


def source_video(result: Pose3D) -> Path | None:
    """The video a result was made from; None if it was made from 2D joints of other programs.

    Raises:
        UsageError: the video no longer exists.
    """
    path = section(result.meta, "source").get("path")
    if not isinstance(path, str):
        return None
    if not os.path.exists(path):
        raise UsageError(
            f"{path}, from which this result was made, no longer exists; "
            "give the video with --video, or draw only the 3D scene with --no-video."
        )
    return Path(path)


def check_out(out: Path) -> None:
    """Check early that the overlay can be written to `out`.

    Raises:
        UsageError: the file exists and vidpose did not write it, such as the video itself.
        VidposeError: its folder is not writable.
    """
    check_writable(out)
    if out.exists() and not is_ours(out):
        raise UsageError(f"{out} exists and was not written by vidpose; choose another -o.")


def _start(result: Pose3D) -> float:
    """The source time that becomes 0 in the overlay, seconds."""
    first = float(result.timestamps[0])
    from_start = result.frame_indices[0] == 0
    return 0.0 if from_start and 0 <= first <= LATEST_START_S else first


def check_size(result: Pose3D, reader: VideoReader) -> None:
    """Raise a VideoError if a video's frame size differs from that of the result."""
    if reader.size != result.frame_size:
        theirs, ours = ("x".join(map(str, s)) for s in (reader.size, result.frame_size))
        raise wrong_video(reader.path, f"its frames are {theirs} pixels, not {ours}")


def frames_of(result: Pose3D, reader: VideoReader) -> Iterator[Frame]:
    """Iterate over the result's frames in a video, and check the index and time of each.

    Raises:
        VideoError: a frame is missing or has another time.
    """
    indices, times = result.frame_indices.tolist(), result.timestamps.tolist()
    t = 0
    for frame in reader:
        if t == len(indices):
            return
        if frame.index < indices[t]:
            continue
        if abs(frame.time_s - times[t]) > SAME_TIME_S:
            raise wrong_video(reader.path, f"frame {frame.index} has another time")
        yield frame
        t += 1
    if t < len(indices):
        raise wrong_video(reader.path, f"it ends before frame {indices[t]}")


def _frames_alone(result: Pose3D) -> Iterator[Frame]:
    """Empty frames at the result's times."""
    nothing = np.zeros((0, 0, 3), np.uint8)
    for index, time in zip(result.frame_indices.tolist(), result.timestamps.tolist(), strict=True):
        yield Frame(index, time, nothing, 1 / result.fps)


def wrong_video(video: Path, why: str) -> VideoError:
    """The error for a video that is not the source of a result."""
    return VideoError(
        f"{video} is not the video of this result ({why}); give the one it was made from."
    )


@dataclass(frozen=True)
class Layout:
    """Layout of video and panel: side by side, of equal height. All sizes (width, height)."""

    picture: tuple[int, int]
    """Size of the video as drawn; (0, 0) without one."""
    panel: tuple[int, int]

    @classmethod
    def of(cls, frame_size: tuple[int, int], width: int = WIDEST_PX) -> Layout:
        """The layout for videos of a size, with a total width of at most `width` pixels. The panel
        is square, or as narrow as the video if that is in portrait format.
        """
        across, high = frame_size
        panel_height = max(high, SMALLEST_HEIGHT)
        scale = min(panel_height / high, max(1.0, WIDEST_ENLARGED / across))
        picture_width = round(across * scale)
        panel_width = min(panel_height, max(picture_width, round(0.6 * panel_height)))
        in_all = min(width, picture_width + panel_width)
        smaller = in_all / (picture_width + panel_width)
        picture = round(picture_width * smaller), max(1, round(high * scale * smaller))
        return cls(picture, (in_all - picture[0], round(panel_height * smaller)))

    @classmethod
    def scene_alone(cls, width: int) -> Layout:
        """The layout without a video."""
        across = min(width, SCENE_ALONE[0])
        return cls((0, 0), (across, round(across * SCENE_ALONE[1] / SCENE_ALONE[0])))

    @property
    def size(self) -> tuple[int, int]:
        return self.picture[0] + self.panel[0], self.panel[1]


class Scene(Protocol):
    """Draws the 3D panel of a result."""

    def draw(self, t: int, image: Image) -> Image:
        """Draw frame `t` of the result into `image`."""
        ...


def compose_frame(result: Pose3D, t: int, picture: Image, scene: Scene, layout: Layout) -> Image:
    """(H, W, 3) RGB of `layout.size`: one frame of the overlay.

    Args:
        picture: (H, W, 3) RGB of `layout.picture`, the video frame.
    """
    width = layout.picture[0]
    canvas = np.empty((layout.size[1], layout.size[0], 3), np.uint8)
    if width:
        _draw_picture(result, t, picture, canvas[:, :width])
    panel = canvas[:, width:]
    scene.draw(t, panel)
    _caption(panel, float(result.seconds[t]), int(result.frame_indices[t]))
    return canvas


def _draw_picture(result: Pose3D, t: int, picture: Image, side: Image) -> None:
    """Draw the video frame with its people, vertically centred on black."""
    height, width = picture.shape[:2]
    top = (len(side) - height) // 2
    side[:top] = side[top + height :] = 0
    target = side[top : top + height]
    target[:] = picture
    # Pixel centres map to pixel centres.
    scale = np.array((width, height)) / result.frame_size
    keypoints = (result.keypoints_2d[:, t] + 0.5) * scale - 0.5
    keypoints[~result.present[:, t]] = np.nan
    draw_people(target, keypoints, result.scores_2d[:, t], result.observed[:, t], result.person_ids)


def _caption(panel: Image, time_s: float, index: int) -> None:
    """Write time and frame, sides and grid; in a narrow panel, what does not fit is left out."""
    height, width = panel.shape[:2]
    tall = max(7.0, min(height, width) * 0.0145)
    rim = 2.2 * tall

    def write_at_right(text: str, baseline: float, left_ends: float) -> None:
        x = width - rim - draw.text_size(text, tall)[0]
        if x > left_ends + tall:
            draw.write(panel, text, x, baseline, tall, INK)

    # Hundredths as a whole number: 59.996 s is 1:00.00.
    minutes, hundredths = divmod(round(max(time_s, 0.0) * 100), 6000)
    time = f"{minutes}:{hundredths / 100:05.2f}"
    draw.write(panel, time, rim, height - rim, tall, INK)
    write_at_right(f"frame {index}", height - rim, rim + draw.text_size(time, tall)[0])

    x, y = rim, rim + tall
    shades = colours.side_colours(LEGEND)
    for name, shade in (("left", shades[colours.LEFT]), ("right", shades[colours.RIGHT])):
        ends = (x + tall / 2, y - tall / 2), (x + 2.2 * tall, y - tall / 2)
        draw.bar(panel, *ends, 0.55 * tall, INK)
        draw.bar(panel, *ends, 0.42 * tall, shade)
        x += 3.3 * tall
        draw.write(panel, name, x, y, tall, INK)
        x += draw.text_size(name, tall)[0] + 1.6 * tall
    write_at_right("grid 1 m", y, x - 1.6 * tall)
