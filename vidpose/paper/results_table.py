"""A table of the paper as text, CSV and picture: our numbers, and the paper's with their marks."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from collections.abc import Sequence as ListOf
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidpose.evaluation.evaluate import METRICS
from vidpose.evaluation.published import READ, UNVERIFIED, Figure
from vidpose.evaluation.tables import aligned
from vidpose.paper import Bench, draw
from vidpose.paper.runs import Numbers, mean_and_spread
from vidpose.render.plots import COLOURS, GRID, INK
from vidpose.utils.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"pck": "%", "auc": "%"}
"""Of metrics that are not in mm."""
MORE_IS_BETTER = ("pck", "auc")


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """A row of a table, measured once or several times."""

    name: str
    label: str
    runs: ListOf[Numbers]
    paper: Callable[[Figure], bool] | None = None
    """Tells the paper's own figures of this row."""
    missing: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def values(self, metric: str) -> list[float]:
        return [run.means[metric] for run in self.runs]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table with all that its readers have to know."""

    title: str
    data: str
    is_public: bool
    how: str
    metrics: tuple[str, ...]
    rows: ListOf[RowResult]
    published: tuple[Figure, ...]
    dataset: str
    """The paper's."""
    family: str = ""
    with_columns: bool = True
    with_others: bool = True
    note: str = ""
    compared: tuple[str, str] | None = None
    can_tell: bool = True
    """Data and budget are such that the outcome speaks of the paper's."""

    def key(self, metric: str) -> str:
        """The mean that is printed."""
        return f"{metric} of {self.family}" if self.family else metric

    @property
    def heading(self) -> str:
        return f"{self.title}\nData: {self.data}\nNetworks: {self.how}"

    def figures(self, row: RowResult, metric: str) -> list[Figure]:
        """What is in print of a row: the paper's own number, then others' measurements of it."""
        if row.paper is None:
            return []
        return [f for f in self.published if f.metric == metric and row.paper(f)]

    def figure(self, row: RowResult, metric: str) -> Figure | None:
        """The paper's own number for a row."""
        return next(iter(self.figures(row, metric)), None)

    def text(self) -> str:
        """For the terminal."""
        parts = [self.heading, *(self._block(metric) for metric in self.metrics)]
        if not self.is_public:
            parts.append(
                f"The paper's figures are of {self.dataset}, ours are not: they stand side by "
                "side, but cannot be compared."
            )
        parts += [part for part in (self._others(), self.outcome(), self.note) if part]
        marks = f"{READ}: in a public source; {UNVERIFIED}: not read in print, do not quote it."
        return "\n\n".join((*parts, marks))

    def _block(self, metric: str) -> str:
        columns = list(self.rows[0].runs[0].columns) if self.with_columns else []
        unit = UNITS.get(metric, "mm")
        title = f"{METRICS[metric]}, {unit}"
        mean_of = f"mean {self.family}".rstrip()
        rows = [[title, "f", "parameters", *columns, mean_of, "+-", f"paper, {self.dataset}"]]
        for row in self.rows:
            mean, spread = mean_and_spread(row.values(self.key(metric)))
            first = row.runs[0]
            cells = [
                f"{mean_and_spread([run.columns[c][metric] for run in row.runs])[0]:.1f}"
                for c in columns
            ]
            rows.append(
                [
                    *(row.label, str(first.frames), f"{first.parameters:,}", *cells),
                    *(f"{mean:.1f}", "" if spread is None else f"{spread:.1f}"),
                    self._paper_cell(row, metric),
                ]
            )
            figure = self.figure(row, metric)
            if figure and figure.groups and set(columns) & set(figure.groups):
                theirs = [f"{figure.groups[c]:.1f}" if c in figure.groups else "" for c in columns]
                rows.append([f"  {figure.method}, paper, {UNVERIFIED}", "", "", *theirs])
        return aligned(rows, left=(0, len(rows[0]) - 1))

    def _paper_cell(self, row: RowResult, metric: str) -> str:
        figures = self.figures(row, metric)
        if not figures:
            return row.missing
        window = f" (f={figures[0].frames})" if figures[0].frames != row.runs[0].frames else ""
        cells = [f"{f.value:.1f} {f.mark}" for f in figures]
        if not figures[0].same_protocol:
            cells[0] += " by its own protocol"
        return "; ".join([cells[0] + window, *(f"others, by ours: {c}" for c in cells[1:])])

    def _others(self) -> str:
        """What the papers print of others, and of this network with other windows."""
        lines: dict[tuple[str, int | None, str], dict[str, Figure]] = {}
        for f in self.published:
            if self.with_others and f.metric in self.metrics:
                lines.setdefault((f.method, f.frames, f.note), {})[f.metric] = f
        if not lines:
            return ""
        rows = [[f"in print, {self.dataset}", "f", *(METRICS[m] for m in self.metrics), "where"]]
        for (method, frames, note), by_metric in lines.items():
            cells = [
                f"{by_metric[m].value:.1f} {by_metric[m].mark}" if m in by_metric else ""
                for m in self.metrics
            ]
            sources = dict.fromkeys(f.source for f in by_metric.values() if f.source)
            rows.append(
                [
                    method,
                    str(frames or "?"),
                    *cells,
                    "; ".join((*sources, *([note] if note else []))),
                ]
            )
        return aligned(rows, left=(0, len(rows[0]) - 1))

    def outcome(self) -> str:
        """Whether the second of the two rows that are compared is better, seed by seed."""
        if self.compared is None:
            return ""
        by_name = {row.name: row for row in self.rows}
        if not set(self.compared) <= set(by_name):
            return ""
        without, with_it = (by_name[name] for name in self.compared)
        metric = self.metrics[0]
        before, after = (row.values(self.key(metric)) for row in (without, with_it))
        gains = [a - b for a, b in zip(before, after, strict=True)]
        mean, spread = mean_and_spread(gains)
        better = sum(gain > 0 for gain in gains)
        told = "better" if mean > 0 else "worse"
        figures = [self.figure(row, metric) for row in (without, with_it)]
        paper = ""
        if figures[0] and figures[1]:
            gain = figures[0].value - figures[1].value
            mark = READ if {f.mark for f in figures if f} == {READ} else UNVERIFIED
            paper = f" The paper, on {self.dataset}: {gain:.1f} mm better ({mark})."
            if not self.can_tell:
                paper += " At this budget, on these data, ours neither confirms nor refutes that."
        return (
            f'Outcome: "{with_it.label}" is {abs(mean):.1f} mm {told} than "{without.label}"'
            + ("" if spread is None else f" (standard deviation over seeds {spread:.1f})")
            + f", better with {better} of {len(gains)} seeds: "
            + ", ".join(f"{gain:+.1f}" for gain in gains)
            + f" mm.{paper}"
        )

    def per_run(self) -> Iterator[dict[str, Any]]:
        """One line per run."""
        for row in self.rows:
            for run in row.runs:
                yield {
                    **{"row": row.name, "label": row.label, "seed": run.seed, "data": self.data},
                    **{"model": run.model, "frames": run.frames, "parameters": run.parameters},
                    **{"epochs": run.epochs, "windows": run.windows, "keypoints": run.keypoints},
                    **row.settings,
                    **run.means,
                    **{
                        f"{metric} {column}": run.columns[column][metric]
                        for metric in self.metrics
                        for column in run.columns
                    },
                    "where": run.where,
                }

    def per_row(self) -> Iterator[dict[str, Any]]:
        """One line per row and metric: mean and spread, and the paper's figure."""
        for row in self.rows:
            for metric in self.metrics:
                mean, spread = mean_and_spread(row.values(self.key(metric)))
                figure = self.figure(row, metric)
                yield {
                    **{"row": row.name, "label": row.label, "metric": self.key(metric)},
                    **{"mean": mean, "standard_deviation": spread, "runs": len(row.runs)},
                    **{"data": self.data, "paper": figure and figure.value},
                    "paper_mark": figure.mark if figure else row.missing,
                    "paper_source": figure and figure.source,
                    "paper_dataset": figure and self.dataset,
                    "paper_frames": figure and figure.frames,
                    "paper_note": figure and figure.note,
                }


