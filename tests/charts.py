"""Inspection of drawn charts."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import to_rgb


def pixels(path: Path, colour: str) -> int:
    """The number of pixels of a colour."""
    picture = np.asarray(cv2.imread(str(path)))[..., ::-1].astype(int)
    wanted = np.round(255 * np.array(to_rgb(colour)))
    return int((np.abs(picture - wanted).max(axis=-1) <= 2).sum())
