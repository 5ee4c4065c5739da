"""What a user may choose: one frozen dataclass for each stage.

A field is an option. The command line is made from the fields (`vidpose.cli.options`), the Python
functions take them as keywords, a result's `meta["options"]` is their `to_dict()`, and a batch
compares that to see whether a result is there already. A new option is a new field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeVar

from vidpose.errors import UsageError

Heights = float | Mapping[int, float]
"""Body height in centimetres: everybody's, or by person id."""
Horizon = float | Sequence[float]
"""Height in pixels from the top, or two points x1, y1, x2, y2 of it."""

LARGEST = 1e9
"""No number that an option takes is larger, unless it says so itself."""
SMALLEST_CM, TALLEST_CM = 50.0, 250.0
FURTHEST_PX = 1e6
"""No horizon that is of any use lies further from the picture."""
LEAST_FPS, MOST_FPS = 1e-5, 10_000.0
"""Of a folder of pictures: one picture a day, and as many as the quickest cameras take."""
WIDEST_PX, NARROWEST_PX, MOST_PX = 1920, 320, 16384
"""Of an overlay video: unless asked for otherwise it is no wider; narrower ones cannot be read,
wider ones not encoded."""

LONGEST_DELAY_S = 10.0
"""Of `vidpose live`: the pictures of so much wait in memory."""

EXPORT_FORMATS = ("csv", "angles", "parquet", "json", "trc", "c3d", "bvh", "glb")

DETECTOR, LIFTER, WORLD, OUTPUT = "Detector", "Lifter", "World and scale", "Output"
EXPORT, LIVE = "Files for other programs", "Camera, stream, window"
"""The headings of `--help`."""

T = TypeVar("T", bound="Options")


@dataclass(frozen=True, kw_only=True)
class Option:
    """How one field is shown and checked."""

    help: str
    heading: str
    default_text: str = ""
    """What to show where the default itself would tell nothing."""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float = LARGEST
    parse: Callable[[str], Any] | None = None
    """The text of the command line -> the value."""
    common: bool = False
    """Among the options that most people need; shown first."""
    kind: type = str
    """The type on the command line: str, int, float or bool; numbers are finite."""
    identity: bool = True
    """Whether results that differ in it are different results. Not where `meta` describes what was
    made of it (the detector, the lifter's weights), or where it only decides on further files."""


def option(default: Any, help: str, heading: str, **more: Any) -> Any:
    """A dataclass field with what the command line needs to know about it; see `Option`."""
    if isinstance(default, (bool, int, float)):
        more.setdefault("kind", type(default))
    return field(default=default, metadata={"option": Option(help=help, heading=heading, **more)})


def options_of(cls: type) -> dict[str, Option]:
    """A dataclass's fields that are options, by name."""
    return {f.name: f.metadata["option"] for f in fields(cls) if "option" in f.metadata}


def flag(name: str) -> str:
    """`focal_px` -> `--focal-px`."""
    return f"--{name.replace('_', '-')}"


def check_number(
    name: str,
    value: Any,
    kind: type = float,
    minimum: float | None = None,
    maximum: float = LARGEST,
) -> None:
    """Find out whether an option's value is a number that it can take.

    Args:
        name: of the field.
        value: what was given.
        kind: int or float.
        minimum, maximum: the least and the largest; without a minimum it may be as far below 0 as
            above.

    Raises:
        UsageError: it is something else, not finite, or out of range.
    """
    whole = kind is int
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        wanted = "a whole number" if whole else "a number"
        raise UsageError(f"{flag(name)} {value!s:.40}: give {wanted}.")
    number: Any = value
    least = -maximum if minimum is None else minimum
    if least <= number <= maximum:
        return
    if not math.isfinite(number):
        raise UsageError(f"{flag(name)} {value}: give a finite number.")
    wanted = f"from {least:,.10g} to {maximum:,.10g}"
    if minimum is not None and number < minimum:
        wanted = f"{minimum:g} or more"
    raise UsageError(f"{flag(name)} {value!s:.40}: give {wanted}.")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The base of every stage's options.

    Raises:
        UsageError: a value is none of the choices, out of range, or contradicts another.
    """

    def __post_init__(self) -> None:
        for name, about in options_of(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            if about.choices and value not in about.choices:
                raise UsageError(f"{flag(name)} {value}: choose {', '.join(about.choices)}.")
            if about.kind in (int, float):
                check_number(name, value, about.kind, about.minimum, about.maximum)

    @classmethod
    def pick(cls: type[T], values: Mapping[str, Any]) -> T:
        """Those among the values that are options of this stage."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {f.name: as_json(getattr(self, f.name)) for f in fields(self)}

    def identity(self) -> dict[str, Any]:
        """Those of `to_dict` that tell one result from another, see `Option.identity`."""
        about = options_of(type(self))
        return {name: value for name, value in self.to_dict().items() if about[name].identity}

    def given(self) -> dict[str, Any]:
        """Those of `to_dict` that are not the defaults."""
        usual = type(self)().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != usual[name]}


