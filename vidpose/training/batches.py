"""What a run learns from: datasets, and motion capture under virtual cameras, as batches.

A batch depends on the epoch's and the step's numbers alone, so a run that is resumed, or split over
several processes, sees the batches of an undisturbed one.
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
    """A process's part of a batch; B may be 0."""

    inputs: Tensor
    """(B, F, J, 2)."""
    targets: Tensor
    """(B, 1 or F, J, 3), metres."""
    start: int
    """Windows of the batch that processes of lower rank have."""
    size: int
    """Windows of all processes together."""

    def to(self, move: Callable[[Tensor], Tensor]) -> Batch:
        """The same with its tensors elsewhere."""
        return self._replace(inputs=move(self.inputs), targets=move(self.targets))


class Samples(Protocol):
    """Windows by their numbers: (B,) -> inputs (B, F, J, 2), targets (B, 1 or F, J, 3) metres."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]: ...


class Source(Protocol):
    """Where batches come from."""

    samples: int
    """In an epoch."""
    on_host: bool
    """Batches are made on the host, though the network is on a GPU."""

    def batch(self, epoch: int, step: int, size: int, world: World) -> Batch:
        """This process's part of a batch. It depends on the arguments alone."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run learns from, and what it is measured on."""

    source: Source
    validation: Samples
    skeleton: Skeleton
    fps: float
    provenance: dict[str, Any]
    """What identifies the data, for the checkpoint, and to resume on the same; JSON values."""


