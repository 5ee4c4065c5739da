"""A result as files for other programs: one file per format. docs/export.md describes them."""

from __future__ import annotations

import glob
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.errors import UsageError
from vidpose.events import FileWritten, Info, Report, Warn, ignore
from vidpose.export import angles, bvh, c3d, csv, glb, json, parquet, trc
from vidpose.export.motion import constant_rate, even_count, of_people, only
from vidpose.options import ExportOptions, check_format, flag
from vidpose.poses import Pose3D
from vidpose.utils.files import replacing
from vidpose.utils.marks import check_replaceable, holds_mark

MOST_TIMES_LONGER = 100
"""Times as many frames as the result's that a format of one rate may get."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that results can be written in."""

    name: str
    """Also the suffix of its files, unless `ending` is."""
    title: str
    """For messages."""
    write: Callable[[Pose3D, Path, str, ExportOptions], None]
    """Takes a result, where to write to, the name that the file will have, and options."""
    ending: str | None = None
    mark: bytes
    """What the beginning or the end of our files holds, and of no others."""
    one_person: bool = False
    """A file holds one person."""
    has_up: bool = False
    """Its axes say where up is."""
    has_unit: bool = False
    """Which axis points up, and the unit of length, can be chosen."""
    one_rate: bool = False
    """Its frames are evenly spaced."""
    most_frames: int | None = None
    """A file holds no more."""
    check_installed: Callable[[], None] = lambda: None
    """Raises MissingDependencyError: what it needs is not installed."""

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
    """Write a result to one file of another format; it appears whole or not at all.

    Args:
        result: the people.
        path: the file to write.
        format: one of `FORMATS`.
        options: axes, up and unit.
        report: takes messages.

    Raises:
        UsageError: there is no such format; nobody is in the result, or several people for a
            format of one; the format needs to know where up is and the result does not; or `path`
            is a file that vidpose did not write.
        MissingDependencyError: what the format needs is not installed.
        VidposeError: the file cannot be written.
    """
    path, options = Path(path), options or ExportOptions()
    check_format(format)
    chosen = FORMATS[format]
    if chosen.one_person and result.people > 1:
        raise UsageError(
            f"{path}: {chosen.title} holds one person a file, and there are {result.people}; give "
            "--person ID, or a folder for all of them."
        )
    _check_chosen([chosen], options)
    _check(result, [(chosen, path)], options)
    _say_what_is_lost(result, [chosen], options, report)
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
    """Write a result in all formats that `options.export` names.

    In formats of one person a file, files of an earlier export whose person is not in the result
    are removed.

    Args:
        result: the people.
        stem: where to, without the suffix: `out/walk` gives `out/walk.csv`, and
            `out/walk_person1.trc` in formats with one person a file.
        options: formats, axes, up and unit.
        people: only these, by id; by default everybody.
        report: takes messages.

    Returns:
        The files. Nothing is written if one of them cannot be, see `export`.
    """
    stem, formats = Path(stem), [FORMATS[name] for name in options.formats]
    part = result if people is None else of_people(result, people)
    jobs = [job for format in formats for job in _files(part, stem, format)]
    _check_chosen(formats, options)
    _check(part, [(format, path) for format, path, _ in jobs], options)
    _say_what_is_lost(part, formats, options, report)
    for format, path, rows in jobs:
        _write(only(part, rows), path, format, options, report)
    written = [path for _, path, _ in jobs]
    kept: set[int] = set() if people is None else set(result.person_ids.tolist()) - set(people)
    for format in formats:
        if format.one_person:
            _remove_of_nobody(stem, format, written, kept, report)
    return written


def check_before(stem: Path, options: ExportOptions, *, world: bool) -> None:
    """Find out before long work whether its result could be exported at its end.

    Args:
        stem: see `export_files`.
        options: formats, axes, up and unit.
        world: whether the result will know where up is.

    Raises:
        UsageError, MissingDependencyError, VidposeError: it could not.
    """
    formats = [FORMATS[name] for name in options.formats]
    _check_chosen(formats, options)
    for format in formats:
        format.check_installed()
        _check_up(format, options, world)
        there = _of_any_person(stem, format) if format.one_person else [_named(stem, format)]
        for path in there:
            check_replaceable(path, format.mark)


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


