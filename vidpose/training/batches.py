"""Training batches, from datasets or from motion capture seen by virtual cameras.

A batch depends only on the seed, the epoch and the step, so a run that is resumed or split over
several processes sees the same batches as an uninterrupted one.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from vidpose.datasets.dataset import Dataset, MotionClip, PoseSequence, hold_out
from vidpose.datasets.marks import SYNTHETIC
from vidpose.datasets.motion_clips import split
from vidpose.datasets.virtual_cameras import Variation, VirtualCameras
from vidpose.errors import DataError, UsageError
from vidpose.events import Report, Warn, ignore
from vidpose.lifting.resampling import SAME_RATE
from vidpose.models import MODELS
from vidpose.models.normalisation import FIRST_PERSON, NORMALISATIONS, fill_gaps
from vidpose.skeleton import H36M17, Skeleton
from vidpose.training.distributed import World
from vidpose.training.recipe import Recipe
from vidpose.training.windows import Windows, fits, tracks
from vidpose.utils.threads import ahead


class Batch(NamedTuple):
    """One process's part of a batch; B may be 0."""

    inputs: Tensor
    """(B, F, J, 2)."""
    targets: Tensor
    """(B, 1 or F, J, 3), metres."""
    start: int
    """Index of its first window in the whole batch."""
    size: int
    """Number of windows in the whole batch."""

    def to(self, move: Callable[[Tensor], Tensor]) -> Batch:
        """Move its tensors with `move`."""
        return self._replace(inputs=move(self.inputs), targets=move(self.targets))


class Samples(Protocol):
    """Windows by index: (B,) -> inputs (B, F, J, 2), targets (B, 1 or F, J, 3) metres."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]: ...


class Source(Protocol):
    """A source of training batches."""

    samples: int
    """Number of samples in an epoch."""
    on_host: bool
    """Batches are made on the host even if the network is on a GPU."""

    def batch(self, epoch: int, step: int, size: int, world: World) -> Batch:
        """Make this process's part of a batch; it depends only on the arguments."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The training and validation data of a run."""

    source: Source
    validation: Samples
    skeleton: Skeleton
    fps: float
    provenance: dict[str, Any]
    """JSON values that identify the data, for checkpoints and to check a resumed run."""


