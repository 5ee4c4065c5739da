"""An independent reader of pages: the HTML, its JSON, and the arrays."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -32768


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = (dict(attrs).get("id") or "player") if tag == "script" else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data
        else:
            self.text.append(data)


@dataclass(frozen=True, eq=False)
class Page:
    """The content of a page."""

    elements: list[tuple[str, dict[str, str | None]]]
    text: str
    header: dict[str, Any]
    times: NDArray[np.float64]
    frame_indices: NDArray[np.float64]
    video: bytes | None
    people: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    """By block: in metres, pixels, degrees, 0 to 1; (frames, values)."""


def read_page(html: str) -> Page:
    reader = Reader()
    reader.feed(html)
    header = json.loads(reader.scripts["vidpose-header"])
    video = reader.scripts.get("vidpose-video")
    page = Page(
        reader.elements,
        "".join(reader.text),
        header,
        np.frombuffer(b64decode(reader.scripts["vidpose-times"]), "<f8"),
        np.frombuffer(b64decode(reader.scripts["vidpose-frames"]), "<f8"),
        None if video is None else b64decode(video),
    )
    for index, about in enumerate(header["people"]):
        data = b64decode(reader.scripts[f"vidpose-person-{index}"])
        page.people.append(_person(data, about["frames"], header))
    return page


def _person(data: bytes, frames: int, header: dict[str, Any]) -> dict[str, NDArray[Any]]:
    steps = header["steps"]
    sizes = {
        "joints": steps["joints_m"],
        "keypoints": steps["keypoints_px"],
        "angles": steps["angles_deg"],
        "scores": 1 / 255,
    }
    out: dict[str, NDArray[Any]] = {}
    offset = 0
    for block in header["blocks"]:
        dtype = np.dtype(block["type"]).newbyteorder("<")
        count = frames * block["values"]
        whole = np.frombuffer(data, dtype, count, offset).reshape(frames, block["values"])
        offset += whole.nbytes
        name = block["name"]
        values = whole.astype(np.float64) * sizes.get(name, 1)
        unknown = (whole == UNKNOWN) if block["type"] == "int16" else np.zeros(whole.shape, bool)
        out[name] = np.where(unknown, np.nan, values)
    assert offset == len(data)
    return out
