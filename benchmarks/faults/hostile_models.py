"""ONNX and TorchScript models that somebody made to harm, and files of weights; tried by `hostile.py`."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hostile_files import Change, Command

__all__ = ["adopted_pair", "onnx_models", "script_models", "state_files"]

SHAPE, LATENT = (1, 12, 12), 4
NODES = 40  # functions, each of which calls the next twice
DEEP = 1_000  # subgraphs within each other


# ONNX


def adopted_pair(folder: Path) -> None:
    """A good pair."""
    folder.mkdir(exist_ok=True)
    (folder / "encoder.onnx").write_bytes(made(encoder_nodes()))
    (folder / "decoder.onnx").write_bytes(made(decoder_nodes(), [None, LATENT], [None, *SHAPE]))


def encoder_nodes() -> list[Any]:
    """Means of four parts of an image."""
    from onnx import helper

    return [
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[6, 6], strides=[6, 6]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]


def decoder_nodes() -> list[Any]:
    """Each number of a latent on a quarter of the image."""
    from onnx import TensorProto, helper

    return [
        _constant("sides", TensorProto.INT64, [4], [-1, 1, 2, 2]),
        helper.make_node("Reshape", ["x", "sides"], ["small"]),
        _constant("scales", TensorProto.FLOAT, [4], [1.0, 1.0, 6.0, 6.0]),
        helper.make_node("Resize", ["small", "", "scales"], ["y"], mode="nearest"),
    ]


def _constant(name: str, kind: int, shape: list[int], values: list[Any]) -> Any:
    from onnx import helper

    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, shape, values))


def made(
    nodes: list[Any], given: list[Any] | None = None, gives: list[Any] | None = None, tensors: Any = (), **more: Any
) -> bytes:
    """The bytes of a model."""
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, given or [None, *SHAPE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, gives or [None, LATENT])
    graph = helper.make_graph(nodes, more.pop("name", "graph"), [x], [y], tensors)
    domains = [helper.make_opsetid(domain, version) for domain, version in more.pop("domains", [("", 18)])]
    content: bytes = helper.make_model(graph, opset_imports=domains, ir_version=9, **more).SerializeToString()
    return content


def onnx_models() -> dict[str, Callable[[], bytes]]:
    """What can be wrong with an encoder; the decoder is good."""
    from onnx import TensorProto, helper

    def beyond(where: str, how: str = "an initializer") -> bytes:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", where), ("offset", "0"), ("length", "16")):
            tensor.external_data.add(key=key, value=value)
        add = helper.make_node("Add", ["pooled_flat", "w"], ["y"])
        nodes = [encoder_nodes()[0], helper.make_node("Flatten", ["pooled"], ["pooled_flat"]), add]
        if how == "an initializer":
            return made(nodes, tensors=[tensor])
        constant = helper.make_node("Constant", [], ["w"], value=tensor)
        if how == "a constant":
            return made([constant, *nodes])
        function = helper.make_function("ai.onnx.ml", "F", [], ["w"], [constant], [helper.make_opsetid("", 18)])
        call = helper.make_node("F", [], ["w"], domain="ai.onnx.ml")
        return made([call, *nodes], domains=[("", 18), ("ai.onnx.ml", 3)], functions=[function])

    def functions(calls: Callable[[int], list[str]], count: int) -> bytes:
        domains = [("", 18), ("ai.onnx.ml", 3)]
        own = [helper.make_opsetid(*pair) for pair in domains]
        made_of = []
        for number in range(count):
            nodes, last = [], "a"
            for step, name in enumerate(calls(number)):
                nodes.append(
                    helper.make_node(name, [last], [f"b{step}"], domain="ai.onnx.ml" if name[0] == "F" else "")
                )
                last = f"b{step}"
            made_of.append(helper.make_function("ai.onnx.ml", f"F{number}", ["a"], [last], nodes, own))
        call = helper.make_node("F0", ["pooled"], ["called"], domain="ai.onnx.ml")
        nodes = [encoder_nodes()[0], call, helper.make_node("Flatten", ["called"], ["y"])]
        return made(nodes, domains=domains, functions=made_of)

    def nested() -> bytes:
        """By its bytes, since the library makes none so deep: nodes with an attribute that is a graph of one node."""
        node = b""
        for _ in range(DEEP):
            graph = _field(1, node) + _field(2, b"inner")
            attribute = _field(1, b"then_branch") + _field(6, graph) + b"\xa0\x01\x05"
            node = _field(1, b"x") + _field(2, b"y") + _field(4, b"If") + _field(5, attribute)
        return b"\x08\x09" + _field(7, _field(1, node) + _field(2, b"graph"))

    def endless() -> bytes:
        values = [helper.make_tensor_value_info("i", TensorProto.INT64, []), *(
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in (("go", TensorProto.BOOL, []), ("v", TensorProto.FLOAT, [None, LATENT]))
        )]  # fmt: skip
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["v"], ["w"])],
            "body",
            values,
            [
                helper.make_tensor_value_info("on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("w", TensorProto.FLOAT, [None, LATENT]),
            ],
        )
        most = _constant("most", TensorProto.INT64, [], [(1 << 63) - 1])
        yes = _constant("yes", TensorProto.BOOL, [], [True])
        loop = helper.make_node("Loop", ["most", "yes", "flat"], ["y"], body=body)
        return made([encoder_nodes()[0], helper.make_node("Flatten", ["pooled"], ["flat"]), most, yes, loop])

    def large(shape: list[int]) -> bytes:
        nodes = [_constant("sides", TensorProto.INT64, [len(shape)], shape)]
        nodes += [helper.make_node("ConstantOfShape", ["sides"], ["zeros"])]
        nodes += [helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0), *encoder_nodes()[:1]]
        nodes += [helper.make_node("Flatten", ["pooled"], ["flat"]), helper.make_node("Add", ["flat", "sum"], ["y"])]
        return made(nodes)

    def no_numbers() -> bytes:
        nodes = [encoder_nodes()[0], helper.make_node("Flatten", ["pooled"], ["flat"])]
        nodes += [helper.make_node("Sub", ["flat", "flat"], ["zero"]), helper.make_node("Div", ["zero", "zero"], ["y"])]
        return made(nodes)

    def claims() -> bytes:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40])
        return made([*encoder_nodes(), helper.make_node("Identity", ["w"], ["more"])], tensors=[tensor])

    good = made(encoder_nodes())
    named = helper.make_node("Flatten", ["x"], ["y"], name="a\nb\x1b[2J")
    return {
        "weights in /etc/passwd": lambda: beyond("/etc/passwd"),
        "weights in ../private/letter.txt": lambda: beyond("../private/letter.txt"),
        "weights of a constant outside": lambda: beyond("../private/letter.txt", "a constant"),
        "weights of a function outside": lambda: beyond("../private/letter.txt", "a function"),
        "operations of another domain": lambda: made(
            [helper.make_node("Evil", ["x"], ["y"], domain="evil")], domains=[("evil", 1)]
        ),
        "operations of a domain that is not named": lambda: made(
            [helper.make_node("Evil", ["x"], ["y"], domain="evil")]
        ),
        "an operation that runs Python": lambda: made(
            [helper.make_node("PyOp", ["x"], ["y"], domain="com.microsoft", module="hostile_module", class_name="A")],
            domains=[("", 18), ("com.microsoft", 1)],
        ),
        "a cut file": lambda: good[: len(good) // 2],
        "an empty file": lambda: b"",
        "a pickle": lambda: pickle.dumps(Command()),
        "a text": lambda: b"hello\n" * 100,
        "subgraphs within each other": nested,
        "a loop that never ends": endless,
        "weights that claim 2^40 numbers": claims,
        "16 GB of zeros": lambda: large([1 << 32]),
        "2^62 zeros": lambda: large([1 << 31, 1 << 31]),
        "a negative shape": lambda: large([-5]),
        "functions that call themselves": lambda: functions(lambda number: ["F0"], 1),
        "functions that call each other twice": lambda: functions(
            lambda number: [f"F{number + 1}"] * 2 if number + 1 < NODES else ["Neg"], NODES
        ),
        "an input of 2^40 images": lambda: made(encoder_nodes(), [1 << 40, *SHAPE], [1 << 40, LATENT]),
        "an output that is NaN": no_numbers,
        "a wrong shape": lambda: made([helper.make_node("Identity", ["x"], ["y"])], gives=[None, *SHAPE]),
        "names of two lines": lambda: made([named], gives=[None, 144], name="c\nd"),
        "a node that is not there": lambda: made([helper.make_node("Add", ["x", "nobody\nknows"], ["y"])]),
    }


def _field(number: int, content: bytes) -> bytes:
    """A field of protobuf that is bytes."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


