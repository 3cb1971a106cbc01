"""Values of the report as entries of the store: their fields as JSON, then their arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_report.sources.store import Codec

_ALIGNMENT = 8
_SIMPLE = frozenset({str, int, float, bool})  # most values: told without asking an ABC
_ARRAY, _MAPPING = "[]", "{}"  # what stands where a kind has its name


def values(*kinds: type[Any]) -> Codec[Any]:
    """A codec of numbers, texts, arrays, mappings and sequences (which come back as tuples).

    Dataclasses and named tuples of `kinds` come back as such, made from their fields by name:
    what was kept with other fields is no value. Arrays come back as read-only views.
    """
    named = {kind.__name__: kind for kind in kinds}

    def pack(value: Any) -> Iterator[bytes | memoryview]:
        arrays: list[npt.NDArray[np.uint8]] = []
        text = json.dumps(_plain(value, named, arrays)).encode()
        yield (len(text) + -len(text) % _ALIGNMENT).to_bytes(_ALIGNMENT, "little")
        for data in (np.frombuffer(text, np.uint8), *arrays):
            yield data.tobytes() if not data.size else data.data
            yield b" " * (-data.size % _ALIGNMENT)

    def unpack(data: memoryview) -> Any:
        start = _ALIGNMENT + int.from_bytes(data[:_ALIGNMENT], "little")
        return _built(json.loads(data[_ALIGNMENT:start].tobytes()), named, data[start:])

    return Codec(pack, unpack)


def _plain(value: Any, named: Mapping[str, type], arrays: list[npt.NDArray[np.uint8]]) -> Any:
    """A value as JSON; the bytes of its arrays go to `arrays`."""
    if value is None or type(value) in _SIMPLE:
        return value
    if isinstance(value, np.ndarray):
        offset = sum(data.size + -data.size % _ALIGNMENT for data in arrays)
        flat = np.ascontiguousarray(value).reshape(-1)
        arrays.append((np.packbits(flat) if flat.dtype == np.bool_ else flat).view(np.uint8))
        return {_ARRAY: [value.dtype.str, value.shape, offset]}
    if isinstance(value, np.generic):
        return value.item()
    kind = type(value).__name__
    if kind in named:
        names = getattr(value, "_fields", None) or value.__dataclass_fields__
        return {kind: {name: _plain(getattr(value, name), named, arrays) for name in names}}
    if type(value) is tuple and _SIMPLE.issuperset(map(type, value)):
        return value
    if isinstance(value, Mapping):
        return {_MAPPING: {key: _plain(held, named, arrays) for key, held in value.items()}}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(held, named, arrays) for held in value]
    return value


def _built(item: Any, named: Mapping[str, type], data: memoryview) -> Any:
    if isinstance(item, list):
        return tuple(_built(held, named, data) for held in item)
    if not isinstance(item, dict):
        return item
    [(kind, held)] = item.items()
    if kind == _ARRAY:
        name, shape, offset = held
        count = int(np.prod(shape))
        if np.dtype(name) != np.bool_:
            return np.frombuffer(data, name, count, offset).reshape(shape)
        bits = np.frombuffer(data, np.uint8, -(-count // 8), offset)
        return np.unpackbits(bits, count=count).view(np.bool_).reshape(shape)
    fields = {key: _built(value, named, data) for key, value in held.items()}
    return fields if kind == _MAPPING else named[kind](**fields)