def _remove_of_nobody(
    stem: Path, format: Format, written: Sequence[Path], kept: Container[int], report: Report
) -> None:
    """Remove our own files of people who are not in the result: an earlier one had them.

    Args:
        stem: see `export_files`.
        format: one person a file.
        written: what has just been written.
        kept: ids of people whose files stay all the same.
        report: takes what was removed.
    """
    for path in sorted(_of_any_person(stem, format)):
        number = path.name.removeprefix(f"{stem.name}_person").removesuffix(format.suffix)
        if path in written or not number.isdecimal() or int(number) in kept:
            continue
        if path.is_file() and not path.is_symlink() and holds_mark(path, format.mark):
            path.unlink()
            report(Info(f"Removed {path}, of an earlier export: person {number} is not in it now."))


def _of_any_person(stem: Path, format: Format) -> Iterator[Path]:
    """The files that are there."""
    return stem.parent.glob(f"{glob.escape(stem.name)}_person*{format.suffix}")


def _placed(result: Pose3D, row: int) -> bool:
    """Whether it is known in some frame where a person is."""
    return bool((result.present[row] & np.isfinite(result.root_3d[row]).all(axis=1)).any())


def _check(result: Pose3D, files: list[tuple[Format, Path]], options: ExportOptions) -> None:
    """See `export`."""
    placed = any(_placed(result, row) for row in range(result.people))
    if not placed and (not files or any(format.has_up for format, _ in files)):
        raise UsageError("Nobody's place is known in any frame of this result; nothing is written.")
    if not result.present.any():
        raise UsageError("There is nobody in this result; nothing is written.")
    frames = even_count(result.timestamps, result.fps)
    for format, path in files:
        if format.one_rate and frames > MOST_TIMES_LONGER * result.frames:
            raise UsageError(
                f"{format.title} has one frame rate, and this result's times have gaps that would "
                f"take {frames} frames; make results of its parts with --start and --end."
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
            f"{format.title} needs to know where up is: make the result with --world, or give "
            "--axes camera to take the camera's own up, as if it were level."
        )


def _chosen(options: ExportOptions) -> dict[str, Callable[[Format], bool]]:
    """By the name of an option that was given: whether a format takes it."""
    given = {"up": options.up, "unit": options.unit}
    takes: dict[str, Callable[[Format], bool]]
    takes = {name: lambda f: f.has_unit for name, value in given.items() if value is not None}
    if options.axes == "camera":
        takes["axes"] = lambda f: f.has_up
    return takes


def _check_chosen(formats: Sequence[Format], options: ExportOptions) -> None:
    """Raises UsageError: an option was given that none of the formats takes."""
    for name, takes in _chosen(options).items():
        if not any(takes(format) for format in formats):
            able = " or ".join(format.name for format in FORMATS.values() if takes(format))
            why = f"changes nothing in {_titles(formats)}" if formats else "is about exported files"
            raise UsageError(f"{flag(name)} {why}; leave it out, or export to {able}.")


def _titles(formats: Sequence[Format]) -> str:
    return ", ".join(format.title for format in formats)


def _say_what_is_lost(
    result: Pose3D, formats: Sequence[Format], options: ExportOptions, report: Report
) -> None:
    """What formats cannot hold or do not take, one sentence for each matter."""
    for name, takes in _chosen(options).items():
        if without := [format for format in formats if not takes(format)]:
            report(Info(f"{flag(name)} changes nothing in {_titles(without)}."))
    nowhere = [
        str(number)
        for row, number in enumerate(result.person_ids.tolist())
        if not _placed(result, row)
    ]
    if nowhere and (placing := [format for format in formats if format.has_up]):
        report(
            Warn(
                f"It is never known where person {', '.join(nowhere)} "
                f"{'is' if len(nowhere) == 1 else 'are'} in the scene; {_titles(placing)} "
                f"{'does' if len(placing) == 1 else 'do'} without."
            )
        )
    even = [format.title for format in formats if format.one_rate]
    if even and constant_rate(result.timestamps, result.fps) is None:
        report(
            Info(
                f"The video's frame rate varies; in {', '.join(even)} the joints are interpolated "
                f"at its average, {result.fps:g} frames/s."
            )
        )
    absent = ~(result.present & np.isfinite(result.root_3d).all(axis=2))
    if any(format.name == "bvh" for format in formats) and absent.any():
        who = [str(number) for number in result.person_ids[absent.any(axis=1)].tolist()]
        report(
            Info(
                f"BVH has no gaps; where person {', '.join(who)} "
                f"{'is' if len(who) == 1 else 'are'} absent, the last pose is held."
            )
        )


def _write(
    result: Pose3D, path: Path, format: Format, options: ExportOptions, report: Report
) -> None:
    with replacing(path) as temporary:
        format.write(result, temporary, path.name, options)
    report(FileWritten(format.title, path))
