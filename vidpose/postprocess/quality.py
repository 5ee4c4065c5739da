"""The quality report: signs of errors in a result, and their times.

Accuracy cannot be measured without ground truth. The report has proxies instead: bones that change
length, left and right limbs of different length, jitter, merged legs, disagreement between the
plain and the mirrored pass of the network, and interpolated frames. High values mean that something
is wrong; low values do not mean that all is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D, unseen_joints
from vidpose.postprocess.merged_legs import merged_legs_s, times_s
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import clock, known_joints, runs
from vidpose.utils.tables import aligned

NOTE = "proxies, not accuracy"
LIMBS = {
    "thigh": ("Hip", "Knee"),
    "shin": ("Knee", "Foot"),
    "upper arm": ("Shoulder", "Elbow"),
    "forearm": ("Elbow", "Wrist"),
}
"""The bones measured on both sides. Both ends are joints, so that no motion changes the length."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy: its threshold, and how to print it."""

    name: str
    """Its column in the printed table."""
    floor: float
    """Minimum value of a frame that stands out; errors this large are visible. In the proxy's unit,
    except for the confidence (1 - confidence) and the proxies in `IN_SECONDS` (seconds)."""
    form: str
    """Format of the value for all frames."""
    moment: str
    """Format of one moment."""


PROXIES = {
    "bone_drift_percent": Proxy(
        name="bone drift",
        floor=25.0,
        form="{:.0f} %",
        moment="{where}s deviate from their length by {value:.0f} % (usually {usually:.0f})",
    ),
    "asymmetry_percent": Proxy(
        name="asymmetry",
        floor=30.0,
        form="{:.0f} %",
        moment="left and right {where} differ by {value:.0f} % (usually {usually:.0f})",
    ),
    "interpolated_percent": Proxy(
        name="interpolated",
        floor=0.15,
        form="{:.0f} %",
        moment="not detected for {value:.2f} s, interpolated",
    ),
    "merged_legs_percent": Proxy(
        name="merged legs",
        floor=0.1,
        form="{:.0f} %",
        moment="both legs detected on the same leg for {value:.2f} s",
    ),
    "confidence_2d": Proxy(
        name="2D confidence",
        floor=0.5,
        form="{:.2f}",
        moment="2D confidence is {value:.2f} (usually {usually:.2f})",
    ),
    "flip_disagreement_mm": Proxy(
        name="mirror image",
        floor=60.0,
        form="{:.0f} mm",
        moment="lifting the mirrored pose differs by {value:.0f} mm (usually {usually:.0f})",
    ),
    "jitter_mm": Proxy(
        name="jitter",
        floor=40.0,
        form="{:.0f} mm",
        moment="{where} jumps by {value:.0f} mm (usually {usually:.0f})",
    ),
}
"""By name in `meta`."""
IN_SECONDS = {"interpolated_percent": "interpolated_s", "merged_legs_percent": "merged_legs_s"}
"""Proxies that are shares of frames, and the duration that moments have instead."""
TIMES_USUAL = 3.0
"""A frame that stands out also exceeds the person's median by this factor."""
SAME_MOMENT_S = 0.5
"""Frames that stand out and are no further apart than this are one moment."""
ROUNDED_S = 6e-4
"""Times in the report are rounded to milliseconds: off by half of one, and float error."""
MOST_MOMENTS = 5
"""Maximum number of moments to report."""
JITTER_STEP_S = 1 / 30
"""Approximate time between the frames used for interpolation, so that 30 and 60 frames/s give the
same value."""
JITTER_REACH_S = 0.3
"""Maximum time from the first to the last of these frames; beyond it, motion would count."""
UNSEEN_SHARE = 0.5
"""A joint that is not visible in this share of a person's frames is reported as guessed."""
MOST_PEOPLE = 8
"""Maximum number of people to print: those who are visible longest."""

