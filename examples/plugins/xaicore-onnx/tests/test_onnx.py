"""The contract of backends, checked on this one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import xaicore_onnx
from onnx import helper, numpy_helper

from xaicore import testing

SAME = {"pads": [1, 1, 1, 1]}


class Build:
    """Nodes one by one, each called as the tensor that it makes."""

    def __init__(self, *inputs: tuple[Any, ...]) -> None:
        self.inputs, self.nodes, self.weights = inputs, [], []

    def weight(self, name: str, value: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, name: str, taken: list[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, taken, [name], name, **attributes))
        return name

    def conv(self, name: str, taken: str, kernel: np.ndarray, bias: np.ndarray, **attributes: Any) -> str:
        return self.add(
            "Conv", name, [taken, self.weight(f"{name}.k", kernel), self.weight(f"{name}.b", bias)], **attributes
        )

    def dense(self, name: str, taken: str, weight: np.ndarray, bias: np.ndarray) -> str:
        given = [taken, self.weight(f"{name}.w", weight), self.weight(f"{name}.b", bias)]
        return self.add("Gemm", name, given, transB=1)

    def model(self, output: str) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(f"x{i}", 1, shape) for i, shape in enumerate(self.inputs)]
        outputs = [helper.make_tensor_value_info(output, 1, ["N", 4])]
        graph = helper.make_graph(self.nodes, "net", infos, outputs, self.weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(made)
        return made


def conv_net(net: testing.ConvNet) -> onnx.ModelProto:
    made = Build(("N", 3, "H", "W"))
    made.add("Relu", "relu1", [made.conv("conv1", "x0", net.conv1, net.bias1, **SAME)])
    made.add("Relu", "relu2", [made.conv("conv2", "relu1", net.conv2, net.bias2, **SAME)])
    made.add("GlobalAveragePool", "pool", ["relu2"])
    made.add("Flatten", "flat", ["pool"])
    end = made.dense("dense", "flat", net.dense, net.bias)
    if net.link is not None:
        end = made.add({"softmax": "Softmax", "sigmoid": "Sigmoid"}[net.link], "end", [end])
    return made.model(end)


def token_net(net: testing.TokenNet) -> onnx.ModelProto:
    made = Build(("N", 3, "H", "W"))
    made.conv("patches", "x0", net.patches, net.patches_bias, strides=[4, 4])
    made.add("Reshape", "rows", ["patches", made.weight("rows.shape", np.array([0, 10, -1]))])
    made.add("Transpose", "columns", ["rows"], perm=[0, 2, 1])
    made.add("Shape", "count", ["x0"], end=1)
    made.add("Concat", "first.shape", ["count", made.weight("one", np.array([1, 10]))], axis=0)
    made.add("Expand", "first", [made.weight("token", net.class_token[None, None]), "first.shape"])
    made.add("Concat", "joined", ["first", "columns"], axis=1)
    made.add("Add", "tokens", ["joined", made.weight("positions", net.positions)])
    given = ["tokens", made.weight("scale", net.scale), made.weight("shift", net.shift)]
    made.add("LayerNormalization", "norm", given, epsilon=net.epsilon)
    shape = made.weight("heads.shape", np.array([0, 0, 2, 5]))
    for name in ("query", "key", "value"):
        made.add("MatMul", name, ["norm", made.weight(f"{name}.w", getattr(net, name).T)])
        made.add("Reshape", f"{name}.split", [name, shape])
        order = [0, 2, 3, 1] if name == "key" else [0, 2, 1, 3]
        made.add("Transpose", f"{name}.heads", [f"{name}.split"], perm=order)
    made.add("MatMul", "scores", ["query.heads", "key.heads"])
    made.add("Mul", "scaled", ["scores", made.weight("scaling", np.float32(5**-0.5))])
    made.add("Softmax", "weights", ["scaled"])
    made.add("MatMul", "attended", ["weights", "value.heads"])
    made.add("Transpose", "turned", ["attended"], perm=[0, 2, 1, 3])
    made.add("Reshape", "flat", ["turned", made.weight("flat.shape", np.array([0, 0, 10]))])
    made.add("MatMul", "out", ["flat", made.weight("out.w", net.output.T)])
    made.add("Add", "mixed", ["tokens", "out"])
    made.add("Gather", "class", ["mixed", made.weight("zero", np.array(0))], axis=1)
    return made.model(made.dense("dense", "class", net.dense, net.bias))


def pair_net(net: testing.PairNet) -> onnx.ModelProto:
    """A graph has a node for each run of the convolution."""
    made = Build(("N", 3, "H", "W"), ("N", 3, "H2", "W2"))
    for i in (1, 2):
        conv = made.conv(f"shared_of_{i}", f"x{i - 1}", net.shared, net.shared_bias, **SAME)
        made.add("Relu", f"relu_of_{i}", [conv])
        made.add("ReduceMean", f"mean_of_{i}", [f"relu_of_{i}"], axes=[2, 3], keepdims=0)
    joined = made.add("Concat", "joined", ["mean_of_1", "mean_of_2"], axis=1)
    return made.model(made.dense("dense", joined, net.dense, net.bias))


class TestOnnx(testing.BackendTests):
    kit_version = 2
    plugin = xaicore_onnx
    frameworks = ("onnx", "onnxruntime")
    lacks = {  # noqa: RUF012 (a constant)
        "gradients": "ONNX Runtime only runs forward",
        "reached": "ONNX Runtime only runs forward",
        **dict.fromkeys(
            ("residual", "loop", "blocks", "masked", "causal", "queries", "recurrent", "axial", "coupled", "halves"),
            "a graph of the same nodes as that of the first nets",
        ),
        **dict.fromkeys(("segments", "sequence", "words", "outputs"), "the example explains one score per class"),
        **dict.fromkeys(
            ("open", "shares", "half", "turned", "leaky"), "files are as they were exported: tests of files have such"
        ),
        "moves": "ONNX Runtime only runs forward",
        "modes": "sessions have none",
        "frozen": "weights have no gradients",
    }

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        return conv_net(net), {name: name for name in net.layers}

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        return token_net(net), {name: name for name in net.layers}

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        names = ("shared#1", "relu#1", "shared#2", "relu#2", "dense")
        return pair_net(net), {name: name.replace("#", "_of_") for name in names}

    def alias(self, model: onnx.ModelProto, layer: str) -> str:
        """The tensor that the node makes, called otherwise than the node."""
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = ["again" if name == layer else name for name in names]
        return "again"

    def to_inputs(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def state(self, model: onnx.ModelProto) -> dict[str, bytes]:
        return {"graph": model.SerializeToString(deterministic=True)}
