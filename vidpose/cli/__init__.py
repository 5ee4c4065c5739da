"""The `vidpose` command. Each command parses, calls one library function, and reports.

Nothing heavy is imported here at the top: `vidpose --help` answers at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import click

from vidpose import __version__
from vidpose.errors import UsageError, VidposeError

FILE = click.Path(path_type=Path)


class Commands(click.Group):
    """Turns an error meant for the user into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VidposeError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="vidpose %(version)s")
def main() -> None:
    """Video of people in, 3D joints out; and the place to train what lifts them."""
    # A job engine's SIGTERM ends the program like Ctrl-C: nothing half-written stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Threads that wait for work leave the cores to the other stages; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


# Options that several commands have.
WEIGHTS = click.option(
    "--weights",
    default="default",
    show_default=True,
    metavar="NAME|PATH",
    help="What lifts them to 3D: weights that come with vidpose, or a checkpoint.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where networks compute; auto takes a GPU if there is one.",
)
FOCAL = click.option(
    "--focal-px",
    type=float,
    metavar="PX",
    help="The camera's focal length in pixels. [default: the picture's longer side]",
)
FLIP = click.option(
    "--flip/--no-flip",
    default=True,
    show_default=True,
    help="Lift the mirror image too and average: better, and twice the work.",
)
RIGID = click.option(
    "--rigid/--no-rigid",
    default=True,
    show_default=True,
    help="Give every bone of a person one length, the median of what was lifted.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="What the lifter computes in; auto: bf16 where the hardware does. bf16 moves joints by "
    "less than a millimetre.",
)
VIEW = click.option(
    "--view",
    default="three-quarter",
    show_default=True,
    metavar="NAME|AZIMUTH,ELEVATION",
    help="Where the 3D panel looks from: three-quarter, front, side, top, or two angles in "
    "degrees.",
)


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


def _names(
    ctx: click.Context, option: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """`S1,S5` -> ("S1", "S5")."""
    return None if value is None else tuple(name.strip() for name in value.split(","))


DATA = click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Where the dataset is. [default: data, or data/synthetic]",
)
TEST_SUBJECTS = click.option(
    "--test-subjects",
    callback=_names,
    metavar="NAME,...",
    help="Whom to test on, and not to train on. [default: as the field does; for mocap 02,10,12]",
)


def _usual_data(dataset: str) -> Path:
    return Path("data/synthetic" if dataset == "synthetic" else "data")


@main.command()
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
        result = infer(*found[0], **options, report=_say, progress=bar("frames"))
        _say(trust_text(result.meta["trust"]))
        return
    one_by_one = jobs == 1 and ray is None
    outcomes = infer_many(
        list(videos),
        out,
        jobs=jobs,
        ray=ray,
        redo=redo,
        report=_say,
        progress=bar("frames"),
        **({} if one_by_one else {"videos_progress": bar("videos")}),
        **options,
    )
    _say(table(outcomes))
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    if failed:
        raise VidposeError(f"{failed} of {len(outcomes)} videos failed; the reasons stand above.")


@main.command()
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
        _say(f"Warning: {warning}")
    _say(f"Video with skeletons: {out}")


def _size(ctx: click.Context, option: click.Parameter, value: str | None) -> Any:
    """`1920x1080` -> (1920, 1080)."""
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (re.fullmatch("[1-9][0-9]{0,5}", width) and re.fullmatch("[1-9][0-9]{0,5}", height)):
        raise click.BadParameter(f"{value}: give width and height in pixels, as in 1920x1080.")
    return int(width), int(height)


@main.command()
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

    result = lift_file(keypoints, out, **options, report=_say, progress=bar("frames"))
    _say(f"{extent(result.people, result.frames)}: {lifted_path(keypoints, out)}")
    _say(trust_text(result.meta["trust"]))


