"""Vectors as pgvector sends and takes them in binary, which costs a fraction of their text (PERF-002)."""

from struct import pack, unpack_from

import numpy as np
from numpy.typing import NDArray


def packed(vector: NDArray[np.floating]) -> bytes:
    """A vector as a `halfvec` parameter."""
    return pack(">HH", vector.shape[0], 0) + vector.astype(">f2").tobytes()


def unpacked(data: bytes) -> NDArray[np.float32]:
    """A `halfvec` of a row as a vector. It has 11 significant bits. Raises `ValueError` when it is none."""
    if len(data) < 4 or len(data) != 4 + 2 * unpack_from(">H", data)[0]:
        raise ValueError("not a halfvec in binary")
    return np.frombuffer(data, dtype=">f2", offset=4).astype(np.float32)
