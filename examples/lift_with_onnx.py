"""2D joints of one person to 3D with NumPy and ONNX Runtime alone; see docs/onnx.md.

python examples/lift_with_onnx.py default.onnx KEYPOINTS.npy WIDTH HEIGHT OUT.npy
"""

import sys

import numpy as np
import onnxruntime


def lift(session, keypoints_px, frame_size, focal_px=None, part=576):
    """(T, 17, 2) pixels at the file's frame rate, NaN = missing -> (T, 17, 3) metres."""
    margin = int(session.get_modelmeta().custom_metadata_map["margin_frames"])
    camera = {"frame_size": frame_size, "focal_px": [focal_px or max(frame_size)]}
    joints = []
    for start in range(0, len(keypoints_px), part):  # in parts, so that memory is bounded
        first = max(0, start - margin)
        values = {"keypoints_px": keypoints_px[first : start + part + margin], **camera}
        arrays = {name: np.asarray(value, np.float32) for name, value in values.items()}
        joints.append(session.run(None, arrays)[0][start - first :][:part])
    return np.concatenate(joints)


if __name__ == "__main__":
    model, keypoints, width, height, out = sys.argv[1:]
    np.save(
        out,
        lift(onnxruntime.InferenceSession(model), np.load(keypoints), (int(width), int(height))),
    )
