"""Table 6: what PoseFormer costs, and how the cost grows with the window."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from vidpose.evaluation.published import COMPLEXITY, Cost
from vidpose.evaluation.tables import aligned
from vidpose.models import JointTransformer, LiftingModel, PoseFormer, TemporalTransformer, flops
from vidpose.paper import Bench, draw
from vidpose.paper.results_table import write_csv
from vidpose.render.plots import COLOURS, GRID, INK
from vidpose.utils.devices import choose_device

FRAMES = (9, 27, 81)
"""The paper's windows."""
GROWTH = (9, 27, 81, 243)
BATCH = 32
SECONDS = 2.0
"""Each speed is measured for about so long."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One network's cost. Operations: a multiply-add is two."""

    model: str
    frames: int
    parameters: int
    counted: int
    formula: int
    per_frame: float
    """Operations a frame when it slides over a video."""
    single: float | None = None
    """Poses a second, one window at a time."""
    batched: float | None = None
    """Poses a second, `BATCH` windows at a time."""
    sliding: float | None = None
    """Frames of a video a second."""


def complexity(name: str, bench: Bench) -> list[Path]:
    """Count and measure; print, write and draw."""
    device, _ = choose_device(bench.device)
    main = [measure(PoseFormer(frames=f), device) for f in bench.progress(FRAMES, 3, "measuring")]
    growth = [
        measure(kind(frames=f), None)
        for kind in (PoseFormer, JointTransformer, TemporalTransformer)
        for f in GROWTH
    ]
    where = machine(device)
    heading = f"Table 6: what PoseFormer costs. No data is needed. Speeds measured on {where}"
    bench.report(f"{heading}.\n{_text(main)}\n\n{_growth_text(growth)}")
    rows = [_row(one, where) for one in main] + [_row(one, "") for one in growth]
    return [
        write_csv(bench.path(name, ".csv"), rows),
        _draw(growth, heading, bench.path(name, ".png")),
    ]


def measure(model: LiftingModel, device: torch.device | None) -> Measured:
    """Count what a network costs; on a device, time it too."""
    config = model.config
    speeds: dict[str, float] = {}
    if device is not None:
        model = model.to(device).eval()
        windows = torch.randn(BATCH, config.frames, config.joints, 2, device=device)
        video = torch.randn(BATCH + config.frames - 1, config.joints, 2, device=device)
        speeds = {
            "single": 1 / seconds_of(lambda: model(windows[:1]), device),
            "batched": BATCH / seconds_of(lambda: model(windows), device),
            "sliding": BATCH / seconds_of(lambda: model.slide(video), device),
        }
    return Measured(
        model=model.name,
        frames=config.frames,
        parameters=flops.parameters(model),
        counted=flops.per_window(model),
        formula=flops.formula(model),
        per_frame=flops.per_frame(model, BATCH),
        **speeds,
    )