def write_sheet(sheet: Sheet, name: str, bench: Bench) -> list[Path]:
    """CSV of runs, CSV of means, picture."""
    return [
        write_csv(bench.path(name, ".csv"), list(sheet.per_run())),
        write_csv(bench.path(name, "_means.csv"), list(sheet.per_row())),
        picture(sheet, bench.path(name, ".png")),
    ]


def picture(sheet: Sheet, out: Path) -> Path:
    """A bar for each row's mean, a dot for each run; the paper's figures are written beside.

    Below them the means by column, if the table has columns.
    """
    count, panels = len(sheet.rows), len(sheet.metrics)
    bars, below = 0.3 + 0.42 * count, 3.2 if sheet.with_columns else 0.0
    figure = draw.new_figure(3.2 + 3.9 * panels, 1.6 + bars + below)
    heights = (bars, below) if below else (bars,)
    grid = figure.add_gridspec(len(heights), panels, height_ratios=heights)
    for number, metric in enumerate(sheet.metrics):
        _bars(draw.plain(figure.add_subplot(grid[0, number])), sheet, metric, first=not number)
        if below:
            _by_column(draw.plain(figure.add_subplot(grid[1, number])), sheet, metric)
    key = "Bars: means; dots: runs"
    if any(sheet.figure(row, metric) for row in sheet.rows for metric in sheet.metrics):
        key += f"; in brackets: the paper, on {sheet.dataset}"
    draw.title(figure, "\n".join((sheet.heading, key, sheet.outcome())))
    return draw.save(figure, out)


