"""Options of `vidpose view`."""

from __future__ import annotations

from dataclasses import dataclass

from vidpose.errors import UsageError
from vidpose.options import Options, option

PAGE = "Page"


@dataclass(frozen=True, kw_only=True)
class ViewOptions(Options):
    """What the page of a result contains."""

    link_video: bool = option(
        False,
        "Link to the video file instead of embedding a small copy. The page then needs the video "
        "at its current path, and a browser that can play it.",
        PAGE,
    )
    without_video: bool = option(False, "Leave the video out.", PAGE)
    start: float | None = option(
        None, "Start at this time, in seconds, as the page shows it.", PAGE, metavar="S", kind=float
    )
    end: float | None = option(None, "End at this time.", PAGE, metavar="S", kind=float)
    every: int = option(1, "Keep only every Nth frame.", PAGE, metavar="N", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.link_video and self.without_video:
            raise UsageError("--link-video and --without-video contradict each other; give one.")
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise UsageError(f"--end {self.end:g} is not after --start {self.start:g}.")