class Shuffled:
    """All samples once an epoch, in an order of their own each epoch."""

    def __init__(
        self,
        samples: Samples,
        seed: int,
        *,
        on_host: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Of samples that are looked up on a device, by numbers that lie there, too."""
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
"""What is drawn for every window, by default."""


class VirtualBatches:
    """Motion capture seen by virtual cameras, drawn anew for every step."""

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
        # Every process draws all of the batch, which costs little, so that they agree on it.
        drawn = virtual_windows(self._cameras, count, recipe, self._vary, seed)
        mine = world.share(count)
        return Batch(drawn.inputs[mine], drawn.targets[mine], mine.start, count)


@dataclass(frozen=True, eq=False)
class FixedWindows:
    """Windows made once: `Samples`."""

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
    """Windows of motion capture as a network sees them, or single frames if the recipe says so;
    the same for the same seed.
    """
    generator = torch.Generator(cameras.device).manual_seed(seed)
    frames = 1 if recipe.single_frame else recipe.frames
    rays, joints = cameras.draw(count, frames, recipe.fps, vary, generator)
    kind = MODELS[recipe.model]
    if recipe.normalisation != FIRST_PERSON:
        times = torch.arange(frames, device=rays.device) / recipe.fps
        rays, missing = fill_gaps(rays, times, knows_missing=kind.knows_missing)
        rays = rays.masked_fill(missing[..., None], math.nan)
    # Rays are the pixels of a picture around 0 with a focal length of 1.
    inputs, rotation = NORMALISATIONS[recipe.normalisation](rays, (1, 1), 1.0)
    targets = joints @ rotation.mT
    if not kind.all_frames:
        centre = recipe.frames // 2
        targets = targets[:, centre : centre + 1]
    return FixedWindows(inputs, targets)


VALIDATION = Variation(focal_error_sd=0.0, speed=(1.0, 1.0), mirror=0.0)
"""Plainer than what training draws: motions as they were captured, upright and at their own speed,
bone lengths varied segment by segment; an exact focal length; jitter, drift, outliers and lost
joints, but no correlated noise, lost limbs or exchanged sides."""
VALIDATION_SEED = 2021


def mocap_data(
    clips: Sequence[MotionClip],
    held_out: Sequence[str],
    recipe: Recipe,
    device: torch.device,
    *,
    vary: Variation = TRAINING,
    more: Sequence[MotionClip] = (),
    choose_on: Sequence[str] = (),
    by_count: bool = False,
) -> TrainingData:
    """Motion capture, some subjects left out.

    Validation is on takes of the training subjects, on subjects of its own, or with `select_on`
    test on the subjects left out; always on the same windows.

    Args:
        clips: the motion capture.
        held_out: subjects to leave out, of `clips` and `more`.
        recipe: what to train.
        device: where windows are drawn.
        vary: what is drawn for training; those of validation have its `noise`, see `VALIDATION`.
        more: of another source; `recipe.more_share` of the windows come from it.
        choose_on: subjects that are left out, too, and validated on.
        by_count: validation is as older versions drew it, see `hold_out`.

    Raises:
        DataError: a subject is not there, or nobody is left.
        UsageError: the recipe's normalisation needs a picture, and virtual cameras have none.
    """
    if recipe.normalisation == "screen":
        raise UsageError(
            "virtual cameras have no picture's edge; train on motion capture with the "
            "normalisation 'person-2'."
        )
    train, test = split([*clips, *more], held_out)
    if choose_on:
        train, test = split(train, choose_on)
    subjects = sorted({clip.subject for clip in train})
    if not choose_on and recipe.select_on == "validation":
        train, test = hold_out(train, recipe.val_fraction, recipe.seed, by_count=by_count)
    cameras = VirtualCameras(test, device, source_weights(test, more, recipe.more_share))
    weights = source_weights(train, more, recipe.more_share)
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
            "held_out": [*held_out, *choose_on],
            "subjects": subjects,
            "chosen_on": list(choose_on),
            "clips": len(train),
            "checksum": checksum(
                ((clip.subject, clip.name, clip.fps), clip.joints) for clip in [*train, *test]
            ),
            "variation": vary.to_dict(),
        },
    )


def checksum(items: Iterable[tuple[Any, ...]]) -> str:
    """Of names and arrays, to tell data from others; a second for a gigabyte."""
    found = 0
    for about, *arrays in items:
        found = zlib.crc32(repr(about).encode(), found)
        for array in arrays:
            found = zlib.crc32(repr(array.shape).encode(), found)
            found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return f"{found:08x}"


def source_weights(
    clips: Sequence[MotionClip], second: Sequence[MotionClip], share: float
) -> list[float] | None:
    """How often a frame of each clip is drawn, so that the second source has its share.

    Returns:
        None where all clips are of one source.
    """
    of_second = {id(clip) for clip in second}
    lengths = {True: 0, False: 0}
    for clip in clips:
        lengths[id(clip) in of_second] += len(clip.joints)
    if not all(lengths.values()):
        return None
    each = {True: share / lengths[True], False: (1 - share) / lengths[False]}
    return [each[id(clip) in of_second] for clip in clips]


def dataset_data(
    dataset: Dataset,
    recipe: Recipe,
    device: torch.device,
    *,
    folder: Path | None = None,
    by_count: bool = False,
    report: Report = ignore,
) -> TrainingData:
    """A dataset's training subjects, some takes set aside for validation.

    Args:
        dataset: from `vidpose.datasets.open_dataset`.
        recipe: what to train; with `select_on` test, validation is on the test subjects.
        device: where the windows lie, if they fit.
        folder: lay them out in files there and leave them on the host, whether they fit or not.
        by_count: validation is as older versions drew it, see `hold_out`.
        report: takes a warning where your own data have several frame rates.

    Raises:
        DataError: there are too few takes with a frame to train on, or to choose weights on.
        UsageError: the windows do not fit on the device and no folder is given, or the recipe
            asks for single frames.
    """
    if recipe.single_frame:
        raise UsageError("single frames are for motion capture under virtual cameras only.")
    train, test = (
        [sequence for sequence in sequences if sequence.valid.any()]
        for sequences in (dataset.train, dataset.test)
    )
    if recipe.select_on == "validation":
        train, test = hold_out(train, recipe.val_fraction, recipe.seed, by_count=by_count)
    for part, sequences in (("training", train), ("test", test)):
        if not sequences:
            raise DataError(
                f"{dataset.name} has no {part} subjects with a frame to use; name other test "
                "subjects or actions."
            )
    fps = usual_rate(train)
    low, high = (edge(sequence.fps for sequence in train) for edge in (min, max))
    if dataset.name == "custom" and high > (1 + SAME_RATE) * low:
        report(
            Warn(
                f"the files have {low:g} to {high:g} frames/s and are taken as they are, while "
                f"videos will be resampled to {fps:g}, the rate of most frames; better bring the "
                "files to one rate."
            )
        )
    made = tracks(train, recipe.normalisation, dataset.skeleton)
    if folder is None and not fits(made, recipe.mirror, device):
        raise UsageError(
            "the windows do not fit into the GPU's memory; add --on-host, which leaves them in "
            "files and sends batches ahead."
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
            # Of a dataset called synthetic the name says it.
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


def usual_rate(sequences: Sequence[PoseSequence]) -> float:
    """The frame rate, to a whole number, that most frames have; of the first such sequence."""
    frames: Counter[int] = Counter()
    for sequence in sequences:
        frames[round(sequence.fps)] += len(sequence)
    usual = max(frames, key=frames.__getitem__)
    return next(sequence.fps for sequence in sequences if round(sequence.fps) == usual)


def prefetched(
    source: Source, epoch: int, steps: range, size: int, world: World
) -> Iterator[Batch]:
    """The batches of an epoch's steps, on the device.

    Batches that are made on the host for a GPU are made two ahead by a thread of their own, in
    memory from which they travel to the GPU while it computes.
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
    """A seed for each thing drawn, of a run's seed and the number of the step or epoch.

    A checksum of all three: PyTorch's generator on the CPU looks at 32 bits of a seed only.
    """
    return zlib.crc32(f"{what} {seed} {number}".encode())
