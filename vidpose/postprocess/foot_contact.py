"""Detection of foot contacts with the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidpose.skeleton import H36M17
from vidpose.utils.gaps import gaps_in, runs, runs_between

FEET = (H36M17.index("RFoot"), H36M17.index("LFoot"))
ANKLE_HEIGHT_M = 0.08
"""Height of the ankle joint above the sole, in an adult."""
CONTACT_SPEED = 0.35
"""Metres per second across the line of sight: a slower foot counts as in contact."""
SPEED_OVER_S = 0.2
"""Seconds over which to measure speed, to suppress jitter."""
SHORTEST_S = 0.15
"""Seconds; a shorter rest is a turning point, not a contact."""


@dataclass(frozen=True, eq=False)
class FootContacts:
    """Contacts of one person's feet with the ground, in order of time; R of them."""

    places: NDArray[np.float64]
    """(R, 3) ankle positions, camera frame, metres."""
    seconds: NDArray[np.float64]
    """(R,) durations."""
    frames: NDArray[np.intp]
    """(R,) middle frame."""
    feet: NDArray[np.intp]
    """(R,) index into `FEET`."""


def foot_contacts(
    feet: NDArray[np.float64], known: NDArray[np.bool_], timestamps: NDArray[np.float64]
) -> FootContacts:
    """Find the contacts of one person.

    Args:
        feet: (T, 2, 3) both ankles, camera frame, metres.
        known: (T,) whether both are known.
        timestamps: (T,) seconds.
    """
    found: list[tuple[int, float, NDArray[np.float64], int]] = []
    for run in runs_between(known, gaps_in(timestamps)):
        for foot in (0, 1):
            path, times = feet[run, foot], timestamps[run]
            for contact in runs(_is_slow(path, times)):
                seconds = float(times[contact.stop - 1] - times[contact.start])
                if seconds >= SHORTEST_S:
                    middle = run.start + (contact.start + contact.stop) // 2
                    place = np.median(path[contact], axis=0)
                    found.append((middle, seconds, place, foot))
    found.sort(key=lambda contact: contact[0])
    return FootContacts(
        np.array([place for _, _, place, _ in found]).reshape(-1, 3),
        np.array([seconds for _, seconds, _, _ in found]),
        np.array([frame for frame, _, _, _ in found], np.intp),
        np.array([foot for _, _, _, foot in found], np.intp),
    )


def _is_slow(path: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, 3) path of a foot -> (T,) whether it is at rest.

    Only speed across the line of sight counts, since jitter along it would look like steps.
    """
    if len(path) < 2:
        return np.zeros(len(path), bool)
    rays = path / np.maximum(np.linalg.norm(path, axis=1, keepdims=True), 1e-9)
    before = np.maximum(times - SPEED_OVER_S / 2, times[0])
    after = np.minimum(times + SPEED_OVER_S / 2, times[-1])
    moved = [np.interp(after, times, ray) - np.interp(before, times, ray) for ray in rays.T]
    across = np.linalg.norm(moved, axis=0) * np.linalg.norm(path, axis=1)
    slow: NDArray[np.bool_] = across < CONTACT_SPEED * (after - before)
    return slow
