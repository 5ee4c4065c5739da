"""BlazePose's two networks on ONNX Runtime, and the decoding of their outputs.

1. The *person detector* takes squares of 224 x 224 pixels. It is a single-shot detector: for each
   of 2254 anchors it predicts the confidence that a person is there and, relative to the anchor,
   the face box and four points of the body.
2. The *landmark network* takes squares of 256 x 256 pixels, each upright around one person. It
   predicts 39 points, each with a heat map that refines it: 33 joints, the two points that define
   the next region, and four that are not used.

Described in "BlazePose: On-device Real-time Body Pose tracking" (Bazarevsky et al., 2020), the
model cards "MediaPipe BlazePose GHUM 3D" and "BlazePose Topology", and MediaPipe's documentation.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vidpose.detect.blazepose_regions import Region, around_person, crop
from vidpose.errors import WeightsError
from vidpose.utils.files import sha256
from vidpose.zoo.registry import OWN_FOLDER

FOLDER = OWN_FOLDER / "blazepose"
DETECTOR_FILE = "person_detector.onnx"
LANDMARK_FILES = {size: f"landmarks_{size}.onnx" for size in ("lite", "full", "heavy")}
SIZES = {size: (size,) for size in LANDMARK_FILES} | {"mixed": ("full", "heavy")}
"""The landmark networks of each size, the most accurate last."""
DEFAULT_SIZE = "mixed"
DETECTOR_SIZE = 224
LANDMARK_SIZE = 256
JOINTS = 33
HIP, CIRCLE = 33, 34
"""The two points that define the next region; see `around_person`."""
AT_ONCE = 8
"""Batch size of both networks; larger batches take more memory and are not faster."""
MOST_THREADS = 8
"""The networks are small: their layers cannot keep more threads busy."""

STRIDES = (8, 16, 32, 32, 32)
"""The detector's layers; it has two anchors for each cell of each layer."""
SAME_PERSON = 0.5
"""Boxes with a larger intersection over union than this are of the same person."""
REFINED_OVER = 7
"""Side, in cells of the heat map, of the window around a point whose weighted mean refines it."""
CLEAR_PEAK = 0.5
"""A point is not refined if its heat map stays below this in the window."""


