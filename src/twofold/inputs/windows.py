"""Windows of long things: `embedding.embed_arrays` averages their vectors."""

import math

import numpy as np
from jaxtyping import Shaped

__all__ = ["windows"]


def windows(
    array: Shaped[np.ndarray, "length ..."], longest: int, *, marks: tuple[int, int] = (0, 0)
) -> list[Shaped[np.ndarray, "part ..."]]:
    """As few windows of `longest` places as cover the array, evenly spread.

    All windows have the same length, so each counts as much in a mean; neighbours overlap where the
    length is not a multiple of `longest`.

    Args:
        longest: places of a window, marks among them.
        marks: places at the start and at the end that stand in every window, such as [CLS] and
            [SEP].
    """
    if len(array) <= longest:
        return [array]
    start, end = marks[0], len(array) - marks[1]
    inside, size = array[start:end], longest - sum(marks)
    count = math.ceil(len(inside) / size)
    firsts = [round(place * (len(inside) - size) / (count - 1)) for place in range(count)]
    if not any(marks):  # views: a long recording is not copied
        return [inside[first : first + size] for first in firsts]
    return [
        np.concatenate([array[:start], inside[first : first + size], array[end:]])
        for first in firsts
    ]