# TorchScript


class Endless(torch.nn.Module):
    """It never ends."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of any images."""
        count = 0
        while count >= 0:
            count = (count + 1) % 7
        return x


class Reader(torch.nn.Module):
    """It opens a file."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The first numbers of it, for any images."""
        read = torch.from_file("../private/letter.txt", False, 4, dtype=torch.uint8)
        return read.to(torch.float32).expand(x.shape[0], 4)


class Large(torch.nn.Module):
    """It takes memory."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of any images."""
        return torch.zeros(100_000, 100_000).sum() + x.flatten(1)[:, :4]


def script_models() -> dict[str, Change]:
    """What can be wrong with a file of TorchScript."""

    def cut(path: Path) -> None:
        torch.jit.script(torch.nn.Flatten()).save(str(path))
        os.truncate(path, path.stat().st_size // 2)

    return {
        "TorchScript that never ends": lambda path: torch.jit.script(Endless()).save(str(path)),
        "TorchScript that takes 40 GB": lambda path: torch.jit.script(Large()).save(str(path)),
        "TorchScript that is cut": cut,
        "a text in place of TorchScript": lambda path: path.write_text("hello\n" * 100),
        "a pickle in place of TorchScript": lambda path: path.write_bytes(pickle.dumps(Command())),
        "torch.save in place of TorchScript": lambda path: torch.save(Command(), path),
        "an empty file in place of TorchScript": lambda path: path.write_bytes(b""),
    }


# Weights


def state_files() -> dict[str, Change]:
    """What can be wrong with a file of weights."""
    found: dict[str, Change] = {
        "a pickle of os.system": lambda path: path.write_bytes(pickle.dumps(Command())),
        "torch.save of os.system": lambda path: torch.save(Command(), path),
        "a FIFO": lambda path: os.mkfifo(path),
        "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "nothing": lambda path: path.write_bytes(b""),
        "a list": lambda path: torch.save([1, 2], path),
        "a cut file": lambda path: (torch.save({"a": torch.zeros(99)}, path), os.truncate(path, 400)),
        "nested lists": lambda path: path.write_bytes(b"\x80\x04" + b"]" * 1_000_000 + b"a" * 999_999 + b"."),
        "nested dicts": lambda path: torch.save(_nested(300), path),
        "a function of Python by its name": lambda path: _zipped(
            path, b"cbuiltins\neval\n(X\x0e\x00\x00\x00open('/x','w')tR."
        ),
        "a function of torch by its name": lambda path: _zipped(path, b"ctorch.hub\nload\n(X\x01\x00\x00\x00xtR."),
        "a storage of 2^60 numbers": lambda path: _zipped(path, _storage(1 << 60)),
        "a storage of fewer than none": lambda path: _zipped(path, _storage(-1)),
        "a storage in another member": lambda path: _zipped(path, _storage(4, "../../../private/letter.txt")),
        "a member that points outside": lambda path: _zipped(
            path, b"}.", {"../../private/new.txt": b"x", "/tmp/x": b"x"}
        ),
        "two members of one name": lambda path: _zipped(path, b"}.", {"state/data.pkl ": b"cos\nsystem\n."}),
        "a tensor that is larger than the file": lambda path: torch.save(
            {"decoder.0.weight": torch.zeros(1).expand(30_000, 30_000)}, path
        ),
        "names that are numbers": lambda path: torch.save({3: torch.zeros(2), (1, 2): torch.zeros(2)}, path),
        "200,000 names": lambda path: torch.save(dict.fromkeys(map(str, range(200_000)), torch.zeros(1)), path),
        "names of two lines": lambda path: torch.save({"a\nb\x1b[2J\ud800": torch.zeros(2), "": torch.zeros(1)}, path),
        "a weight and something else": lambda path: torch.save({"decoder.0.weight": torch.zeros(2), "epoch": 3}, path),
    }
    for what, tensor in {
        "sparse": torch.ones(3, 3).to_sparse(),
        "rows that are sparse": torch.eye(3).to_sparse_csr(),
        "quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
        "without content": torch.empty(1 << 20, 1 << 20, device="meta"),
        "complex": torch.ones(4, 4, 4, 4, dtype=torch.complex64),
        "8-bit": torch.ones(4, 4, 4, 4).to(torch.float8_e5m2),
        "NaN": torch.full((4, 32, 3, 3), torch.nan),
        "a number": torch.tensor(1.0),
        "without numbers": torch.zeros(4, 0, 3, 3),
        "very wide": torch.zeros(1).expand(1 << 16, 1, 1, 1),
    }.items():
        found[f"a weight that is {what}"] = lambda path, tensor=tensor: torch.save({"decoder.0.weight": tensor}, path)
    for protocol in range(2, 6):
        found[f"os.system, as torch saved it before 1.6, protocol {protocol}"] = lambda path, protocol=protocol: (
            torch.save(Command(), path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        )
    return found


def _nested(depth: int) -> Any:
    inner: Any = torch.zeros(1)
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def _zipped(path: Path, content: bytes, more: dict[str, bytes] | None = None) -> None:
    """A file as torch.save writes it, of a pickle made by hand."""
    with zipfile.ZipFile(path, "w") as archive:
        members = {"state/data.pkl": b"\x80\x02" + content, "state/version": b"3\n", "state/data/0": bytes(16)}
        for name, one in {**members, **(more or {})}.items():
            archive.writestr(name, one)


def _storage(numbers: int, member: str = "0") -> bytes:
    """The pickle of a tensor of so many numbers, in a member of the archive."""
    name = json.dumps(member)[1:-1].encode()
    count = b"\x8a\x08" + struct.pack("<q", numbers)
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + b"X" + struct.pack("<I", len(name)) + name
    storage += b"X\x03\x00\x00\x00cpu" + count + b"tQ"
    rebuilt = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\x00"
        + count
        + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )
    return b"}X\x10\x00\x00\x00decoder.0.weight" + rebuilt + b"s."
