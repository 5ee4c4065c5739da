"""User options: one frozen dataclass per stage.

Each field is an option. The command line is generated from the fields (`vidpose.cli.options`),
Python functions take them as keywords, and a result stores their `to_dict()` in
`meta["options"]`, which a batch compares to find videos that are already done. To add an option,
add a field.
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
"""Body height in centimetres: one for everybody, or one per person id."""
Horizon = float | Sequence[float]
"""Its height in pixels from the top, or two points on it: x1, y1, x2, y2."""

LARGEST = 1e9
"""Default upper bound of numeric options."""
SMALLEST_CM, TALLEST_CM = 50.0, 250.0
FURTHEST_PX = 1e6
"""Largest distance of a horizon from the image that is still usable."""
LEAST_FPS, MOST_FPS = 1e-5, 10_000.0
"""Frame rate of an image folder: from one image a day to the fastest cameras."""
WIDEST_PX, NARROWEST_PX, MOST_PX = 1920, 320, 16384
"""Width of an overlay video: the default maximum, the smallest legible, the largest that can be
encoded."""

LONGEST_DELAY_S = 10.0
"""Maximum delay of `vidpose live`, which buffers that many seconds of frames in memory."""

EXPORT_FORMATS = ("csv", "angles", "parquet", "json", "trc", "c3d", "bvh", "glb")

DETECTOR, LIFTER, WORLD, OUTPUT = "Detector", "Lifter", "World and scale", "Output"
EXPORT, LIVE = "Files for other programs", "Camera, stream, window"
"""The headings of `--help`."""

T = TypeVar("T", bound="Options")


@dataclass(frozen=True, kw_only=True)
class Option:
    """How to display and validate one field."""

    help: str
    heading: str
    default_text: str = ""
    """Text to show instead of a default that explains nothing, such as None."""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float = LARGEST
    parse: Callable[[str], Any] | None = None
    """Converts command-line text to the value."""
    common: bool = False
    """Whether most people need this option; such options are listed first."""
    kind: type = str
    """The type on the command line: str, int, float or bool. Numbers must be finite."""
    identity: bool = True
    """Whether a different value makes a different result. False where `meta` records what the
    option resolved to (the detector, the lifter's weights), or where it only adds output files."""


def option(default: Any, help: str, heading: str, **more: Any) -> Any:
    """Make a dataclass field that is an option; see `Option`."""
    if isinstance(default, (bool, int, float)):
        more.setdefault("kind", type(default))
    return field(default=default, metadata={"option": Option(help=help, heading=heading, **more)})


def options_of(cls: type) -> dict[str, Option]:
    """The option fields of a dataclass, by name."""
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
    """Check the value of a numeric option.

    Args:
        name: name of the field.
        value: the value given.
        kind: int or float.
        minimum, maximum: the allowed range; without a minimum, it is -maximum to maximum.

    Raises:
        UsageError: the value is not a number of this kind, not finite, or out of range.
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
    """Base class of every stage's options.

    Raises:
        UsageError: a value is not one of the choices, is out of range, or contradicts another.
    """

    def __post_init__(self) -> None:
        for name, about in options_of(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            if about.choices and value not in about.choices:
                raise UsageError(f"{flag(name)} {value}: choose {', '.join(about.choices)}.")
            if about.kind is bool and value not in (True, False, getattr(type(self), name)):
                # A text such as "no" would count as True.
                raise UsageError(f"{flag(name)} {value!r:.40}: give True or False.")
            if about.kind in (int, float):
                check_number(name, value, about.kind, about.minimum, about.maximum)

    @classmethod
    def pick(cls: type[T], values: Mapping[str, Any]) -> T:
        """Make options from those values that belong to this stage."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {f.name: as_json(getattr(self, f.name)) for f in fields(self)}

    def identity(self) -> dict[str, Any]:
        """The part of `to_dict` that identifies a result, see `Option.identity`."""
        about = options_of(type(self))
        return {name: value for name, value in self.to_dict().items() if about[name].identity}

    def given(self) -> dict[str, Any]:
        """The part of `to_dict` that differs from the defaults."""
        defaults = type(self)().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != defaults[name]}