class Shuffled:
    """All samples once per epoch, in a new random order each epoch."""

    def __init__(
        self,
        samples: Samples,
        seed: int,
        *,
        on_host: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Shuffle `samples`; `device` is where they take their indices."""
        self.on_host, self._device = on_host, device
        self.samples = len(samples)
        self._samples, self._seed = samples, seed
        self._epoch, self._order = -1, torch.empty(0)

    def batch(self, epoch: int, step: int, size: int, world: World) -> Batch:
        """See `Source`."""
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(draw_seed(self._seed, epoch, "order"))
            order = torch.randperm(self.samples, generator=generator)
            self._epoch, self._order = epoch, order.to(self._device)
        index = self._order[step * size : (step + 1) * size]
        mine = world.share(len(index))
        inputs, targets = self._samples[index[mine]]
        return Batch(inputs, targets, mine.start, len(index))


TRAINING = Variation(
    bodies=1.2,
    girdles=0.05,
    tumbling=0.05,
    mixed=Recipe().mixed,
    noise_scale=(0.3, 1.1),
    correlated_noise=(0.0, 0.035),
    limb_dropout=0.15,
    left_right_exchange=0.05,
)
"""Default augmentation and noise of training windows."""


class VirtualBatches:
    """Motion capture seen by virtual cameras that are drawn anew for every step."""

    on_host = False

    def __init__(
        self,
        clips: Sequence[MotionClip],
        recipe: Recipe,
        device: torch.device,
        vary: Variation = TRAINING,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.samples = recipe.windows
        self._cameras = VirtualCameras(clips, device, weights)
        self._recipe, self._vary = recipe, vary

    def batch(self, epoch: int, step: int, size: int, world: World) -> Batch:
        """See `Source`."""
        recipe = self._recipe
        count = min(size, self.samples - step * size)
        seed = draw_seed(recipe.seed, epoch * (1 << 32) + step, "cameras")
        # Each process draws the whole batch, which costs little, so that all agree on it.
        drawn = virtual_windows(self._cameras, count, recipe, self._vary, seed)
        mine = world.share(count)
        return Batch(drawn.inputs[mine], drawn.targets[mine], mine.start, count)


@dataclass(frozen=True, eq=False)
class FixedWindows:
    """`Samples` held as tensors."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        index = index.to(self.inputs.device)
        return self.inputs[index], self.targets[index]


def virtual_windows(
    cameras: VirtualCameras, count: int, recipe: Recipe, vary: Variation, seed: int
) -> FixedWindows:
    """Draw windows of motion capture, or single frames for `recipe.single_frame`, normalised for
    the network; deterministic in the seed.
    """
    generator = torch.Generator(cameras.device).manual_seed(seed)
    frames = 1 if recipe.single_frame else recipe.frames
    rays, joints = cameras.draw(count, frames, recipe.fps, vary, generator)
    kind = MODELS[recipe.model]
    if recipe.normalisation != FIRST_PERSON:
        times = torch.arange(frames, device=rays.device) / recipe.fps
        rays, missing = fill_gaps(rays, times, knows_missing=kind.knows_missing)
        rays = rays.masked_fill(missing[..., None], math.nan)
    # Rays are the pixels of an image centred at 0 with a focal length of 1.
    inputs, rotation = NORMALISATIONS[recipe.normalisation](rays, (1, 1), 1.0)
    targets = joints @ rotation.mT
    if not kind.all_frames:
        centre = recipe.frames // 2
        targets = targets[:, centre : centre + 1]
    return FixedWindows(inputs, targets)


VALIDATION = Variation(focal_error_sd=0.0, speed=(1.0, 1.0), mirror=0.0)
"""Validation varies less than training: captured motions, upright and at their own speed, with
bone lengths varied per segment; the exact focal length; jitter, drift, outliers and dropped joints,
but no correlated noise, limb dropout or left/right swaps."""
VALIDATION_SEED = 2021


def mocap_data(
    clips: Sequence[MotionClip],
    held_out: Sequence[str],
    recipe: Recipe,
    device: torch.device,
    *,
    vary: Variation = TRAINING,
    more: Sequence[MotionClip] = (),
    val_subjects: Sequence[str] = (),
    by_count: bool = False,
) -> TrainingData:
    """Make training data from motion capture, without the held-out subjects.

    Validation is on takes of the training subjects, on `val_subjects`, or, if `recipe.select_on`
    is "test", on the held-out subjects. The validation windows are the same in every epoch.

    Args:
        clips: the motion capture.
        held_out: subjects of `clips` and `more` to hold out.
        recipe: the recipe of the run.
        device: where windows are drawn.
        vary: augmentation and noise of training; validation takes only its `noise`, see
            `VALIDATION`.
        more: clips from a second source; `recipe.more_share` of the windows come from it.
        val_subjects: further subjects to hold out, for validation.
        by_count: split takes as older versions did, see `hold_out`.

    Raises:
        DataError: a subject does not exist, or no training subject is left.
        UsageError: the recipe's normalisation is "screen", which virtual cameras cannot provide.
    """
    if recipe.normalisation == "screen":
        raise UsageError(
            "virtual cameras have no image size; train on motion capture with the normalisation "
            "'person-2'."
        )
    train, test = split([*clips, *more], held_out)
    if val_subjects:
        train, test = split(train, val_subjects)
    subjects = sorted({clip.subject for clip in train})
    if not val_subjects and recipe.select_on == "validation":
        train, test = hold_out(train, recipe.val_fraction, recipe.seed, by_count=by_count)
    cameras = VirtualCameras(test, device, frame_weights(test, more, recipe.more_share))
    weights = frame_weights(train, more, recipe.more_share, even=recipe.even_subjects)
    return TrainingData(
        source=VirtualBatches(train, recipe, device, vary, weights),
        validation=virtual_windows(
            cameras,
            recipe.val_windows,
            recipe,
            replace(VALIDATION, noise=vary.noise),
            VALIDATION_SEED,
        ),
        skeleton=H36M17,
        fps=recipe.fps,
        provenance={
            "dataset": "mocap",
            "held_out": [*held_out, *val_subjects],
            "subjects": subjects,
            "chosen_on": list(val_subjects),
            "clips": len(train),
            "checksum": checksum(
                ((clip.subject, clip.name, clip.fps), clip.joints) for clip in [*train, *test]
            ),
            "variation": vary.to_dict(),
        },
    )


def checksum(items: Iterable[tuple[Any, ...]]) -> str:
    """Compute a checksum of names and arrays, to identify data; takes a second per gigabyte."""
    found = 0
    for about, *arrays in items:
        found = zlib.crc32(repr(about).encode(), found)
        for array in arrays:
            found = zlib.crc32(repr(array.shape).encode(), found)
            found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return f"{found:08x}"


def frame_weights(
    clips: Sequence[MotionClip],
    second: Sequence[MotionClip],
    share: float,
    *,
    even: bool = False,
) -> list[float] | None:
    """Compute each clip's sampling weight per frame.

    Args:
        clips: all clips.
        second: clips of the second source.
        share: share of the second source, if there are clips of both sources.
        even: draw all subjects of a source equally often, rather than all frames.

    Returns:
        One weight per clip; None if all frames count the same.
    """
    of_second = {id(clip) for clip in second}
    groups = [(id(clip) in of_second, clip.subject if even else "") for clip in clips]
    lengths = dict.fromkeys(groups, 0)
    for group, clip in zip(groups, clips, strict=True):
        lengths[group] += len(clip.joints)
    if len(lengths) == 1:
        return None
    counts = Counter(source for source, _ in lengths)  # groups in a source
    shares = {True: share, False: 1 - share} if len(counts) == 2 else dict.fromkeys(counts, 1.0)
    return [shares[group[0]] / counts[group[0]] / lengths[group] for group in groups]


def dataset_data(
    dataset: Dataset,
    recipe: Recipe,
    device: torch.device,
    *,
    folder: Path | None = None,
    by_count: bool = False,
    report: Report = ignore,
) -> TrainingData:
    """Make training data from a dataset's training subjects, with some takes for validation.

    Args:
        dataset: from `vidpose.datasets.open_dataset`.
        recipe: the recipe of the run; if `select_on` is "test", validation is on the test subjects.
        device: where to store the windows.
        folder: store the windows in files there, on the host, instead of on the device.
        by_count: split takes as older versions did, see `hold_out`.
        report: receives a warning if custom data have several frame rates.

    Raises:
        DataError: there are too few takes with valid frames for training or validation.
        UsageError: the windows do not fit on the device and no folder is given, or the recipe
            asks for single frames.
    """
    if recipe.single_frame:
        raise UsageError("single frames are for motion capture under virtual cameras only.")
    train, test = (
        [sequence for sequence in sequences if sequence.valid.any()]
        for sequences in (dataset.train, dataset.test)
    )
    if train and recipe.select_on == "validation":
        train, test = hold_out(train, recipe.val_fraction, recipe.seed, by_count=by_count)
    for part, sequences in (("training", train), ("test", test)):
        if not sequences:
            raise DataError(
                f"{dataset.name} has no {part} subjects with a frame to use; name other test "
                "subjects or actions."
            )
    fps = most_common_fps(train)
    low, high = (edge(sequence.fps for sequence in train) for edge in (min, max))
    if dataset.name == "custom" and high > (1 + SAME_RATE) * low:
        report(
            Warn(
                f"the files have {low:g} to {high:g} frames/s and are not resampled, while videos "
                f"will be resampled to {fps:g} frames/s, the most common rate; convert the files "
                "to one frame rate."
            )
        )
    made = tracks(train, recipe.normalisation, dataset.skeleton)
    if folder is None and not fits(made, recipe.mirror, device):
        raise UsageError(
            "the windows do not fit into the GPU's memory; add --on-host, which keeps them in "
            "files and prefetches batches."
        )
    table = partial(
        Windows,
        frames=recipe.frames,
        all_frames=MODELS[recipe.model].all_frames,
        device=device if folder is None else "cpu",
    )
    mirrored = torch.from_numpy(dataset.skeleton.mirrored) if recipe.mirror else None
    windows = table(made, mirrored=mirrored, folder=folder)
    return TrainingData(
        source=Shuffled(windows, recipe.seed, on_host=folder is not None, device=windows.device),
        validation=table(tracks(test, recipe.normalisation, dataset.skeleton)),
        skeleton=dataset.skeleton,
        fps=fps,
        provenance={
            "dataset": dataset.name,
            # The dataset named synthetic needs no flag.
            **({"synthetic": True} if dataset.synthetic and dataset.name != SYNTHETIC else {}),
            "keypoints": dataset.keypoints,
            "subjects": sorted({sequence.subject for sequence in train}),
            "samples": len(windows),
            "checksum": checksum(
                (
                    (sequence.name, sequence.fps, sequence.frame_size, sequence.focal_px),
                    *(sequence.keypoints_2d, sequence.joints_3d, sequence.valid),
                )
                for sequence in [*train, *test]
            ),
        },
    )


def most_common_fps(sequences: Sequence[PoseSequence]) -> float:
    """Find the frame rate, rounded to an integer, that most frames have.

    Returns the exact rate of the first sequence with it.
    """
    frames: Counter[int] = Counter()
    for sequence in sequences:
        frames[round(sequence.fps)] += len(sequence)
    usual = max(frames, key=frames.__getitem__)
    return next(sequence.fps for sequence in sequences if round(sequence.fps) == usual)


def prefetched(
    source: Source, epoch: int, steps: range, size: int, world: World
) -> Iterator[Batch]:
    """Yield the batches of an epoch's steps, on the device.

    Batches made on the host are prefetched two ahead by a thread, in pinned memory for a GPU, so
    that the copy overlaps with computation.
    """
    made = (source.batch(epoch, step, size, world) for step in steps)
    if not source.on_host:
        yield from made
        return

    def pinned() -> Iterator[Batch]:
        for batch in made:
            yield batch.to(Tensor.pin_memory) if world.device.type == "cuda" else batch

    with ahead(pinned(), 2, "batches") as ready:
        for batch in ready:
            yield batch.to(lambda tensor: tensor.to(world.device, non_blocking=True))


def draw_seed(seed: int, number: int, what: str) -> int:
    """Derive the seed of a random draw from the run's seed, the step or epoch, and its purpose.

    A checksum of all three, because PyTorch's CPU generator uses only 32 bits of a seed.
    """
    return zlib.crc32(f"{what} {seed} {number}".encode())
