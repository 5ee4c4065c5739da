"""A table of the paper as text, CSV and plot: our numbers, and the paper's with their marks."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidpose.evaluation.evaluate import METRICS
from vidpose.evaluation.published import READ, UNVERIFIED, PublishedNumber, published
from vidpose.evaluation.tables import published_table
from vidpose.paper import draw
from vidpose.paper.datasets import PUBLIC, ExperimentData
from vidpose.paper.runs import RunResult, mean_and_spread
from vidpose.paper.tables import Experiment, Row
from vidpose.paper.workspace import Workspace
from vidpose.render.plots import (
    COLOURS,
    INK,
    NOTE_PT,
    figure_title,
    grid_lines,
    line_style,
    names_below,
    new_figure,
    plain,
)
from vidpose.utils.tables import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"pck": "%", "auc": "%"}
"""Units of the metrics that are not in mm."""
HIGHER_IS_BETTER = ("pck", "auc")


class RowResult(NamedTuple):
    """A row of a table and its runs, one per seed."""

    row: Row
    runs: ListOf[RunResult]

    def values(self, metric: str) -> list[float]:
        return [run.means[metric] for run in self.runs]

    def column(self, name: str, metric: str) -> float:
        """Return the mean over the runs in one column of the table."""
        return mean_and_spread([run.columns[name][metric] for run in self.runs])[0]


@dataclass(frozen=True, kw_only=True)
class ResultsTable:
    """A table's results, with the data and the budget they were measured with."""

    experiment: Experiment
    data: ExperimentData
    how: str
    """The networks' budget, in words."""
    rows: ListOf[RowResult]
    can_confirm: bool = True
    """Whether data and budget are the paper's, so that the outcome can confirm or refute it."""

    @property
    def family(self) -> str:
        """The family of columns that the mean is over; empty: all columns."""
        is_same = self.data.dataset.name == self.experiment.dataset
        return self.experiment.family if is_same else ""

    @property
    def paper_dataset(self) -> str:
        return PUBLIC[self.experiment.dataset]

    @property
    def published(self) -> tuple[PublishedNumber, ...]:
        """Published numbers; none if ours are on other test subjects of the same dataset."""
        if self.data.is_public and not self.data.has_test_subjects:
            return ()
        return published(self.experiment.dataset, self.experiment.keypoints or "gt")

    def key(self, metric: str) -> str:
        """Return the key of the printed mean in `RunResult.means`."""
        return f"{metric} of {self.family}" if self.family else metric

    @property
    def heading(self) -> str:
        return f"{self.experiment.title}\nData: {self.data.description}\nNetworks: {self.how}"

    def published_for(self, result: RowResult, metric: str) -> list[PublishedNumber]:
        """Return a row's published numbers: the paper's, then those others measured for it."""
        return [
            number
            for number in self.published
            if number.metric == metric and (number.method, number.frames) == result.row.paper
        ]

    def paper_number(self, result: RowResult, metric: str) -> PublishedNumber | None:
        return next(iter(self.published_for(result, metric)), None)

    def text(self) -> str:
        """Format the table for the terminal."""
        metrics = self.experiment.metrics
        parts = [self.heading, *(self._block(metric) for metric in metrics)]
        if not self.data.is_public:
            parts.append(
                f"The paper's figures are of {self.paper_dataset}, ours are not; they cannot be "
                "compared."
            )
        elif not self.data.has_test_subjects:
            subjects = ", ".join(self.data.protocol.test_subjects)
            parts.append(
                f"Published figures are for the test subjects {subjects}, so they are not shown."
            )
        if self.experiment.with_others:
            printed = [number for number in self.published if number.metric in metrics]
            titles = (METRICS[metric] for metric in metrics)
            header = [f"published, {self.paper_dataset}", "f", *titles, "source"]
            parts.append(published_table(printed, metrics, header) if printed else "")
        note = self.experiment.note.format(protocol=self.data.protocol.name)
        marks = f"{READ}: in a public source; {UNVERIFIED}: not read in print, do not quote it."
        return "\n\n".join(filter(None, (*parts, self.outcome(), note, marks)))

    def _block(self, metric: str) -> str:
        columns = list(self.rows[0].runs[0].columns) if self.experiment.with_columns else []
        header = [f"{METRICS[metric]}, {UNITS.get(metric, 'mm')}", "f", "parameters", *columns]
        header += [f"mean {self.family}".rstrip(), "+-", f"paper, {self.paper_dataset}"]
        rows: list[list[object]] = []
        for result in self.rows:
            mean, spread = mean_and_spread(result.values(self.key(metric)))
            first = result.runs[0]
            rows.append(
                [
                    *(result.row.label, first.frames, f"{first.parameters:,}"),
                    *(f"{result.column(name, metric):.1f}" for name in columns),
                    *(f"{mean:.1f}", "" if spread is None else f"{spread:.1f}"),
                    self._paper_cell(result, metric),
                ]
            )
            paper = self.paper_number(result, metric)
            if paper and set(columns) & set(paper.groups):
                theirs = [f"{paper.groups[c]:.1f}" if c in paper.groups else "" for c in columns]
                rows.append([f"  {paper.method}, paper, {UNVERIFIED}", "", "", *theirs])
        return aligned(rows, header, left=(0, len(header) - 1))

    def _paper_cell(self, result: RowResult, metric: str) -> str:
        numbers = self.published_for(result, metric)
        if not numbers:
            return result.row.missing
        paper, frames = numbers[0], result.runs[0].frames
        cells = [f"{number.value:.1f} {number.mark}" for number in numbers]
        cells[0] += "" if paper.same_protocol else " with its own protocol"
        cells[0] += f" (f={paper.frames})" if paper.frames != frames else ""
        return "; ".join([cells[0], *(f"others, with ours: {cell}" for cell in cells[1:])])

    def outcome(self) -> str:
        """State whether the second of the two compared rows is better, also seed by seed."""
        results = {result.row.name: result for result in self.rows}
        compared = self.experiment.compared
        if compared is None or not set(compared) <= set(results):
            return ""
        without, with_it = (results[name] for name in compared)
        metric = self.experiment.metrics[0]
        before, after = (result.values(self.key(metric)) for result in (without, with_it))
        gains = [a - b for a, b in zip(before, after, strict=True)]
        mean, spread = mean_and_spread(gains)
        better = sum(gain > 0 for gain in gains)
        paper, numbers = "", [self.paper_number(result, metric) for result in (without, with_it)]
        if numbers[0] and numbers[1]:
            gain = numbers[0].value - numbers[1].value
            mark = READ if numbers[0].mark == numbers[1].mark == READ else UNVERIFIED
            paper = f" The paper, on {self.paper_dataset}: {gain:.1f} mm better ({mark})."
            if not self.can_confirm:
                paper += (
                    " At this budget, on these data, our result neither confirms nor refutes it."
                )
        return (
            f'Outcome: "{with_it.row.label}" is {abs(mean):.1f} mm '
            f'{"better" if mean > 0 else "worse"} than "{without.row.label}"'
            + ("" if spread is None else f" (standard deviation over seeds {spread:.1f})")
            + f", better for {better} of {len(gains)} seeds: "
            + ", ".join(f"{gain:+.1f}" for gain in gains)
            + f" mm.{paper}"
        )

    def per_run(self) -> Iterator[dict[str, Any]]:
        """Yield one CSV row per run."""
        for row, runs in self.rows:
            settings = {key: value for key, value in row.changes.items() if key != "model"}
            for run in runs:
                about = ("model", "frames", "parameters", "epochs", "windows", "keypoints")
                yield {
                    **{"row": row.name, "label": row.label, "seed": run.seed},
                    "data": self.data.description,
                    **{key: getattr(run, key) for key in about},
                    **settings,
                    **run.means,
                    **{
                        f"{metric} {column}": run.columns[column][metric]
                        for metric in self.experiment.metrics
                        for column in run.columns
                    },
                    "where": run.where,
                }

    def per_row(self) -> Iterator[dict[str, Any]]:
        """Yield one CSV row per row and metric: mean, standard deviation and paper's number."""
        for result in self.rows:
            for metric in self.experiment.metrics:
                mean, spread = mean_and_spread(result.values(self.key(metric)))
                paper = self.paper_number(result, metric)
                yield {
                    **{"row": result.row.name, "label": result.row.label},
                    **{"metric": self.key(metric), "mean": mean, "standard_deviation": spread},
                    **{"runs": len(result.runs), "data": self.data.description},
                    "paper": paper and paper.value,
                    "paper_mark": paper.mark if paper else result.row.missing,
                    "paper_source": paper and paper.source,
                    "paper_dataset": paper and self.paper_dataset,
                    "paper_frames": paper and paper.frames,
                    "paper_note": paper and paper.note,
                }

    def write(self, name: str, workspace: Workspace) -> list[Path]:
        """Write a CSV of the runs, a CSV of the means, and the plot."""
        return [
            workspace.write_csv(name, list(self.per_run())),
            workspace.write_csv(f"{name}_means", list(self.per_row())),
            draw_table(self, workspace.path(name, ".png")),
        ]