Series = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Sign:
    """One proxy of one person."""

    figure: float | None
    """The value for all frames together."""
    worst: Series
    """(T,), the value of the worst limb or joint in each frame; NaN where unknown."""
    where: NDArray[np.intp] | None = None
    """(T,), its index into `names`."""
    names: tuple[str, ...] = ()


def quality_report(
    result: Pose3D, flip_disagreement_m: NDArray[np.floating] | None = None
) -> dict[str, Any]:
    """Compute the proxies of a result, for `meta["trust"]`.

    Args:
        result: lifted poses, before refinement and smoothing.
        flip_disagreement_m: (P, T), see `vidpose.lifting.lifter.Lifter`; NaN where unknown.

    Returns:
        JSON values. Each of `people`, and `everybody` as the mean over all their frames, has

        - `bone_drift_percent`: deviation of thigh, shin, upper arm and forearm (each the mean of
          left and right) from their median length, mean over frames and limbs;
        - `asymmetry_percent`: difference between left and right, likewise;
        - `interpolated_percent`: frames in which the person was not detected;
        - `merged_legs_percent`: share of the other frames in which both legs are detected on the
          same leg, see `merged_legs_s`;
        - `confidence_2d`: confidence of the detector, 0 to 1, mean over the same frames;
        - `flip_disagreement_mm`: distance between the plain and the mirrored pass, mean over
          joints;
        - `jitter_mm`: distance of joints from a smooth path through the frames before and after,
          mean over joints;

        each None if unknown. `throughout` lists the proxies that are bad in half of the frames or
        more, and `merged_legs_times_s` the start and end of each stretch with merged legs.
        `unseen_joints`, if any, lists joints that are not visible in half of the frames or more,
        see `vidpose.poses.unseen_joints`: the network guessed them, such as the legs of people
        whose upper body alone is in the frame.
        `worst_moments` are the times at which a proxy is far above the person's usual value and
        the error should be visible: `what` (the proxy), `where` and `value` (of the worst limb or
        joint), `usually`, the time span `from_s` to `to_s`, and `also`, the other proxies that
        stand out in it. Times are seconds from the video's first frame.
    """
    people: list[dict[str, Any]] = []
    known: list[dict[str, int]] = []  # by person, the frames with a value
    moments: list[tuple[float, dict[str, Any]]] = []
    unseen = unseen_joints(result)
    for p in range(result.people):
        person, frames = int(result.person_ids[p]), int(result.present[p].sum())
        signs = dict(_signs(result, p, flip_disagreement_m))
        known.append({name: int(np.isfinite(sign.worst).sum()) for name, sign in signs.items()})
        figures = {name: _round(name, sign.figure) for name, sign in signs.items()}
        # If all frames are bad, none stands out.
        throughout = [n for n, sign in signs.items() if _usual(sign.worst) > PROXIES[n].floor]
        times = times_s(signs["merged_legs_percent"].worst > 0, result.seconds)
        people.append(
            {"person": person, "frames": frames, **figures}
            | {"throughout": throughout, "merged_legs_times_s": times}
            | _hardly_seen(unseen[p], result.present[p])
        )
        moments += _moments(result.seconds, person, signs)
    moments.sort(key=lambda moment: -moment[0])
    worst = sorted((moment for _, moment in moments[:MOST_MOMENTS]), key=lambda m: m["time_s"])
    return {
        "note": NOTE,
        "everybody": _together(people, known),
        "people": people,
        "worst_moments": worst,
    }


def _hardly_seen(unseen: NDArray[np.bool_], present: NDArray[np.bool_]) -> dict[str, list[str]]:
    """The `unseen_joints` entry of one person, (T, 17), if there are any."""
    if not present.any():
        return {}
    mostly = unseen[present].mean(axis=0) >= UNSEEN_SHARE
    names = [name for name, never in zip(H36M17.joint_names, mostly, strict=True) if never]
    return {"unseen_joints": names} if names else {}


