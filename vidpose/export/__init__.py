"""Export of results to other programs: one module per format, see docs/export.md."""

from __future__ import annotations

import glob
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.errors import UsageError
from vidpose.events import FileWritten, Info, Report, Warn, ignore
from vidpose.export import angles, bvh, c3d, csv, glb, json, parquet, trc
from vidpose.export.motion import of_people, only, pace_of
from vidpose.options import ExportOptions, check_format, flag
from vidpose.poses import Pose3D
from vidpose.utils.files import replacing
from vidpose.utils.marks import check_replaceable, holds_mark

MOST_TIMES_LONGER = 100
"""Maximum ratio of exported frames to the result's, in formats with a constant frame rate."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """An export format."""

    name: str
    """Also the suffix of its files, unless `ending` is given."""
    title: str
    """For messages."""
    write: Callable[[Pose3D, Path, str, ExportOptions], None]
    """Takes a result, the path to write to, the final name of the file, and options."""
    ending: str | None = None
    mark: bytes
    """Bytes near the beginning or end of our files that are in no other programs' files."""
    one_person: bool = False
    """A file holds one person."""
    has_up: bool = False
    """Its axes define up."""
    has_unit: bool = False
    """Takes the options `up` and `unit`."""
    one_rate: bool = False
    """Its frames are evenly spaced."""
    most_frames: int | None = None
    """Maximum number of frames in a file."""
    check_installed: Callable[[], None] = lambda: None
    """Raises a MissingDependencyError if a package that it needs is not installed."""

    @property
    def suffix(self) -> str:
        return self.ending or f".{self.name}"


FORMATS = {
    format.name: format
    for format in (
        Format(name="csv", title="CSV", write=csv.write, mark=csv.MARK),
        Format(
            name="angles",
            title="Joint angles as CSV",
            write=angles.write,
            ending=".angles.csv",
            mark=angles.MARK,
        ),
        Format(
            name="parquet",
            title="Parquet",
            write=parquet.write,
            mark=parquet.MARK,
            check_installed=parquet.check_installed,
        ),
        Format(name="json", title="COCO JSON", write=json.write, mark=json.MARK),
        Format(
            name="trc",
            title="TRC",
            write=trc.write,
            mark=trc.MARK,
            one_person=True,
            has_up=True,
            has_unit=True,
            one_rate=True,
        ),
        Format(
            name="c3d",
            title="C3D",
            write=c3d.write,
            mark=c3d.MARK,
            one_person=True,
            has_up=True,
            has_unit=True,
            one_rate=True,
            most_frames=c3d.MOST_FRAMES,
            check_installed=c3d.check_installed,
        ),
        Format(
            name="bvh",
            title="BVH",
            write=bvh.write,
            mark=bvh.MARK,
            one_person=True,
            has_up=True,
            has_unit=True,
            one_rate=True,
        ),
        Format(name="glb", title="glTF", write=glb.write, mark=glb.MARK, has_up=True),
    )
}


def export(
    result: Pose3D,
    path: str | Path,
    format: str,
    options: ExportOptions | None = None,
    *,
    report: Report = ignore,
) -> Path:
    """Export a result to one file, atomically.

    Args:
        result: the people.
        path: the file to write.
        format: one of `FORMATS`.
        options: axes, up and unit.
        report: called with each message.

    Raises:
        UsageError: there is no such format; nobody is in the result, or several people are and
            the format holds one; the format needs a world frame and the result has none; or
            `path` exists and vidpose did not write it.
        MissingDependencyError: a package that the format needs is not installed.
        VidposeError: the file cannot be written.
    """
    path, options = Path(path), options or ExportOptions()
    check_format(format)
    chosen = FORMATS[format]
    if chosen.one_person and result.people > 1:
        raise UsageError(
            f"{path}: {chosen.title} holds one person per file, and there are {result.people}; "
            "give --person ID, or a folder for all of them."
        )
    _check_chosen([chosen], options)
    _check(result, [(chosen, path)], options)
    _report_losses(result, [chosen], options, report)
    _write(result, path, chosen, options, report)
    return path


