"""BlazePose's two networks on ONNX Runtime, and what their outputs mean.

1. The *person detector* sees squares of 224 x 224 pixels. It is a single-shot detector: for each
   of 2254 anchors it says how sure it is that a person is there, and where, relative to the anchor,
   the box around the face and four points of the body are.
2. The *landmark network* sees squares of 256 x 256 pixels, each upright around one person. It gives
   39 points, each with a heat map that tells more exactly where it is: 33 joints, the two points
   that make the next region, and four that nobody uses.

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
"""The landmark networks of each size, the surest last."""
DEFAULT_SIZE = "mixed"
DETECTOR_SIZE = 224
LANDMARK_SIZE = 256
JOINTS = 33
HIP, CIRCLE = 33, 34
"""The two points that make the next region; see `around_person`."""
AT_ONCE = 8
"""Squares that go through a network together; more take memory and no less time."""
MOST_THREADS = 8
"""The networks are small: their layers cannot keep more threads busy."""

STRIDES = (8, 16, 32, 32, 32)
"""The detector's layers; it has two anchors for each cell of each layer."""
SAME_PERSON = 0.5
"""Boxes are of the same person when their intersection is more than this part of their union."""
REFINED_OVER = 7
"""Cells of the heat map each way, around a point, whose mean makes it more exact."""
CLEAR_PEAK = 0.5
"""A heat map that is nowhere higher than this there says nothing."""


class Landmarks(NamedTuple):
    """What the landmark network says of N squares."""

    points: NDArray[np.float64]
    """(N, 35, 2) sides of the square from its middle: the joints and the next region's points."""
    visibility: NDArray[np.float32]
    """(N, 33), 0 to 1."""
    presence: NDArray[np.float32]
    """(N,), 0 to 1, how sure it is that there is a person."""

    def of(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Points and visibility in one of the squares."""
        return self.points[n], self.visibility[n]


class Networks(Protocol):
    """What the detector needs of its networks."""

    description: dict[str, Any]
    mixed: bool
    """There are several landmark networks, see `landmarks`."""

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], sure: float
    ) -> list[list[Region]]:
        """The regions of the people in each window of an image (H, W, 3), the surest first.

        Args:
            image: RGB.
            windows: squares that are not turned.
            sure: 0 to 1, how sure to take something for a person.
        """
        ...

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, sure: bool
    ) -> Landmarks:
        """The landmarks in regions of an image (H, W, 3).

        Args:
            image: RGB.
            regions: N of them.
            mirrored: find them once more as in a mirror; there are 2 N squares then, and in the
                second half points are as they are in the mirror.
            sure: with the surest of the networks, where there are several; it is slower.
        """
        ...


class OnnxNetworks:
    """Both networks, on the CPU.

    Args:
        size: of the landmark network, a key of `SIZES`; heavy takes 5 times as long as full and
            takes left for right far less often, lite takes half as long; mixed has both full and
            heavy.
        threads: by default as many as OpenCV may use.
        from_corner: how the landmark network samples the picture, see `crop`; only to compare with
            MediaPipe.

    Raises:
        WeightsError: the networks are not here, or damaged.
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
        self, image: NDArray[np.uint8], windows: list[Region], sure: float
    ) -> list[list[Region]]:
        """See `Networks.find`."""
        found: list[list[Region]] = []
        for some in _chunks(windows, AT_ONCE):
            # From the corner, as MediaPipe does: in a small picture it found more people so.
            squares = _squares(image, some, DETECTOR_SIZE, cv2.BORDER_CONSTANT, from_corner=True)
            boxes, scores = self._detector.run(None, {"image": squares})
            for window, values, logits in zip(some, boxes, scores[..., 0], strict=True):
                found.append(
                    [
                        around_person(*window.to_picture(person[4:].reshape(4, 2)[:2]))
                        for person in people(values, logits, self._anchors, sure)
                    ]
                )
        return found

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, sure: bool
    ) -> Landmarks:
        """See `Networks.landmarks`."""
        network = self._landmarkers[-1 if sure else 0]
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
    """(N, size, size, 3) what the regions show; see `crop`."""
    squares = np.empty((len(regions), size, size, 3), np.uint8)
    for region, square in zip(regions, squares, strict=True):
        crop(image, region, square, border=border, from_corner=from_corner)
    return squares


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # Threads that wait by spinning slow down whatever else works on the video.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class of its own for each way to be damaged
        raise WeightsError(f"{path} cannot be read; install vidpose again ({error}).") from error