def _round(name: str, value: float | None) -> float | None:
    digits = 2 if name in ("confidence_2d", *IN_SECONDS.values()) else 1
    return None if value is None else round(float(value), digits)


def _usual(worst: Series) -> float:
    known = worst[np.isfinite(worst)]
    return float(np.median(known)) if len(known) else 0.0


def _signs(
    result: Pose3D, p: int, flip_disagreement_m: NDArray[np.floating] | None
) -> Iterator[tuple[str, _Sign]]:
    present, observed = result.present[p], result.observed[p]
    joints = result.joints_3d[p]
    lengths = _limb_lengths(joints)  # (T, limbs, 2)
    mean = np.maximum(lengths.mean(axis=2), 1e-6)
    usual = np.median(mean[present], axis=0) if present.any() else np.ones(len(LIMBS), np.float32)
    yield "bone_drift_percent", _sign(100 * np.abs(mean / usual - 1), tuple(LIMBS))
    apart = np.abs(lengths[..., 0] - lengths[..., 1])
    yield "asymmetry_percent", _sign(100 * apart / mean, tuple(LIMBS))
    yield "interpolated_percent", _interpolated(present, observed, result.timestamps)
    yield "merged_legs_percent", _merged_legs(result, p)
    yield "confidence_2d", _doubt(result.scores_2d[p], observed)
    flip = np.full(result.frames, np.nan, np.float32)
    if flip_disagreement_m is not None:
        flip[present] = 1000 * flip_disagreement_m[p, present]
    yield "flip_disagreement_mm", _sign(flip[:, None])
    yield "jitter_mm", _sign(1000 * _jitter(joints, result.timestamps), H36M17.joint_names[1:])


def _sign(values: Series, names: tuple[str, ...] = ()) -> _Sign:
    """Make a sign from values (T, N); NaN in frames where unknown."""
    known = known_joints(values, 1)
    figure = float(values[known].mean(dtype=np.float64)) if known.any() else None
    values = np.where(known[:, None], values, -np.inf)
    worst = np.where(known, values.max(axis=1), np.nan).astype(np.float32)
    return _Sign(
        figure=figure, worst=worst, where=values.argmax(axis=1) if names else None, names=names
    )


def _limb_lengths(joints: NDArray[np.float32]) -> Series:
    """(T, 17, 3) -> (T, limbs, 2), left and right, metres."""
    lengths = np.empty((len(joints), len(LIMBS), 2), np.float32)
    for n, ends in enumerate(LIMBS.values()):
        for s, side in enumerate("LR"):
            top, end = (H36M17.index(side + name) for name in ends)
            lengths[:, n, s] = np.linalg.norm(joints[:, top] - joints[:, end], axis=1)
    return lengths


def _interpolated(
    present: NDArray[np.bool_], observed: NDArray[np.bool_], timestamps: NDArray[np.float64]
) -> _Sign:
    """For each interpolated frame, the seconds between the observed frames around it."""
    gaps = present & ~observed
    worst = np.where(present, 0, np.nan).astype(np.float32)
    for gap in runs(gaps):
        before, after = max(gap.start - 1, 0), min(gap.stop, len(timestamps) - 1)
        worst[gap] = timestamps[after] - timestamps[before]
    share = 100 * gaps.sum() / present.sum() if present.any() else None
    return _Sign(figure=share, worst=worst)


def _merged_legs(result: Pose3D, p: int) -> _Sign:
    """For each frame with merged legs, the duration of the error in seconds."""
    observed = result.observed[p]
    seconds = merged_legs_s(result.keypoints_2d[p], observed, result.timestamps)
    share = 100 * (seconds > 0).sum() / observed.sum() if observed.any() else None
    return _Sign(figure=share, worst=np.where(observed, seconds, np.nan).astype(np.float32))