class Landmarks(NamedTuple):
    """Output of the landmark network for N squares."""

    points: NDArray[np.float64]
    """(N, 35, 2), in sides of the square from its centre: the joints and the two points that define
    the next region."""
    visibility: NDArray[np.float32]
    """(N, 33), 0 to 1."""
    presence: NDArray[np.float32]
    """(N,), 0 to 1, confidence that a person is there."""

    def of(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return points and visibility of one square."""
        return self.points[n], self.visibility[n]


class Networks(Protocol):
    """The networks that the detector needs."""

    description: dict[str, Any]
    mixed: bool
    """There are several landmark networks, see `landmarks`."""

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], min_confidence: float
    ) -> list[list[Region]]:
        """Find the regions of the people in each window of an image, the most confident first.

        Args:
            image: (H, W, 3) RGB.
            windows: upright squares.
            min_confidence: 0 to 1, drop detections below it.
        """
        ...

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        """Find the landmarks in regions of an image.

        Args:
            image: (H, W, 3) RGB.
            regions: N regions.
            mirrored: process the mirror images of the regions, too; the result then has 2 N
                squares, the second half in coordinates of the mirror images.
            accurate: use the most accurate of several networks, which is slower; else the fastest.
        """
        ...


class OnnxNetworks:
    """Both networks, on the CPU.

    Args:
        size: of the landmark network, a key of `SIZES`. Heavy takes 5 times as long as full and
            swaps left and right far less often; lite takes half as long; mixed has both full and
            heavy.
        threads: by default as many as OpenCV may use.
        from_corner: how the landmark network samples the image, see `crop`; only to compare with
            MediaPipe.

    Raises:
        WeightsError: the files of the networks are missing or damaged.
    """

    def __init__(self, size: str, threads: int | None = None, from_corner: bool = False) -> None:
        names = [DETECTOR_FILE, *(LANDMARK_FILES[one] for one in SIZES[size])]
        files = [FOLDER / name for name in names]
        if missing := [path for path in files if not path.is_file()]:
            raise WeightsError(f"{missing[0]} is missing; install vidpose again.")
        threads = threads or min(max(cv2.getNumThreads(), 1), MOST_THREADS)
        self._detector, *self._landmarkers = (_session(path, threads) for path in files)
        self.mixed = len(self._landmarkers) > 1
        self._from_corner = from_corner
        self._anchors = anchors()
        self.description: dict[str, Any] = {
            "network": f"BlazePose {size}",
            "runtime": f"onnxruntime {onnxruntime.__version__}",
            "weights": {path.name: sha256(path) for path in files},
        }

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], min_confidence: float
    ) -> list[list[Region]]:
        """See `Networks.find`."""
        found: list[list[Region]] = []
        for some in _chunks(windows, AT_ONCE):
            # From the corner, as MediaPipe does: this found more people in small images.
            squares = _squares(image, some, DETECTOR_SIZE, cv2.BORDER_CONSTANT, from_corner=True)
            boxes, scores = self._detector.run(None, {"image": squares})
            for window, values, logits in zip(some, boxes, scores[..., 0], strict=True):
                found.append(
                    [
                        around_person(*window.to_picture(person[4:].reshape(4, 2)[:2]))
                        for person in people(values, logits, self._anchors, min_confidence)
                    ]
                )
        return found

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        """See `Networks.landmarks`."""
        network = self._landmarkers[-1 if accurate else 0]
        squares = _squares(
            image, regions, LANDMARK_SIZE, cv2.BORDER_REPLICATE, from_corner=self._from_corner
        )
        if mirrored:
            squares = np.concatenate([squares, squares[:, :, ::-1]])
        parts = [network.run(None, {"image": s}) for s in _chunks(squares, AT_ONCE)]
        values, presence, heat = (np.concatenate(part) for part in zip(*parts, strict=True))
        values = values.reshape(len(squares), -1, 5)[:, : CIRCLE + 1]
        points = np.asarray(values[..., :2] / LANDMARK_SIZE, np.float32)
        refined = refine(points, heat[:, : CIRCLE + 1])
        return Landmarks(refined - 0.5, _sigmoid(values[:, :JOINTS, 3]), presence[:, 0])


def _squares(
    image: NDArray[np.uint8], regions: list[Region], size: int, border: int, *, from_corner: bool
) -> NDArray[np.uint8]:
    """(N, size, size, 3), crops of the regions; see `crop`."""
    squares = np.empty((len(regions), size, size, 3), np.uint8)
    for region, square in zip(regions, squares, strict=True):
        crop(image, region, square, border=border, from_corner=from_corner)
    return squares


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # Spinning threads slow down decoding and everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class for each kind of damage
        raise WeightsError(f"{path} cannot be read; install vidpose again ({error}).") from error


def _chunks(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))), np.float32)


def anchors() -> NDArray[np.float32]:
    """(2254, 2), the detector's anchors, the centres of the cells, in the order of its outputs.

    In sides of the square from its top left corner, x right and y down. Layers with the same stride
    are interleaved cell by cell.
    """
    parts = []
    for stride in dict.fromkeys(STRIDES):
        cells = ceil(DETECTOR_SIZE / stride)
        centres = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        grid = np.stack([x.ravel(), y.ravel()], axis=1)
        parts.append(np.repeat(grid, 2 * STRIDES.count(stride), axis=0))
    return np.concatenate(parts).astype(np.float32)


def decode(values: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float64]:
    """(K, 12), boxes and points of some anchors, in sides of the square from its centre.

    Args:
        values: (K, 12), the detector's output, in its pixels from the anchor: centre, width and
            height of the face box, and four points: the midpoint of the hips, the circle around
            the body (see `around_person`), and the same two of the upper body.
        at: (K, 2), the anchors.

    Returns:
        Left, top, right and bottom of the box, and the four points.
    """
    shifts = values.astype(np.float64) / DETECTOR_SIZE
    centre = shifts[:, :2] + at - 0.5
    half = shifts[:, 2:4] / 2
    points = shifts[:, 4:].reshape(-1, 4, 2) + at[:, None] - 0.5
    return np.concatenate([centre - half, centre + half, points.reshape(-1, 8)], axis=1)


def people(
    values: NDArray[np.float32],
    logits: NDArray[np.float32],
    at: NDArray[np.float32],
    min_confidence: float,
) -> NDArray[np.float64]:
    """(N, 12), the people in one square in the format of `decode`, the most confident first.

    Args:
        values: (2254, 12), see `decode`.
        logits: (2254,), of the detector's confidence.
        at: (2254, 2), the anchors.
        min_confidence: 0 to 1, drop detections below it.
    """
    scores = _sigmoid(logits).astype(np.float64)
    some = np.flatnonzero(scores >= min_confidence)
    some = some[np.argsort(-scores[some], kind="stable")]
    return weighted_suppression(decode(values[some], at[some]), scores[some])


def weighted_suppression(
    found: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 12), the mean of each group of overlapping boxes, weighted by their scores.

    Args:
        found: (K, 12), see `decode`, the most confident first.
        scores: (K,).
    """
    kept = []
    while len(found):
        same = overlap(found[0], found) > SAME_PERSON
        same[0] = True  # even if the box has no area
        kept.append(np.average(found[same], axis=0, weights=scores[same]))
        found, scores = found[~same], scores[~same]
    return np.array(kept).reshape(-1, 12)


def overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,), intersection over union of a box with others; left, top, right, bottom."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:4], boxes[:, 2:4])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, :2], 0), axis=1)
    area = np.prod(np.maximum(box[2:4] - box[:2], 0))
    return np.asarray(both / np.maximum(area + areas - both, 1e-12))


