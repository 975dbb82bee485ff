# SPDX-License-Identifier: Apache-2.0
"""Small ONNX graphs as bytes, written without the onnx package (field numbers of onnx.proto)."""

FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16, DOUBLE = 1, 2, 3, 6, 7, 9, 10, 11


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def number(field, n):
    return varint(field << 3) + varint(n)


def block(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def value(name, elem_type, dims):
    """dims: numbers, or names of open dimensions."""
    shape = b"".join(block(1, number(1, d) if isinstance(d, int) else block(2, d)) for d in dims)
    return block(1, name) + block(2, block(1, number(1, elem_type) + block(2, shape)))


def node(op, inputs, outputs, attributes=b""):
    return b"".join(block(1, i) for i in inputs) + b"".join(block(2, o) for o in outputs) + block(4, op) + attributes


def attribute_int(name, n):
    return block(5, block(1, name) + number(3, n) + number(20, 2))


def model(nodes, inputs, outputs):
    graph = (b"".join(block(1, n) for n in nodes) + block(2, "graph") + b"".join(block(11, i) for i in inputs) +
             b"".join(block(12, o) for o in outputs))
    return number(1, 8) + block(2, "by hand") + block(7, graph) + block(8, block(1, "") + number(2, 13))


def simple():
    """Triton's example: OUTPUT0 is the sum and OUTPUT1 the difference of two rows of 16."""
    return model([node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]), node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])],
                 [value("INPUT0", INT32, ["n", 16]), value("INPUT1", INT32, ["n", 16])],
                 [value("OUTPUT0", INT32, ["n", 16]), value("OUTPUT1", INT32, ["n", 16])])


def shapes():
    """One tensor of three dimensions in FP32; out come it as FP16, its sign as INT8, and whether it is over zero."""
    return model([node("Cast", ["x"], ["half"], attribute_int("to", FLOAT16)), node("Sign", ["x"], ["s"]),
                  node("Cast", ["s"], ["sign"], attribute_int("to", INT8)), node("Relu", ["x"], ["r"]),
                  node("Cast", ["r"], ["over"], attribute_int("to", BOOL))],
                 [value("x", FLOAT, ["n", 2, 3])],
                 [value("half", FLOAT16, ["n", 2, 3]), value("sign", INT8, ["n", 2, 3]), value("over", BOOL, ["n", 2, 3])])
