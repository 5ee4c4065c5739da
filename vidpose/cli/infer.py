"""`vidpose infer`, `lift` and `render`: from videos and 2D joints to 3D joints and pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import (
    DEVICE,
    FILE,
    FLIP,
    FOCAL,
    PRECISION,
    RIGID,
    VIEW,
    WEIGHTS,
    say,
)
from vidpose.errors import UsageError, VidposeError


def _numbers(text: str) -> list[float]:
    """`1,2.5` -> [1.0, 2.5]; empty if it is something else."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return []


def _horizon(ctx: click.Context, option: click.Parameter, value: str | None) -> Any:
    """`420` -> 420.0; `0,400,1919,440` -> [0.0, 400.0, 1919.0, 440.0]."""
    if value is None:
        return None
    numbers = _numbers(value)
    return numbers[0] if len(numbers) == 1 else numbers


def _heights(ctx: click.Context, option: click.Parameter, value: str | None) -> Any:
    """`178` -> 178.0; `1=178,2=165` -> {1: 178.0, 2: 165.0}."""
    if value is None:
        return None
    if len(numbers := _numbers(value)) == 1:
        return numbers[0]
    pairs = re.fullmatch(r"(\d+=\d+(\.\d+)?)(,\d+=\d+(\.\d+)?)*", value.replace(" ", ""))
    if pairs is None:
        raise UsageError(
            f"--height-cm {value}: give centimetres, as in 178, or ID=CM, as in 1=178,2=165."
        )
    return {int(name): float(cm) for name, cm in (p.split("=") for p in pairs[0].split(","))}


SMOOTH = click.Choice(["none", "savgol", "one-euro"])
FINISH = (
    click.option(
        "--world",
        is_flag=True,
        help="Find up and the floor, too, for a camera that stands still: joints_world in the "
        "result has z up and the floor at 0.",
    ),
    click.option(
        "--camera-pitch",
        type=float,
        metavar="DEG",
        help="For --world: the camera looks DEG degrees down. [default: up is found from the "
        "people's motion]",
    ),
    click.option(
        "--camera-roll",
        type=float,
        metavar="DEG",
        help="With --camera-pitch: upright things lean DEG degrees clockwise in the picture. "
        "[default: 0]",
    ),
    click.option(
        "--horizon",
        callback=_horizon,
        metavar="Y|X1,Y1,X2,Y2",
        help="For --world, instead of --camera-pitch: the horizon's height in pixels from the top, "
        "or two of its points.",
    ),
    click.option(
        "--height-cm",
        callback=_heights,
        metavar="CM|ID=CM,...",
        help="How tall people are: everybody, or by person id. [default: as ordinary adults]",
    ),
    click.option(
        "--smooth",
        type=SMOOTH,
        help="Smooth the joints over time. [default: savgol in pictures, none in the result]",
    ),
)


def _finish(command: Any) -> Any:
    """What is done after lifting, for the commands that lift."""
    for option in reversed(FINISH):
        command = option(command)
    return command


@click.command()
@click.argument(
    "videos", metavar="VIDEO|FOLDER|GLOB|LIST.txt...", nargs=-1, required=True, type=FILE
)
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("outputs"),
    show_default=True,
    help="Folder for the results: VIDEO's name with .npz, and with .mp4 for --render. Or, for one "
    "VIDEO, an .npz.",
)
@click.option(
    "--detector",
    type=click.Choice(["auto", "mediapipe", "hrnet", "cpn"]),
    default="auto",
    show_default=True,
    help="What finds the joints in the picture; auto: HRNet if its weights are here, else the "
    "embedded MediaPipe.",
)
@click.option(
    "--pose-weights",
    metavar="FILE|NAME",
    help="HRNet's or CPN's weights. [default: the best in the cache]",
)
@click.option(
    "--person-weights",
    metavar="FILE|NAME",
    help="RTMDet's weights, which finds the people for them. [default: the best in the cache]",
)
@click.option(
    "--detect-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Look for people every N frames, for HRNet and CPN; in between they are where they were "
    "last. [default: 8]",
)
@click.option(
    "--half/--no-half",
    default=None,
    help="Let HRNet and CPN compute in 16 bits. [default: where the hardware does]",
)
@click.option(
    "--flip-test/--no-flip-test",
    default=None,
    help="Let the detector look at the mirrored person, too: nearly twice its work, fewer mistakes "
    "about left and right. [default: with the embedded detector]",
)
@WEIGHTS
@DEVICE
@click.option(
    "--render/--no-render",
    default=False,
    show_default=True,
    help="Write a video with the 2D skeletons beside the 3D scene, too.",
)
@VIEW
@click.option("--start", type=float, metavar="S", help="Begin S seconds after the first frame.")
@click.option("--end", type=float, metavar="S", help="End S seconds after the first frame.")
@FOCAL
@FLIP
@RIGID
@PRECISION
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Follow no more people than this at a time.",
)
@click.option(
    "--longest",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep only the N people who are seen longest. [default: everybody]",
)
@_finish
@click.option(
    "--save-2d", is_flag=True, help="Write the 2D joints beside the result, too: VIDEO.2d.npz."
)
@click.option(
    "--save-mmpose",
    is_flag=True,
    help="Write them as MMPose's prediction JSON, too: VIDEO.mmpose.json.",
)
@click.option(
    "--relift",
    is_flag=True,
    help="Take the 2D joints from the result that is there, and only lift them again, with other "
    "--weights, --focal-px, --flip, --rigid, or what comes after it.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Work on so many videos at a time, each in a process of its own.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Work on a Ray cluster; `local` starts one here. Needs vidpose[ray].",
)
@click.option("--redo", is_flag=True, help="Of many videos, do those again that are done.")
def infer(
    videos: tuple[Path, ...],
    out: Path,
    half: bool | None,
    jobs: int,
    ray: str | None,
    redo: bool,
    **options: Any,
) -> None:
    """Turn videos of people into 3D joints.

    For every video a result file (.npz) is written into the output folder: 2D and 3D joints of
    everybody in every frame, with times and all that was used. If it is interrupted, the same
    command goes on where it was.

    FOLDER stands for all videos in it, GLOB for those that match, such as 'clips/*.mp4', and
    LIST.txt has a path a line. Of many videos those that are done are left alone, one that fails
    does not stop the others, and a table at the end says what became of each.
    """
    from vidpose.batch.run import find_videos, infer_many, table
    from vidpose.pipeline import infer
    from vidpose.postprocess.quality import trust_text
    from vidpose.render import check_out, parse_view
    from vidpose.utils.progress import bar

    options["half"] = "auto" if half is None else half
    parse_view(options["view"])
    found, looked = find_videos(list(videos), out)
    if options["render"]:
        for _, target in found:
            check_out(target.with_suffix(".mp4"))
    if len(found) == 1 and not looked and jobs == 1 and ray is None:
        result = infer(*found[0], **options, report=say, progress=bar("frames"))
        click.echo(trust_text(result.meta["trust"]))
        return
    one_by_one = jobs == 1 and ray is None
    outcomes = infer_many(
        list(videos),
        out,
        jobs=jobs,
        ray=ray,
        redo=redo,
        report=say,
        progress=bar("frames"),
        **({} if one_by_one else {"videos_progress": bar("videos")}),
        **options,
    )
    click.echo(table(outcomes))
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        raise VidposeError(f"{failed} of {len(outcomes)} videos failed; the reasons stand above.")