@torch.no_grad()
def seconds_of(run: Callable[[], Any], device: torch.device) -> float:
    """The median time of a run, after one to warm up."""
    run()
    taken: list[float] = []
    while not taken or (sum(taken) < SECONDS and len(taken) < 1000):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        taken.append(time.perf_counter() - start)
    return median(taken)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> str:
    """What computes, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {torch.get_num_threads()} threads"


def _paper(frames: int) -> Cost:
    return next(cost for cost in COMPLEXITY if cost.frames == frames and cost.is_poseformer)


def _text(main: list[Measured]) -> str:
    rows = [
        [
            *("f", "parameters", "paper", "MFLOP counted", "formula", "as by hand", "paper"),
            *("poses/s, 1", f"{BATCH} at once", "sliding", "paper"),
        ]
    ]
    for one in main:
        paper = _paper(one.frames)
        rows.append(
            [
                *(str(one.frames), f"{one.parameters:,}", f"{paper.parameters_m:.2f} M unverified"),
                *(f"{one.counted / 1e6:.1f}", f"{one.formula / 1e6:.1f}"),
                f"{flops.papers_formula(one.frames) / 1e6:.1f}",
                f"{paper.mflop:.0f} unverified",
                *(f"{speed:.0f}" for speed in (one.single, one.batched, one.sliding) if speed),
                f"{paper.frames_a_second} {paper.speed_mark}",
            ]
        )
    return (
        f"{aligned(rows)}\n"
        "A multiply-add is two operations. By hand: the linear layers of four temporal blocks of "
        "width 512, no attention, no spatial stage, which is what the paper's figures fit. "
        "sliding: over a video, where windows share the spatial stage. The paper's speeds are of "
        "another machine."
    )


def _growth_text(growth: list[Measured]) -> str:
    rows = [["MFLOP a pose", *(f"f={f}" for f in GROWTH), f"{GROWTH[-1]} to {GROWTH[0]}"]]
    for name, label in _LABELS.items():
        costs = [one.counted / 1e6 for one in growth if one.model == name]
        rows.append([label, *(f"{cost:,.0f}" for cost in costs), f"x{costs[-1] / costs[0]:.0f}"])
    return (
        f"{aligned(rows)}\n{GROWTH[-1] // GROWTH[0]} times the frames: what grows faster than "
        "that grows with the square of the window. All joints of all frames are dearer than "
        f"PoseFormer from f={crossing()} on; below, their narrow tokens are cheaper."
    )


_LABELS = {
    "poseformer": "PoseFormer, two stages",
    "joints": "all joints of all frames (Fig. 1b)",
    "temporal": "frames only, the baseline (Fig. 2a)",
}


_ABOVE = {"poseformer": 2, "temporal": -9}
"""Where numbers stand, points, so that two that are close do not cover each other."""


def crossing() -> int:
    """The smallest window for which all joints of all frames cost more than two stages."""
    return next(
        f
        for f in range(1, 1000, 2)
        if flops.formula(_bare(JointTransformer, f)) > flops.formula(_bare(PoseFormer, f))
    )


def _bare(kind: type[LiftingModel], frames: int) -> LiftingModel:
    with torch.device("meta"):
        return kind(frames=frames)


def _row(one: Measured, where: str) -> dict[str, Any]:
    row = vars(one) | {"measured_on": where}
    if where:
        paper = _paper(one.frames)
        row |= {
            "by_hand_as_the_paper": flops.papers_formula(one.frames),
            "paper_parameters_million": paper.parameters_m,
            "paper_mflop": paper.mflop,
            "paper_frames_a_second": paper.frames_a_second,
            "paper_frames_a_second_mark": paper.speed_mark,
            "paper_other_marks": "unverified",
        }
    return row


def _draw(growth: list[Measured], heading: str, out: Path) -> Path:
    figure = draw.new_figure(8.0, 4.8)
    axes = draw.plain(figure.add_subplot())
    for (name, label), colour in zip(_LABELS.items(), COLOURS, strict=False):
        mine = [one for one in growth if one.model == name]
        frames = [one.frames for one in mine]
        costs = [one.counted / 1e6 for one in mine]
        axes.plot(frames, costs, "o-", color=colour, linewidth=2, label=label)
        axes.annotate(
            f"{costs[-1]:,.0f}", (frames[-1], costs[-1]), xytext=(7, _ABOVE.get(name, -3)),
            textcoords="offset points", color=colour, fontsize=8,
        )  # fmt: skip
    paper = [cost for cost in COMPLEXITY if cost.is_poseformer]
    axes.plot(
        [cost.frames for cost in paper], [cost.mflop for cost in paper], "x", color=INK,
        markersize=8, label="the paper's figures (unverified), worked out by hand",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(GROWTH, [str(f) for f in GROWTH])
    axes.set_xticks([], minor=True)
    axes.set_xlim(GROWTH[0] * 0.85, GROWTH[-1] * 1.6)
    axes.set_xlabel("frames in a window", fontsize=9, color=INK)
    axes.set_ylabel("million operations a pose", fontsize=9, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    draw.title(figure, "Table 6: what a pose costs, counted while the network runs")
    return draw.save(figure, out)
