"""How likely each of several independent Gaussian beliefs is to be the largest, as numbers instead of draws.

With F_i the distribution and f_i the density of belief i, P(i is the largest) = ∫ f_i(y) ∏_{j≠i} F_j(y) dy
                                                                            = ∫ (f_i / F_i)(y) ∏_j F_j(y) dy.
Both log F and f / F come from one table, so that a quadrature is a dozen passes over an array of lanes × points.
"""

from collections.abc import Sequence
from math import erfc, exp, hypot, isfinite, log, log1p, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LOW, _HIGH, _BINS = 5.0, 6.5, 512
"""Reach of the table in deviations, below and above, and its bins per deviation.

Nothing is integrated below the point where some belief is 5 deviations under its mean: the largest is there with a
probability under 3e-7. Above 6.5 deviations a belief has been passed with all that a float64 sum would notice.
"""
_SHARPEST = 1e-9
"""Deviations below this share of the largest number count as this: equal certainties then share evenly."""
_COARSE = 0.6
"""A uniform grid is exact to 1e-4 while its step is below this many of the smallest deviation that matters."""
_NODES = np.array([-0.932469514203152, -0.661209386466265, -0.238619186083197])
_NODES = np.concatenate((_NODES, -_NODES[::-1]))
_WEIGHTS = np.array([0.171324492379170, 0.360761573048139, 0.467913934572691])
_WEIGHTS = np.concatenate((_WEIGHTS, _WEIGHTS[::-1]))
"""Gauss-Legendre of six points; `numpy.polynomial`, which has them, takes longer to import than all the rest."""
_EDGES = (-_LOW, -2.5, 0.0, 2.5, _LOW)
"""Where a belief that is sharper than the others cuts the range: between cuts everything is smooth."""


def _table() -> tuple[Floats, Floats]:
    """By bin: log F at its lower end, along the tangent at its middle; and f / F there, per bin."""
    size = round((_LOW + _HIGH) * _BINS)
    logs, ratios = np.zeros(size + 1), np.zeros(size + 1)  # beyond the end F is 1
    for place in range(size):
        z = (place + 0.5) / _BINS - _LOW
        above = 0.5 * erfc(z / sqrt(2))
        density = exp(-0.5 * z * z) / sqrt(2 * pi)
        # 1 - above would lose the lower tail, log(below) the upper one.
        below = 0.5 * erfc(-z / sqrt(2))
        ratios[place] = density / below / _BINS
        logs[place] = (log1p(-above) if z > 0 else log(below)) - 0.5 * ratios[place]
    return logs, ratios


_LOG, _RATIO = _table()
_GRIDS = {points: np.linspace(0.0, 1.0, points) for points in (16, 20, 24, 32, 48, 64)}


def chances(means: Sequence[float], deviations: Sequence[float], points: int = 64) -> list[float]:
    """P(each is the largest) of independent Gaussians; not negative, and they sum to 1.

    Args:
        means: of the beliefs, at least one.
        deviations: as many; 0 is a certainty. Equal certainties share evenly.
        points: of a uniform grid at most; where deviations differ so much that these would not resolve the smallest,
            the range is cut into panels instead, as many as it needs.

    Beliefs that are not finite numbers say nothing: then all are equally likely.
    """
    count = len(means)
    largest = max(max(means), -min(means), max(deviations))
    if not isfinite(sum(means) + sum(deviations)) or not largest < 1e300:
        return [1.0 / count] * count
    least = max(_SHARPEST * largest, 1e-290)
    widths = [width if width > least else least for width in deviations]
    lows = [mean - _LOW * width for mean, width in zip(means, widths, strict=True)]
    low = max(lows)
    # What ends below where another begins is the largest with a probability under 3e-7, and is in nobody's way.
    matter = [place for place in range(count) if means[place] + _LOW * widths[place] > low]
    if len(matter) == count:
        return _shares(means, widths, lows, points)
    every = [0.0] * count
    means, widths, lows = ([each[place] for place in matter] for each in (means, widths, lows))
    for place, share in zip(matter, _shares(means, widths, lows, points), strict=True):
        every[place] = share
    return every


def _shares(means: Sequence[float], widths: list[float], lows: list[float], points: int) -> list[float]:
    """The same for beliefs that all matter; `lows` are 5 deviations below the means."""
    if len(means) == 1:
        return [1.0]
    if len(means) == 2:
        first = 0.5 * erfc((means[1] - means[0]) / hypot(*widths) * sqrt(0.5))
        return [first, 1.0 - first]
    low = max(lows)
    span = max(mean + _LOW * width for mean, width in zip(means, widths, strict=True)) - low
    steps = span / (_COARSE * min(widths))
    weights = None
    if steps < points:
        grid = next((grid for size, grid in _GRIDS.items() if steps < size <= points), None)
        if grid is None:
            grid = np.linspace(0.0, 1.0, points)
    else:
        grid, weights = _panels([(start - low) / span for start in lows], [width / span for width in widths])
    masses = _masses(grid, weights, low, span, lows, [_BINS / width for width in widths])
    total = sum(masses)
    return [mass / total for mass in masses]


def _masses(
    grid: Floats, weights: Floats | None, low: float, span: float, lows: list[float], scales: list[float]
) -> list[float]:
    """∫ (f / F)(y) ∏ F(y) of each over a grid between 0 and 1, all in one unknown unit.

    Args:
        low, span: where the grid lies.
        lows: where the table begins for each: 5 deviations below its mean.
        scales: bins of the table per unit.
    """
    starts = [(low - start) * scale for start, scale in zip(lows, scales, strict=True)]
    line = np.array([[span * scale for scale in scales], starts])
    z = line[0][:, None] * grid
    z += line[1][:, None]
    bins = z.astype(np.intp)
    z -= bins
    ratio = _RATIO.take(bins, mode="clip")
    z *= ratio
    z += _LOG.take(bins, mode="clip")
    below = np.exp(np.add.reduce(z, axis=0))
    if weights is not None:
        below *= weights
    ratio *= below
    # Summed by numpy, not by BLAS, which adds in an order of its own on each machine.
    masses: list[float] = np.add.reduce(ratio, axis=1).tolist()
    return [mass * scale for mass, scale in zip(masses, scales, strict=True)]


def _panels(lows: list[float], widths: list[float]) -> tuple[Floats, Floats]:
    """Points and weights of Gauss-Legendre panels of 0..1, short where sharp beliefs rise and long elsewhere."""
    sharp = [(low + _LOW * width, width) for low, width in zip(lows, widths, strict=True) if width < 1 / 24]
    smooth = min((width for width in widths if width >= 1 / 24), default=1.0)
    count = max(8, int(1 / (3 * smooth)) + 1)
    cuts = {place / count for place in range(count + 1)}
    cuts |= {cut for mean, width in sharp for edge in _EDGES if 0 < (cut := mean + edge * width) < 1}
    edges = np.array(sorted(cuts))
    halves = np.diff(edges) / 2
    points = (edges[:-1] + halves)[:, None] + halves[:, None] * _NODES
    return points.ravel(), (halves[:, None] * _WEIGHTS).ravel()
