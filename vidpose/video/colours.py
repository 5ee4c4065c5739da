"""Convert decoded frames to 8-bit RGB for a standard dynamic range screen."""

from __future__ import annotations

from functools import cache
from typing import cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

# FFmpeg's codes for the matrix (H.273).
UNSPECIFIED = 2
CONVERTED = {0, 1, UNSPECIFIED, 4, 5, 6, 7, 9}
"""Matrices that FFmpeg's converter supports."""
BT2020_RELATIVES = {10, 14}
"""BT.2020 with constant luminance, and ICtCp."""
MATRIX_NAMES = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE 2085",
    12: "derived from the primaries",
    13: "derived from the primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
HD_COLUMNS, HD_ROWS = 1280, 720
"""Untagged frames are BT.709 from this width or height on, BT.601 below, as in players."""

WHITE_NITS = 203.0
"""Reference white of HDR video (ITU-R BT.2408); it is mapped to SDR white."""
PEAK_NITS = 1000.0
"""Brighter light is clipped."""
KNEE = 0.5
"""Up to this share of white, brightness is kept; above it, it is compressed."""
SCREEN_GAMMA = 2.4
"""Of an SDR screen (ITU-R BT.1886)."""
HLG_SYSTEM_GAMMA = 1.2
"""Of HLG on a screen of `PEAK_NITS` (ITU-R BT.2100)."""
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
"""Linear RGB to linear RGB (ITU-R BT.2087). It is applied to 8-bit values here, which takes a tenth
of the time, is exact for greys and accurate enough for detection."""


class ToRGB:
    """Converts a video's frames; `warnings` names what had to be assumed."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._reformatter = VideoReformatter()
        self._unknown: set[int] = set()

    def __call__(self, frame: VideoFrame, size: tuple[int, int]) -> Image:
        """Convert a frame to (H, W, 3) uint8 RGB.

        Args:
            frame: as decoded.
            size: width and height of the image, before it is rotated upright.
        """
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        shrinks = size[0] < frame.width
        is_hd = frame.width >= HD_COLUMNS or frame.height >= HD_ROWS
        matrix = self._matrix(int(frame.colorspace), primaries, is_hd)
        # Not as the converter's argument, which does not take all of the codes of frames.
        frame.colorspace = matrix
        rgb = self._reformatter.reformat(
            frame,
            *size,
            "rgb24",
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
        )
        image = cast(Image, rgb.to_ndarray())
        curve = _curve(transfer)
        if curve is None:
            return image
        image = cast(Image, cv2.LUT(image, curve))
        if primaries == ColorPrimaries.BT2020:
            image = cast(Image, cv2.transform(image, BT2020_TO_BT709))
        return image

    def _matrix(self, code: int, primaries: int, is_hd: bool) -> int:
        """Return the code of a matrix that the converter supports."""
        if code == UNSPECIFIED and is_hd:
            return int(Colorspace.ITU709)
        if code in CONVERTED:
            return code
        wide = code in BT2020_RELATIVES or primaries == ColorPrimaries.BT2020
        if code not in self._unknown:
            self._unknown.add(code)
            self.warnings.append(
                f"its colour matrix ({MATRIX_NAMES.get(code, f'code {code}')}) cannot be converted "
                f"here; {'BT.2020' if wide else 'BT.709'} is assumed, so colours may be off."
            )
        return int(Colorspace.BT2020 if wide else Colorspace.ITU709)


def _curve(transfer: int) -> Image | None:
    """(256,) look-up table from HDR to SDR values; None for SDR video."""
    if transfer == ColorTrc.SMPTE2084:
        return _tone_curve("pq")
    if transfer == ColorTrc.ARIB_STD_B67:
        return _tone_curve("hlg")
    return None


@cache
def _tone_curve(transfer: str) -> Image:
    coded = np.arange(256) / 255
    nits = pq_to_nits(coded) if transfer == "pq" else hlg_to_nits(coded)
    shown = compressed(nits / WHITE_NITS, PEAK_NITS / WHITE_NITS) ** (1 / SCREEN_GAMMA)
    return np.asarray(np.rint(255 * shown), np.uint8)


def pq_to_nits(coded: Floats) -> Floats:
    """SMPTE ST 2084: values from 0 to 1 to cd/m^2, up to 10,000."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = coded ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))


def hlg_to_nits(coded: Floats) -> Floats:
    """ARIB STD-B67: values from 0 to 1 to cd/m^2 on a screen of `PEAK_NITS`, of greys."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return np.asarray(PEAK_NITS * scene**HLG_SYSTEM_GAMMA)


def compressed(light: Floats, peak: float) -> Floats:
    """Compress linear light, 1 for white, to 0..1: unchanged up to `KNEE`, `peak` and more to 1."""
    over = np.maximum(np.minimum(light, peak) - KNEE, 0) / (1 - KNEE)
    most = (peak - KNEE) / (1 - KNEE)
    # Reinhard's curve: slope 1 at the knee, 1 at the peak.
    bent = over * (1 + over / most**2) / (1 + over)
    return np.asarray(np.where(light <= KNEE, light, KNEE + (1 - KNEE) * bent))