@dataclass(frozen=True, kw_only=True)
class InputOptions(Options):
    """Properties that some inputs, such as image folders, do not record."""

    fps: float | None = option(
        None,
        "Frame rate of an image folder or of a raw video stream without a container; other videos "
        "carry their own.",
        DETECTOR,
        metavar="N",
        kind=float,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps is not None and not LEAST_FPS <= self.fps <= MOST_FPS:
            raise UsageError(
                f"--fps {self.fps:g}: give a frame rate from {LEAST_FPS:.5f} to {MOST_FPS:,g}."
            )


@dataclass(frozen=True, kw_only=True)
class DetectorOptions(Options):
    """Which frames to process, which detector to use, and which people to keep."""

    detector: str = option(
        "auto",
        "2D pose detector; auto takes HRNet if its weights are installed, and the embedded "
        "MediaPipe otherwise.",
        DETECTOR,
        choices=("auto", "mediapipe", "hrnet", "cpn"),
        common=True,
        identity=False,
    )
    start: float | None = option(
        None,
        "Start S seconds after the first frame.",
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
        "Track at most N people at a time.",
        DETECTOR,
        minimum=1,
        maximum=1000,
    )
    longest: int | None = option(
        None,
        "Keep only the N people who are visible longest.",
        DETECTOR,
        default_text="everybody",
        metavar="N",
        kind=int,
        minimum=1,
        common=True,
    )
    flip_test: bool | None = option(
        None,
        "Test-time flip augmentation: detect on the mirrored image, too. Reduces jitter; takes "
        "nearly twice as long.",
        DETECTOR,
        default_text="no",
        kind=bool,
        identity=False,
    )
    detector_size: str | None = option(
        None,
        "Size of the embedded detector's landmark network. heavy takes more than twice as long as "
        "full and confuses left and right far less often; lite is faster and less accurate; mixed "
        "runs heavy about every tenth of a second (every third frame at 30 frames/s) and full in "
        "the other frames.",
        DETECTOR,
        default_text="mixed",
        choices=("mixed", "lite", "full", "heavy"),
        identity=False,
    )
    pose_weights: str | Path | None = option(
        None,
        "Weights of HRNet or CPN.",
        DETECTOR,
        default_text="the best in the cache",
        metavar="FILE|NAME",
        identity=False,
    )
    person_weights: str | Path | None = option(
        None,
        "Weights of RTMDet, which detects the people for HRNet and CPN.",
        DETECTOR,
        default_text="the best in the cache",
        metavar="FILE|NAME",
        identity=False,
    )
    detect_every: int | None = option(
        None,
        "With HRNet and CPN, detect people every N frames; in between, their bounding boxes come "
        "from the previous frame.",
        DETECTOR,
        default_text="8",
        metavar="N",
        kind=int,
        minimum=1,
        identity=False,
    )
    half: bool | Literal["auto"] = option(
        "auto",
        "Run HRNet and CPN in half precision.",
        DETECTOR,
        default_text="if the hardware supports it",
        kind=bool,
        identity=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        start, end = self.start, self.end
        if start is not None and not 0 <= start < math.inf:
            raise UsageError(f"--start {start:g}: give seconds from the first frame, 0 or more.")
        if end is not None and not (start or 0) < end < math.inf:
            raise UsageError(f"--end {end:g} is not after --start {start or 0:g}.")


@dataclass(frozen=True, kw_only=True)
class LiftOptions(Options):
    """How to lift 2D joints to 3D."""

    weights: str | Path = option(
        "default",
        "Lifter: weights that come with vidpose, or a checkpoint.",
        LIFTER,
        metavar="NAME|PATH",
        common=True,
        identity=False,
    )
    device: str = option(
        "auto",
        "Where networks run; auto takes a GPU if there is one.",
        LIFTER,
        choices=("auto", "cpu", "cuda"),
        identity=False,
    )
    focal_px: float | None = option(
        None,
        "The camera's focal length in pixels.",
        LIFTER,
        default_text="the longer side of the frame",
        metavar="PX",
        kind=float,
        common=True,
    )
    flip: bool = option(
        True,
        "Test-time flip augmentation: lift the mirrored pose, too, and average both. More "
        "accurate; takes twice as long.",
        LIFTER,
    )
    precision: str = option(
        "auto",
        "Precision of the lifter; auto takes bf16 if the hardware supports it. bf16 moves joints "
        "by less than a millimetre on average.",
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
        UsageError: the text has neither form.
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
        raise UsageError(f"--height-cm {text}: give each person one height.")
    return dict(heights)


def _numbers(text: str) -> list[float]:
    """`1,2.5` -> [1.0, 2.5]; empty if the text is not a list of numbers."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return []


@dataclass(frozen=True, kw_only=True)
class PostprocessOptions(Options):
    """What to do with lifted poses."""

    rigid: bool = option(
        True,
        "Move lifted joints closer to the 2D joints and keep bone lengths constant; without it, "
        "poses stay as the network predicts them.",
        LIFTER,
    )
    world: bool = option(
        False,
        "Estimate the vertical and the floor, for a static camera: joints_world in the result has "
        "z up and the floor at 0.",
        WORLD,
        common=True,
    )
    camera_pitch: float | None = option(
        None,
        "For --world: camera pitch, in degrees below the horizontal.",
        WORLD,
        default_text="estimated from the people's motion",
        metavar="DEG",
        kind=float,
    )
    camera_roll: float | None = option(
        None,
        "With --camera-pitch: camera roll, the degrees clockwise by which upright objects lean in "
        "the image.",
        WORLD,
        default_text="0",
        metavar="DEG",
        kind=float,
    )
    horizon: Horizon | None = option(
        None,
        "For --world, instead of --camera-pitch: the height of the horizon in pixels from the top, "
        "or two points on it.",
        WORLD,
        metavar="Y|X1,Y1,X2,Y2",
        parse=parse_horizon,
    )
    height_cm: Heights | None = option(
        None,
        "Body height: one for everybody, or one per person id.",
        WORLD,
        default_text="that of average adults",
        metavar="CM|ID=CM,...",
        parse=parse_heights,
        common=True,
    )
    smooth: str | None = option(
        None,
        "Smooth the joints over time.",
        WORLD,
        default_text="savgol for drawing, none in the result",
        choices=("none", "savgol", "one-euro"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("camera_pitch", "camera_roll", "horizon"):
            if getattr(self, name) is not None and not self.world:
                raise UsageError(f"{flag(name)} needs --world; give both.")
        check_camera(self.camera_pitch, self.camera_roll, self.horizon)
        if self.height_cm is not None:
            check_heights(self.height_cm)


def check_camera(
    pitch_deg: float | None, roll_deg: float | None, horizon_px: Horizon | None
) -> None:
    """Check the camera's pitch, roll and horizon.

    Raises:
        UsageError: a value is out of range, or two contradict each other.
    """
    if pitch_deg is not None and horizon_px is not None:
        raise UsageError("--camera-pitch and --horizon set the same angle; give one of them.")
    if roll_deg is not None and pitch_deg is None:
        raise UsageError("--camera-roll goes with --camera-pitch; give both.")
    if pitch_deg is not None and not -90 <= pitch_deg <= 90:
        raise UsageError(
            f"--camera-pitch {pitch_deg:g}: give degrees from -90 to 90; level is 0, straight down "
            "90."
        )
    if roll_deg is not None and not -90 <= roll_deg <= 90:
        raise UsageError(
            f"--camera-roll {roll_deg:g}: give degrees from -90 to 90; positive if upright objects "
            "lean clockwise in the image."
        )
    if horizon_px is None:
        return
    line: Any = horizon_px
    numbers = [line] if isinstance(line, Real) else list(line)
    if len(numbers) not in (1, 4) or not all(abs(number) <= FURTHEST_PX for number in numbers):
        raise UsageError(
            "--horizon: give its height in pixels from the top, as in 420, or two points on it, "
            "as in 0,400,1919,440."
        )
    if len(numbers) == 4 and abs(numbers[2] - numbers[0]) <= abs(numbers[3] - numbers[1]):
        shown = ",".join(f"{number:g}" for number in numbers)
        raise UsageError(
            f"--horizon {shown}: this line is steeper than 45 degrees; give two points far apart "
            "horizontally."
        )


def check_heights(height_cm: Heights) -> None:
    """Check body heights.

    Raises:
        UsageError: there is no height, or one is out of range.
    """
    heights = list(height_cm.values()) if isinstance(height_cm, Mapping) else [height_cm]
    if not heights:
        raise UsageError("--height-cm: give a height, as in 178, or ID=CM, as in 1=178,2=165.")
    ids: list[Any] = list(height_cm) if isinstance(height_cm, Mapping) else []
    for name in ids:
        if not isinstance(name, Integral):
            raise UsageError(f"--height-cm: person ids are whole numbers, not {name!r:.40}.")
    for height in heights:
        check_number("height_cm", height)
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
        "Also write the overlay video: the 2D skeletons on the video, next to the 3D scene.",
        OUTPUT,
        common=True,
        identity=False,
    )
    view: str = option(
        "three-quarter",
        "Viewpoint of the 3D panel: three-quarter, front, side, top, or two angles in degrees.",
        OUTPUT,
        metavar="NAME|AZIMUTH,ELEVATION",
        identity=False,
    )
    width: int = option(
        WIDEST_PX,
        "Maximum width of the overlay video, both panels together; it is never enlarged.",
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
        "Also write an HTML page with a 3D player and the video: VIDEO.html.",
        OUTPUT,
        common=True,
        identity=False,
    )
    save_2d: bool = option(
        False,
        "Also write the 2D joints: VIDEO.2d.npz.",
        OUTPUT,
        identity=False,
    )
    save_mmpose: bool = option(
        False,
        "Also write the 2D joints as MMPose prediction JSON: VIDEO.mmpose.json.",
        OUTPUT,
        identity=False,
    )


def parse_formats(text: str) -> tuple[str, ...]:
    """`csv,trc` -> ("csv", "trc"), each once.

    Raises:
        UsageError: a name is not in `EXPORT_FORMATS`.
    """
    names = tuple(dict.fromkeys(name.strip().lower().lstrip(".") for name in text.split(",")))
    for name in names:
        check_format(name)
    return names


def check_format(name: str) -> None:
    """Raise a UsageError if the name is not in `EXPORT_FORMATS`."""
    if name not in EXPORT_FORMATS:
        raise UsageError(f"'{name}' is not an export format; choose {', '.join(EXPORT_FORMATS)}.")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Files for other programs; see docs/export.md."""

    export: str | None = option(
        None,
        f"Also write the result for other programs; one or more of {', '.join(EXPORT_FORMATS)}.",
        EXPORT,
        metavar="FORMAT,...",
        common=True,
        identity=False,
    )
    up: str | None = option(
        None,
        "The axis that points up in TRC, C3D and BVH. CSV, Parquet and JSON keep the axes of the "
        "result; glTF is always y up.",
        EXPORT,
        default_text="z in C3D, y in TRC and BVH",
        choices=("y", "z"),
        identity=False,
    )
    unit: str | None = option(
        None,
        "Unit of length in TRC, C3D and BVH; the other formats are in metres.",
        EXPORT,
        default_text="m in BVH, mm in TRC and C3D",
        choices=("mm", "cm", "m"),
        identity=False,
    )
    axes: str = option(
        "world",
        "Coordinate frame of TRC, C3D, BVH and glTF: the world frame of --world, or the camera "
        "frame, as if the camera were level and the floor unknown.",
        EXPORT,
        choices=("world", "camera"),
        identity=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.export, str | None):
            raise UsageError(f"--export {self.export!r:.40}: give one text, as in 'csv,glb'.")
        if self.export is not None:
            parse_formats(self.export)

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats in `export`."""
        return () if self.export is None else parse_formats(self.export)


def parse_size(text: str) -> tuple[int, int]:
    """`1920x1080` -> (1920, 1080).

    Raises:
        UsageError: the text has another form.
    """
    if not re.fullmatch("[1-9][0-9]{0,4}x[1-9][0-9]{0,4}", text.lower()):
        raise UsageError(f"--size {text}: give width and height in pixels, as in 1920x1080.")
    width, height = text.lower().split("x")
    return int(width), int(height)


@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options):
    """Live capture; see docs/live.md."""

    headless: bool = option(False, "Show no window.", LIVE, common=True)
    delay: float = option(
        0.2,
        "Delay lifting by S seconds, since the network also uses frames after the one it lifts. 0 "
        "is causal and less accurate.",
        LIVE,
        metavar="S",
        minimum=0,
        common=True,
    )
    size: tuple[int, int] | None = option(
        None,
        "Request this frame size from the camera.",
        LIVE,
        default_text="the camera's own",
        metavar="WxH",
        parse=parse_size,
    )
    realtime: bool = option(
        True,
        "Play a file at its own frame rate and drop frames that come too fast, as with a camera; "
        "otherwise process every frame of a file.",
        LIVE,
    )
    record: bool = option(
        True,
        "Write a result at the end; --no-record keeps memory constant however long this runs.",
        LIVE,
    )
    save_video: bool = option(
        False,
        "Also save the video, which `vidpose render` and `view` need: RESULT.source.mp4.",
        LIVE,
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


@dataclass(frozen=True, kw_only=True)
class InferOptions:
    """All options of `vidpose.infer`, stage by stage."""

    input: InputOptions = InputOptions()
    detector: DetectorOptions = DetectorOptions()
    lift: LiftOptions = LiftOptions()
    postprocess: PostprocessOptions = PostprocessOptions()
    render: RenderOptions = RenderOptions()
    output: OutputOptions = OutputOptions()
    export: ExportOptions = ExportOptions()

    @classmethod
    def of(cls, **values: Any) -> InferOptions:
        """Make options from the fields of all stages; field names are unique across stages.

        Raises:
            UsageError: there is no such option, or a value is invalid.
        """
        check_names(values, STAGES)
        return cls(**{name: type(stage).pick(values) for name, stage in vars(cls()).items()})


STAGES: tuple[type[Options], ...] = tuple(map(type, vars(InferOptions()).values()))


def check_names(values: Mapping[str, Any], stages: Sequence[type[Options]]) -> None:
    """Raise a UsageError if a keyword is not an option of these stages."""
    known = {f.name for stage in stages for f in fields(stage)}
    for name in values:
        if name not in known:
            raise UsageError(
                f"There is no option '{name}'; choose from {', '.join(sorted(known))}."
            )


def as_json(value: Any) -> Any:
    """Convert to a JSON value: paths, mappings with numeric keys, NumPy's numbers and arrays."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(number) for key, number in sorted(value.items())}
    if hasattr(value, "tolist"):  # NumPy's
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [float(number) for number in value]
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)
