"""Table 6: the cost of PoseFormer, and its growth with the window."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.benchmark import Timer

from vidpose.evaluation.published import COMPLEXITY, Cost
from vidpose.events import Info
from vidpose.models import JointTransformer, LiftingModel, PoseFormer, TemporalTransformer, flops
from vidpose.paper import draw
from vidpose.paper.options import ExperimentOptions
from vidpose.paper.workspace import Workspace
from vidpose.render.plots import (
    COLOURS,
    INK,
    TICK_PT,
    figure_title,
    grid_lines,
    legend,
    line_style,
    new_figure,
    plain,
)
from vidpose.utils.tables import aligned

FRAMES = (9, 27, 81)
"""The paper's windows."""
GROWTH = (9, 27, 81, 243)
"""The windows for which the growth of the cost is shown."""
BATCH = 32
SECONDS = 2.0
"""Approximate duration of each speed measurement."""


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """One network's cost; a multiply-add counts as two operations."""

    model: str
    frames: int
    parameters: int
    counted: int
    """Operations per window."""
    per_frame: float
    """Operations per video frame in sliding-window inference."""
    single: float | None = None
    """Poses per second, one window at a time."""
    batched: float | None = None
    """Poses per second, `BATCH` windows at a time."""
    sliding: float | None = None
    """Video frames per second in sliding-window inference."""


def complexity(name: str, workspace: Workspace, options: ExperimentOptions) -> list[Path]:
    """Reproduce Table 6: count operations, measure speed, report, write and draw."""
    frames = workspace.progress(FRAMES, len(FRAMES), "measuring")
    main = [measure(PoseFormer(frames=f), workspace.device) for f in frames]
    growth = [
        measure(kind(frames=f), None)
        for kind in (PoseFormer, JointTransformer, TemporalTransformer)
        for f in GROWTH
    ]
    where = machine(workspace.device)
    heading = f"Table 6: the cost of PoseFormer, without data. Speeds measured on {where}"
    workspace.report(Info(f"{heading}.\n{_text(main)}\n\n{_growth_text(growth)}"))
    rows = [_row(one, where) for one in main] + [_row(one, "") for one in growth]
    return [workspace.write_csv(name, rows), _draw(growth, heading, workspace.path(name, ".png"))]


def measure(model: LiftingModel, device: torch.device | None) -> NetworkCost:
    """Count a network's parameters and operations and, given a device, measure its speed."""
    config = model.config
    speeds: dict[str, float] = {}
    if device is not None:
        model = model.to(device).eval()
        windows = torch.randn(BATCH, config.frames, config.joints, 2, device=device)
        video = torch.randn(BATCH + config.frames - 1, config.joints, 2, device=device)
        speeds = {
            "single": 1 / seconds_of(lambda: model(windows[:1])),
            "batched": BATCH / seconds_of(lambda: model(windows)),
            "sliding": BATCH / seconds_of(lambda: model.slide(video)),
        }
    return NetworkCost(
        model=model.name,
        frames=config.frames,
        parameters=flops.parameters(model),
        counted=flops.per_window(model),
        per_frame=flops.per_frame(model, BATCH),
        **speeds,
    )


@torch.no_grad()
def seconds_of(run: Callable[[], Any]) -> float:
    """Return the median time of a run, after one warm-up run."""
    run()
    timer = Timer("run()", globals={"run": run}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=SECONDS).median