@main.command()
@click.option(
    "--dataset",
    type=click.Choice(["h36m", "mpi_inf_3dhp", "humaneva", "mocap", "synthetic", "custom"]),
    required=True,
    help="mocap: a folder of BVH motion capture seen by random virtual cameras; synthetic: made "
    "on the spot.",
)
@DATA
@click.option(
    "--out", type=FILE, default=Path("outputs/train"), show_default=True, help="The run's folder."
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(["paper", "official", "vidpose"]),
    help="How to learn: as the paper says, as the official code's README says, or as our own "
    "weights. [default: paper; for mocap vidpose]",
)
@click.option("--keypoints", metavar="NAME", help="Where the dataset's 2D joints come from.")
@click.option(
    "--model", metavar="NAME", help="The network. [default: poseformer; for mocap sequence]"
)
@click.option("--frames", type=int, help="Frames in a window, odd. [default: 81, or the recipe's]")
@click.option("--embed-dim", type=int, help="Width of one joint's embedding. [default: 32]")
@click.option("--depth", type=int, help="Blocks in each stage. [default: 4]")
@click.option(
    "--stride",
    type=int,
    help="For the network sequence: frames from one window to the next, when it slides. "
    "[default: 4]",
)
@click.option("--epochs", type=int)
@click.option("--batch", type=int, help="Windows in a step, over all processes together.")
@click.option(
    "--accumulate", type=int, help="Parts in which a step is computed, to save memory. [default: 1]"
)
@click.option(
    "--optimizer",
    type=click.Choice(["adamw", "muon"]),
    help="muon: that for the matrices of a transformer's blocks, AdamW for the rest. "
    "[default: adamw; for mocap muon]",
)
@click.option("--lr", type=float, help="Learning rate at its highest.")
@click.option(
    "--velocity",
    type=float,
    help="For networks that answer for all frames of a window: how much the error of the joints' "
    "velocities counts. [default: 0; for mocap 3]",
)
@click.option(
    "--procrustes",
    type=float,
    help="How much the error counts that is left once each pose is moved, turned and scaled to "
    "fit. [default: 0; for mocap 1]",
)
@click.option(
    "--singles",
    is_flag=True,
    help="For mocap and the network sequence: learn from single frames, and leave what is known of "
    "other frames as it is.",
)
@click.option(
    "--ema",
    type=float,
    help="Measure and keep a moving average of the weights, of which this part stays at every "
    "step. [default: 0, none; for mocap 0.999]",
)
@click.option("--windows", type=int, help="Windows drawn for an epoch, for mocap.")
@TEST_SUBJECTS
@click.option(
    "--train-subjects", callback=_names, metavar="NAME,...", help="Whom to train on, likewise."
)
@click.option(
    "--actions", callback=_names, metavar="NAME,...", help="Only these groups of actions."
)
@click.option(
    "--select-on",
    type=click.Choice(["validation", "test"]),
    help="What chooses the best weights: takes of the training subjects that are set aside, or "
    "the test subjects, as the official code does. [default: validation]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "bf16", "fp32"]),
    help="auto: bf16 where the hardware computes in it.",
)
@click.option(
    "--init-from",
    metavar="NAME|PATH",
    help="Fine-tune: begin with these weights, also of another skeleton or number of frames.",
)
@click.option("--on-host", is_flag=True, help="For datasets larger than the GPU's memory.")
@click.option("--seed", type=int)
@DEVICE
def train(
    dataset: str,
    data: Path | None,
    out: Path,
    resume: bool,
    recipe_name: str | None,
    keypoints: str | None,
    test_subjects: tuple[str, ...] | None,
    train_subjects: tuple[str, ...] | None,
    actions: tuple[str, ...] | None,
    init_from: str | None,
    on_host: bool,
    device: str,
    **sizes: Any,
) -> None:
    """Train PoseFormer, or another lifting network.

    The run's folder gets log.csv, a line per epoch, and its picture; best.safetensors, the weights
    with the least validation error, and last.safetensors, the newest; and state.pt, from which
    --resume goes on. Ctrl-C saves the run. On several GPUs or machines:

        torchrun --nproc-per-node 2 -m vidpose train ...
    """
    from vidpose.training.distributed import join_world
    from vidpose.training.loop import run
    from vidpose.utils.progress import bar

    with join_world(device) as world:
        best = run(
            dataset,
            data or _usual_data(dataset),
            out,
            world,
            recipe=recipe_name,
            keypoints=keypoints,
            test_subjects=test_subjects,
            train_subjects=train_subjects,
            actions=actions,
            init_from=init_from,
            on_host=on_host,
            resume=resume,
            report=_say,
            progress=bar("steps"),
            **{name: value for name, value in sizes.items() if value is not None},
        )
        if world.is_first:
            _say(f"Best weights: {best}")