def _doubt(scores: NDArray[np.float32], observed: NDArray[np.bool_]) -> _Sign:
    """1 - confidence per frame, so that larger is worse; the overall value is the confidence.

    Interpolated joints have no confidence. If all confidences are 1, the file of 2D joints had
    none.
    """
    seen = scores[observed]
    if (seen[seen > 0] == 1).all():
        return _Sign(figure=None, worst=np.full(len(scores), np.nan, np.float32))
    worst = np.where(observed, 1 - scores.mean(axis=1), np.nan).astype(np.float32)
    return _Sign(figure=float(seen.mean(dtype=np.float64)), worst=worst)


def _jitter(joints: NDArray[np.float32], timestamps: NDArray[np.float64]) -> Series:
    """Distance of each joint, except the root, from the cubic through two frames before and after.

    Motion that is smooth over these frames gives nearly 0.

    Returns:
        (T, J - 1) metres; NaN where one of these frames is missing or too far away.
    """
    frames, count = joints.shape[:2]
    jitter = np.full((frames, count - 1), np.nan, np.float32)
    pace = float(np.median(np.diff(timestamps))) if frames > 1 else JITTER_STEP_S
    step = max(1, round(JITTER_STEP_S / pace))
    inner = np.arange(2 * step, frames - 2 * step)
    around = inner + step * np.array([-2, -1, 1, 2])[:, None]  # (4, N)
    times = timestamps[around]
    near = times[3] - times[0] <= JITTER_REACH_S if len(inner) else np.zeros(0, bool)
    inner, around, times = inner[near], around[:, near], times[:, near]
    at = timestamps[inner]
    weights = np.ones(times.shape)  # Lagrange weights; frames need not be evenly spaced
    for i in range(4):
        for j in range(4):
            if i != j:
                weights[i] *= (at - times[j]) / (times[i] - times[j])
    for joint in range(1, count):  # one by one, to bound memory
        path = sum(weights[i, :, None] * joints[around[i], joint] for i in range(4))
        jitter[inner, joint - 1] = np.linalg.norm(joints[inner, joint] - path, axis=1)
    return jitter