@dataclass(frozen=True, kw_only=True)
class InputOptions(Options):
    """What a folder of pictures does not say itself."""

    fps: float | None = option(
        None,
        "Frames a second of a folder of pictures, or of coded video without a container; other "
        "videos say their own.",
        DETECTOR,
        metavar="N",
        kind=float,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps is not None and not LEAST_FPS <= self.fps <= MOST_FPS:
            raise UsageError(
                f"--fps {self.fps:g}: give frames a second, from {LEAST_FPS:.5f} to {MOST_FPS:,g}."
            )


@dataclass(frozen=True, kw_only=True)
class DetectorOptions(Options):
    """Which frames are looked at, what finds the joints in them, and who is kept."""

    detector: str = option(
        "auto",
        "What finds the joints in the picture; auto: HRNet if its weights are here, else the "
        "embedded MediaPipe.",
        DETECTOR,
        choices=("auto", "mediapipe", "hrnet", "cpn"),
        common=True,
        identity=False,
    )
    start: float | None = option(
        None,
        "Begin S seconds after the first frame.",
        DETECTOR,
        metavar="S",
        kind=float,
        common=True,
    )
    end: float | None = option(
        None, "End S seconds after the first frame.", DETECTOR, metavar="S", kind=float, common=True
    )
    people: int = option(
        8,
        "Follow no more people than this at a time.",
        DETECTOR,
        kind=int,
        minimum=1,
        maximum=1000,
    )
    longest: int | None = option(
        None,
        "Keep only the N people who are seen longest.",
        DETECTOR,
        default_text="everybody",
        metavar="N",
        kind=int,
        minimum=1,
        common=True,
    )
    flip_test: bool | None = option(
        None,
        "Test-time flip augmentation: detect the mirrored person, too. Nearly twice the work, "
        "less jitter.",
        DETECTOR,
        default_text="no",
        kind=bool,
        identity=False,
    )
    detector_size: str | None = option(
        None,
        "The size of the embedded detector's landmark network. heavy takes more than twice as "
        "long as full, and takes left for right far less often; lite is quicker and less exact; "
        "mixed is heavy in every third frame, and full in the others.",
        DETECTOR,
        default_text="mixed",
        choices=("mixed", "lite", "full", "heavy"),
        identity=False,
    )
    pose_weights: str | Path | None = option(
        None,
        "HRNet's or CPN's weights.",
        DETECTOR,
        default_text="the best in the cache",
        metavar="FILE|NAME",
        identity=False,
    )
    person_weights: str | Path | None = option(
        None,
        "RTMDet's weights; it finds the people for HRNet and CPN.",
        DETECTOR,
        default_text="the best in the cache",
        metavar="FILE|NAME",
        identity=False,
    )
    detect_every: int | None = option(
        None,
        "Look for people every N frames, for HRNet and CPN; in between they are where they were "
        "last.",
        DETECTOR,
        default_text="8",
        metavar="N",
        kind=int,
        minimum=1,
        identity=False,
    )
    half: bool | Literal["auto"] = option(
        "auto",
        "Let HRNet and CPN compute in 16 bits.",
        DETECTOR,
        default_text="where the hardware does",
        kind=bool,
        identity=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        start, end = self.start, self.end
        if start is not None and not 0 <= start < math.inf:
            raise UsageError(f"--start {start:g}: seconds count from the video's first frame, 0.")
        if end is not None and not (start or 0) < end < math.inf:
            raise UsageError(f"--end {end:g} is not after --start {start or 0:g}.")


@dataclass(frozen=True, kw_only=True)
class LiftOptions(Options):
    """What lifts 2D joints to 3D, and how."""

    weights: str | Path = option(
        "default",
        "What lifts them to 3D: weights that come with vidpose, or a checkpoint.",
        LIFTER,
        metavar="NAME|PATH",
        common=True,
        identity=False,
    )
    device: str = option(
        "auto",
        "Where networks compute; auto takes a GPU if there is one.",
        LIFTER,
        choices=("auto", "cpu", "cuda"),
        identity=False,
    )
    focal_px: float | None = option(
        None,
        "The camera's focal length in pixels.",
        LIFTER,
        default_text="the picture's longer side",
        metavar="PX",
        kind=float,
        common=True,
    )
    flip: bool = option(
        True,
        "Test-time flip augmentation: lift the mirrored person, too, and average. Better, and "
        "twice the work.",
        LIFTER,
        kind=bool,
    )
    precision: str = option(
        "auto",
        "What the lifter computes in; auto: bf16 where the hardware does. bf16 moves joints by "
        "less than a millimetre.",
        LIFTER,
        choices=("auto", "fp32", "bf16"),
        identity=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.focal_px is not None and not 0 < self.focal_px < math.inf:
            raise UsageError(f"--focal-px {self.focal_px:g}: give a positive number.")


def parse_horizon(text: str) -> Horizon:
    """`420` -> 420.0; `0,400,1919,440` -> [0.0, 400.0, 1919.0, 440.0]."""
    numbers = _numbers(text)
    return numbers[0] if len(numbers) == 1 else numbers


def parse_heights(text: str) -> Heights:
    """`178` -> 178.0; `1=178,2=165` -> {1: 178.0, 2: 165.0}.

    Raises:
        UsageError: it is neither.
    """
    if len(numbers := _numbers(text)) == 1:
        return numbers[0]
    pair = r"\d{1,9}=\d{1,9}(\.\d+)?"
    pairs = re.fullmatch(f"{pair}(,{pair})*", text.replace(" ", ""))
    if pairs is None:
        raise UsageError(
            f"--height-cm {text}: give centimetres, as in 178, or ID=CM, as in 1=178,2=165."
        )
    heights = [(int(name), float(cm)) for name, cm in (p.split("=") for p in pairs[0].split(","))]
    if len(dict(heights)) < len(heights):
        raise UsageError(f"--height-cm {text}: gives somebody two heights; give one.")
    return dict(heights)


def _numbers(text: str) -> list[float]:
    """`1,2.5` -> [1.0, 2.5]; empty if it is something else."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return []


@dataclass(frozen=True, kw_only=True)
class PostprocessOptions(Options):
    """What is done with lifted poses."""

    rigid: bool = option(
        True,
        "Bring lifted joints nearer to the 2D joints, and give every bone of a person one length; "
        "otherwise poses stay as the network gives them.",
        LIFTER,
        kind=bool,
    )
    world: bool = option(
        False,
        "Find up and the floor, too, for a camera that stands still: joints_world in the result "
        "has z up and the floor at 0.",
        WORLD,
        kind=bool,
        common=True,
    )
    camera_pitch: float | None = option(
        None,
        "For --world: the camera looks DEG degrees down.",
        WORLD,
        default_text="up is found from the people's motion",
        metavar="DEG",
        kind=float,
    )
    camera_roll: float | None = option(
        None,
        "With --camera-pitch: upright things lean DEG degrees clockwise in the picture.",
        WORLD,
        default_text="0",
        metavar="DEG",
        kind=float,
    )
    horizon: Horizon | None = option(
        None,
        "For --world, instead of --camera-pitch: the horizon's height in pixels from the top, or "
        "two of its points.",
        WORLD,
        metavar="Y|X1,Y1,X2,Y2",
        parse=parse_horizon,
    )
    height_cm: Heights | None = option(
        None,
        "How tall people are: everybody, or by person id.",
        WORLD,
        default_text="as ordinary adults",
        metavar="CM|ID=CM,...",
        parse=parse_heights,
        common=True,
    )
    smooth: str | None = option(
        None,
        "Smooth the joints over time.",
        WORLD,
        default_text="savgol in pictures, none in the result",
        choices=("none", "savgol", "one-euro"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("camera_pitch", "camera_roll", "horizon"):
            if getattr(self, name) is not None and not self.world:
                raise UsageError(f"{flag(name)} is about the world's axes; give --world, too.")
        check_camera(self.camera_pitch, self.camera_roll, self.horizon)
        if self.height_cm is not None:
            check_heights(self.height_cm)


def check_camera(
    pitch_deg: float | None, roll_deg: float | None, horizon_px: Horizon | None
) -> None:
    """Find out whether what is known about the camera makes sense.

    Raises:
        UsageError: it does not.
    """
    if pitch_deg is not None and horizon_px is not None:
        raise UsageError("--camera-pitch and --horizon say the same; give one of them.")
    if roll_deg is not None and pitch_deg is None:
        raise UsageError("--camera-roll goes with --camera-pitch; give both.")
    if pitch_deg is not None and not -90 <= pitch_deg <= 90:
        raise UsageError(
            f"--camera-pitch {pitch_deg:g}: give how far down the camera looks, from -90 to 90 "
            "degrees; level is 0, straight down 90."
        )
    if roll_deg is not None and not -90 <= roll_deg <= 90:
        raise UsageError(
            f"--camera-roll {roll_deg:g}: give how far upright things lean in the picture, from "
            "-90 to 90 degrees clockwise."
        )
    if horizon_px is None:
        return
    numbers = [horizon_px] if isinstance(horizon_px, (int, float)) else list(horizon_px)
    if len(numbers) not in (1, 4) or not all(abs(number) <= FURTHEST_PX for number in numbers):
        raise UsageError(
            "--horizon: give its height in pixels from the top, as in 420, or two of its points, "
            "as in 0,400,1919,440."
        )
    if len(numbers) == 4 and abs(numbers[2] - numbers[0]) <= abs(numbers[3] - numbers[1]):
        shown = ",".join(f"{number:g}" for number in numbers)
        raise UsageError(
            f"--horizon {shown}: this line rises by more than 45 degrees; give two points far "
            "apart from left to right."
        )


def check_heights(height_cm: Heights) -> None:
    """Find out whether body heights make sense.

    Raises:
        UsageError: one is nobody's height in centimetres, or there is none.
    """
    heights = list(height_cm.values()) if isinstance(height_cm, Mapping) else [height_cm]
    if not heights:
        raise UsageError("--height-cm: give a height, as in 178, or ID=CM, as in 1=178,2=165.")
    for height in heights:
        if not SMALLEST_CM <= height <= TALLEST_CM:
            raise UsageError(
                f"--height-cm {height:g}: give centimetres, from {SMALLEST_CM:g} to "
                f"{TALLEST_CM:g}, such as 175."
            )


@dataclass(frozen=True, kw_only=True)
class RenderOptions(Options):
    """The overlay video."""

    render: bool = option(
        False,
        "Write a video with the 2D skeletons next to the 3D scene, too.",
        OUTPUT,
        kind=bool,
        common=True,
        identity=False,
    )
    view: str = option(
        "three-quarter",
        "Where the 3D panel looks from: three-quarter, front, side, top, or two angles in degrees.",
        OUTPUT,
        metavar="NAME|AZIMUTH,ELEVATION",
        identity=False,
    )
    width: int = option(
        WIDEST_PX,
        "That video is at most so many pixels wide, both panels together; it is never enlarged.",
        OUTPUT,
        metavar="PX",
        minimum=NARROWEST_PX,
        maximum=MOST_PX,
        identity=False,
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """Further files next to the result."""

    view_html: bool = option(
        False,
        "Write a page for the browser with the people in 3D and the video, too: VIDEO.html.",
        OUTPUT,
        kind=bool,
        common=True,
        identity=False,
    )
    save_2d: bool = option(
        False,
        "Write the 2D joints next to the result, too: VIDEO.2d.npz.",
        OUTPUT,
        kind=bool,
        identity=False,
    )
    save_mmpose: bool = option(
        False,
        "Write them as MMPose's prediction JSON, too: VIDEO.mmpose.json.",
        OUTPUT,
        kind=bool,
        identity=False,
    )


def parse_formats(text: str) -> tuple[str, ...]:
    """`csv,trc` -> ("csv", "trc"), each once.

    Raises:
        UsageError: one is none of `EXPORT_FORMATS`.
    """
    names = tuple(dict.fromkeys(name.strip().lower().lstrip(".") for name in text.split(",")))
    for name in names:
        check_format(name)
    return names


def check_format(name: str) -> None:
    """Raises UsageError: it is none of `EXPORT_FORMATS`."""
    if name not in EXPORT_FORMATS:
        raise UsageError(f"'{name}' is no format to export to; choose {', '.join(EXPORT_FORMATS)}.")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Files for other programs; see docs/export.md."""

    export: str | None = option(
        None,
        f"Write the result for other programs, too: {', '.join(EXPORT_FORMATS)}, or several of "
        "them.",
        EXPORT,
        metavar="FORMAT,...",
        common=True,
        identity=False,
    )
    up: str | None = option(
        None,
        "The axis that points up in TRC, C3D and BVH. CSV, Parquet and JSON have the result's own "
        "axes; glTF is y up.",
        EXPORT,
        default_text="z in C3D, y in TRC and BVH",
        choices=("y", "z"),
        identity=False,
    )
    unit: str | None = option(
        None,
        "The unit of length in TRC, C3D and BVH; the others are in metres.",
        EXPORT,
        default_text="m in BVH, mm in TRC and C3D",
        choices=("mm", "cm", "m"),
        identity=False,
    )
    axes: str = option(
        "world",
        "Whose up it is in TRC, C3D, BVH and glTF: that of --world, or the camera's own, as if the "
        "camera were level and the floor unknown.",
        EXPORT,
        choices=("world", "camera"),
        identity=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.export is not None:
            parse_formats(self.export)

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that `export` names."""
        return () if self.export is None else parse_formats(self.export)


def parse_size(text: str) -> tuple[int, int]:
    """`1280x720` -> (1280, 720).

    Raises:
        UsageError: it is something else.
    """
    if not re.fullmatch("[1-9][0-9]{0,4}x[1-9][0-9]{0,4}", text.lower()):
        raise UsageError(f"--size {text}: give width and height in pixels, as in 1280x720.")
    width, height = text.lower().split("x")
    return int(width), int(height)


@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options):
    """People while they are filmed; see docs/live.md."""

    headless: bool = option(False, "Show no window.", LIVE, kind=bool, common=True)
    delay: float = option(
        0.2,
        "Wait for so many seconds of what comes after a frame before it is lifted: the network "
        "looks into the future, too. 0 is causal, and less exact.",
        LIVE,
        metavar="S",
        minimum=0,
        common=True,
    )
    size: tuple[int, int] | None = option(
        None,
        "Ask the camera for pictures of this size.",
        LIVE,
        default_text="the camera's own",
        metavar="WxH",
        parse=parse_size,
    )
    realtime: bool = option(
        True,
        "A file plays at its own rate, and frames that come too fast are dropped, as a camera's "
        "are; without it every frame of a file is taken.",
        LIVE,
        kind=bool,
    )
    record: bool = option(
        True,
        "Write a result at the end; without it memory stays the same however long this runs.",
        LIVE,
        kind=bool,
    )
    save_video: bool = option(
        False,
        "Keep the pictures, too: RESULT.source.mp4. `vidpose render` and `view` need them.",
        LIVE,
        kind=bool,
        common=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.delay <= LONGEST_DELAY_S:
            raise UsageError(f"--delay {self.delay:g}: give 0 to {LONGEST_DELAY_S:g} seconds.")
        if not self.record and self.save_video:
            raise UsageError("--save-video goes with a result; leave out --no-record.")
        if not self.record and self.headless:
            raise UsageError("--no-record with --headless would do nothing; leave one out.")


STAGES: tuple[type[Options], ...] = (
    InputOptions,
    DetectorOptions,
    LiftOptions,
    PostprocessOptions,
    RenderOptions,
    OutputOptions,
    ExportOptions,
)


@dataclass(frozen=True, kw_only=True)
class InferOptions:
    """Everything `vidpose.infer` can be asked for, stage by stage."""

    input: InputOptions = InputOptions()
    detector: DetectorOptions = DetectorOptions()
    lift: LiftOptions = LiftOptions()
    postprocess: PostprocessOptions = PostprocessOptions()
    render: RenderOptions = RenderOptions()
    output: OutputOptions = OutputOptions()
    export: ExportOptions = ExportOptions()

    @classmethod
    def of(cls, **values: Any) -> InferOptions:
        """From the fields of all stages, whose names are unique.

        Raises:
            UsageError: there is no such option, or a value makes no sense.
        """
        check_names(values, STAGES)
        return cls(
            input=InputOptions.pick(values),
            detector=DetectorOptions.pick(values),
            lift=LiftOptions.pick(values),
            postprocess=PostprocessOptions.pick(values),
            render=RenderOptions.pick(values),
            output=OutputOptions.pick(values),
            export=ExportOptions.pick(values),
        )


def check_names(values: Mapping[str, Any], stages: Sequence[type[Options]]) -> None:
    """Raises UsageError: a keyword is no option of these stages."""
    known = {f.name for stage in stages for f in fields(stage)}
    for name in values:
        if name not in known:
            raise UsageError(f"There is no option '{name}'; there are: {', '.join(sorted(known))}.")


def as_json(value: Any) -> Any:
    """A JSON value: numbers of NumPy, paths, and keys that are numbers included."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(number) for key, number in sorted(value.items())}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [float(number) for number in value]
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)
