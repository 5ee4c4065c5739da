"""Profiling: size, FLOPs and speed of lifters, and the time of each stage on a video."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch

from vidpose.detect import open_detector
from vidpose.detect.base import detect_frames
from vidpose.errors import NoPersonError, UsageError
from vidpose.lifting.lifter import Lifter, lift_poses, load_lifter_checkpoint
from vidpose.lifting.sliding_window import slide
from vidpose.models import LiftingModel, PoseFormer, flops
from vidpose.models.sliding import sliding_form
from vidpose.options import DetectorOptions, PostprocessOptions
from vidpose.postprocess import postprocess
from vidpose.render.compose import Layout, compose_frame
from vidpose.render.scene import ScenePanel
from vidpose.render.view import VIEWS
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.devices import PRECISIONS, choose_device, choose_precision
from vidpose.utils.progress import Progress, silent
from vidpose.video import VideoReader, VideoWriter

PAPER_FRAMES = (9, 27, 81)
"""The receptive fields of the paper's Table 6."""
MEASURED_S = 1.0
"""Minimum duration of a speed measurement."""
STAGES = ("decode", "detect", "track", "lift", "postprocess", "draw", "encode")

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class NetworkProfile:
    """A lifting network, as in the paper's Table 6."""

    name: str
    frames: int
    """Receptive field."""
    parameters: int
    flops: int
    """Per window, see `vidpose.models.flops.per_window`."""
    frames_per_s: float
    """Sliding-window inference on a long track, without flip augmentation."""


@dataclass(frozen=True, kw_only=True)
class StageProfile:
    """One stage of a run."""

    name: str
    """One of `STAGES`."""
    seconds: float
    frames_per_s: float
    share: float
    """Fraction of the time of all stages."""


def profile_networks(
    weights: str | Path = "default",
    *,
    frames: Iterable[int] = PAPER_FRAMES,
    device: str = "auto",
    precision: str = "auto",
) -> list[NetworkProfile]:
    """Measure size, FLOPs and speed of a checkpoint's network and of the paper's.

    Args:
        weights: name of weights that come with vidpose, or a checkpoint's path.
        frames: receptive fields of the paper's networks; their weights are random, which does not
            affect the cost.
        device: auto, cpu or cuda.
        precision: fp32, bf16, or auto: bf16 if the hardware supports it.

    Raises:
        UsageError: a receptive field is even, or the device or precision is not available.
        WeightsError: the weights do not exist or cannot be read.
    """
    chosen, _ = choose_device(device)
    dtype = PRECISIONS[choose_precision(precision, chosen)]
    checkpoint = load_lifter_checkpoint(weights)
    models: list[tuple[str, LiftingModel]] = []
    models.append((checkpoint.path.name if checkpoint.path else "checkpoint", checkpoint.model))
    for count in frames:
        try:
            models.append((f"PoseFormer f={count}", PoseFormer(frames=count).eval()))
        except ValueError as error:
            raise UsageError(f"--frames {count}: {error}.") from None
    return [
        NetworkProfile(
            name=name,
            frames=model.config.frames,
            parameters=flops.parameters(model),
            flops=flops.per_window(model),
            frames_per_s=_sliding_speed(model.to(chosen), dtype),
        )
        for name, model in models
    ]


def _sliding_speed(model: LiftingModel, dtype: torch.dtype) -> float:
    """Frames per second."""
    ready = sliding_form(model, dtype)
    device = next(model.parameters()).device

    def lift(frames: int) -> float:
        track = torch.zeros(frames, model.config.joints, 2, device=device)
        start = time.perf_counter()
        slide(ready, track, None).poses.cpu()  # also waits for the GPU
        return time.perf_counter() - start

    frames = 64
    lift(frames)
    while (seconds := lift(frames)) < MEASURED_S:
        frames = round(frames * min(16, max(2, 1.3 * MEASURED_S / seconds)))
    return frames / seconds


def profile_run(
    video: str | Path,
    *,
    detector: str = "auto",
    weights: str | Path = "default",
    device: str = "auto",
    precision: str = "auto",
    start: float | None = None,
    end: float | None = None,
    progress: Progress = silent,
) -> tuple[list[StageProfile], int, int]:
    """Run all stages on a video, one after another, and time each; writes no results.

    `infer` runs stages in parallel, so it takes less than the total.

    Args:
        video: any file that FFmpeg reads.
        detector, weights, device, precision, start, end: as for `vidpose.infer`.
        progress: wraps the stream of frames.

    Returns:
        The stages in order, and the number of frames and of people.

    Raises:
        NoPersonError: nobody was found.
        VidposeError: the video, the weights, the device or an option cannot be used.
    """
    video = Path(video)
    chosen, _ = choose_device(device)
    checkpoint = load_lifter_checkpoint(weights)
    watch = Stopwatch()
    lifter = Lifter(checkpoint, chosen, precision=precision)

    collector = PoseCollector()
    with VideoReader(video, start, end) as reader:
        found, _ = open_detector(DetectorOptions(detector=detector), chosen)
        frames = progress(watch.each("decode", reader), reader.expected_frames, "frames")
        with found:
            for detections in watch.each("detect", detect_frames(found, frames)):
                with watch("track"):
                    collector.add(detections)
        with watch("track"):
            poses = collector.finish(reader.fps, reader.size)
    if not poses.people:
        raise NoPersonError(f"Nobody was found in any frame of {video}.")
    with watch("lift"):
        lifted = lift_poses(poses, lifter)
    with watch("postprocess"):
        result = postprocess(lifted, PostprocessOptions())

    layout = Layout.of(result.frame_size)
    with watch("draw"):
        scene = ScenePanel(result, layout.panel, VIEWS["three-quarter"])
    with (
        TemporaryDirectory() as folder,
        VideoReader(video, start, end, picture_size=layout.picture) as reader,
        watch("encode"),  # until the encoder is flushed
        VideoWriter(Path(folder) / "out.mp4", layout.size, time_base=reader.time_base) as writer,
    ):
        first = float(result.timestamps[0])
        for t, frame in enumerate(watch.each("decode again", reader)):
            with watch("draw"):
                image = compose_frame(result, t, frame.image, scene, layout)
            writer.write(image, frame.time_s - first, frame.duration_s)

    total = sum(watch.seconds[name] for name in STAGES)
    stages = [
        StageProfile(
            name=name,
            seconds=watch.seconds[name],
            frames_per_s=result.frames / watch.seconds[name],
            share=watch.seconds[name] / total,
        )
        for name in STAGES
    ]
    return stages, result.frames, result.people


class Stopwatch:
    """Adds up the time of stages; a nested stage does not count towards the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self._lap()
        self._running.append(stage)
        try:
            yield
        finally:
            self._lap()
            self._running.pop()

    def each(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items; the time to get each counts towards the stage."""
        iterator = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _lap(self) -> None:
        now = time.perf_counter()
        if self._running:
            stage = self._running[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
