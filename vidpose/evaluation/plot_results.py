"""`vidpose plot`: read results and a reference, measure errors, draw and write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidpose.errors import UsageError
from vidpose.evaluation.alignment import ROOT
from vidpose.evaluation.distance_plots import error_figures, two_results_figure
from vidpose.evaluation.distances import (
    CSV_MARK,
    FORMAT,
    Errors,
    default_alignment,
    measure,
    summary,
    write_csv,
    write_json,
)
from vidpose.evaluation.options import PlotOptions
from vidpose.evaluation.reference import Reference, of_result, read_reference
from vidpose.events import FileWritten, Info, Report, Warn, ignore
from vidpose.poses import Pose3D, load, section
from vidpose.postprocess.quality import people_of
from vidpose.render.charts import MOST_SERIES
from vidpose.render.plots import save
from vidpose.render.result_plots import plot
from vidpose.utils.files import check_writable
from vidpose.utils.marks import check_numbers
from vidpose.utils.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_results(
    paths: Sequence[Path],
    out: Path | None = None,
    *,
    reference: Path | None = None,
    csv: Path | None = None,
    json: Path | None = None,
    options: PlotOptions | None = None,
    report: Report = ignore,
) -> list[Path]:
    """Plot one result, two results of one video, or one or several against a reference.

    Everything is read, measured and drawn before the first file is written.

    Args:
        paths: result files.
        out: folder for the plots; by default `<first result>_plots` next to the result.
        reference: see `vidpose.evaluation.reference.read_reference`.
        csv: file for the errors, one line for each person, frame and joint.
        json: file for their means, medians and quartiles.
        options: what to draw, and the alignment with the reference.
        report: receives the table of errors, warnings and written files.

    Returns:
        The paths of the files written.

    Raises:
        UsageError: the results are of different videos, there are too many, or an option does not
            apply; see also `measure` and `plot`.
        VidposeError: a file cannot be read or written.
    """
    options = options or PlotOptions()
    _check(paths, reference, options, csv, json)
    out = out or paths[0].with_name(f"{paths[0].stem}_plots")
    check_writable(out / "x.png")
    check_numbers(csv, CSV_MARK, json, FORMAT.encode())
    results, names = [load(path) for path in paths], _labels(paths)
    errors: list[Errors] = []
    numbers: dict[str, Any] = {}
    if reference is not None:
        errors, numbers, figures = _compare_with_reference(results, names, reference, options)
    elif len(results) == 2:
        errors, numbers, figures = _compare_two(results, names, options, report)
    else:
        figures = list(_plots_of_one(results[0], names[0], options))
    if errors:
        report(Info(_table(errors, numbers)))
    written = [save(f, out / f"{n}.{format}") for n, f in figures for format in options.formats]
    written += [write_csv(csv, errors)] if csv is not None else []
    written += [write_json(json, numbers)] if json is not None else []
    for path in written:
        report(FileWritten("Written", path))
    return written


def _check(
    paths: Sequence[Path], reference: Path | None, options: PlotOptions, *numbers: Path | None
) -> None:
    """Raise UsageError if an option does not apply or there are too many results."""
    if reference is None and len(paths) > 2:
        raise UsageError("give one result, two of one video, or several with --reference FILE.")
    compared = len(paths) > 1 or reference is not None
    for name in ("offset", "reference_fps"):
        if getattr(options, name) is not None and reference is None:
            raise UsageError(f"--{name.replace('_', '-')} goes with --reference FILE; give both.")
    if options.align is not None and not compared:
        raise UsageError("--align goes with --reference FILE or two results; give one of them.")
    if any(path is not None for path in numbers) and not compared:
        raise UsageError(
            "--csv and --json write errors against a --reference or a second result; give one, or "
            "use `vidpose export` for a result's joints."
        )
    if compared and (options.what or options.joints):
        raise UsageError("--what and --joints are for one result without --reference.")
    if options.joints and options.what and not {"trajectories", "speeds"} & set(options.what):
        raise UsageError("--joints is for trajectories and speeds; add one of them to --what.")
    inputs = {os.path.realpath(path) for path in (*paths, *([reference] if reference else []))}
    for path in numbers:
        if path is not None and os.path.realpath(path) in inputs:
            raise UsageError(f"{path} is an input; choose another name for --csv and --json.")


def _labels(paths: Sequence[Path]) -> list[str]:
    """File names without suffix, with the folder's name if two are the same."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return [f"{path.resolve().parent.name}/{path.stem}" for path in paths]