def _chunks(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))), np.float32)


def anchors() -> NDArray[np.float32]:
    """(2254, 2) the detector's anchors, the middles of the cells, in the order of its outputs.

    In sides of the square from its upper left corner, right and down.

    Layers with the same stride follow each other cell by cell.
    """
    parts = []
    for stride in dict.fromkeys(STRIDES):
        cells = ceil(DETECTOR_SIZE / stride)
        middles = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middles, middles, indexing="ij")
        grid = np.stack([x.ravel(), y.ravel()], axis=1)
        parts.append(np.repeat(grid, 2 * STRIDES.count(stride), axis=0))
    return np.concatenate(parts).astype(np.float32)


def decode(values: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float64]:
    """(K, 12) boxes and points of some anchors, in sides from the middle of the square.

    Args:
        values: (K, 12) what the detector says, in its pixels from the anchor: middle, width and
            height of the box around the face, and four points: the middle between the hips, the
            circle around the body (see `around_person`), and the same two of the upper body.
        at: (K, 2) the anchors.

    Returns:
        Left, top, right and bottom of the box, and the four points.
    """
    shifts = values.astype(np.float64) / DETECTOR_SIZE
    middle = shifts[:, :2] + at - 0.5
    half = shifts[:, 2:4] / 2
    points = shifts[:, 4:].reshape(-1, 4, 2) + at[:, None] - 0.5
    return np.concatenate([middle - half, middle + half, points.reshape(-1, 8)], axis=1)


def people(
    values: NDArray[np.float32], logits: NDArray[np.float32], at: NDArray[np.float32], sure: float
) -> NDArray[np.float64]:
    """(N, 12) the people in one square, as `decode` gives them, the surest first.

    Args:
        values: (2254, 12), see `decode`.
        logits: (2254,) how sure the detector is.
        at: (2254, 2) the anchors.
        sure: 0 to 1, as sure as that it must be.
    """
    scores = _sigmoid(logits).astype(np.float64)
    some = np.flatnonzero(scores >= sure)
    some = some[np.argsort(-scores[some], kind="stable")]
    return weighted_suppression(decode(values[some], at[some]), scores[some])


def weighted_suppression(
    found: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 12) one of each group of boxes that overlap: their mean, weighted by their scores.

    Args:
        found: (K, 12), see `decode`, the surest first.
        scores: (K,).
    """
    kept = []
    while len(found):
        same = overlap(found[0], found) > SAME_PERSON
        same[0] = True  # also a box without area
        kept.append(np.average(found[same], axis=0, weights=scores[same]))
        found, scores = found[~same], scores[~same]
    return np.array(kept).reshape(-1, 12)


def overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) the part of the union of two boxes that both cover; left, top, right, bottom."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:4], boxes[:, 2:4])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, :2], 0), axis=1)
    area = np.prod(np.maximum(box[2:4] - box[:2], 0))
    return np.asarray(both / np.maximum(area + areas - both, 1e-12))


def refine(points: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, J, 2) the points, each moved to the mean of its heat map around it where that is clear.

    The middle of the first pixel of the heat map is at the first pixel's corner, as the landmark
    network was trained: with `crop` from the middles, a joint and its mirror image then agree.

    Args:
        points: (N, J, 2), sides of the square from its upper left corner.
        heat: (N, J, S, S) before the sigmoid.
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