@main.group()
def prepare() -> None:
    """Turn the raw download of a dataset into the files that training reads.

    With --detector, it is the videos of the download that are turned into 2D joints.
    docs/prepare.md tells what to download, and where it goes.
    """


def _out(command: Any) -> Any:
    return click.option(
        "-o",
        "--out",
        type=FILE,
        default=Path("data"),
        show_default=True,
        help="Folder for the files.",
    )(command)


def _detection(command: Any) -> Any:
    """The options that turn videos into 2D joints."""
    for option in (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            help="Where the detector computes; auto takes a GPU if there is one. [default: auto]",
        ),
        click.option(
            "--detect-every",
            type=click.IntRange(min=1),
            metavar="N",
            help="Look for people every N frames, for HRNet and CPN. [default: 8]",
        ),
        click.option(
            "--person-weights",
            metavar="FILE|NAME",
            help="RTMDet's weights. [default: the best in the cache]",
        ),
        click.option(
            "--pose-weights",
            metavar="FILE|NAME",
            help="HRNet's or CPN's weights. [default: the best in the cache]",
        ),
        click.option(
            "--detector",
            type=click.Choice(["hrnet", "cpn", "mediapipe"]),
            help="Find the 2D joints in the videos below SOURCE, in place of reading its poses.",
        ),
    ):
        command = option(command)
    return command


@prepare.command("h36m")
@click.argument("source", type=FILE)
@_out
@_detection
def prepare_h36m(source: Path, out: Path, **options: Any) -> None:
    """Human3.6M: data_3d_h36m.npz and data_2d_h36m_gt.npz.

    SOURCE holds S1/MyPoseFeatures/D3_Positions/*.cdf or *.cdf.mat, or the old
    S1/MyPoses/3D_positions/*.h5, anywhere below it, or the archives they come in.
    """
    _prepare("h36m", source, out, options)


@prepare.command("mpi_inf_3dhp")
@click.argument("source", type=FILE)
@_out
@_detection
def prepare_mpi_inf_3dhp(source: Path, out: Path, **options: Any) -> None:
    """MPI-INF-3DHP: data_train_3dhp.npz and data_test_3dhp.npz.

    SOURCE holds S1/Seq1/annot.mat and TS1/annot_data.mat anywhere below it.
    """
    _prepare("mpi_inf_3dhp", source, out, options)


@prepare.command("humaneva")
@click.argument("source", type=FILE)
@_out
@_detection
def prepare_humaneva(source: Path, out: Path, **options: Any) -> None:
    """HumanEva-I: data_3d_humaneva15.npz and data_2d_humaneva15_gt.npz.

    SOURCE holds Train/S1/Walking_1.mat and so on anywhere below it, as VideoPose3D's
    ConvertHumanEva.m exports them.
    """
    _prepare("humaneva", source, out, options)


@prepare.command("synthetic")
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("data/synthetic"),
    show_default=True,
    help="Folder for the files; those in it are replaced.",
)
@click.option(
    "--layout",
    type=click.Choice(["h36m", "mpi_inf_3dhp", "humaneva"]),
    default="h36m",
    show_default=True,
    help="Whose files they are to be like.",
)
@click.option(
    "--subjects", callback=_names, metavar="NAME,...", help="As in that dataset. [default: all]"
)
@click.option(
    "--actions",
    callback=_names,
    metavar="NAME,...",
    help="As in that dataset, or all. [default: some of Human3.6M's]",
)
@click.option(
    "--seconds", type=float, default=3.0, show_default=True, help="How long every take is."
)
@click.option("--seed", type=int, default=0, show_default=True)
def prepare_synthetic(out: Path, actions: tuple[str, ...] | None, **options: Any) -> None:
    """Made-up people in the very files of a dataset.

    For trying out training and evaluation without licensed data: the numbers mean nothing for
    real people.
    """
    from vidpose.datasets import h36m
    from vidpose.datasets.synthetic import write_synthetic
    from vidpose.utils.progress import bar

    if actions == ("all",):
        actions = h36m.ACTIONS if options["layout"] == "h36m" else None
    written = write_synthetic(out, actions=actions, **options, progress=bar("takes"))
    for path in written:
        _say(f"Written: {path}")


