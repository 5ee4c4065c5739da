"""What `vidpose eval` writes: tables for the terminal, CSV, and JSON to draw everything again."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.evaluation.evaluate import METRICS, Evaluation
from vidpose.evaluation.published import POSEFORMER, READ, UNVERIFIED, Figure, published
from vidpose.skeleton import SKELETONS
from vidpose.utils.files import replacing

FORMAT = "vidpose-evaluation/1"
TABLES = ("action", "joint", "joint-action", "sequence")
CURVE_MM = np.arange(0.0, 201.0)
"""Where the cumulative error curve is drawn."""
WORST = 4
"""Sequences whose errors over time are drawn."""


def text(evaluations: ListOf[Evaluation], tables: Iterable[str] = ("action", "joint")) -> str:
    """A checkpoint's tables, aligned for the terminal.

    Args:
        evaluations: as `evaluate` returns them; the tables are the first's, the others give a
            line each.
        tables: which of `TABLES`.
    """
    first = evaluations[0]
    make = {
        "action": lambda: _groups(evaluations),
        "joint": lambda: _joints(first),
        "joint-action": lambda: _joints_by_group(first),
        "sequence": lambda: _sequences(first),
    }
    return "\n\n".join([_heading(first), *(make[table]() for table in tables)])


def comparison(firsts: ListOf[Evaluation]) -> str:
    """One line for each checkpoint."""
    rows = [["weights", "window", *METRICS.values()]]
    rows += [[e.label, str(e.frames), *_cells(_values(e))] for e in firsts]
    return f"{mean_name(firsts[0])}, by checkpoint\n{aligned(rows)}"


def literature(e: Evaluation) -> str:
    """What papers print for this dataset and these 2D joints, each with its mark; or nothing."""
    figures = published(e.dataset, e.keypoints)
    if not figures:
        return ""
    if not e.all_joints:
        return "Published figures are means over all joints; they are left out."
    metrics = [key for key in METRICS if any(figure.metric == key for figure in figures)]
    lines: dict[tuple[str, int | None, str], dict[str, Figure]] = {}
    for f in figures:
        lines.setdefault((f.method, f.frames, f.note), {})[f.metric] = f
    rows = [["published by", "frames", *(METRICS[key] for key in metrics), "where, remarks"]]
    for (method, frames, note), by_metric in lines.items():
        cells = [
            _marked(by_metric[key].value, by_metric[key].mark) if key in by_metric else ""
            for key in metrics
        ]
        remarks = dict.fromkeys(f.source for f in by_metric.values() if f.source)
        if any(f.keypoints is None for f in by_metric.values()):
            note = "which 2D joints is not known"
        remark = "; ".join((*remarks, *([note] if note else [])))
        rows.append([method, str(frames or "?"), *cells, remark])
    return (
        f"{aligned(rows, left=(0, len(rows[0]) - 1))}\n"
        f"{READ}: in the source named; {UNVERIFIED}: not read in print, do not quote it."
    )


def write_csv(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """One line per row of every table; the column `table` says of which.

    Raises:
        VidposeError: it cannot be written.
    """
    columns = (
        *("weights", "network", "window", "dataset", "keypoints", "protocol", "flip", "joints"),
        *("table", "group", "subject", "action", "camera", "joint", "frames", *METRICS),
    )
    with replacing(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        for evaluation in evaluations:
            about = {
                "weights": evaluation.label,
                "network": evaluation.network,
                "window": evaluation.frames,
                "dataset": evaluation.dataset,
                "keypoints": evaluation.keypoints,
                "protocol": evaluation.protocol.name,
                "flip": evaluation.flip,
                "joints": len(evaluation.joint_names),
            }
            for row in _csv_rows(evaluation):
                numbers = {key: _number(row[key]) for key in METRICS}
                writer.writerow(
                    about | row | {k: "" if n is None else n for k, n in numbers.items()}
                )


def write_json(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """Everything that tables and plots show, by names that say the unit.

    Raises:
        VidposeError: it cannot be written.
    """
    evaluations = list(evaluations)
    first = evaluations[0]
    content = {
        "format": FORMAT,
        "evaluations": [as_dict(evaluation) for evaluation in evaluations],
        "published": [vars(figure) for figure in _comparable(first)],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def as_dict(e: Evaluation) -> dict[str, Any]:
    """JSON values only; what is not a number is null."""
    interval = e.interval(e.protocol.headline)
    low, high = e.spread()
    return {
        "weights": e.label,
        "sha256": e.sha256,
        "network": e.network,
        "window_frames": e.frames,
        "dataset": e.dataset,
        "keypoints": e.keypoints,
        "protocol": e.protocol.name,
        "flip": e.flip,
        "skeleton": e.skeleton,
        "joints": list(e.joint_names),
        "pck_joints": [n for n, used in zip(e.joint_names, e.pck_joints, strict=True) if used],
        "frames": e.scored_frames,
        "headline": {
            "metric": e.protocol.headline,
            "mean": "groups" if e.protocol.mean_of_groups else "frames",
            "value": _number(e.value(e.protocol.headline)),
            "interval_95": interval and [_number(bound) for bound in interval],
        },
        "mean_of_groups": _numbers(_mean(e, "groups")),
        "all_frames": _numbers(_mean(e, "frames")),
        "means": {name: _numbers(_family(e, name)) for name in e.families},
        "groups": {
            name: {"frames": _frames(e, name)} | _numbers(_values(e, name)) for name in e.groups
        },
        "per_joint": {key: _list(e.per_joint(key)) for key in METRICS},
        "per_joint_quartiles_mm": {"25": _list(low), "75": _list(high)},
        "per_joint_and_group": {
            key: {name: _list(e.per_joint(key, name)) for name in e.groups} for key in METRICS
        },
        "sequences": [
            {
                "subject": s.subject,
                "action": s.action,
                "camera": s.camera,
                "group": s.group,
                "frames": len(s),
            }
            | _numbers({key: e.over_joints(key, s.means[key]) for key in METRICS})
            for s in e.sequences
        ],
        "cumulative": {
            "threshold_mm": _list(CURVE_MM),
            "percent": _list(e.cumulative(CURVE_MM)),
        },
        "worst_sequences": [
            {"name": s.name, "seconds": _list(s.seconds), "mpjpe_mm": _list(s.mpjpe_mm.mean(1))}
            for s in e.worst(WORST)
        ],
    }


def _heading(e: Evaluation) -> str:
    left_out = [j for j in SKELETONS[e.skeleton].joint_names if j not in e.joint_names]
    joints = f"{len(e.joint_names)} joints"
    if left_out:
        joints += f" (without {', '.join(left_out)})"
    flip = "with" if e.flip else "without"
    return (
        f"{e.label} ({e.network}, {e.frames} frames, {flip} flip averaging) on {e.dataset}, "
        f"2D joints: {e.keypoints}\n"
        f"Protocol {e.protocol.name}: {joints}, {len(e.sequences)} sequences, "
        f"{e.scored_frames} frames. Errors in mm, MPJVE in mm a frame, PCK and AUC in %."
    )


def _groups(evaluations: ListOf[Evaluation]) -> str:
    e = evaluations[0]
    beside = [
        figure
        for figure in _comparable(e)
        if figure.method.startswith(POSEFORMER)
        and figure.frames == e.frames
        and figure.same_protocol
    ]
    titles = [f"{f.method} f={f.frames} {METRICS[f.metric]}" for f in beside]
    rows = [[e.protocol.groups_are, "frames", *METRICS.values(), *titles]]
    for name in e.groups:
        paper = [_marked(f.groups.get(name), UNVERIFIED) for f in beside]
        rows.append([name, str(_frames(e, name)), *_cells(_values(e, name)), *paper])
    rows.append([])
    for name, groups in e.families.items():
        paper = [_marked(f.value, f.mark) if f.of == name else "" for f in beside]
        frames = str(sum(_frames(e, group) for group in groups))
        rows.append([f"mean {name}", frames, *_cells(_family(e, name)), *paper])
    for kind, name in (("groups", mean_of_groups(e)), ("frames", "all frames")):
        is_headline = (kind == "groups") == e.protocol.mean_of_groups
        paper = [_marked(f.value, f.mark) if is_headline and f.of is None else "" for f in beside]
        rows.append([name, str(e.scored_frames), *_cells(_mean(e, kind)), *paper])
    for other in evaluations[1:]:
        how = "with" if other.flip else "without"
        name = f"{mean_name(other)}, {how} flip"
        rows.append([name, str(other.scored_frames), *_cells(_values(other))])
    table = aligned(rows)
    interval = e.interval(e.protocol.headline)
    if interval:
        low, high = interval
        table += (
            f"\n95 % of {mean_name(e)}, {METRICS[e.protocol.headline]}: {low:.1f} to {high:.1f} "
            "(bootstrap over takes)"
        )
    return table


def _joints(e: Evaluation) -> str:
    means = {key: e.per_joint(key) for key in METRICS}
    rows = [[f"joint, {mean_name(e)}", *METRICS.values()]]
    for j, joint in enumerate(e.joint_names):
        rows.append([joint, *_cells({key: float(mean[j]) for key, mean in means.items()})])
    return aligned(rows)


def _joints_by_group(e: Evaluation) -> str:
    columns = [e.per_joint("mpjpe_mm", name) for name in e.groups]
    rows = [["MPJPE", *e.groups]]
    for j, joint in enumerate(e.joint_names):
        rows.append([joint, *(_cell(column[j]) for column in columns)])
    return aligned(rows)


def _sequences(e: Evaluation) -> str:
    rows = [["sequence", "frames", *METRICS.values()]]
    for s in e.sequences:
        values = {key: e.over_joints(key, s.means[key]) for key in METRICS}
        rows.append([s.name, str(len(s)), *_cells(values)])
    return aligned(rows)


def _comparable(e: Evaluation) -> tuple[Figure, ...]:
    return published(e.dataset, e.keypoints) if e.all_joints else ()


def _csv_rows(e: Evaluation) -> Iterator[dict[str, Any]]:
    frames = e.scored_frames
    yield {"table": "mean of groups", "frames": frames} | _mean(e, "groups")
    yield {"table": "all frames", "frames": frames} | _mean(e, "frames")
    for name in e.families:
        yield {"table": "mean", "group": name} | _family(e, name)
    for name in e.groups:
        yield {"table": "group", "group": name, "frames": _frames(e, name)} | _values(e, name)
    for group in (None, *e.groups):
        means = {key: e.per_joint(key, group) for key in METRICS}
        for j, joint in enumerate(e.joint_names):
            yield {
                "table": "joint" if group is None else "joint and group",
                "group": group or "",
                "joint": joint,
                "frames": frames if group is None else _frames(e, group),
            } | {key: float(mean[j]) for key, mean in means.items()}
    for s in e.sequences:
        yield {
            "table": "sequence",
            "group": s.group,
            "subject": s.subject,
            "action": s.action,
            "camera": s.camera,
            "frames": len(s),
        } | {key: e.over_joints(key, s.means[key]) for key in METRICS}


def _values(e: Evaluation, group: str | None = None) -> dict[str, float]:
    return {key: e.value(key, group) for key in METRICS}


def _mean(e: Evaluation, kind: str) -> dict[str, float]:
    mean = e.by_group if kind == "groups" else e.pooled
    return {key: e.over_joints(key, mean(key)) for key in METRICS}


def _family(e: Evaluation, name: str) -> dict[str, float]:
    return {key: e.over_joints(key, e.by_group(key, e.families[name])) for key in METRICS}


def _frames(e: Evaluation, group: str) -> int:
    return sum(len(e.sequences[i]) for i in e.groups[group])


def mean_of_groups(e: Evaluation) -> str:
    return {"action": "mean of actions", "subject": "mean of subjects"}.get(
        e.protocol.groups_are, "mean of all rows"
    )


def mean_name(e: Evaluation) -> str:
    return mean_of_groups(e) if e.protocol.mean_of_groups else "all frames"


def _cells(values: dict[str, float]) -> list[str]:
    return [_cell(values[key]) for key in METRICS]


def _cell(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def _marked(value: float | None, mark: str) -> str:
    return "" if value is None else f"{value:.1f} {mark}"


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {key: _number(value) for key, value in values.items()}


def _list(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


def aligned(rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    """Columns as wide as their widest cell, right-aligned but for `left`; [] is an empty line."""
    widths = [max(len(row[c]) for row in rows if c < len(row)) for c in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = (f"{cell:{'<' if c in left else '>'}{widths[c]}}" for c, cell in enumerate(row))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
