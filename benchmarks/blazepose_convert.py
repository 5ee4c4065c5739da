"""Convert BlazePose's networks from TFLite to weights/blazepose/*.onnx.

    python benchmarks/blazepose_convert.py PERSON LANDMARKS... [-o weights/blazepose]

The person detector comes with MediaPipe's Python package (mediapipe/modules/pose_detection), the
landmark networks `pose_landmark_lite.tflite`, `..._full.tflite` and `..._heavy.tflite` with the npm
package @mediapipe/pose 0.5.1675469404. Needs the packages onnx and mediapipe (for the TFLite
schema).

The weights keep their 16-bit values; `--weight-bits 8` stores those of larger layers in 8 bits, as
in landmarks_heavy.onnx. Changes: any batch size, 8-bit RGB input, and no unused outputs
(segmentation, 3D).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from common import argument_parser, run_script
from mediapipe.tasks.metadata import schema_py_generated as tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vidpose.utils.files import replacing, sha256

OPERATORS = {
    number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)
}
TYPES = {0: np.float32, 1: np.float16, 2: np.int32}
SAME = 0
"""TFLite's padding that keeps the size."""
RELU6 = 3
SMALL = 20_000
EXACT_LAYERS = 3
"""8-bit weights have a scale per output channel. Layers with fewer than `SMALL` weights, and the
last `EXACT_LAYERS` before the landmarks, stay in 16 bits: one step of the last layer alone would be
12 pixels."""
PERSON_OUTPUTS = {"boxes": 0, "scores": 1}
LANDMARK_OUTPUTS = {"landmarks": 0, "presence": 1, "heatmaps": 3}
PIXEL_TO_INPUT = {"person": (2 / 255, -1.0), "landmarks": (1 / 255, 0.0)}
"""Scale and shift from pixel values to each network's input range: -1 to 1, and 0 to 1."""


