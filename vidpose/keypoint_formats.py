"""Descriptions of the 2D keypoint formats that `vidpose lift` reads, for the help and the docs.

`vidpose.keypoints` has a reader for each. This table is separate so that `--help` does not need the
imports of the readers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KeypointFormat:
    """Description of a format; each field is a column of the tables in docs/keypoints.md."""

    name: str
    """Value of `--format`."""
    written_by: str
    recognised_by: str
    """How `--format auto` detects it."""
    frames: str
    """Where frame indices come from."""
    people: str
    """Where person ids come from."""
    joints: str
    """Where the skeleton comes from, and the unit of coordinates."""
    command: str
    """Example arguments of `vidpose lift`."""


KEYPOINT_FORMATS = (
    KeypointFormat(
        name="mmpose",
        written_by="MMPose 1.x: `--pred-out-dir` (for images, a folder of JSON), "
        "`--save-predictions`; `vidpose infer --save-mmpose`; output of RTMLib and ViTPose",
        recognised_by="JSON: `instance_info`, or a list with `instances` or `keypoint_scores`",
        frames="`frame_id`, which counts from 1 in files with `meta_info` and else from 0; for "
        "images the file name",
        people="`track_id` if all have one, else tracked by vidpose",
        joints="the names in `meta_info`; without them, 26, 133 and 136 joints are Halpe's and "
        "COCO-WholeBody's, and 17 need `--skeleton`",
        command="predictions/clip.json --skeleton coco17 --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="coco",
        written_by="COCO annotations and results: CVAT, Label Studio, Roboflow, PoseTrack, "
        "Ultralytics' `predictions.json`, COCO-WholeBody",
        recognised_by="JSON: `annotations`, or a list with `keypoints` and a number as `image_id`",
        frames="the number that varies in `file_name`, else `image_id`",
        people="`track_id` of the annotation or its attributes if all have one, else tracked by "
        "vidpose",
        joints="the names in the category of people, else COCO's 17; other categories are "
        "skipped. In annotations, the third number is the visibility if it is always 0, 1 or 2, "
        "else a score",
        command="annotations.json --fps 30",
    ),
    KeypointFormat(
        name="openpose",
        written_by="OpenPose `--write_json`, Pose2Sim, Sports2D, RTMLib; ComfyUI's DWPose",
        recognised_by="JSON with `people`, a folder of such files, or a list of such frames",
        frames="the number that varies in the file names, or the index in the list",
        people="`person_id` if all have one, else tracked by vidpose",
        joints="by their count: BODY_25, COCO's 18, Halpe's 26 and 136, COCO-WholeBody's 133; 17 "
        "need `--skeleton`. Pixels, or 0 to 1 (`--keypoint_scale 3`, older ComfyUI)",
        command="pose/cam1_json --fps 60 --size 1920x1080",
    ),
    KeypointFormat(
        name="alphapose",
        written_by="AlphaPose, also with `--format open` or `cmu` or `--sp`, and PoseFlow",
        recognised_by="JSON: a list with a name as `image_id`, or with `idx`; an object with an "
        "entry for each image",
        frames="the number that varies in the image names",
        people="`idx`; tracked by vidpose if it is missing, or not unique in a frame",
        joints="by their count: COCO's 17, Halpe's 26 and 136, COCO-WholeBody's 133; OpenPose's "
        "18 with `--format open` and `cmu`",
        command="alphapose-results.json --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="yolo",
        written_by="Ultralytics YOLO pose: `save_txt=True`, `result.to_json()`; dataset labels",
        recognised_by="a folder of `.txt`; JSON with `keypoints` that have `x` and `y`",
        frames="the number that varies in the file names, from `clip_1.txt` on as Ultralytics "
        "counts a video's frames; in one JSON file, the key or the index in the list",
        people="the track id if all have one, else tracked by vidpose",
        joints="COCO's 17, or `--skeleton`. Text files have fractions of width and height, "
        "JSON those or pixels",
        command="runs/pose/predict/labels --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="vitpose",
        written_by="easy_ViTPose `--save-json`",
        recognised_by="JSON: `keypoints`, and a `skeleton` that names the joints",
        frames="the index in the list",
        people="the keys, which are track ids",
        joints="the names in `skeleton`; y before x, pixels",
        command="clip_result.json --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="mediapipe",
        written_by="MediaPipe Pose and BlazePose, saved as JSON",
        recognised_by="JSON: landmarks with `x`, `y` and perhaps `visibility`, 33 per person",
        frames="`frame`, `frame_id` ..., the image name, the key, or the index in the list",
        people="one, or tracked by vidpose",
        joints="their names, in any order, or MediaPipe's 33; fractions of width and height, or "
        "pixels; world landmarks are skipped, or an error if alone",
        command="landmarks.json --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="deeplabcut",
        written_by="DeepLabCut: `save_as_csv=True`, one animal or many",
        recognised_by="CSV that begins with `scorer`",
        frames="the first column: a number, or an image name",
        people="the individuals",
        joints="the names of the body parts; pixels",
        command="clipDLC_resnet50.csv --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="csv",
        written_by="tables: MediaPipe landmarks, SLEAP's analysis CSV, your own",
        recognised_by="CSV or TSV with a header line: `nose_x, nose_y`, `x0, y0`, "
        "`x_nose, y_nose`, `nose.x, nose.y, nose.score`, or a row per joint",
        frames="a column `frame`, `frame_idx`, `image_path`, `index` ...; without it, the row, "
        "for a single person, with a warning",
        people="a column `person`, `track`, `id` ... if all have one; without it, one person, "
        "or tracked by vidpose, also with `person_idx`, `instance` ..., which count within a frame",
        joints="the column names, or their numbers with `--skeleton`; 33 numbered joints are "
        "MediaPipe's. Pixels, or fractions of width and height",
        command="landmarks.csv --fps 30 --size 1920x1080",
    ),
    KeypointFormat(
        name="npz",
        written_by="`vidpose infer --save-2d`; a vidpose result; your own arrays: (frames, joints, "
        "2 or 3) or (frames, people, joints, 2 or 3), scores also separately as `scores`; "
        "FreeMoCap: (cameras, frames, points, 2 or 3)",
        recognised_by="`.npz` or `.npy`; in an archive, the only array, `keypoints_2d` or "
        "`keypoints`",
        frames="as in the file; in a bare array, the index",
        people="as in the file; in a bare array, one, or several that vidpose tracks",
        joints="as in the file; a bare array needs `--skeleton`. Pixels",
        command="outputs/clip.2d.npz --weights other.safetensors",
    ),
)

NAMES = ("auto", *(format.name for format in KEYPOINT_FORMATS))
"""Values of `--format`."""


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