def _prepare(dataset: str, source: Path, out: Path, options: dict[str, Any]) -> None:
    from vidpose.datasets.prepare import PREPARE
    from vidpose.utils.progress import bar

    given = {name: value for name, value in options.items() if value is not None}
    if given and "detector" not in given:
        raise UsageError(f"--{min(given).replace('_', '-')} goes with --detector.")
    if given:
        from vidpose.datasets.prepare.detections import detect_videos

        written = [
            detect_videos(dataset, source, out, **given, report=_say, progress=bar("frames"))
        ]
    else:
        written = [*PREPARE[dataset](source, out, report=_say, progress=bar("files"))]
    for path in written:
        _say(f"Written: {path}")


@main.command("eval")
@click.argument("more_weights", metavar="[WEIGHTS]...", nargs=-1)
@click.option(
    "--dataset",
    type=click.Choice(["h36m", "humaneva", "mpi_inf_3dhp", "mocap", "synthetic", "custom"]),
    required=True,
    help="Whose test sequences, and whose protocol.",
)
@DATA
@TEST_SUBJECTS
@click.option(
    "--actions", callback=_names, metavar="NAME,...", help="Only these groups of actions."
)
@click.option(
    "--weights",
    "weights_options",
    multiple=True,
    metavar="NAME|PATH",
    help="What is measured: weights that come with vidpose, or a checkpoint. [default: default]",
)
@click.option(
    "--compare",
    "together",
    is_flag=True,
    help="Measure two or more WEIGHTS, and draw them in one plot: --compare A B.",
)
@click.option(
    "--keypoints",
    metavar="NAME",
    help="The 2D joints to lift, as in data_2d_h36m_NAME.npz: cpn_ft_h36m_dbb, gt ... "
    "[default: the dataset's usual]",
)
@FLIP
@DEVICE
@click.option(
    "--joints",
    type=click.Choice(["14", "16", "17"]),
    help="Average over these joints: 16 leave out the root, 14 spine and nose, too. [default: all]",
)
@click.option(
    "--show",
    type=click.Choice(["action", "joint", "joint-action", "sequence"]),
    multiple=True,
    default=("action", "joint"),
    show_default=True,
    help="A table to print; may be given several times.",
)
@click.option("--csv", type=FILE, metavar="FILE", help="Write every table as CSV.")
@click.option("--json", type=FILE, metavar="FILE", help="Write all that tables and plots show.")
@click.option(
    "--plots",
    type=FILE,
    metavar="DIR",
    help="Draw the errors into this folder. [default, with --compare: outputs/eval]",
)
@click.option(
    "--action", metavar="NAME", help="Draw the errors by joint of this row of the table only."
)
def evaluate(
    more_weights: tuple[str, ...],
    weights_options: tuple[str, ...],
    together: bool,
    dataset: str,
    data: Path | None,
    test_subjects: tuple[str, ...] | None,
    actions: tuple[str, ...] | None,
    keypoints: str | None,
    joints: str | None,
    flip: bool,
    device: str,
    **outputs: Any,
) -> None:
    """Measure weights on a dataset, by the protocol of its papers.

    Every frame of the dataset's test sequences is lifted, at the dataset's own frame rate. Printed
    figures of papers stand beside ours, each marked as read or as unverified.
    """
    from vidpose.evaluation.compare import Outputs, compare
    from vidpose.utils.progress import bar

    names = weights_options + more_weights or ("default",)
    if together and len(names) < 2:
        raise UsageError("--compare needs two weights or more, as in: eval --compare A B.")
    if len(names) > 1:
        outputs["plots"] = outputs["plots"] or Path("outputs/eval")
    compare(
        names,
        dataset,
        data or _usual_data(dataset),
        keypoints=keypoints,
        test_subjects=test_subjects,
        actions=actions,
        flip=flip,
        joints=None if joints is None else int(joints),
        device=device,
        outputs=Outputs(**outputs),
        report=_say,
        progress=bar("sequences"),
    )