def export_files(
    result: Pose3D,
    stem: str | Path,
    options: ExportOptions,
    people: Sequence[int] | None = None,
    *,
    report: Report = ignore,
) -> list[Path]:
    """Export a result to all formats in `options.export`.

    In formats with one person per file, files of an earlier export are removed if their person is
    not in the result.

    Args:
        result: the people.
        stem: output path without the suffix: `out/walk` gives `out/walk.csv`, and
            `out/walk_person1.trc` in formats with one person per file.
        options: formats, axes, up and unit.
        people: ids of the people to export; by default everybody.
        report: called with each message.

    Returns:
        The files written. If one of them cannot be written, see `export`, none is.
    """
    stem, formats = Path(stem), [FORMATS[name] for name in options.formats]
    part = result if people is None else of_people(result, people)
    jobs = [job for format in formats for job in _files(part, stem, format)]
    _check_chosen(formats, options)
    _check(part, [(format, path) for format, path, _ in jobs], options)
    _report_losses(part, formats, options, report)
    for format, path, rows in jobs:
        _write(only(part, rows), path, format, options, report)
    written = [path for _, path, _ in jobs]
    kept: set[int] = set() if people is None else set(result.person_ids.tolist()) - set(people)
    for format in formats:
        if format.one_person:
            _remove_stale(stem, format, written, kept, report)
    return written


def check_options(options: ExportOptions, *, world: bool) -> None:
    """Check early that results can be exported with these options.

    Args:
        options: formats, axes, up and unit.
        world: whether the results will have a world frame.

    Raises:
        UsageError: an option does not go with the formats.
        MissingDependencyError: a package that a format needs is not installed.
    """
    formats = [FORMATS[name] for name in options.formats]
    _check_chosen(formats, options)
    for format in formats:
        format.check_installed()
        _check_up(format, options, world)


def check_before(stem: Path, options: ExportOptions, *, world: bool) -> None:
    """Check early that a result can be exported.

    Args:
        stem: see `export_files`.
        options: formats, axes, up and unit.
        world: whether the result will have a world frame.

    Raises:
        UsageError, MissingDependencyError, VidposeError: a check failed.
    """
    check_options(options, world=world)
    for format in (FORMATS[name] for name in options.formats):
        there = _of_any_person(stem, format) if format.one_person else [_named(stem, format)]
        for path in there:
            check_replaceable(path, format.mark)


def exported_files(stem: Path) -> list[Path]:
    """Existing files that exports of a result wrote; see `export_files` for `stem`."""
    found = []
    for format in FORMATS.values():
        there = _of_any_person(stem, format) if format.one_person else [_named(stem, format)]
        with suppress(OSError):  # not readable
            found += [path for path in there if path.is_file() and holds_mark(path, format.mark)]
    return found


def _named(stem: Path, format: Format, person: int | None = None) -> Path:
    mark = "" if person is None else f"_person{person}"
    return stem.with_name(f"{stem.name}{mark}{format.suffix}")


def _files(result: Pose3D, stem: Path, format: Format) -> list[tuple[Format, Path, list[int]]]:
    """The files of one format, and the rows of the people in each."""
    if not format.one_person:
        return [(format, _named(stem, format), list(range(result.people)))]
    return [
        (format, _named(stem, format, person), [row])
        for row, person in enumerate(result.person_ids.tolist())
        if _placed(result, row)
    ]


def _remove_stale(
    stem: Path, format: Format, written: Sequence[Path], kept: Container[int], report: Report
) -> None:
    """Remove our files of people who were in an earlier result but are not in this one.

    Args:
        stem: see `export_files`.
        format: a format with one person per file.
        written: the files just written.
        kept: ids of people whose files stay anyway.
        report: called with each file removed.
    """
    for path in sorted(_of_any_person(stem, format)):
        number = _person_of(path, stem, format)
        if path in written or int(number) in kept:
            continue
        if path.is_file() and not path.is_symlink() and holds_mark(path, format.mark):
            path.unlink()
            report(Info(f"Removed {path} of an earlier export: the result has no person {number}."))


def _of_any_person(stem: Path, format: Format) -> Iterator[Path]:
    """Existing files of any person."""
    for path in stem.parent.glob(f"{glob.escape(stem.name)}_person*{format.suffix}"):
        if _person_of(path, stem, format).isdecimal():
            yield path


def _person_of(path: Path, stem: Path, format: Format) -> str:
    return path.name.removeprefix(f"{stem.name}_person").removesuffix(format.suffix)


def _placed(result: Pose3D, row: int) -> bool:
    """Whether a person's position is known in any frame."""
    return bool((result.present[row] & np.isfinite(result.root_3d[row]).all(axis=1)).any())


