"""`vidpose infer`, `lift`, `render` and `export`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import FILE, refuse_given, results_to, say
from vidpose.cli.options import GroupedCommand, Number, Parsed, from_fields, headed
from vidpose.errors import UsageError, VidposeError
from vidpose.events import FileWritten, Warn
from vidpose.keypoint_formats import NAMES
from vidpose.options import (
    EXPORT_FORMATS,
    OUTPUT,
    STAGES,
    ExportOptions,
    InferOptions,
    LiftOptions,
    PostprocessOptions,
    RenderOptions,
    parse_size,
)

MANY = "Many videos"
INPUT = "Input file"


@click.command(cls=GroupedCommand)
@click.argument(
    "videos", metavar="VIDEO|FOLDER|GLOB|LIST.txt...", nargs=-1, required=True, type=FILE
)
@results_to(
    "Folder for the results: VIDEO.npz, and VIDEO.mp4 with --render. For a single VIDEO, also the "
    "name of an .npz.",
)
@from_fields(*STAGES)
@headed(
    OUTPUT,
    "--relift",
    is_flag=True,
    help="Take the 2D joints from the existing result and only lift them again, with other options "
    "of the lifter or of later stages.",
)
@headed(
    MANY,
    "--jobs",
    type=Number(int, 1),
    default=1,
    show_default=True,
    help="Number of videos to process in parallel, each in its own process.",
)
@headed(
    MANY,
    "--ray",
    metavar="ADDRESS",
    help="Run on a Ray cluster; `local` starts one on this machine. Needs vidpose[ray].",
)
@headed(MANY, "--redo", is_flag=True, help="Process videos again that are already done.")
def infer(
    videos: tuple[Path, ...],
    out: Path,
    relift: bool,
    jobs: int,
    ray: str | None,
    redo: bool,
    **options: Any,
) -> None:
    """Turn videos of people into 3D joints.

    Writes a result file (.npz) for every video: 2D and 3D joints of everybody in every frame, with
    timestamps, options and provenance. After an interruption, run the same command to continue.

    FOLDER stands for all videos in it, GLOB for those that match, such as 'clips/*.mp4', and
    LIST.txt has one path per line. With many videos, those already done are skipped, one that
    fails does not stop the others, and a table at the end lists the outcome of each.
    """
    from vidpose.batch.find import find_videos
    from vidpose.utils.progress import bar
    from vidpose.video import check_file

    if options["half"] is None:
        options["half"] = "auto"
    InferOptions.of(**options)  # checks them before the slow import of PyTorch
    if not options["render"]:
        refuse_given(("view", "width"), "needs --render; add it")
    found, looked = find_videos(list(videos), out)
    one_by_one = jobs == 1 and ray is None
    only_one = len(found) == 1 and not looked and one_by_one
    if only_one:
        check_file(found[0][0])  # before the slow import of PyTorch

    from vidpose.batch.run import infer_many, table
    from vidpose.pipeline import infer
    from vidpose.postprocess.quality import quality_text
    from vidpose.render import parse_view

    parse_view(options["view"])
    if only_one:
        result = infer(*found[0], relift=relift, report=say, progress=bar("frames"), **options)
        click.echo(quality_text(result.meta["trust"]))
        return
    outcomes = infer_many(
        list(videos),
        out,
        jobs=jobs,
        ray=ray,
        redo=redo,
        relift=relift,
        report=say,
        progress=bar("frames"),
        **({} if one_by_one else {"videos_progress": bar("videos")}),
        **options,
    )
    click.echo(table(outcomes))
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        raise VidposeError(f"{failed} of {len(outcomes)} videos failed; see the reasons above.")


@click.command()
@click.argument("result", metavar="RESULT.npz", type=FILE)
@click.option("--video", type=FILE, help="The source video. [default: its recorded path]")
@click.option("-o", "--out", type=FILE, help="The .mp4 to write. [default: RESULT.mp4]")
@click.option("--no-video", is_flag=True, help="Draw only the 3D scene.")
@from_fields(RenderOptions, only=("view", "width"))
@click.option(
    "--smooth",
    type=click.Choice(["none", "savgol", "one-euro"]),
    help="Smooth the joints over time, unless the result is already smoothed. [default: as the "
    "result records, or savgol]",
)
def render(
    result: Path,
    video: Path | None,
    out: Path | None,
    no_video: bool,
    view: str,
    width: int,
    smooth: str | None,
) -> None:
    """Draw a result as a video: 2D skeletons next to the 3D scene.

    For a result of `vidpose lift`, which has no video, only the 3D scene is drawn.
    """
    from vidpose.poses import load
    from vidpose.utils.progress import bar

    poses = load(result)  # before the slow imports for drawing

    from vidpose.render import parse_view, render_video, source_video

    parse_view(view)
    RenderOptions(width=width)  # checks it
    if video and no_video:
        raise UsageError("--video and --no-video contradict each other; give one of them.")
    out = out or result.with_suffix(".mp4")
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"-o {out}: give the name of the .mp4 to write.")
    drawn_on = None if no_video else video or source_video(poses)
    for warning in render_video(
        poses,
        drawn_on,
        out,
        view=view,
        width=width,
        smooth=smooth,
        report=say,
        progress=bar("frames"),
    ):
        say(Warn(warning))
    say(FileWritten("3D scene" if drawn_on is None else "Overlay video", out))


def _ids(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """`1,2` -> (1, 2)."""
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", value):
        raise click.BadParameter(f"{value}: give one or more person ids, as in 1,2.")
    return tuple(int(number) for number in value.split(","))


@click.command(cls=GroupedCommand)
@click.argument("keypoints", type=FILE)
@results_to("Folder for the result, which is named after KEYPOINTS, or the name of an .npz.")
@headed(
    INPUT,
    "--format",
    type=click.Choice(NAMES),
    default="auto",
    show_default=True,
    help="Format of the file; auto detects it from the content.",
)
@headed(
    INPUT,
    "--skeleton",
    metavar="NAME",
    help="Skeleton, if the file does not record it: h36m17, coco17, halpe26, halpe136, "
    "wholebody133, openpose25, openpose25b, openpose18 or blazepose33.",
)
@headed(
    INPUT,
    "--fps",
    type=Number(float),
    metavar="N",
    help="Frames per second, if the file does not record it.",
)
@headed(
    INPUT,
    "--size",
    type=Parsed(parse_size),
    metavar="WxH",
    help="Width and height of the frame in pixels, if the file does not record them.",
)
@headed(
    INPUT,
    "--video-name",
    metavar="NAME",
    help="Video or camera to lift, if the file holds several.",
)
@from_fields(LiftOptions, PostprocessOptions)
def lift(keypoints: Path, out: Path, **options: Any) -> None:
    """Lift 2D joints from other programs to 3D, without the video.

    KEYPOINTS is a file, or a folder with one file per frame: JSON of MMPose, COCO, OpenPose,
    Pose2Sim, AlphaPose, Ultralytics or MediaPipe; YOLO labels; a table of DeepLabCut or SLEAP; an
    .npz of vidpose (`infer --save-2d`, or a result to lift again); or a bare array (frames,
    joints, 2 or 3) in .npy or .npz. docs/keypoints.md describes all formats.
    """
    from vidpose.keypoints.base import check_exists
    from vidpose.keypoints.other_files import refuse_other_files

    # Checks that need no PyTorch, before its slow import.
    check_exists(keypoints)
    refuse_other_files(keypoints)
    LiftOptions.pick(options)
    PostprocessOptions.pick(options)

    from vidpose.from_keypoints import lift_file
    from vidpose.outputs import lifted_path
    from vidpose.poses import extent
    from vidpose.postprocess.quality import quality_text
    from vidpose.utils.progress import bar

    result = lift_file(keypoints, out, **options, report=say, progress=bar("frames"))
    say(FileWritten(extent(result.people, result.frames), lifted_path(keypoints, out)))
    click.echo(quality_text(result.meta["trust"]))


@click.command()
@click.argument("result", metavar="RESULT.npz", type=FILE)
@click.option(
    "--to",
    required=True,
    metavar="FORMAT,...",
    help=f"One or more of {', '.join(EXPORT_FORMATS)}.",
)
@click.option(
    "-o",
    "--out",
    type=FILE,
    help="Folder for the files, which are named after RESULT, or the name of a single file. "
    "[default: the folder of RESULT]",
)
@click.option(
    "--person",
    callback=_ids,
    metavar="ID,...",
    help="Only these people. [default: everybody]",
)
@from_fields(ExportOptions, only=("up", "unit", "axes"))
def export(
    result: Path, to: str, out: Path | None, person: tuple[int, ...] | None, **options: Any
) -> None:
    """Export a result for other programs: spreadsheets, OpenSim, Blender, the web.

    TRC, C3D and BVH hold one person per file: RESULT_person1.trc. docs/export.md describes the
    files and the programs that open them.
    """
    from vidpose.export import FORMATS, export, export_files
    from vidpose.export.motion import of_people
    from vidpose.poses import load

    chosen = ExportOptions(export=to, **options)
    poses = load(result)
    if out is not None and out.suffix and not out.is_dir():
        (name, *more) = chosen.formats
        if more or not FORMATS[name].suffix.endswith(out.suffix.lower()):
            raise UsageError(f"-o {out} does not fit --to {to}; give a folder.")
        poses = poses if person is None else of_people(poses, person)
        export(poses, out, name, chosen, report=say)
        return
    stem = (out or result.parent) / result.stem
    export_files(poses, stem, chosen, person, report=say)
