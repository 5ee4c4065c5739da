"""The formats of 2D joints that `vidpose lift` reads: what the help and the docs say of each.

`vidpose.keypoints` has a reader for every one of them. This table stands apart from the readers
so that `--help` needs none of what they import.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KeypointFormat:
    """One format in words; each field is a column of the table in docs/keypoints.md."""

    name: str
    """What `--format` takes."""
    written_by: str
    recognised_by: str
    """What `--format auto` goes by."""
    frames: str
    """What decides which frame it is."""
    people: str
    """What decides who is who."""
    joints: str
    """What decides whose joints they are, and in what unit."""
    command: str
    """What follows `vidpose lift`, for example."""


KEYPOINT_FORMATS = (
    KeypointFormat(
        name="mmpose",
        written_by="MMPose 1.x: `--pred-out-dir` (for pictures, a folder of JSON), "
        "`--save-predictions`; `vidpose infer --save-mmpose`; what RTMLib and ViTPose return",
        recognised_by="JSON: `instance_info`, or a list with `instances` or `keypoint_scores`",
        frames="`frame_id`, which counts from 1 next to `meta_info` and else from 0; for pictures "
        "the file's name",
        people="`track_id` if all have one, else tracked here",
        joints="the names in `meta_info`; without them 26, 133 and 136 joints are Halpe's and "
        "COCO-WholeBody's, and 17 need `--skeleton`",
        command="predictions/clip.json --skeleton coco17 --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="coco",
        written_by="COCO annotations and results: CVAT, Label Studio, Roboflow, PoseTrack, "
        "Ultralytics' `predictions.json`, COCO-WholeBody",
        recognised_by="JSON: `annotations`, or a list with `keypoints` and a number as `image_id`",
        frames="the number that varies in `file_name`, else `image_id`",
        people="`track_id` of the annotation or its attributes if all have one, else tracked here",
        joints="the names in the category of people, else COCO's 17; other categories are left "
        "out. In annotations the third number is the visibility if it is 0, 1 or 2 everywhere, "
        "else a score",
        command="annotations.json --fps 30",
    ),
    KeypointFormat(
        name="openpose",
        written_by="OpenPose `--write_json`, Pose2Sim, Sports2D, RTMLib; ComfyUI's DWPose",
        recognised_by="JSON with `people`, a folder of such files, or a list of such frames",
        frames="the number that varies in the files' names; the position in the list",
        people="`person_id` if all have one, else tracked here",
        joints="by their number: BODY_25, COCO's 18, Halpe's 26 and 136, COCO-WholeBody's 133; 17 "
        "need `--skeleton`. Pixels, or 0 to 1 (`--keypoint_scale 3`, older ComfyUI)",
        command="pose/cam1_json --fps 60 --size 1920x1080",
    ),
    KeypointFormat(
        name="alphapose",
        written_by="AlphaPose, also with `--format open` or `cmu` or `--sp`, and PoseFlow",
        recognised_by="JSON: a list with a name as `image_id`, or with `idx`; an object with an "
        "entry for each picture",
        frames="the number that varies in the pictures' names",
        people="`idx`; tracked here without, or where one `idx` is several people at once",
        joints="by their number: COCO's 17, Halpe's 26 and 136, COCO-WholeBody's 133; OpenPose's "
        "18 with `--format open` and `cmu`",
        command="alphapose-results.json --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="yolo",
        written_by="Ultralytics YOLO pose: `save_txt=True`, `result.to_json()`; labels of datasets",
        recognised_by="a folder of `.txt`; JSON with `keypoints` that have `x` and `y`",
        frames="the number that varies in the files' names, from `clip_1.txt` on as Ultralytics "
        "counts a video's frames; in one JSON file the key or the position in the list",
        people="the track id if all have one, else tracked here",
        joints="COCO's 17, or `--skeleton`. Texts hold parts of width and height, JSON those or "
        "pixels",
        command="runs/pose/predict/labels --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="vitpose",
        written_by="easy_ViTPose `--save-json`",
        recognised_by="JSON: `keypoints`, and a `skeleton` that names the joints",
        frames="the position in the list",
        people="the keys, which are track ids",
        joints="the names in `skeleton`; y before x, pixels",
        command="clip_result.json --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="mediapipe",
        written_by="MediaPipe Pose and BlazePose in JSON, as people write it out",
        recognised_by="JSON: landmarks with `x`, `y` and perhaps `visibility`, 33 a person",
        frames="`frame`, `frame_id` ..., the picture's name, the key, or the position in the list",
        people="one, or tracked here",
        joints="their names, in any order, or MediaPipe's 33; parts of width and height, or "
        "pixels; world landmarks are left out or refused",
        command="landmarks.json --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="deeplabcut",
        written_by="DeepLabCut: `save_as_csv=True`, one animal or many",
        recognised_by="CSV that begins with `scorer`",
        frames="the first column: a number, or a picture's name",
        people="the individuals",
        joints="the names of the body parts; pixels",
        command="clipDLC_resnet50.csv --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="csv",
        written_by="tables: MediaPipe as people write it out, SLEAP's analysis CSV, your own",
        recognised_by="CSV or TSV with a line of column names: `nose_x, nose_y`, `x0, y0`, "
        "`x_nose, y_nose`, `nose.x, nose.y, nose.score`, or a row per joint",
        frames="a column `frame`, `frame_idx`, `image_path`, `index` ...; without, the row of a "
        "single person, and a warning",
        people="a column `person`, `track`, `id` ... if it names everybody; without, one person, "
        "or tracked here, also with `person_idx`, `instance` ..., which count within the frame",
        joints="the names of the columns, or their numbers with `--skeleton`; 33 that are numbered "
        "are MediaPipe's. Pixels, or parts of width and height",
        command="landmarks.csv --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="npz",
        written_by="`vidpose infer --save-2d`; a result of vidpose; arrays of your own: (frames, "
        "joints, 2 or 3) or (frames, people, joints, 2 or 3), scores also apart as `scores`; "
        "FreeMoCap: (cameras, frames, points, 2 or 3)",
        recognised_by="`.npz` or `.npy`; in an archive the only array, or `keypoints_2d` or "
        "`keypoints`",
        frames="as in the file; in a bare array the position",
        people="as in the file; in a bare array one, or several that are tracked here",
        joints="as in the file; a bare array needs `--skeleton`. Pixels",
        command="outputs/clip.2d.npz --weights other.safetensors",
    ),
)

NAMES = ("auto", *(format.name for format in KEYPOINT_FORMATS))
"""What `--format` takes."""


_HEADINGS = {
    "written_by": "written by",
    "recognised_by": "recognised by",
    "frames": "frames",
    "people": "people",
    "joints": "joints",
    "command": "`vidpose lift`",
}


def table(*columns: str) -> str:
    """The formats as a Markdown table of docs/keypoints.md, with some fields as its columns."""
    lines = [
        ["`--format`", *(_HEADINGS[column] for column in columns)],
        ["---"] * (1 + len(columns)),
    ]
    for format in KEYPOINT_FORMATS:
        cells = {column: getattr(format, column) for column in columns}
        if "command" in cells:
            cells["command"] = f"`{cells['command']}`"
        lines.append([f"`{format.name}`", *cells.values()])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = (("written_by", "recognised_by", "command"), ("frames", "people", "joints"))
"""The columns of the tables in docs/keypoints.md."""