def _moments(
    timestamps: NDArray[np.float64], person: int, signs: dict[str, _Sign]
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the moments that stand out, each with its ratio to the threshold."""
    names = list(signs)
    usual = [_usual(signs[name].worst) for name in names]
    height = np.stack(
        [
            np.nan_to_num(signs[name].worst / max(PROXIES[name].floor, TIMES_USUAL * normal))
            for name, normal in zip(names, usual, strict=True)
        ]
    )
    out = np.flatnonzero((height > 1).any(axis=0))
    for stretch in np.split(out, np.flatnonzero(np.diff(timestamps[out]) > SAME_MOMENT_S) + 1):
        if not len(stretch):
            continue
        peaks = height[:, stretch].max(axis=1)
        most, *others = (int(n) for n in np.argsort(-peaks, kind="stable") if peaks[n] > 1)
        t = int(stretch[height[most, stretch].argmax()])
        name, sign = names[most], signs[names[most]]
        value, normal = float(sign.worst[t]), usual[most]
        if name == "confidence_2d":
            value, normal = 1 - value, 1 - normal
        what = IN_SECONDS.get(name, name)
        moment = {
            "time_s": round(float(timestamps[t]), 3),
            "from_s": round(float(timestamps[stretch[0]]), 3),
            "to_s": round(float(timestamps[stretch[-1]]), 3),
            "person": person,
            "what": what,
            "where": None if sign.where is None else sign.names[sign.where[t]],
            "value": _round(what, value),
            "usually": _round(what, normal),
            "also": [names[other] for other in others],
        }
        yield float(peaks[most]), moment


def _together(people: list[dict[str, Any]], known: list[dict[str, int]]) -> dict[str, Any]:
    """Mean over the frames of all people with known values.

    Args:
        people: their figures.
        known: number of frames that each of them is the mean of.
    """
    out: dict[str, Any] = {"frames": sum(one["frames"] for one in people)}
    for name in PROXIES:
        values = [
            (one[name], counts[name])
            for one, counts in zip(people, known, strict=True)
            if one[name] is not None
        ]
        frames = sum(n for _, n in values)
        out[name] = _round(name, sum(v * n for v, n in values) / frames) if frames else None
    return out


def quality_text(report: dict[str, Any]) -> str:
    """Format a report for the terminal: a line per person, then the moments to look at.

    Args:
        report: from `quality_report`.
    """
    people = report["people"]
    longest = sorted(people, key=lambda one: -one["frames"])[:MOST_PEOPLE]
    shown = [one for one in people if one in longest]
    rows = [["person", "frames", *(proxy.name for proxy in PROXIES.values())]]
    rows += [[str(one["person"]), str(one["frames"]), *_cells(one)] for one in shown]
    lines = [f"Quality report ({report['note']}):", indent(aligned(rows, left=()), "  ")]
    if len(people) > len(shown):
        lines.append(f"  {len(people) - len(shown)} more people are in the result's meta.")
    for one in shown:
        if one["throughout"]:
            what = ", ".join(PROXIES[name].name for name in one["throughout"])
            lines.append(f"  Person {one['person']} is unreliable throughout: {what}.")
        if unseen := one.get("unseen_joints"):
            what = ", ".join(joint_in_words(joint) for joint in unseen)
            lines.append(
                f"  Person {one['person']}: not visible in most frames, so guessed in 3D: {what}."
            )
        if times := one.get("merged_legs_times_s"):
            when = ", ".join(f"{clock(start)} to {clock(end)}" for start, end in times)
            lines.append(
                f"  Person {one['person']}: both legs detected on the same leg from {when}."
            )
    if report["worst_moments"]:
        lines.append("  Worst moments, to look at:")
    lines += [f"    {moment_text(moment)}" for moment in report["worst_moments"]]
    return "\n".join(lines)


def _cells(one: dict[str, Any]) -> Iterator[str]:
    for name, proxy in PROXIES.items():
        value = one.get(name)  # older results have fewer proxies
        yield "-" if value is None else proxy.form.format(value)


def moment_text(moment: dict[str, Any]) -> str:
    """Format one of the worst moments as a sentence."""
    name = {what: share for share, what in IN_SECONDS.items()}.get(moment["what"], moment["what"])
    where = joint_in_words(moment["where"]) if moment["where"] else ""
    what = PROXIES[name].moment.format(**moment | {"where": where})
    also = ", ".join(PROXIES[other].name for other in moment["also"])
    start, stop = moment["from_s"], moment["to_s"]
    span = f" ({clock(start)} to {clock(stop)})" if stop - start > SAME_MOMENT_S else ""
    tail = f"; also {also}" if also else ""
    return f"{clock(moment['time_s'])}{span}, person {moment['person']}: {what}{tail}"


def moments_of(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The worst moments of a report from a file, without malformed ones.

    Yields:
        `time_s`, `from_s` and `to_s`, seconds; `person`, their id; `text`, see `moment_text`.
    """
    moments = report.get("worst_moments")
    for moment in moments if isinstance(moments, list) else []:
        try:
            times = {key: float(moment[key]) for key in ("time_s", "from_s", "to_s")}
            person, text = int(moment["person"]), moment_text(moment)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError):
            continue
        if all(map(math.isfinite, times.values())):
            yield times | {"person": person, "text": text}


def people_of(report: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
    """The people of a report from a file by id, without malformed ones."""
    people = report.get("people")
    known = (one for one in (people if isinstance(people, list) else []) if isinstance(one, dict))
    return {one["person"]: one for one in known if isinstance(one.get("person"), int)}


def joint_in_words(joint: str) -> str:
    """LFoot -> left foot; a limb's name stays."""
    side = {"L": "left ", "R": "right "}.get(joint[0], "")
    return side + (joint[1:] if side else joint).lower()
