"""Recognise common files without readable 2D joints, and say what to do instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from vidpose.errors import KeypointsError, UsageError

_VIDEO = "is a video; `vidpose infer {path}` finds the 2D joints in it and lifts them"
_PICTURE = "is an image; `vidpose infer {path}` finds the 2D joints in it and lifts them"
_PICKLE = (
    "is a pickle, which may run code when it is opened; write the joints as JSON or as an array "
    "(frames, joints, 2 or 3) with numpy.save"
)

_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    *((4, brand, _VIDEO) for brand in (b"ftyp", b"moov", b"mdat")),
    (0, b"\x1a\x45\xdf\xa3", _VIDEO),  # Matroska, WebM
    (8, b"AVI ", _VIDEO),
    *((0, start, _VIDEO) for start in (b"FLV\x01", b"OggS", b"\x30\x26\xb2\x75", b"\0\0\x01\xba")),
    *((0, start, _PICTURE) for start in (b"\xff\xd8\xff", b"\x89PNG", b"GIF8")),
    (8, b"WEBP", _PICTURE),
    *((0, bytes([0x80, version]), _PICKLE) for version in (2, 3, 4, 5)),
)
"""Offset, bytes and the message for a file that has them there."""
_ARCHIVES = (
    (0, b"\x1f\x8b", "is compressed; unpack it first (gunzip)"),
    (0, b"\xfd7zXZ\0", "is compressed; unpack it first (unxz)"),
    (0, b"\x28\xb5\x2f\xfd", "is compressed; unpack it first (unzstd)"),
    (4, b"1AY&SY", "is compressed; unpack it first (bunzip2)"),
    (0, b"PK\x03\x04", "is an archive; unpack it first (unzip)"),
    (0, b"7z\xbc\xaf\x27\x1c", "is an archive; unpack it first (7z x)"),
)
"""The same, checked after the suffix: spreadsheets are zip files, too."""

_HDF5 = (
    "is HDF5: of DeepLabCut, write it as CSV (deeplabcut.analyze_videos_converth5_to_csv), since "
    "its columns are pickled; of SLEAP, export its analysis as CSV; else save an array (frames, "
    "joints, 2 or 3) with numpy.save"
)
_SUFFIXES = {
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth"), _PICKLE),
    ".mat": "is MATLAB's; save an array (frames, joints, 2 or 3) with numpy.save",
    ".trc": "is TRC, which holds 3D joints; lift the JSON of 2D joints instead, which Sports2D and "
    "Pose2Sim write with save_pose",
    **dict.fromkeys((".c3d", ".bvh", ".mot"), "holds 3D motion, which needs no lifting"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "is a spreadsheet; save it as CSV"),
    ".tar": "is an archive; unpack it first",
    ".slp": "is SLEAP's project; export its analysis as CSV",
    **dict.fromkeys((".yaml", ".yml"), "is YAML; write the joints as JSON"),
}
_TS_PACKET = 188
_LINE = 4096


def refuse_other_files(path: Path) -> None:
    """Raise an error that says what to do if a file is known to hold no readable 2D joints.

    Raises:
        UsageError: it is a video or an image.
        KeypointsError: it is of another kind, or cannot be read.
    """
    if path.is_dir():
        return
    try:
        with open(path, "rb") as stream:
            head = stream.read(_TS_PACKET + 1)
    except OSError as error:
        raise KeypointsError(f"{path} cannot be read ({error.strerror}).") from None
    what = _by_beginning(head, _BEGINNINGS)
    if head[:1] == head[_TS_PACKET:] == b"\x47":
        what = _VIDEO
    if head.startswith(b"\x89HDF"):
        what = _HDF5
    suffix = path.suffix.lower()
    what = what or _SUFFIXES.get(suffix)
    if what is None and suffix != ".npz":  # NumPy's archives are zip files, too
        what = _by_beginning(head, _ARCHIVES)
    if what is not None:
        raised = UsageError if what in (_VIDEO, _PICTURE) else KeypointsError
        raise raised(f"{path} {what.format(path=path)}.")


def _by_beginning(head: bytes, known: Iterable[tuple[int, bytes, str]]) -> str | None:
    return next((text for at, begin, text in known if head[at : at + len(begin)] == begin), None)


def text_kind(path: Path) -> str | None:
    """Detect the format of a text file from its suffix and beginning: `json`, `csv` or `yolo`; None
    if it is none of them.
    """
    suffix = path.suffix.lower()
    with open(path, "rb") as stream:
        head = stream.read(_LINE)
    line = head.lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t").splitlines()[:1]
    begin = line[0] if line else b""
    if suffix in (".json", ".jsonl", ".ndjson") or begin[:1] in (b"{", b"["):
        return "json"
    if suffix in (".csv", ".tsv"):
        return "csv"
    if suffix == ".txt" and re.fullmatch(rb"[0-9eE.+ -]*", begin):
        return "yolo"
    return "csv" if any(sign in begin for sign in b",;\t") else None