def refine(points: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, J, 2), each point moved to the weighted mean of its heat map around it; see `CLEAR_PEAK`.

    Cell k of the heat map stands for k / S, its left or upper edge, as the landmark network was
    trained: with crops sampled at pixel centres (`crop`), a joint and its mirror image then agree.

    Args:
        points: (N, J, 2), in sides of the square from its top left corner.
        heat: (N, J, S, S), before the sigmoid.
    """
    size = heat.shape[-1]
    half = REFINED_OVER // 2
    cells = np.floor(points * size).astype(int)  # (N, J, 2)
    inside = ((cells >= 0) & (cells < size)).all(axis=2)
    around = np.clip(cells, 0, size - 1)[..., None] + np.arange(-half, half + 1)  # (N, J, 2, 7)
    there = (around >= 0) & (around < size)
    x, y = np.moveaxis(np.clip(around, 0, size - 1), 2, 0)  # (N, J, 7) each
    first, second = (
        np.arange(n).reshape(shape)
        for n, shape in zip(heat.shape[:2], ((-1, 1, 1, 1), (1, -1, 1, 1)), strict=True)
    )
    weights = _sigmoid(heat[first, second, y[..., None], x[..., None, :]]).astype(np.float64)
    weights *= there[:, :, 1, :, None] & there[:, :, 0, None, :]
    clear = inside & (weights.max(axis=(2, 3)) >= CLEAR_PEAK)
    total = np.where(clear, weights.sum(axis=(2, 3)), 1)
    mean = np.stack([(weights.sum(axis=2) * x).sum(axis=2), (weights.sum(axis=3) * y).sum(axis=2)])
    refined = np.moveaxis(mean / total, 0, 2) / size
    return np.where(clear[..., None], refined, points)