def _plots_of_one(result: Pose3D, name: str, options: PlotOptions) -> Iterator[tuple[str, Figure]]:
    for what in options.what or _possible(result):
        yield (
            what,
            plot(result, what, person=options.person, joints=options.joints or (), name=name),
        )


def _possible(result: Pose3D) -> tuple[str, ...]:
    """All plots; `quality` only if the quality report has every person."""
    always = ("trajectories", "angles", "speeds")
    reported = people_of(section(result.meta, "trust"))
    return (*always, "quality") if reported.keys() >= {*result.person_ids.tolist()} else always


def _compare_with_reference(
    results: Sequence[Pose3D],
    names: Sequence[str],
    path: Path,
    options: PlotOptions,
) -> tuple[list[Errors], dict[str, Any], list[tuple[str, Figure]]]:
    errors: list[Errors] = []
    reference: Reference | None = None
    for result, name in zip(results, names, strict=True):
        if reference is None or path.suffix.lower() == ".npy":  # .npy takes each result's times
            reference = read_reference(path, options.reference_fps, result.timestamps)
        how = options.align or default_alignment(reference)
        errors += measure(
            result,
            reference,
            how,
            label=name,
            person=options.person,
            offset_s=options.offset or 0.0,
        )
    assert reference is not None
    _check_count(errors)
    numbers = summary(errors, reference, how) | {"offset_s": options.offset or 0.0}
    return errors, numbers, list(error_figures(errors, reference, how))


def _compare_two(
    results: Sequence[Pose3D], names: Sequence[str], options: PlotOptions, report: Report
) -> tuple[list[Errors], dict[str, Any], list[tuple[str, Figure]]]:
    hashes = [section(result.meta, "source").get("sha256") for result in results]
    if None in hashes:
        report(Warn("a result does not name its video; vidpose assumes that both are of one."))
    elif hashes[0] != hashes[1]:
        raise UsageError(
            f"{names[0]} and {names[1]} are of different videos (their SHA-256 differ); give two "
            "results of one video, or one of them as --reference."
        )
    other, how = of_result(results[1], names[1]), options.align or ROOT
    differences = measure(
        results[0],
        other,
        how,
        label=names[0],
        person=options.person,
        same_video=results[1],
    )
    _check_count(differences)
    figure = two_results_figure(results, names, differences, how)
    return differences, summary(differences, other, how), [("two_results", figure)]


def _check_count(errors: Sequence[Errors]) -> None:
    if len(errors) > MOST_SERIES:
        raise UsageError(
            f"{len(errors)} people are too many for one plot; choose one with --person ID, or give "
            "fewer results."
        )


def _table(errors: Sequence[Errors], numbers: dict[str, Any]) -> str:
    """The matched people and their errors, for the terminal."""
    header = ["", "reference", "frames", "mean, mm", "median, mm"]
    rows = [
        [
            one["label"],
            f"person {one['reference_person']}" if one["reference_person"] else "the only person",
            one["frames"],
            f"{one['mean_mm']:.1f}",
            f"{one['median_mm']:.1f}",
        ]
        for one in numbers["people"]
    ]
    missing = ", ".join(numbers["missing_joints"])
    return "\n".join(
        [
            f"Reference: {numbers['reference']}. Alignment: {numbers['alignment']}, "
            f"{numbers['alignment_is']}.",
            *([f"Missing in the reference: {missing}."] if missing else []),
            aligned(rows, header, left=(0, 1)),
        ]
    )
