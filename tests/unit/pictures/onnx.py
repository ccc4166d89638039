"""ONNX files written by hand: the few fields of its protocol buffers that a small network needs."""

GLOBAL_AVERAGE_POOL, FLATTEN = "GlobalAveragePool", "Flatten"
_FLOAT = 1


def _varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = [_number(1, size) if isinstance(size, int) else _bytes(2, size) for size in shape]
    tensor = _number(1, _FLOAT) + _bytes(2, b"".join(_bytes(1, dim) for dim in dims))
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


def model(given: tuple[int | str, ...], made: tuple[int | str, ...], *operators: str) -> bytes:
    """One input, the operators one after the other, one output."""
    names = ["given", *(f"after-{number}" for number in range(len(operators) - 1)), "made"]
    nodes = [
        _bytes(1, _bytes(1, names[number]) + _bytes(2, names[number + 1]) + _bytes(4, kind))
        for number, kind in enumerate(operators)
    ]
    ends = _bytes(11, _value("given", given)) + _bytes(12, _value("made", made))
    graph = b"".join(nodes) + _bytes(2, "graph") + ends
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))