def draw_table(table: ResultsTable, out: Path) -> Path:
    """Draw a bar for each row's mean and a dot for each run, with the paper's number in brackets.

    The means by column are drawn below, if the table has columns.
    """
    metrics, with_columns = table.experiment.metrics, table.experiment.with_columns
    bars, below = 0.3 + 0.42 * len(table.rows), 3.2 if with_columns else 0.0
    figure = new_figure(3.2 + 3.9 * len(metrics), 1.6 + bars + below)
    heights = (bars, below) if below else (bars,)
    grid = figure.add_gridspec(len(heights), len(metrics), height_ratios=heights)
    for number, metric in enumerate(metrics):
        _bars(plain(figure.add_subplot(grid[0, number])), table, metric, first=not number)
        if below:
            _by_column(plain(figure.add_subplot(grid[1, number])), table, metric)
    key = "Bars: means; dots: runs"
    if any(table.paper_number(result, metric) for result in table.rows for metric in metrics):
        key += f"; in brackets: the paper, on {table.paper_dataset}"
    figure_title(figure, "\n".join((table.heading, key, table.outcome())))
    return draw.save(figure, out)


def _bars(axes: Axes, table: ResultsTable, metric: str, *, first: bool) -> None:
    """Draw the bars of one metric; only the first panel has the rows' names."""
    rows, key = table.rows, table.key(metric)
    most = max(max(result.values(key)) for result in rows) or 1.0
    for place, result in enumerate(rows):
        values = result.values(key)
        mean, spread = mean_and_spread(values)
        axes.barh(place, mean, 0.6, color=COLOURS[0], alpha=0.75)
        axes.plot(values, [place] * len(values), "o", color=INK, markersize=3)
        label = f"{mean:.1f}" + ("" if spread is None else f" ± {spread:.1f}")
        if paper := table.paper_number(result, metric):
            protocol = "" if paper.same_protocol else ", another protocol"
            label += f"   [paper {paper.value:.1f}, f={paper.frames}, {paper.mark}{protocol}]"
        axes.text(max(values) + 0.04 * most, place, label, va="center", fontsize=NOTE_PT, color=INK)
    axes.set_yticks(range(len(rows)), [result.row.label for result in rows] if first else [])
    axes.invert_yaxis()
    with_paper = any(table.paper_number(result, metric) for result in rows)
    axes.set_xlim(0, (1.95 if with_paper else 1.4) * most)
    better = "higher" if metric in HIGHER_IS_BETTER else "lower"
    unit, of = UNITS.get(metric, "mm"), f", {table.family}" if table.family else ""
    axes.set_xlabel(f"{METRICS[metric]}{of}, {unit}; {better} is better")
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= most])
    grid_lines(axes, "x")


def _by_column(axes: Axes, table: ResultsTable, metric: str) -> None:
    columns = list(table.rows[0].runs[0].columns)
    for number, result in enumerate(table.rows):
        values = [result.column(name, metric) for name in columns]
        label = result.row.label
        axes.plot(columns, values, label=label, marker="o", markersize=4, **line_style(number))
    axes.set_ylim(bottom=0)
    names_below(axes, range(len(columns)), columns)
    axes.set_ylabel(f"{METRICS[metric]}, {UNITS.get(metric, 'mm')}")
    grid_lines(axes)
    axes.legend(fontsize=NOTE_PT, frameon=False, labelcolor=INK, ncols=2, loc="lower left")
