"""The options of `vidpose plot`; see `vidpose.options`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vidpose.errors import UsageError
from vidpose.options import OUTPUT, Options, flag, option

ALIGNMENTS = ("none", "root", "scale", "procrustes", "procrustes-sequence")
"""The keys of `vidpose.evaluation.alignment.ALIGNMENTS`, without its heavy imports."""
PLOTS = ("trajectories", "angles", "speeds", "quality")
PICTURES = ("png", "svg", "pdf")
ONE_RESULT, REFERENCE = "One result", "Reference"


def parse_words(text: str) -> tuple[str, ...]:
    """`a,b` -> ("a", "b")."""
    return tuple(word.strip() for word in text.split(","))


@dataclass(frozen=True, kw_only=True)
class PlotOptions(Options):
    """What `vidpose plot` draws, and how it compares results."""

    formats: tuple[str, ...] = option(
        ("png",),
        "File formats: png, svg, pdf.",
        OUTPUT,
        default_text="png",
        metavar="NAME,...",
        parse=parse_words,
    )
    person: int | None = option(
        None,
        "Only this person.",
        OUTPUT,
        default_text="those visible longest",
        metavar="ID",
        kind=int,
    )
    what: tuple[str, ...] | None = option(
        None,
        "Plots to draw: trajectories, angles, speeds, quality.",
        ONE_RESULT,
        default_text="all",
        metavar="NAME,...",
        parse=parse_words,
    )
    joints: tuple[str, ...] | None = option(
        None,
        "Joints for trajectories and speeds.",
        ONE_RESULT,
        default_text="Hip; for speeds wrists and feet, too",
        metavar="NAME,...",
        parse=parse_words,
    )
    align: str | None = option(
        None,
        "What to remove before measuring errors: nothing; the hip's position (root); also the size "
        "(scale); position, size and rotation, frame by frame (procrustes) or once for the whole "
        "sequence.",
        REFERENCE,
        default_text="root; procrustes-sequence for TRC, C3D and BVH",
        choices=ALIGNMENTS,
    )
    offset: float | None = option(
        None,
        "Add S seconds to the reference's times.",
        REFERENCE,
        default_text="0",
        metavar="S",
        kind=float,
    )
    reference_fps: float | None = option(
        None,
        "The sample rate of a reference in .npy.",
        REFERENCE,
        default_text="the result's own times",
        metavar="N",
        kind=float,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("formats", PICTURES), ("what", PLOTS)):
            for word in getattr(self, name) or ():
                if word not in known:
                    raise UsageError(f"{flag(name)} {word}: choose among {', '.join(known)}.")
        if self.offset is not None and not math.isfinite(self.offset):
            raise UsageError(f"--offset {self.offset:g}: give seconds.")
        if self.reference_fps is not None and not 0 < self.reference_fps < math.inf:
            raise UsageError(f"--reference-fps {self.reference_fps:g}: give a positive number.")