@click.command()
@click.argument("result", metavar="RESULT.npz", type=FILE)
@click.option("--video", type=FILE, help="The video it was made from. [default: where it was]")
@click.option("-o", "--out", type=FILE, help="The .mp4 to write. [default: RESULT.mp4]")
@VIEW
@click.option(
    "--smooth",
    type=SMOOTH,
    help="Smooth the joints over time, unless they are in the result. [default: as the result "
    "says, or savgol]",
)
def render(
    result: Path, video: Path | None, out: Path | None, view: str, smooth: str | None
) -> None:
    """Draw a result: the video with 2D skeletons beside the 3D scene."""
    from vidpose.poses import load
    from vidpose.render import parse_view, render_video, source_video
    from vidpose.utils.progress import bar

    parse_view(view)
    poses = load(result)
    out = out or result.with_suffix(".mp4")
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"-o {out}: give the name of the .mp4 to write.")
    for warning in render_video(
        poses,
        video or source_video(poses),
        out,
        view=view,
        smooth=smooth,
        progress=bar("frames"),
    ):
        click.echo(f"Warning: {warning}")
    click.echo(f"Video with skeletons: {out}")


def _size(ctx: click.Context, option: click.Parameter, value: str | None) -> Any:
    """`1920x1080` -> (1920, 1080)."""
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (re.fullmatch("[1-9][0-9]{0,5}", width) and re.fullmatch("[1-9][0-9]{0,5}", height)):
        raise click.BadParameter(f"{value}: give width and height in pixels, as in 1920x1080.")
    return int(width), int(height)


@click.command()
@click.argument("keypoints", type=FILE)
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("outputs"),
    show_default=True,
    help="Folder for the result, which takes KEYPOINTS' name, or an .npz.",
)
@click.option(
    "--format",
    type=click.Choice(["auto", "mmpose", "coco", "openpose", "alphapose", "npz"]),
    default="auto",
    show_default=True,
    help="What wrote the file; auto tells by its content.",
)
@click.option(
    "--skeleton",
    metavar="NAME",
    help="Whose joints they are, where the file cannot tell: h36m17, coco17, halpe26, "
    "openpose25, openpose18 or blazepose33.",
)
@click.option("--fps", type=float, metavar="N", help="Frames a second, where the file is silent.")
@click.option(
    "--size",
    callback=_size,
    metavar="WxH",
    help="Width and height of the picture in pixels, where the file is silent.",
)
@WEIGHTS
@DEVICE
@FOCAL
@FLIP
@RIGID
@PRECISION
@_finish
def lift(keypoints: Path, out: Path, **options: Any) -> None:
    """Lift 2D joints from elsewhere to 3D, without their video.

    KEYPOINTS is MMPose's prediction JSON, COCO JSON, a folder of OpenPose, alphapose-results.json,
    an .npz of vidpose (`infer --save-2d`, or a result to lift again), or a bare array (frames,
    joints, 2 or 3) in .npy or .npz.
    """
    from vidpose.pipeline import lift_file, lifted_path
    from vidpose.poses import extent
    from vidpose.postprocess.quality import trust_text
    from vidpose.utils.progress import bar

    result = lift_file(keypoints, out, **options, report=say, progress=bar("frames"))
    click.echo(f"{extent(result.people, result.frames)}: {lifted_path(keypoints, out)}")
    click.echo(trust_text(result.meta["trust"]))
