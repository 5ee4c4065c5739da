"""Looking at charts that were drawn."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import to_rgb


def pixels(path: Path, colour: str) -> int:
    """How many pixels have a colour."""
    picture = np.asarray(cv2.imread(str(path)))[..., ::-1].astype(int)
    wanted = np.round(255 * np.array(to_rgb(colour)))
    return int((np.abs(picture - wanted).max(axis=-1) <= 2).sum())
