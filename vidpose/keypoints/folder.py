"""Read a folder with a JSON file for every frame, in any format with such files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Protocol

from vidpose.errors import KeypointsError
from vidpose.keypoints.base import NOTHING, Asked, Item, KeypointFile, PersonKeypoints, read_json
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.keypoints.nested import MOST_PEOPLE
from vidpose.skeleton import Skeleton


class JsonReader(Protocol):
    """A module that reads a JSON format."""

    NAME: str

    def matches(self, item: Item) -> bool: ...

    def read(self, item: Item, asked: Asked = ...) -> KeypointFile: ...


def json_files(folder: Path) -> list[Path]:
    """List the files of frames: OpenPose's `*_keypoints.json` if there are any, else all JSON."""
    visible = [path for path in sorted(folder.glob("*.json")) if not path.name.startswith(".")]
    return [path for path in visible if path.stem.endswith("_keypoints")] or visible


def read(folder: Path, readers: Iterable[JsonReader], asked: Asked = NOTHING) -> KeypointFile:
    """Read all frames.

    Args:
        folder: the folder.
        readers: the possible formats.
        asked: passed on to the format's reader.

    Raises:
        KeypointsError: there are no files, one has another format, or the frames cannot be found
            from the names.
        UsageError: there are several videos and none was chosen, or the skeleton must be given.
    """
    files = {path.name: path for path in json_files(folder)}
    if not files:
        _fail_empty(folder)
    numbers = frame_numbers(files, folder, asked.video)
    if len(files) == 1:  # perhaps of a whole video
        item = read_json(next(iter(files.values())))
        if item.value and _holds_frames(found := _reader(item, readers).read(item, asked)):
            return found
    frames: dict[int, list[PersonKeypoints]] = {}
    reader: JsonReader | None = None
    skeleton: Skeleton | None = None
    first: KeypointFile | None = None
    all_normalised = True
    sizes: set[tuple[int, int] | None] = set()
    for name, number in sorted(numbers.items(), key=lambda one: one[1]):
        index = Item(number, files[name], "the number in its name").integer()
        item = read_json(files[name])
        frames[index] = []
        if not item.value:
            continue  # a frame without people
        reader = reader or _reader(item, readers)
        if not reader.matches(item):
            item.fail(f"is not of the format {reader.NAME}, as the files before it")
        found = reader.read(item, replace(asked, skeleton=skeleton or asked.skeleton, video=None))
        if _holds_frames(found):
            item.fail(
                f"holds {len(found.frames)} frames; give a file of a whole video, not its folder"
            )
        frames[index] = [person for people in found.frames.values() for person in people]
        first = first or found
        sizes.add(found.frame_size)
        if frames[index]:
            skeleton = found.skeleton
            all_normalised &= found.normalised
    if first is None or reader is None:
        raise KeypointsError(f"{folder}: there is no person in it.")
    return KeypointFile(
        path=folder,
        format=reader.NAME,
        skeleton=skeleton or first.skeleton,
        frames=frames,
        frame_size=sizes.pop() if len(sizes) == 1 else None,
        normalised=all_normalised and skeleton is not None,
        video=asked.video,
    )


def _holds_frames(found: KeypointFile) -> bool:
    """Whether a file holds a video; up to `MOST_PEOPLE` entries may be the people of one frame."""
    return len(found.frames) > MOST_PEOPLE


def _reader(item: Item, readers: Iterable[JsonReader]) -> JsonReader:
    found = next((reader for reader in readers if reader.matches(item)), None)
    if found is None:
        item.fail("holds no 2D joints of a frame; leave only the frames' files in the folder")
    return found


def _fail_empty(folder: Path) -> NoReturn:
    try:
        inner = sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise KeypointsError(f"{folder} cannot be read ({error.strerror}).") from None
    within = [name for name in inner if _has_files(folder / name)]
    hint = f"; give one of its folders: {', '.join(within[:6])}" if within else ""
    raise KeypointsError(
        f"{folder} holds no files of 2D joints, such as OpenPose's *_keypoints.json or YOLO's "
        f"*.txt{hint}."
    )


def _has_files(folder: Path) -> bool:
    return any(path.suffix in (".json", ".txt") for path in folder.glob("*"))