def machine(device: torch.device) -> str:
    """Describe the processor, or name the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {torch.get_num_threads()} threads"


def _paper(frames: int) -> Cost:
    return next(cost for cost in COMPLEXITY if cost.frames == frames and cost.is_poseformer)


def _text(main: list[NetworkCost]) -> str:
    rows = []
    for one in main:
        paper = _paper(one.frames)
        rows.append(
            [
                *(one.frames, f"{one.parameters:,}", f"{paper.parameters_m:.2f} M unverified"),
                *(f"{one.counted / 1e6:.1f}", f"{flops.papers_formula(one.frames) / 1e6:.1f}"),
                f"{paper.mflop:.0f} unverified",
                *(f"{speed:.0f}" for speed in (one.single, one.batched, one.sliding) if speed),
                f"{paper.frames_per_second} {paper.speed_mark}",
            ]
        )
    header = "f|parameters|paper|MFLOP counted|by hand|paper|poses/s, 1"
    header += f"|batch {BATCH}|sliding|paper"
    return (
        f"{aligned(rows, header.split('|'))}\n"
        "A multiply-add counts as two operations. by hand: the linear layers of four temporal "
        "blocks of width 512, without attention or spatial stage; the paper's figures agree with "
        "this count. sliding: over a video, where windows share the spatial stage. The paper's "
        "speeds were measured on another machine."
    )


def _growth_text(growth: list[NetworkCost]) -> str:
    rows = []
    for name, label in _LABELS.items():
        costs = _growth_of(name, growth)
        rows.append([label, *(f"{cost:,.0f}" for cost in costs), f"x{costs[-1] / costs[0]:.0f}"])
    header = ["MFLOP per pose", *(f"f={f}" for f in GROWTH), f"{GROWTH[-1]} to {GROWTH[0]}"]
    return (
        f"{aligned(rows, header)}\nThe frames grow {GROWTH[-1] // GROWTH[0]} times; any faster "
        "growth is quadratic in the window. Using all joints of all frames costs more than "
        f"PoseFormer from f={crossing()} on, and less below because its tokens are narrower."
    )


def _growth_of(model: str, growth: list[NetworkCost]) -> list[float]:
    """Return million operations for each window of `GROWTH`."""
    return [one.counted / 1e6 for one in growth if one.model == model]


_LABELS = {
    "poseformer": "PoseFormer, two stages",
    "joints": "all joints of all frames (Fig. 1b)",
    "temporal": "frames only, the baseline (Fig. 2a)",
}


_ABOVE = {"poseformer": 2, "temporal": -9}
"""Vertical offsets of the labels, in points, so that close ones do not overlap."""


def crossing() -> int:
    """Return the smallest window for which all joints of all frames cost more than two stages."""

    def costs_more(frames: int) -> bool:
        with torch.device("meta"):
            joints, stages = JointTransformer(frames=frames), PoseFormer(frames=frames)
        return flops.per_window(joints) > flops.per_window(stages)

    windows = range(1, 1000, 2)
    return windows[bisect_left(windows, True, key=costs_more)]


def _row(one: NetworkCost, where: str) -> dict[str, Any]:
    row = vars(one) | {"measured_on": where}
    if where:
        paper = _paper(one.frames)
        row |= {
            "by_hand_as_the_paper": flops.papers_formula(one.frames),
            "paper_parameters_million": paper.parameters_m,
            "paper_mflop": paper.mflop,
            "paper_frames_a_second": paper.frames_per_second,
            "paper_frames_a_second_mark": paper.speed_mark,
            "paper_other_marks": "unverified",
        }
    return row


def _draw(growth: list[NetworkCost], heading: str, out: Path) -> Path:
    figure = new_figure(8.0, 4.8)
    axes = plain(figure.add_subplot())
    for number, (name, label) in enumerate(_LABELS.items()):
        costs = _growth_of(name, growth)
        axes.plot(GROWTH, costs, marker="o", label=label, **line_style(number))
        axes.annotate(
            f"{costs[-1]:,.0f}", (GROWTH[-1], costs[-1]), xytext=(7, _ABOVE.get(name, -3)),
            textcoords="offset points", color=COLOURS[number], fontsize=TICK_PT,
        )  # fmt: skip
    paper = [cost for cost in COMPLEXITY if cost.is_poseformer]
    theirs = [cost.frames for cost in paper], [cost.mflop for cost in paper]
    label = "the paper's figures (unverified), counted by hand"
    axes.plot(*theirs, "x", color=INK, markersize=8, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(GROWTH, [str(f) for f in GROWTH])
    axes.set_xticks([], minor=True)
    axes.set_xlim(GROWTH[0] * 0.85, GROWTH[-1] * 1.6)
    axes.set_xlabel("frames per window")
    axes.set_ylabel("million operations per pose")
    grid_lines(axes, "both")
    legend(axes, "upper left")
    figure_title(figure, "Table 6: operations per pose, counted while the network runs")
    return draw.save(figure, out)