def _bars(axes: Axes, sheet: Sheet, metric: str, *, first: bool) -> None:
    """The rows' names stand at the first panel alone."""
    most = max(max(row.values(sheet.key(metric))) for row in sheet.rows)
    for place, row in enumerate(sheet.rows):
        values = row.values(sheet.key(metric))
        mean, spread = mean_and_spread(values)
        axes.barh(place, mean, 0.6, color=COLOURS[0], alpha=0.75)
        axes.plot(values, [place] * len(values), "o", color=INK, markersize=3)
        label = f"{mean:.1f}" + ("" if spread is None else f" ± {spread:.1f}")
        paper = sheet.figure(row, metric)
        if paper is not None:
            protocol = "" if paper.same_protocol else ", another protocol"
            label += f"   [paper {paper.value:.1f}, f={paper.frames}, {paper.mark}{protocol}]"
        axes.text(max(values) + 0.04 * most, place, label, va="center", fontsize=7, color=INK)
    axes.set_yticks(range(len(sheet.rows)), [row.label for row in sheet.rows] if first else [])
    axes.invert_yaxis()
    beside = any(sheet.figure(row, metric) for row in sheet.rows)
    axes.set_xlim(0, (1.95 if beside else 1.4) * most)
    better = "more" if metric in MORE_IS_BETTER else "less"
    unit, of = UNITS.get(metric, "mm"), f", {sheet.family}" if sheet.family else ""
    axes.set_xlabel(f"{METRICS[metric]}{of}, {unit}; {better} is better", fontsize=8, color=INK)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= most])
    axes.grid(axis="x", color=GRID, linewidth=0.8)


def _by_column(axes: Axes, sheet: Sheet, metric: str) -> None:
    columns = list(sheet.rows[0].runs[0].columns)
    for row, colour in zip(sheet.rows, cycle(COLOURS)):
        values = [sum(r.columns[c][metric] for r in row.runs) / len(row.runs) for c in columns]
        axes.plot(columns, values, "o-", color=colour, label=row.label, markersize=4, linewidth=1)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_ylabel(f"{METRICS[metric]}, {UNITS.get(metric, 'mm')}", fontsize=8, color=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.legend(fontsize=7, frameon=False, labelcolor=INK, ncols=2, loc="lower left")


def write_csv(path: Path, rows: ListOf[dict[str, Any]]) -> Path:
    """One line per row, whole or not at all; columns in the order in which rows name them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})
    return path


def _cell(value: Any) -> Any:
    """What is not known, or not a number, is left empty."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return round(value, 6) if isinstance(value, float) else value
