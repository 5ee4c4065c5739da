"""The output of `vidpose eval`: tables for the terminal, CSV, and JSON with the plots' data."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as ListOf
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.datasets.marks import NOT_REAL
from vidpose.evaluation.evaluate import METRICS, Evaluation, Floats, SequenceErrors
from vidpose.evaluation.published import POSEFORMER, READ, UNVERIFIED, PublishedNumber, published
from vidpose.skeleton import SKELETONS
from vidpose.utils.files import replacing
from vidpose.utils.tables import aligned

FORMAT = "vidpose-evaluation/1"
TABLES = ("action", "joint", "joint-action", "sequence")
CURVE_MM = np.arange(0.0, 201.0)
"""Thresholds of the cumulative error curve."""
WORST = 4
"""The number of sequences whose errors over time are drawn."""


def text(evaluations: ListOf[Evaluation], tables: Iterable[str] = ("action", "joint")) -> str:
    """Format a checkpoint's tables for the terminal.

    Args:
        evaluations: the result of `evaluate`; the tables show the first, and the table by action
            one line for each of the others.
        tables: the tables to show, of `TABLES`.
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
    """Format a table with one line per checkpoint."""
    rows = [[e.label, e.frames, *_cells(_values(e))] for e in firsts]
    table = aligned(rows, ["weights", "window", *METRICS.values()])
    return f"{mean_name(firsts[0])}, by checkpoint\n{table}"


def literature(e: Evaluation) -> str:
    """Format published results for this dataset and these 2D joints; empty if there are none."""
    numbers = published(e.dataset, e.keypoints)
    if not numbers:
        return ""
    if e.synthetic:
        return "Published figures are for the real dataset, so they are not shown."
    if not e.all_joints:
        return "Published figures are means over all joints, so they are not shown."
    if not _of_the_papers_subjects(e):
        subjects = ", ".join(e.protocol.test_subjects)
        return f"Published figures are for the test subjects {subjects}, so they are not shown."
    metrics = [key for key in METRICS if any(number.metric == key for number in numbers)]
    header = ["published by", "frames", *(METRICS[key] for key in metrics), "where, remarks"]
    return (
        f"{published_table(numbers, metrics, header)}\n"
        f"{READ}: in the named source; {UNVERIFIED}: not read in print, do not quote it."
    )


def published_table(
    numbers: Iterable[PublishedNumber], metrics: ListOf[str], header: ListOf[str]
) -> str:
    """Format one line per method and window: its number for each metric, source and remarks."""
    lines: dict[tuple[str, int | None, str], dict[str, PublishedNumber]] = {}
    for number in numbers:
        key = number.method, number.frames, number.note
        lines.setdefault(key, {})[number.metric] = number
    rows = []
    for (method, frames, note), by_metric in lines.items():
        cells = [
            marked(by_metric[metric].value, by_metric[metric].mark) if metric in by_metric else ""
            for metric in metrics
        ]
        if any(number.keypoints is None for number in by_metric.values()):
            note = "2D joints unknown"
        remarks = [*(number.source for number in by_metric.values()), note]
        rows.append(
            [method, frames or "?", *cells, "; ".join(filter(None, dict.fromkeys(remarks)))]
        )
    return aligned(rows, header, left=(0, len(header) - 1))


CSV_COLUMNS = (
    *("weights", "network", "window", "dataset", "keypoints", "protocol", "flip", "joints"),
    *("table", "group", "subject", "action", "camera", "joint", "frames", *METRICS),
)
CSV_MARK = ",".join(CSV_COLUMNS).encode()
"""The first line of our CSV files, by which `holds_mark` recognises them."""