def _check(result: Pose3D, files: list[tuple[Format, Path]], options: ExportOptions) -> None:
    """See `export`."""
    placed = any(_placed(result, row) for row in range(result.people))
    if not placed and (not files or any(format.has_up for format, _ in files)):
        raise UsageError("No person's position is known in this result; nothing was written.")
    if not result.present.any():
        raise UsageError("There is nobody in this result; nothing was written.")
    frames = pace_of(result.timestamps, result.fps).frames
    for format, path in files:
        if format.one_rate and frames > MOST_TIMES_LONGER * result.frames:
            raise UsageError(
                f"{format.title} has a constant frame rate, and gaps in this result would take "
                f"{frames} frames; make results of parts of the video with --start and --end."
            )
        if format.most_frames is not None and frames > format.most_frames:
            raise UsageError(
                f"{format.title} holds up to {format.most_frames} frames and there are {frames}; "
                "choose TRC, or make results of parts of the video with --start and --end."
            )
        format.check_installed()
        _check_up(format, options, result.camera_to_world is not None)
        check_replaceable(path, format.mark)


def _check_up(format: Format, options: ExportOptions, world: bool) -> None:
    if format.has_up and options.axes == "world" and not world:
        raise UsageError(
            f"{format.title} needs a world frame; make the result with --world, or give --axes "
            "camera to use the camera frame, as if the camera were level."
        )


def _chosen(options: ExportOptions) -> dict[str, Callable[[Format], bool]]:
    """For each option that was given, whether a format takes it."""
    given = {"up": options.up, "unit": options.unit}
    takes: dict[str, Callable[[Format], bool]]
    takes = {name: lambda f: f.has_unit for name, value in given.items() if value is not None}
    if options.axes == "camera":
        takes["axes"] = lambda f: f.has_up
    return takes


def _check_chosen(formats: Sequence[Format], options: ExportOptions) -> None:
    """Raise a UsageError if an option was given that none of the formats takes."""
    for name, takes in _chosen(options).items():
        if not any(takes(format) for format in formats):
            able = " or ".join(format.name for format in FORMATS.values() if takes(format))
            why = f"has no effect on {_titles(formats)}" if formats else "needs --export"
            raise UsageError(f"{flag(name)} {why}; leave it out, or export to {able}.")


def _titles(formats: Sequence[Format]) -> str:
    return ", ".join(format.title for format in formats)


def _report_losses(
    result: Pose3D, formats: Sequence[Format], options: ExportOptions, report: Report
) -> None:
    """Report what formats cannot represent, and options that they do not take."""
    for name, takes in _chosen(options).items():
        if without := [format for format in formats if not takes(format)]:
            report(Info(f"{flag(name)} has no effect on {_titles(without)}."))
    nowhere = [
        str(number)
        for row, number in enumerate(result.person_ids.tolist())
        if not _placed(result, row)
    ]
    if nowhere and (placing := [format for format in formats if format.has_up]):
        report(
            Warn(
                f"The position of person {', '.join(nowhere)} in the scene is unknown; "
                f"{_titles(placing)} {'does' if len(placing) == 1 else 'do'} not contain "
                f"{'this person' if len(nowhere) == 1 else 'these people'}."
            )
        )
    even = [format.title for format in formats if format.one_rate]
    pace = pace_of(result.timestamps, result.fps)
    if even and not pace.even:
        report(
            Info(
                f"The video's frame rate varies; in {', '.join(even)} the joints are interpolated "
                f"to its average, {pace.fps:g} frames/s."
            )
        )
    known = result.present & np.isfinite(result.root_3d).all(axis=2)
    gaps = known.any(axis=1) & ~known.all(axis=1)  # people without a position have no BVH file
    if any(format.name == "bvh" for format in formats) and gaps.any():
        who = [str(number) for number in result.person_ids[gaps].tolist()]
        report(
            Info(
                f"BVH cannot represent gaps; while person {', '.join(who)} "
                f"{'is' if len(who) == 1 else 'are'} absent, the last pose is held."
            )
        )


def _write(
    result: Pose3D, path: Path, format: Format, options: ExportOptions, report: Report
) -> None:
    with replacing(path) as temporary:
        format.write(result, temporary, path.name, options)
    report(FileWritten(format.title, path))
