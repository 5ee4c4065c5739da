"""Top-down detection: a person detector, then a pose network on every bounding box."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import MIN_SIZE_PX, Detections, is_distinct, is_plausible
from vidpose.skeleton import Skeleton
from vidpose.utils.batches import Batches

if TYPE_CHECKING:
    from vidpose.video import Frame

DETECT_EVERY = 8
"""Frames from one person detection to the next. At 30 frames/s a person is found at most a quarter
of a second after coming into view, as with the embedded detector, and person detection costs less
than the poses of two people."""
FRAMES_AT_ONCE = 4
"""Frames in a batch when person detection runs on every frame."""
CROPS_AT_ONCE = 16
"""Maximum batch size of crops: larger batches are no faster and take more memory."""
FOLLOW_MARGIN = 0.1
"""A person's box in the next frame is the bounding box of the confident joints of this one, wider
by this share of its longer side in every direction: about how far hands, feet and the top of the
head reach beyond the joints, or how far a sprinter moves in a frame."""
SAME_BOX = 0.3
"""Boxes with a larger intersection over union than this are taken to be of the same person."""

Image = NDArray[np.uint8]


class PoseNetwork(Protocol):
    """A network that finds the joints of a person in a crop."""

    name: str
    skeleton: Skeleton
    description: dict[str, Any]
    """JSON values: name, weights with their SHA-256, options."""
    input_size: tuple[int, int]
    """Width and height of a crop, pixels."""
    border_rgb: tuple[int, int, int]
    """The colour of crops beyond the edge of the image."""

    def affines(self, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the crops for some boxes: (N, 4) x0 y0 x1 y1 in pixels of the image -> (N, 2, 3)
        affine maps from pixels of the image to pixels of the crop.
        """
        ...

    def joints(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(N, H, W, 3) RGB crops -> (N, J, 2) pixels of the crop and (N, J) scores, 0 to 1.

        A joint that was not found is NaN with score 0.
        """
        ...


def crop_affines(
    boxes: NDArray[np.floating], input_size: tuple[int, int], padding: tuple[float, float]
) -> NDArray[np.float64]:
    """Return upright crops around boxes, enlarged to the aspect ratio of the crop.

    Args:
        boxes: (N, 4), x0 y0 x1 y1, pixels of the image.
        input_size: width and height of a crop, pixels.
        padding: a crop shows at least this many times the box's width and height.

    Returns:
        (N, 2, 3), affine maps from pixels of the image to pixels of the crop.
    """
    boxes = np.asarray(boxes, np.float64)
    size = np.array(input_size, np.float64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1) * padding
    scale = (size / sides).min(axis=1)
    out = np.zeros((len(boxes), 2, 3))
    out[:, [0, 1], [0, 1]] = scale[:, None]
    out[:, :, 2] = size / 2 - scale[:, None] * middle
    return out


class PersonDetector(Protocol):
    """Finds the bounding boxes of people."""

    description: dict[str, Any]
    """JSON values: name, weights with their SHA-256, options."""

    def people(
        self, images: Sequence[Image]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """For every image (H, W, 3) RGB: (N, 4) boxes x0 y0 x1 y1, pixels, and (N,) scores, 0 to 1,
        the most confident first.
        """
        ...


class TopDownDetector:
    """A person detector and a pose network on its boxes, as a `Detector`.

    Person detection runs on every `detect_every`-th frame. In between, and for people that it
    misses, the box comes from the joints of the last frame (`FOLLOW_MARGIN`). A person is dropped
    until the next person detection when the pose is not plausible or duplicates another one. With
    `detect_every=1` frames are independent and processed in batches.

    Args:
        network: finds the joints.
        person_detector: finds the people.
        num_people: maximum number of people to follow at a time.
        detect_every: frames, 1 or more.
    """

    def __init__(
        self,
        network: PoseNetwork,
        person_detector: PersonDetector,
        *,
        num_people: int = 8,
        detect_every: int = DETECT_EVERY,
    ) -> None:
        if detect_every < 1:
            raise ValueError(f"detect_every: expected 1 or more, got {detect_every}")
        self._network = network
        self._person_detector = person_detector
        self._num_people = num_people
        self._detect_every = detect_every
        self._images = Batches(FRAMES_AT_ONCE, "frames for person detection")
        self._crops = Batches(CROPS_AT_ONCE, "person crops")
        self._frames: int
        self._followed: NDArray[np.float32]
        self.reset()
        self.name = network.name
        self.skeleton = network.skeleton
        self.description: dict[str, Any] = {
            **network.description,
            "options": {
                **network.description["options"],
                "num_people": num_people,
                "detect_every": detect_every,
            },
            "person_detector": person_detector.description,
        }

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        """See `Detector.detect`."""
        images = (frame.image for frame in frames)
        return self._every_frame(images) if self._detect_every == 1 else self._follow(images)

    def _every_frame(self, images: Iterator[Image]) -> Iterator[Detections]:
        while batch := list(islice(images, FRAMES_AT_ONCE)):
            boxes = [found[: self._num_people] for found in self._people(batch)]
            yield from self._poses(batch, boxes)

    def _follow(self, images: Iterator[Image]) -> Iterator[Detections]:
        for image in images:
            boxes = self._followed
            if self._frames % self._detect_every == 0:
                (found,) = self._people([image])
                boxes = merge_boxes(boxes, found)
            (poses,) = self._poses([image], [boxes[: self._num_people]])
            self._frames += 1
            self._followed = boxes_around(poses)
            yield poses

    def _people(self, images: list[Image]) -> list[NDArray[np.float32]]:
        """Return the boxes of each image, (N, 4)."""
        found = self._images.over(
            0, len(images), lambda part: self._person_detector.people(images[part])
        )
        return [boxes for _, some in found for boxes, _ in some]

    @property
    def notes(self) -> list[str]:
        """Notes for the user, such as batches made smaller for lack of GPU memory."""
        return [batches.note for batches in (self._images, self._crops) if batches.note]

    def reset(self) -> None:
        """See `Detector.reset`."""
        self._frames, self._followed = 0, np.zeros((0, 4), np.float32)

    def memory(self) -> Any:
        """See `Detector.memory`."""
        return {"frames": self._frames, "followed": self._followed.tolist()}

    def remember(self, memory: Any) -> None:
        """See `Detector.remember`."""
        self._frames = int(memory["frames"])
        self._followed = np.array(memory["followed"], np.float32).reshape(-1, 4)

    def _poses(self, images: list[Image], boxes: list[NDArray[np.float32]]) -> Iterator[Detections]:
        """Yield the plausible and distinct people in the boxes, (N, 4) for each image."""
        poses = find_poses(self._network, images, boxes, self._crops)
        for image, found in zip(images, poses, strict=True):
            height, width = image.shape[:2]
            found = found[is_plausible(found, width, height)]
            yield found[is_distinct(found)]

    def close(self) -> None:
        """Do nothing: memory is freed with the object."""

    def __enter__(self) -> TopDownDetector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def find_poses(
    network: PoseNetwork,
    images: Sequence[Image],
    boxes: Sequence[NDArray[np.floating]],
    batches: Batches | None = None,
) -> list[Detections]:
    """Find the pose in every box of every image, without filtering.

    Crops of all images go through the network together, `CROPS_AT_ONCE` at a time.

    Args:
        network: finds the joints.
        images: (H, W, 3) RGB, sizes may differ.
        boxes: for each image (N, 4) x0 y0 x1 y1, pixels; N may be 0.
        batches: batch size of the crops.

    Returns:
        For each image N poses, in the order of its boxes.
    """
    width, height = network.input_size
    counts = [len(some) for some in boxes]
    owners = np.repeat(np.arange(len(images)), counts)
    affines = np.concatenate(
        [np.zeros((0, 2, 3)), *(network.affines(some) for some in boxes if len(some))]
    )
    joints = len(network.skeleton)
    keypoints = np.zeros((len(owners), joints, 2), np.float32)
    scores = np.zeros((len(owners), joints), np.float32)
    batches = batches or Batches(CROPS_AT_ONCE, "person crops")
    crops = np.empty((min(len(owners), batches.most), height, width, 3), np.uint8)

    def found(some: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        batch = crops[: len(owners[some])]
        for crop, owner, affine in zip(batch, owners[some], affines[some], strict=True):
            cv2.warpAffine(
                images[owner],
                affine,
                (width, height),
                dst=crop,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=network.border_rgb,
            )
        return network.joints(batch)

    for some, (in_crop, confidence) in batches.over(0, len(owners), found):
        keypoints[some], scores[some] = from_crops(affines[some], in_crop), confidence
    parts = [slice(end - count, end) for count, end in zip(counts, np.cumsum(counts), strict=True)]
    return [Detections(keypoints[part], scores[part], network.skeleton) for part in parts]


def from_crops(affines: NDArray[np.float64], joints: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, J, 2), pixels of crops -> pixels of the image; `affines` (N, 2, 3) map the other way."""
    back = np.linalg.inv(affines[:, :, :2])
    return np.einsum("nij,nkj->nki", back, joints - affines[:, None, :, 2])


def boxes_around(poses: Detections) -> NDArray[np.float32]:
    """(N, 4), x0 y0 x1 y1, pixels: the boxes of the people for the next frame."""
    scores = poses.scores
    confident = scores >= scores.mean(axis=1, keepdims=True) / 2  # at least one joint always is
    points = np.where(confident[..., None], poses.keypoints, np.nan)
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    margin = np.maximum((high - low).max(axis=1, keepdims=True) * FOLLOW_MARGIN, MIN_SIZE_PX / 2)
    return np.concatenate([low - margin, high + margin], axis=1)


def merge_boxes(followed: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Merge newly detected boxes with followed ones, one box for each person.

    New boxes replace the followed ones that they overlap. People already followed come first, then
    newcomers, each in the given order.

    Args:
        followed: (K, 4) x0 y0 x1 y1.
        found: (N, 4) x0 y0 x1 y1, newly detected.
    """
    same = overlaps(found, followed) > SAME_BOX
    known = same.any(axis=1)
    return np.concatenate([found[known], followed[~same.any(axis=0)], found[~known]])


def overlaps(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, M), intersection over union of boxes (N, 4) and (M, 4), x0 y0 x1 y1."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [np.maximum(some[:, 2:] - some[:, :2], 0).prod(axis=1) for some in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)
