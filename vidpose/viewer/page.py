"""The page: one HTML file with the player, the result and the video.

Its content security policy forbids loading anything, and allows only the player as a script. All
strings from a result are embedded as text.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

import vidpose
from vidpose.errors import UsageError
from vidpose.events import FileWritten, Report, Warn, ignore
from vidpose.poses import Pose3D, extent
from vidpose.render import source_video
from vidpose.utils.files import check_writable, replacing
from vidpose.utils.gaps import LONGEST_SHOWN_S, SHOWN_S, clock
from vidpose.utils.progress import Progress, announce_if_long, silent
from vidpose.viewer.header import header_of, title_of
from vidpose.viewer.options import ViewOptions
from vidpose.viewer.packing import Packed, pack, page_times, part_of, take_frames
from vidpose.viewer.proxy import address, check_video, small_copy

LARGE_BYTES = 60_000_000
"""Browsers open larger pages slowly."""
LARGEST_VIDEO_BYTES = 390_000_000
"""A larger video, in base64, exceeds Chromium's longest string, 2^29 characters."""
VIDEO_BYTES_A_FRAME = 5_000
"""Estimate for the small copy, from the demo video."""
INLINE_BYTES = 6_000_000
"""Maximum size of a page in a notebook, which stores it in its file."""
INLINE_HEIGHT_PX = 620
MARK = '<meta name="generator" content="vidpose '
"""Identifies our pages; near the start of the file."""

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_NO_VIDEO = ViewOptions(without_video=True)


def write_page(
    result: Pose3D,
    out: str | Path,
    video: str | Path | None = None,
    options: ViewOptions | None = None,
    *,
    report: Report = ignore,
    progress: Progress = silent,
) -> Path:
    """Write the 3D player of a result: an HTML file that needs no server and no network.

    Joints are rounded to 0.1 mm relative to the root, angles to 0.01 degrees, confidences to 1/255.

    Args:
        result: the people.
        out: an .html.
        video: the video the result was made from; by default the path recorded in the result. If
            that no longer exists, the page has no video, and there is a warning.
        options: the part of the result, and how to include the video.
        report: called with warnings and the file written.
        progress: wraps the frames of the video.

    Raises:
        UsageError: `out` exists and is not a page, or the options select nobody.
        VideoError: the video is not the source of the result, or cannot be read.
        VidposeError: `out` cannot be written.
    """
    out, options = Path(out), options or ViewOptions()
    if video is not None and options.without_video:
        raise UsageError("--video and --without-video contradict each other; give one of them.")
    check_page(out)
    frames = part_of(result, options)
    part = take_frames(result, frames)
    source = _video(result, video, options, report)
    if source is not None:
        with announce_if_long(report, f"Reading {source} for its SHA-256"):
            check_video(result, source)
    packed = pack(result, frames)
    _warn_if_large(part, packed, source is not None and not options.link_video, report)
    if source is not None and options.link_video:
        _warn_of_pauses(part, report)
    copy, about = None, None
    if source is not None:
        embedded = not options.link_video
        copy = small_copy(part, source, progress) if embedded else None
        if copy is not None and len(copy) > LARGEST_VIDEO_BYTES:
            raise UsageError(
                f"a copy of {source} takes {len(copy) / 1e6:.0f} MB, which is too large for a "
                "page; give --link-video, or select a part with --start and --end."
            )
        start = float(page_times(part)[0]) if embedded else -part.first_frame_s
        link = None if embedded else address(source, out)
        about = {"embedded": embedded, "src": link, "start_s": start}
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.writelines(page(part, packed, copy, about))
    report(FileWritten(f"3D player ({out.stat().st_size / 1e6:.1f} MB)", out))
    return out