@main.command("paper")
@click.argument("name", metavar="TABLE|FIGURE")
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("outputs/paper"),
    show_default=True,
    help="Folder for NAME.csv, NAME.png and the runs; finished runs in it are not repeated.",
)
@click.option(
    "--data",
    type=FILE,
    default=Path("data"),
    show_default=True,
    help="Where the datasets are; what is missing is stood in for by DIR/mocap, if it is there, "
    "or by DIR/synthetic, which is made.",
    metavar="DIR",
)
@click.option("--mocap", type=FILE, metavar="DIR", help="Run on this motion capture.")
@TEST_SUBJECTS
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|PATH",
    help="Measure, or look into, these weights, and train nothing; may be given several times.",
)
@click.option(
    "--size",
    type=click.Choice(["small", "paper"]),
    help="What is trained: small networks that a CPU can train in a minute, or the paper's, with "
    "the recipe of `vidpose train`. [default: small]",
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Of each run.")
@click.option(
    "--fraction",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="X",
    help="The share of the training windows that an epoch goes through.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), metavar="N", help="Runs of each row. [default: 2]"
)
@click.option("--only", callback=_names, metavar="ROW,...", help="Only these rows of the table.")
@click.option("--action", metavar="NAME", help="figure3: the errors on this action.")
@click.option("--video", type=FILE, help="figure4, figure5, figure6: look at your own video.")
@click.option(
    "--sequence", metavar="SUBJECT/ACTION/CAMERA", help="figure4 to figure6: a test sequence."
)
@click.option(
    "--at", type=float, metavar="S", help="figure4 to figure6: the moment. [default: the middle]"
)
@DEVICE
def paper(name: str, out: Path, data: Path, device: str, **options: Any) -> None:
    """Rerun a table or figure of the PoseFormer paper: table1 to table7, figure3 to figure6.

    Each runs on whatever data is there and says on which; our numbers stand beside the paper's,
    each of those marked as read or as unverified. docs/paper.md has what each one shows.
    """
    from vidpose.paper import rerun
    from vidpose.utils.progress import bar

    given = {key: value for key, value in options.items() if value not in (None, ())}
    rerun(name, out, data, device=device, report=_say, progress=bar("steps"), **given)


@main.group()
def weights() -> None:
    """Trained networks: which there are, and fetching them.

    Nothing else in vidpose ever downloads anything.
    """


@weights.command("list")
def weights_list() -> None:
    """List all weights: what comes with vidpose, and what it can fetch."""
    from vidpose.zoo.registry import listing

    lines = listing()
    sizes = ["not known" if line.size is None else f"{line.size / 1e6:.1f} MB" for line in lines]
    widths = [max(len(line.name) for line in lines), max(len(line.what) for line in lines)]
    for line, size in zip(lines, sizes, strict=True):
        _say(f"{line.name:{widths[0]}}  {line.what:{widths[1]}}  {size:>9}  {line.state}")
        _say(f"    file     {line.path}")
        _say(f"    from     {line.source} (licence: {line.licence})")
        _say(f"    SHA-256  {line.sha256}")


@weights.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def weights_fetch(names: tuple[str, ...]) -> None:
    """Fetch weights into the cache, or verify those that are there.

    The cache is the folder VIDPOSE_CACHE, by default ~/.cache/vidpose.
    """
    from vidpose.utils.progress import bar
    from vidpose.zoo.registry import fetch

    for name in names:
        _say(f"{name}: {fetch(name, bar('MB'))}")


@weights.command("import")
@click.argument("source", metavar="FILE.bin", type=FILE)
@click.option("-o", "--out", type=FILE, help="The .safetensors to write. [default: beside FILE]")
@click.option(
    "--skeleton",
    metavar="NAME",
    help="Whose joints they are. [default: by their number, h36m17 or humaneva15]",
)
@click.option(
    "--fps",
    type=float,
    metavar="N",
    help="Frames a second of the training videos. [default: 50; for humaneva15 60]",
)
def weights_import(source: Path, out: Path | None, skeleton: str | None, fps: float | None) -> None:
    """Turn an official checkpoint of PoseFormer or VideoPose3D into one of vidpose's.

    FILE.bin is what their authors publish, detected81f.bin for example. No code in it is run. All
    its weights must fit; those that do not are named.
    """
    from vidpose.models.official import import_weights

    made = import_weights(source, out, skeleton=skeleton, fps=fps)
    sizes = f"{made.model.config.frames} frames, {made.model.config.joints} joints"
    epoch = f", epoch {made.training['epoch']}" if "epoch" in made.training else ""
    _say(
        f"{made.training['program']}, {sizes} ({made.skeleton}), {made.fps:g} frames a second"
        f"{epoch}: {made.path}"
    )


@main.command()
@click.argument("video", metavar="[VIDEO]", required=False, type=FILE)
@WEIGHTS
@click.option(
    "--frames",
    type=int,
    multiple=True,
    metavar="N",
    help="Windows of the paper's network to measure; may be given again. [default: 9, 27, 81]",
)
@click.option(
    "--detector",
    type=click.Choice(["auto", "mediapipe", "hrnet", "cpn"]),
    default="auto",
    show_default=True,
    help="What finds the joints in VIDEO.",
)
@DEVICE
@PRECISION
@click.option("--start", type=float, metavar="S", help="Begin S seconds after the first frame.")
@click.option("--end", type=float, metavar="S", help="End S seconds after the first frame.")
def profile(
    video: Path | None,
    frames: tuple[int, ...],
    detector: str,
    start: float | None,
    end: float | None,
    **options: Any,
) -> None:
    """Tell what lifting costs, or where the time goes with a VIDEO.

    Without a VIDEO: parameters, FLOPs a window and frames/s of the lifter, and of the paper's
    network (its Table 6), slid over a track without the mirror image. With one: what each stage
    takes on it, one after another; infer lets them overlap. Nothing is written.
    """
    from vidpose.diagnostics.profile import PAPER_FRAMES, profile_networks, profile_run
    from vidpose.poses import extent
    from vidpose.utils.progress import bar

    if video is None:
        for what, given in (("--start", start), ("--end", end)):
            if given is not None:
                raise UsageError(f"{what} is for a VIDEO; name one.")
        networks = profile_networks(frames=frames or PAPER_FRAMES, **options)
        width = max(len(network.name) for network in networks)
        _say(f"{'network':{width}}  frames  parameters  MFLOPs a window  frames/s")
        for network in networks:
            _say(
                f"{network.name:{width}}  {network.frames:6}  {network.parameters:10,}  "
                f"{network.flops / 1e6:15,.1f}  {network.frames_per_s:8,.1f}"
            )
        return
    if frames:
        raise UsageError("--frames is for networks alone; leave it out with a VIDEO.")
    stages, count, people = profile_run(
        video, detector=detector, start=start, end=end, progress=bar("frames"), **options
    )
    _say(f"{extent(people, count)} of {video}")
    _say("stage   seconds  frames/s  share")
    for stage in stages:
        _say(
            f"{stage.name:6}  {stage.seconds:7.2f}  {stage.frames_per_s:8,.1f}  {stage.share:5.0%}"
        )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
@click.option(
    "--data",
    type=FILE,
    metavar="DIR",
    help="Look at the datasets in DIR instead: what is missing, or has the wrong shape.",
)
def doctor(as_json: bool, data: Path | None) -> None:
    """Tell what is installed, what is missing, and the line that mends it.

    The exit code is 1 if something that `vidpose infer` needs is broken; with --data, if a dataset
    cannot be opened as it is.
    """
    import json

    from vidpose.diagnostics import doctor

    checks = doctor.examine() if data is None else doctor.examine_data(data)
    if as_json:
        _say(json.dumps(doctor.as_json(checks), indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            _say(f"{check.state:6}  {check.name:{width}}  {check.found}")
            if check.fix:
                _say(f"{'':6}  {'':{width}}  -> {check.fix}")
    if not doctor.is_well(checks):
        raise SystemExit(1)


def _say(line: str) -> None:
    click.echo(line, err=line.startswith(("Warning: ", "Error: ")))


if __name__ == "__main__":
    main()