class Converter:
    """Convert one network, operator by operator; images are (N, C, H, W) in ONNX."""

    def __init__(self, content: bytes, weight_bits: int = 16) -> None:
        self._model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))
        self._graph = self._model.subgraphs[0]
        self._weight_bits = weight_bits
        self._exact: set[int] = set()
        """Tensors of weights that stay in 16 bits."""
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._constants: dict[int, NDArray[Any]] = {}

    def convert(self, outputs: dict[str, int], scale: float, shift: float) -> Any:
        """Return the ONNX model with the named outputs, given by their TFLite index."""
        names = {int(self._graph.outputs[number]): name for name, number in outputs.items()}
        made_by = {int(o): op for op in self._graph.operators for o in op.outputs}
        needed, waiting = set(), list(names)
        while waiting:
            operator = made_by.get(waiting.pop())
            if operator is not None and id(operator) not in needed:
                needed.add(id(operator))
                waiting += [int(i) for i in operator.inputs if i >= 0]
        self._exact = self._near(int(self._graph.outputs[0]), made_by)
        start = int(self._graph.inputs[0])
        self._input(f"t{start}", scale, shift)
        for operator in self._graph.operators:
            if id(operator) in needed:
                self._convert(operator)
        for tensor, name in names.items():
            self._add("Identity", [f"t{tensor}"], name)
        size = int(self._graph.tensors[start].shape[1])
        shape: list[str | int] = ["N", size, size, 3]
        inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)]
        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self._shape(tensor))
            for tensor, name in names.items()
        ]
        graph = helper.make_graph(self._nodes, "BlazePose", inputs, results, self._weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
            producer_name="vidpose",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _near(self, tensor: int, made_by: dict[int, Any]) -> set[int]:
        """The weights of the last convolutions before a tensor."""
        weights: list[int] = []
        while len(weights) < EXACT_LAYERS and tensor in made_by:
            operator = made_by[tensor]
            if self._kind(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                weights.append(int(operator.inputs[1]))
            tensor = int(operator.inputs[0])
        return set(weights)

    def _kind(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def _shape(self, tensor: int) -> list[int | str]:
        batch, *rest = (int(n) for n in self._graph.tensors[tensor].shape)
        assert batch == 1
        return ["N", rest[2], *rest[:2]] if len(rest) == 3 else ["N", *rest]

    def _input(self, name: str, scale: float, shift: float) -> None:
        self._add("Cast", ["image"], "image_float", to=TensorProto.FLOAT)
        self._store("scale", np.array(scale, np.float32))
        self._store("shift", np.array(shift, np.float32))
        self._add("Mul", ["image_float", "scale"], "image_scaled")
        self._add("Add", ["image_scaled", "shift"], "image_shifted")
        self._add("Transpose", ["image_shifted"], name, perm=[0, 3, 1, 2])

    def _add(self, kind: str, inputs: list[str], output: str, **options: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], **options))

    def _weight(self, name: str, values: NDArray[Any], bits: int = 16) -> str:
        """Store values in 32 bits, in 16 bits (exact) or in 8 bits."""
        values = np.ascontiguousarray(values)
        if values.dtype != np.float32 or bits == 32:
            self._store(name, values)
        elif bits == 16:
            half = values.astype(np.float16)
            assert (half == values).all(), "not a number of 16 bits"
            self._store(f"{name}_16", half)
            self._add("Cast", [f"{name}_16"], name, to=TensorProto.FLOAT)
        else:
            steps = np.abs(values).max(axis=(1, 2, 3), keepdims=True) / 127
            steps = np.maximum(steps, 1e-12).astype(np.float32)
            self._store(f"{name}_8", np.round(values / steps).astype(np.int8))
            self._store(f"{name}_step", steps)
            self._add("Cast", [f"{name}_8"], f"{name}_float", to=TensorProto.FLOAT)
            self._add("Mul", [f"{name}_float", f"{name}_step"], name)
        return name

    def _store(self, name: str, values: NDArray[Any]) -> None:
        self._weights.append(numpy_helper.from_array(values, name))

    def _constant(self, tensor: int) -> NDArray[Any]:
        """The values of a constant tensor."""
        if tensor in self._constants:
            return self._constants[tensor]
        about = self._graph.tensors[tensor]
        values = np.frombuffer(bytes(self._model.buffers[about.buffer].data), TYPES[about.type])
        if about.sparsity is None:
            return values.reshape(about.shape)
        return dense(values, [int(n) for n in about.shape], about.sparsity)

    def _convert(self, operator: Any) -> None:
        kind = self._kind(operator)
        inputs, out = [int(i) for i in operator.inputs], int(operator.outputs[0])
        options = operator.builtinOptions
        if kind in ("DENSIFY", "DEQUANTIZE"):
            values = self._constant(inputs[0])
            self._constants[out] = values if kind == "DENSIFY" else values.astype(np.float32)
            return
        result = f"t{out}"
        if getattr(options, "fusedActivationFunction", 0):
            assert options.fusedActivationFunction == RELU6
            result += "_linear"
        names = [f"t{i}" for i in inputs]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self._convolution(kind, inputs, out, result, options)
        elif kind == "ADD":
            self._add("Add", names, result)
        elif kind == "CONCATENATION":
            self._add("Concat", names, result, axis=options.axis)
        elif kind == "LOGISTIC":
            self._add("Sigmoid", names, result)
        elif kind == "DEPTH_TO_SPACE":
            self._add("DepthToSpace", names, result, blocksize=options.blockSize)
        elif kind == "PAD":
            before, after = self._constant(inputs[1])[[0, 3, 1, 2]].T
            padding = np.concatenate([before, after]).astype(np.int64)
            self._add("Pad", [names[0], self._weight(f"p{out}", padding)], result)
        elif kind == "MAX_POOL_2D":
            kernel = (options.filterHeight, options.filterWidth)
            self._add("MaxPool", names, result, **self._geometry(inputs[0], out, kernel, options))
        elif kind == "RESIZE_BILINEAR":
            self._resize(inputs[0], out, result, options)
        elif kind == "RESHAPE":
            self._add("Transpose", names[:1], f"{result}_last", perm=[0, 2, 3, 1])
            shape = np.array([0, -1, *self._graph.tensors[out].shape[2:]], np.int64)
            self._add("Reshape", [f"{result}_last", self._weight(f"s{out}", shape)], result)
        else:
            raise ValueError(f"{kind} is not expected in BlazePose")
        if result != f"t{out}":
            limits = [
                self._weight(f"{name}{out}", np.array(value, np.float32), bits=32)
                for name, value in (("zero", 0), ("six", 6))
            ]
            self._add("Clip", [result, *limits], f"t{out}")

    def _convolution(
        self, kind: str, inputs: list[int], out: int, result: str, options: Any
    ) -> None:
        weights, bias = self._constant(inputs[1]), self._constant(inputs[2])
        kernel = weights.shape[1:3]
        # (out, height, width, in) or, depthwise, (1, height, width, channels)
        by_itself = kind == "DEPTHWISE_CONV_2D"
        weights = weights.transpose((3, 0, 1, 2) if by_itself else (0, 3, 1, 2))
        exact = inputs[1] in self._exact or weights.size < SMALL
        kept = self._weight(f"w{out}", weights, 16 if exact else self._weight_bits)
        self._add(
            "Conv",
            [f"t{inputs[0]}", kept, self._weight(f"b{out}", bias)],
            result,
            group=len(weights) if by_itself else 1,
            **self._geometry(inputs[0], out, kernel, options),
        )

    def _geometry(self, source: int, out: int, kernel: Any, options: Any) -> dict[str, Any]:
        strides = (options.strideH, options.strideW)
        sizes = (self._graph.tensors[source].shape[1:3], self._graph.tensors[out].shape[1:3])
        totals = [
            max((int(after) - 1) * step + int(size) - int(before), 0)
            if options.padding == SAME
            else 0
            for before, after, step, size in zip(*sizes, strides, kernel, strict=True)
        ]
        pads = [total // 2 for total in totals] + [total - total // 2 for total in totals]
        return {"kernel_shape": [int(n) for n in kernel], "strides": list(strides), "pads": pads}

    def _resize(self, source: int, out: int, result: str, options: Any) -> None:
        before, after = (self._graph.tensors[i].shape[1:3] for i in (source, out))
        scales = np.array([1, 1, *(after / before)], np.float32)
        way = "half_pixel" if options.halfPixelCenters else "asymmetric"
        self._add(
            "Resize",
            [f"t{source}", "", self._weight(f"r{out}", scales, bits=32)],
            result,
            mode="linear",
            coordinate_transformation_mode="align_corners" if options.alignCorners else way,
        )


def dense(values: NDArray[Any], shape: list[int], sparsity: Any) -> NDArray[Any]:
    """The dense form of a block-sparse TFLite tensor."""
    blocks = [] if sparsity.blockMap is None else [int(d) for d in sparsity.blockMap]
    levels = sparsity.dimMetadata
    sizes = {d: levels[len(shape) + n].denseSize for n, d in enumerate(blocks)}
    out = np.zeros(shape, values.dtype)

    def fill(level: int, at: tuple[int, ...], place: int) -> None:
        if level == len(levels):
            where = [0] * len(shape)
            for axis, n in zip(sparsity.traversalOrder, at, strict=True):
                if axis < len(shape):
                    where[axis] += n * sizes.get(int(axis), 1)
                else:
                    where[blocks[axis - len(shape)]] += n
            out[tuple(where)] = values[place]
        elif levels[level].format == 0:  # a dense dimension
            size = levels[level].denseSize
            for n in range(size):
                fill(level + 1, (*at, n), place * size + n)
        else:
            first, last = levels[level].arraySegments.values[place : place + 2]
            for n in range(int(first), int(last)):
                fill(level + 1, (*at, int(levels[level].arrayIndices.values[n])), n)

    fill(0, (), 0)
    return out


def convert(person: Path, landmarks: list[Path], out: Path, weight_bits: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for path in (person, *landmarks):
        kind = "person" if path == person else "landmarks"
        outputs = PERSON_OUTPUTS if kind == "person" else LANDMARK_OUTPUTS
        model = Converter(path.read_bytes(), weight_bits).convert(outputs, *PIXEL_TO_INPUT[kind])
        name = "person_detector" if kind == "person" else f"landmarks_{path.stem.split('_')[-1]}"
        with replacing(out / f"{name}.onnx") as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{sha256(path)}  {path.name}")
        print(f"{sha256(out / f'{name}.onnx')}  {name}.onnx, from it")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("person", type=Path, help="pose_detection.tflite")
    parser.add_argument("landmarks", type=Path, nargs="+", help="pose_landmark_SIZE.tflite")
    parser.add_argument("-o", "--out", type=Path, default=Path("weights/blazepose"))
    parser.add_argument("--weight-bits", type=int, choices=(8, 16), default=16)
    given = parser.parse_args()
    convert(given.person, given.landmarks, given.out, given.weight_bits)


if __name__ == "__main__":
    run_script(main)