def check_page(out: Path) -> None:
    """Check early that a page can be written to `out`.

    Raises:
        UsageError: it has another suffix, or the file exists and vidpose did not write it.
        VidposeError: its folder is not writable.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"-o {out}: give the name of the .html to write.")
    check_writable(out)
    if out.exists() and not is_page(out):
        raise UsageError(f"{out} exists and was not written by vidpose; choose another -o.")


def inline(result: Pose3D) -> str:
    """HTML of the player for a notebook cell, without the video; one line if it is too large.

    The player runs in a sandboxed frame with no access to the notebook or the network.
    """
    what = extent(result.people, result.frames)
    if not result.present.any():
        return f"<p>vidpose: {escape(what)}.</p>"
    frames = part_of(result, _NO_VIDEO)
    part, packed = take_frames(result, frames), pack(result, frames)
    if packed.bytes > INLINE_BYTES:
        return (
            f"<p>vidpose: {escape(what)}, too large for a notebook. Call "
            "<code>vidpose.viewer.page.write_page(result, 'result.html')</code> to write an HTML "
            "page.</p>"
        )
    document = escape("".join(page(part, packed, None, None)))
    style = f"width: 100%; height: {INLINE_HEIGHT_PX}px; border: 0"
    return (
        f'<iframe sandbox="allow-scripts allow-downloads" style="{style}" '
        f'title="vidpose: {escape(what)}" srcdoc="{document}"></iframe>'
    )


def page(
    part: Pose3D, packed: Packed, copy: bytes | None, video: dict[str, Any] | None
) -> Iterator[str]:
    """Yield the text of the page in pieces.

    Args:
        part: the selected frames.
        packed: their packed arrays.
        copy: an MP4 to embed.
        video: the header entry about the video.
    """
    assets = files("vidpose.viewer") / "assets"
    player = (assets / "player.js").read_text(encoding="utf-8").strip()
    digest = b64encode(sha256(player.encode()).digest()).decode()
    values = {
        "policy": (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
            "img-src data: blob:; media-src 'self' blob: file:; base-uri 'none'; form-action 'none'"
        ),
        "version": escape(vidpose.__version__),
        "title": escape(title_of(part)),
        "summary": escape(_summary(part)),
        "style": (assets / "player.css").read_text(encoding="utf-8"),
        "player": player,
    }
    template = (files("vidpose.viewer") / "page.html").read_text(encoding="utf-8")
    pieces = _PLACE.split(template)  # text and names alternate
    for text, name in zip(pieces[::2], [*pieces[1::2], None], strict=True):
        yield text
        if name == "data":
            yield from _data(part, packed, copy, video)
        elif name is not None:
            yield values[name]


def _data(
    part: Pose3D, packed: Packed, copy: bytes | None, video: dict[str, Any] | None
) -> Iterator[str]:
    header = json.dumps(header_of(part, packed) | {"video": video}, allow_nan=False)
    # Escaped, so that no string can end the element or open a comment.
    yield _script("header", "application/json", header.replace("<", "\\u003c"))
    yield _bytes("times", page_times(part).astype("<f8").tobytes())
    yield _bytes("frames", part.frame_indices.astype("<f8").tobytes())
    for index, person in enumerate(packed.people):
        yield _bytes(f"person-{index}", person.data)
    if copy is not None:
        yield _bytes("video", copy)


def _bytes(name: str, data: bytes) -> str:
    return _script(name, "text/base64", b64encode(data).decode())


def _script(name: str, kind: str, text: str) -> str:
    return f'<script id="vidpose-{name}" type="{kind}">{text}</script>\n'


def _summary(part: Pose3D) -> str:
    times = page_times(part)
    length = times[-1] - times[0] + 1 / part.fps
    return f"{extent(part.people, part.frames)}, {length:.1f} s"


def _video(
    result: Pose3D, video: str | Path | None, options: ViewOptions, report: Report
) -> Path | None:
    if options.without_video:
        return None
    if video is not None:
        return Path(video)
    try:
        source = source_video(result)
        if source is None and options.link_video:
            report(
                Warn(
                    "The page has no video: this result was made without one; give it with --video."
                )
            )
        return source
    except UsageError as missing:
        report(Warn(f"The page has no video: {missing}"))
        return None


def _warn_if_large(part: Pose3D, packed: Packed, embedded: bool, report: Report) -> None:
    video = part.frames * VIDEO_BYTES_A_FRAME if embedded else 0
    size = (packed.bytes + video) * 4 / 3  # base64
    if size > LARGE_BYTES:
        every = -int(-size // LARGE_BYTES)
        link = ", or link the video with --link-video" if embedded else ""
        report(
            Warn(
                f"This page takes about {size / 1e6:.0f} MB, which browsers open slowly; select a "
                f"part with --start and --end, or fewer frames with --every {every}{link}."
            )
        )


def _warn_of_pauses(part: Pose3D, report: Report) -> None:
    """Warn if a linked video has long pauses, which the page and a small copy shorten."""
    steps = np.diff(part.seconds)
    if not len(steps) or steps.max() <= LONGEST_SHOWN_S:
        return
    at = clock(float(part.seconds[np.argmax(steps > LONGEST_SHOWN_S)]))
    report(
        Warn(
            f"The linked video is out of sync with the poses after {at}, because it pauses there "
            f"for more than {LONGEST_SHOWN_S:g} s, which the page shortens to {SHOWN_S:g} s; leave "
            "out --link-video, or select a part without the pause with --start and --end."
        )
    )


def is_page(path: Path) -> bool:
    """Whether a file is a page that vidpose wrote."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return MARK in stream.read(4096)
    except OSError:
        return False
