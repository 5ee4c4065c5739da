"""2D detection: one file per detector, all behind one small protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidpose.detect.base import Detections, Detector
from vidpose.detect.mmcv_ops import INSTALL, check_mmpose, missing_packages
from vidpose.errors import UsageError, WeightsError
from vidpose.options import DetectorOptions
from vidpose.zoo.registry import cached

if TYPE_CHECKING:
    import torch

    from vidpose.detect.topdown import PoseNetwork

__all__ = ["Detections", "Detector", "check_detector", "open_detector"]


class _Networks(NamedTuple):
    """Interchangeable networks, and their weights."""

    label: str
    names: tuple[str, ...]
    """Names of their weights in the cache, the best first."""
    fetch: str
    """The weights to fetch first."""
    option: str
    """The option that chooses other weights."""


HRNET = _Networks("HRNet", ("hrnet-w48", "hrnet-w32"), "hrnet-w32", "--pose-weights")
CPN = _Networks(
    "CPN",
    ("cpn-r101-384x288", "cpn-r50-384x288", "cpn-r50-256x192"),
    "cpn-r50-256x192",
    "--pose-weights",
)
PEOPLE = _Networks(
    "RTMDet (the person detector)",
    ("rtmdet-m-person", "rtmdet-m", "rtmdet-tiny"),
    "rtmdet-m",
    "--person-weights",
)


def open_detector(options: DetectorOptions, device: torch.device) -> tuple[Detector, str]:
    """Open a detector; also return a sentence for the user on which one it is and why.

    Nothing is downloaded. `auto` with weights given by the user means HRNet. One detector serves
    many videos, see `Detector.reset`.

    Args:
        options: which detector, and its settings; those for a single video (start, end, longest)
            are ignored.
        device: of HRNet, CPN and RTMDet; the embedded detector uses the CPU.

    Raises:
        UsageError: an option does not go with the detector.
        MissingDependencyError: MMPose is needed but not installed.
        WeightsError: the weights are missing or do not fit.
    """
    name, why = _chosen(options)
    if name == "mediapipe":
        # Imported here because it is slow, and `vidpose --help` must be fast.
        from vidpose.detect.blazepose import BlazePoseDetector
        from vidpose.detect.blazepose_network import DEFAULT_SIZE

        detector = BlazePoseDetector(
            options.people,
            flip_test=bool(options.flip_test),
            size=options.detector_size or DEFAULT_SIZE,
        )
        about = detector.description
        return detector, f"MediaPipe's {about['network']}, on {about['runtime']} ({why})"
    return _open_top_down(HRNET if name == "hrnet" else CPN, why, options, device)


def check_detector(options: DetectorOptions) -> None:
    """Check early, without loading a network, that a detector can be opened.

    Raises:
        UsageError, MissingDependencyError, WeightsError: see `open_detector`.
    """
    name, _ = _chosen(options)
    if name != "mediapipe":
        check_mmpose()
        _weights_files(HRNET if name == "hrnet" else CPN, options)


def _chosen(options: DetectorOptions) -> tuple[str, str]:
    """The detector's name, which is not `auto`, and why it was chosen.

    Raises:
        UsageError: an option does not go with the detector.
    """
    name, why = options.detector, "chosen by name"
    own_weights = options.pose_weights is not None or options.person_weights is not None
    size = options.detector_size
    if size is not None and (name in ("hrnet", "cpn") or own_weights):
        raise UsageError(
            f"--detector-size {size} is a size of the embedded detector; it goes with --detector "
            "mediapipe."
        )
    if name == "auto" and own_weights:
        name, why = "hrnet", "chosen by its weights"
    elif name == "auto" and size is not None:
        name, why = "mediapipe", "chosen by its size"
    elif name == "auto" and (missing := _missing_for_hrnet()):
        name, why = "mediapipe", missing
    elif name == "auto":
        name = "hrnet"
        why = "it is installed and its weights are here; --detector mediapipe is faster"
    if name == "mediapipe" and (
        own_weights or options.detect_every is not None or options.half != "auto"
    ):
        raise UsageError(
            "--pose-weights, --person-weights, --detect-every and --half go with --detector hrnet "
            "or cpn, not with mediapipe."
        )
    return name, why


def _missing_for_hrnet() -> str:
    """Say what HRNet needs that is missing and how to get it; empty if nothing is missing."""
    if missing_packages():
        return f"HRNet is better; it needs MMPose: {INSTALL}"
    names = [kind.fetch for kind in (HRNET, PEOPLE) if _best_cached(kind) is None]
    return f"HRNet is better; its weights are not here: run `{_fetch(names)}`" if names else ""


def _open_top_down(
    kind: _Networks, why: str, options: DetectorOptions, device: torch.device
) -> tuple[Detector, str]:
    from vidpose.detect.mmcv_ops import prepare_mmpose

    prepare_mmpose()  # before reading weights, so that a missing package is reported at once
    pose_file, person_file = _weights_files(kind, options)
    from vidpose.detect.mmdet import open_rtmdet
    from vidpose.detect.topdown import DETECT_EVERY, TopDownDetector

    network = _open_pose_network(
        kind, pose_file, device=device, half=options.half, flip_test=bool(options.flip_test)
    )
    people = open_rtmdet(person_file, device=device, half=options.half)
    every = options.detect_every or DETECT_EVERY
    rhythm = "every frame" if every == 1 else f"every {every} frames"
    detector = TopDownDetector(network, people, num_people=options.people, detect_every=every)
    return detector, (
        f"{network.description.get('network', kind.label)}, {pose_file.name}, with people by "
        f"{people.description['network']}, {person_file.name}, {rhythm}, in "
        f"{network.description['options']['precision']} ({why})"
    )


def _open_pose_network(kind: _Networks, path: Path, **options: Any) -> PoseNetwork:
    if kind is HRNET:
        from vidpose.detect.mmpose import open_hrnet

        return open_hrnet(path, **options)
    from vidpose.detect.cpn import open_cpn

    # Checkpoints do not state the input size they were trained at, but the public file names do.
    size = (288, 384) if "384x288" in path.name else (192, 256)
    return open_cpn(path, input_size=size, **options)


def _weights_files(kind: _Networks, options: DetectorOptions) -> list[Path]:
    """Find the weights of the pose network and of the person detector; see `_files`."""
    return _files((kind, options.pose_weights), (PEOPLE, options.person_weights))


def _files(*wanted: tuple[_Networks, str | Path | None]) -> list[Path]:
    """Find the weights file of each network: the one given, by path or name, or the best in the
    cache.

    Raises:
        WeightsError: a file is missing; the message names all that are.
    """
    found: list[Path] = []
    missing: list[tuple[_Networks, str]] = []
    for kind, given in wanted:
        if given is None:
            path = _best_cached(kind)
        else:
            path = cached(str(given)) if str(given) in kind.names else Path(given)
        if path is None:
            missing.append((kind, str(given) if str(given) in kind.names else kind.fetch))
        else:
            found.append(path)
    if missing:
        labels, flags = (
            " and ".join(texts)
            for texts in zip(*((kind.label, kind.option) for kind, _ in missing), strict=True)
        )
        raise WeightsError(
            f"the weights of {labels} are not here: run "
            f"`{_fetch([name for _, name in missing])}`, or give files with {flags}."
        )
    return found


def _best_cached(kind: _Networks) -> Path | None:
    return next((path for name in kind.names if (path := cached(name))), None)


def _fetch(names: list[str]) -> str:
    return f"vidpose weights fetch {' '.join(names)}"
