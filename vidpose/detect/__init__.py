"""2D detection: one file per detector behind one small protocol, and person tracking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vidpose.detect.base import Detections, Detector
from vidpose.detect.mmcv_ops import INSTALL, missing_packages
from vidpose.errors import UsageError, WeightsError
from vidpose.zoo.registry import cached

if TYPE_CHECKING:
    import torch

    from vidpose.detect.topdown import PoseNetwork

__all__ = ["DETECTORS", "Detections", "Detector", "open_detector"]

DETECTORS = ("auto", "mediapipe", "hrnet", "cpn")


@dataclass(frozen=True)
class _TopDown:
    """A pose network that MMPose's person boxes go with."""

    label: str
    weights: tuple[str, ...]
    """Names in the cache, the best first."""
    fetch: str
    """The one to begin with."""
    open: Callable[..., PoseNetwork]


def _open_hrnet(path: Path, **options: Any) -> PoseNetwork:
    from vidpose.detect.mmpose import open_hrnet

    return open_hrnet(path, **options)


def _open_cpn(path: Path, **options: Any) -> PoseNetwork:
    from vidpose.detect.cpn import open_cpn

    # The weights do not tell the size they were trained at, but the public files' names do.
    size = (288, 384) if "384x288" in path.name else (192, 256)
    return open_cpn(path, input_size=size, **options)


TOP_DOWN = {
    "hrnet": _TopDown("HRNet", ("hrnet-w48", "hrnet-w32"), "hrnet-w32", _open_hrnet),
    "cpn": _TopDown(
        "CPN",
        ("cpn-r101-384x288", "cpn-r50-384x288", "cpn-r50-256x192"),
        "cpn-r50-256x192",
        _open_cpn,
    ),
}
PERSON_WEIGHTS = ("rtmdet-m-person", "rtmdet-m", "rtmdet-tiny")
"""Names in the cache, the best first."""
PERSON_FETCH = "rtmdet-m"


def open_detector(
    name: str = "auto",
    *,
    num_people: int = 8,
    pose_weights: str | Path | None = None,
    person_weights: str | Path | None = None,
    detect_every: int | None = None,
    device: torch.device | str = "cpu",
    half: bool | Literal["auto"] = "auto",
    flip_test: bool | None = None,
) -> tuple[Detector, str]:
    """A detector, and a sentence for the user that says which one it is and why.

    Nothing is ever downloaded. Only `name`, `num_people` and `flip_test` matter to the embedded
    detector, and `auto` with weights of the user's means HRNet.

    Args:
        name: one of `DETECTORS`; auto takes HRNet where MMPose and the weights are, else the
            embedded one.
        num_people: no more people than this are followed at a time.
        pose_weights: HRNet's or CPN's, a file or a name in the cache; by default the best there.
        person_weights: RTMDet's, likewise.
        detect_every: frames from one look for people to the next; by default
            `topdown.DETECT_EVERY`.
        device: where HRNet, CPN and RTMDet compute.
        half: whether they compute in a 16-bit type; auto: where the hardware does.
        flip_test: whether the detector looks at the mirrored person, too, which takes nearly twice
            the work; by default the embedded one does.

    Raises:
        UsageError: there is no such detector, or an option does not go with it.
        MissingDependencyError: MMPose is needed and not installed.
        WeightsError: weights are needed and not here, or do not fit.
    """
    if name not in DETECTORS:
        raise UsageError(f"There is no detector '{name}'; there are: {', '.join(DETECTORS)}.")
    if num_people < 1:
        raise UsageError(f"The detector cannot follow {num_people} people; give 1 or more.")
    if detect_every is not None and detect_every < 1:
        raise UsageError(
            f"People cannot be looked for every {detect_every} frames; give 1 or more."
        )
    own_weights = pose_weights is not None or person_weights is not None
    theirs = own_weights or detect_every is not None or half != "auto"
    if name == "mediapipe" and theirs:
        raise UsageError(
            "MediaPipe has its own weights and its own ways; --pose-weights, --person-weights, "
            "--detect-every and --half go with --detector hrnet or cpn."
        )
    why = "chosen by name"
    if name == "auto":
        lacking = "" if own_weights else _lacking(TOP_DOWN["hrnet"])
        name = "mediapipe" if lacking else "hrnet"
        why = lacking or (
            "chosen by its weights"
            if own_weights
            else "it is installed and its weights are here; --detector mediapipe is faster"
        )
    if name == "mediapipe":
        return _open_mediapipe(num_people, flip_test is not False, why)
    return _open_top_down(
        TOP_DOWN[name],
        why,
        num_people=num_people,
        pose_weights=pose_weights,
        person_weights=person_weights,
        detect_every=detect_every,
        options={"device": device, "half": half},
        flip_test=bool(flip_test),
    )