def write_csv(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """Write one line per row of every table; the column `table` names the table.

    Raises:
        VidposeError: the file cannot be written.
    """
    with replacing(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, restval="")
        writer.writeheader()
        for e in evaluations:
            about = (
                *(e.label, e.network, e.frames, e.dataset, e.keypoints, e.protocol.name, e.flip),
                len(e.joint_names),
            )
            start = dict(zip(CSV_COLUMNS, about, strict=False))
            for row in _csv_rows(e):
                writer.writerow(start | row | _numbers({key: row[key] for key in METRICS}))


def write_json(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """Write all data of the tables and plots, with units in the names.

    Raises:
        VidposeError: the file cannot be written.
    """
    evaluations = list(evaluations)
    first = evaluations[0]
    content = {
        "format": FORMAT,
        "evaluations": [as_dict(evaluation) for evaluation in evaluations],
        "published": [vars(number) for number in _comparable(first)],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def as_dict(e: Evaluation) -> dict[str, Any]:
    """Convert an evaluation to JSON values; undefined numbers are null."""
    interval = e.interval(e.protocol.headline)
    low, high = e.spread()
    return {
        "weights": e.label,
        "sha256": e.sha256,
        "network": e.network,
        "window_frames": e.frames,
        "dataset": e.dataset,
        "synthetic": e.synthetic,
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
        "mean_of_groups": _numbers(e.all_metrics(e.by_group)),
        "all_frames": _numbers(e.all_metrics(e.pooled)),
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
            _about(s) | _numbers(e.all_metrics(s.means.__getitem__)) for s in e.sequences
        ],
        "cumulative": {"threshold_mm": _list(CURVE_MM), "percent": _list(e.cumulative(CURVE_MM))},
        "worst_sequences": [
            {"name": s.name, "seconds": _list(s.seconds), "mpjpe_mm": _list(s.mpjpe_mm.mean(1))}
            for s in e.worst(WORST)
        ],
    }


def _heading(e: Evaluation) -> str:
    excluded = [j for j in SKELETONS[e.skeleton].joint_names if j not in e.joint_names]
    joints = f"{len(e.joint_names)} joints"
    if excluded:
        joints += f" (without {', '.join(excluded)})"
    flip = "with" if e.flip else "without"
    data = f"{e.dataset}, {NOT_REAL}" if e.synthetic else e.dataset
    return (
        f"{e.label} ({e.network}, {e.frames} frames, {flip} flip averaging) on {data}, "
        f"2D joints: {e.keypoints}\n"
        f"Protocol {e.protocol.name}: {joints}, {len(e.sequences)} sequences, "
        f"{e.scored_frames} frames. Errors in mm, MPJVE in mm per frame, PCK and AUC in %."
    )


def _groups(evaluations: ListOf[Evaluation]) -> str:
    e = evaluations[0]
    paper = [
        number
        for number in _comparable(e)
        if number.method.startswith(POSEFORMER)
        and number.frames == e.frames
        and number.same_protocol
    ]
    titles = [f"{n.method} f={n.frames} {METRICS[n.metric]}" for n in paper]
    rows: list[list[object]] = []
    for name in e.groups:
        theirs = [marked(n.groups.get(name), UNVERIFIED) for n in paper]
        rows.append([name, _frames(e, name), *_cells(_values(e, name)), *theirs])
    rows.append([])
    for name, groups in e.families.items():
        whole = _has_all_rows(e, name)
        theirs = [marked(n.value, n.mark) if whole and n.of == name else "" for n in paper]
        frames = sum(_frames(e, group) for group in groups)
        rows.append([f"mean {name}", frames, *_cells(_family(e, name)), *theirs])
    means = (True, e.by_group, mean_of_groups(e)), (False, e.pooled, "all frames")
    for of_groups, mean, name in means:
        is_headline = of_groups == e.protocol.mean_of_groups and _has_all_rows(e)
        theirs = [marked(n.value, n.mark) if is_headline and n.of is None else "" for n in paper]
        rows.append([name, e.scored_frames, *_cells(e.all_metrics(mean)), *theirs])
    for other in evaluations[1:]:
        name = f"{mean_name(other)}, {'with' if other.flip else 'without'} flip"
        rows.append([name, other.scored_frames, *_cells(_values(other))])
    table = aligned(rows, [e.protocol.groups_are, "frames", *METRICS.values(), *titles])
    if interval := e.interval(e.protocol.headline):
        low, high = interval
        table += (
            f"\n95 % interval of {METRICS[e.protocol.headline]}, {mean_name(e)}: {low:.1f} to "
            f"{high:.1f} (bootstrap over takes)"
        )
    return table


def _has_all_rows(e: Evaluation, family: str | None = None) -> bool:
    """Whether all rows are there that papers average, so that a mean compares with theirs."""
    rows = e.protocol.order if family is None else e.protocol.family(family, e.protocol.order)
    return set(rows) <= set(e.groups)


def _joints(e: Evaluation) -> str:
    columns = [e.per_joint(key) for key in METRICS]
    return _by_joint(e, columns, [f"joint, {mean_name(e)}", *METRICS.values()])


def _joints_by_group(e: Evaluation) -> str:
    columns = [e.per_joint("mpjpe_mm", name) for name in e.groups]
    return _by_joint(e, columns, ["MPJPE", *e.groups])


def _by_joint(e: Evaluation, columns: ListOf[Floats], header: list[str]) -> str:
    rows = zip(e.joint_names, *(map(_cell, column) for column in columns), strict=True)
    return aligned(rows, header)


def _sequences(e: Evaluation) -> str:
    rows = [[s.name, len(s), *_cells(e.all_metrics(s.means.__getitem__))] for s in e.sequences]
    return aligned(rows, ["sequence", "frames", *METRICS.values()])


def _comparable(e: Evaluation) -> tuple[PublishedNumber, ...]:
    comparable = e.all_joints and not e.synthetic and _of_the_papers_subjects(e)
    return published(e.dataset, e.keypoints) if comparable else ()


def _of_the_papers_subjects(e: Evaluation) -> bool:
    return e.protocol.comparable(s.subject for s in e.sequences)


def _csv_rows(e: Evaluation) -> Iterator[dict[str, Any]]:
    frames = e.scored_frames
    yield {"table": "mean of groups", "frames": frames} | e.all_metrics(e.by_group)
    yield {"table": "all frames", "frames": frames} | e.all_metrics(e.pooled)
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
        yield {"table": "sequence"} | _about(s) | e.all_metrics(s.means.__getitem__)


def _about(s: SequenceErrors) -> dict[str, Any]:
    names = {key: getattr(s, key) for key in ("subject", "action", "camera", "group")}
    return names | {"frames": len(s)}


def _values(e: Evaluation, group: str | None = None) -> dict[str, float]:
    return e.all_metrics(lambda key: e.per_joint(key, group))


def _family(e: Evaluation, name: str) -> dict[str, float]:
    return e.all_metrics(lambda key: e.by_group(key, e.families[name]))


def _frames(e: Evaluation, group: str) -> int:
    return sum(map(len, e.groups[group]))


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


def marked(value: float | None, mark: str) -> str:
    return "" if value is None else f"{value:.1f} {mark}"


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {key: _number(value) for key, value in values.items()}


def _list(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]