def _lacking(kind: _TopDown) -> str:
    """What `kind` needs that is not here and how to get it; empty if it is all there."""
    if missing_packages():
        return f"{kind.label} is better; it needs MMPose: {INSTALL}"
    names = [
        fetch
        for known, fetch in ((kind.weights, kind.fetch), (PERSON_WEIGHTS, PERSON_FETCH))
        if _best_cached(known) is None
    ]
    if not names:
        return ""
    return f"{kind.label} is better; its weights are not here: run `{_fetch(names)}`"


def _open_mediapipe(num_people: int, flip_test: bool, why: str) -> tuple[Detector, str]:
    # Imported here, since it takes a second and `vidpose --help` must not.
    from vidpose.detect.mediapipe import MediaPipeDetector

    detector = MediaPipeDetector(num_people, flip_test=flip_test)
    return detector, f"MediaPipe {detector.description['version']} BlazePose ({why})"


def _open_top_down(
    kind: _TopDown,
    why: str,
    *,
    num_people: int,
    pose_weights: str | Path | None,
    person_weights: str | Path | None,
    detect_every: int | None,
    options: dict[str, Any],
    flip_test: bool,
) -> tuple[Detector, str]:
    from vidpose.detect.mmcv_ops import prepare_mmpose

    prepare_mmpose()  # before any weights are read: what is missing is told at once
    pose_file = _file(kind.label, pose_weights, kind.weights, kind.fetch, "--pose-weights")
    person_file = _file(
        "RTMDet, which finds the people,",
        person_weights,
        PERSON_WEIGHTS,
        PERSON_FETCH,
        "--person-weights",
    )
    from vidpose.detect.mmdet import open_rtmdet
    from vidpose.detect.topdown import DETECT_EVERY, TopDownDetector

    network = kind.open(pose_file, flip_test=flip_test, **options)
    people = open_rtmdet(person_file, **options)
    every = detect_every or DETECT_EVERY
    rhythm = "every frame" if every == 1 else f"every {every} frames"
    detector = TopDownDetector(network, people, num_people=num_people, detect_every=every)
    return detector, (
        f"{network.description.get('network', kind.label)}, {pose_file.name}, with people by "
        f"{people.description['network']}, {person_file.name}, {rhythm}, in "
        f"{network.description['options']['precision']} ({why})"
    )


def _file(
    who: str, given: str | Path | None, known: tuple[str, ...], fetch: str, option: str
) -> Path:
    """The file of weights: the one given, by path or name, or the best in the cache."""
    path = _best_cached(known) if given is None else Path(given)
    if given is not None and str(given) in known:
        path, fetch = cached(str(given)), str(given)
    if path is None:
        raise WeightsError(
            f"{who} has no weights here: run `{_fetch([fetch])}`, or give a file with {option}."
        )
    return path


def _best_cached(names: tuple[str, ...]) -> Path | None:
    return next((path for name in names if (path := cached(name))), None)


def _fetch(names: list[str]) -> str:
    return f"vidpose weights fetch {' '.join(names)}"
