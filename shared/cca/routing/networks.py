"""A small neural network: features of a task in, one number for each lane out; how it is trained, stored and read."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.contracts.policy import Params, PolicySnapshot
from cca.errors import Unreadable
from cca.routing.buffer import Experience, Replay
from cca.routing.features import MOST, ONE, Features

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

LANES = 64
"""Lanes that a network has an output for; when there are more, those that were tried last."""

RECENT = 20_000
"""Decisions that a network is trained on at most, the newest ones: the time of a fit has a limit."""

LIMIT = 8 * ONE
"""Features beyond this, quantised, are held there: nobody's log can make a network overflow."""

SLOWER = 0.05
"""The rate of a table's average (0.1) is far too much for Adam: this share of it is (0.005)."""


# ------------------------------------------------------------------------------------------ network and optimiser


class Network(Struct, frozen=True):
    """Two layers, the first with tanh: `tanh(x @ inner + inner_bias) @ outer + outer_bias`."""

    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: Floats

    @property
    def parameters(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.inner, self.inner_bias, self.outer, self.outer_bias

    def __call__(self, x: Floats) -> Floats:
        """The outputs for a vector, or for rows of them."""
        return self.hidden(x) @ self.outer + self.outer_bias

    def hidden(self, x: Floats) -> Floats:
        activated: Floats = np.tanh(x @ self.inner + self.inner_bias)
        return activated

    def gradient(self, x: Floats, hidden: Floats, slope: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """How a loss changes with each parameter.

        Args:
            x: inputs, one a row.
            hidden: what `hidden(x)` gave.
            slope: how the loss changes with each output, one row for each input.
        """
        back = slope @ self.outer.T * (1 - hidden * hidden)
        return x.T @ back, back.sum(0), hidden.T @ slope, slope.sum(0)

    def copy(self) -> "Network":
        return Network(*(each.copy() for each in self.parameters))


def fresh(inputs: int, hidden: int, outputs: int, rng: np.random.Generator, bias: float = 0.0) -> Network:
    """A network that answers `bias` or nearly that, whatever it is asked."""
    inner = rng.standard_normal((inputs, hidden))
    outer = rng.standard_normal((hidden, outputs)) * (0.01 / np.sqrt(hidden))
    return Network(inner, np.zeros(hidden), outer, np.full(outputs, bias))


class Adam:
    """Steps against the gradient, each parameter at its own pace (Kingma and Ba, 2015), and a pull towards zero.

    Args:
        parameters: changed in place.
        rate: the largest step, or nearly.
        decay: the share of its rate by which a parameter shrinks with each step (Loshchilov and Hutter, 2019).
    """

    def __init__(self, parameters: Sequence[Floats], rate: float, decay: float = 0.0) -> None:
        self._parameters, self._rate, self._decay = parameters, rate, decay
        self._first = [np.zeros_like(each) for each in parameters]
        self._second = [np.zeros_like(each) for each in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[Floats], pace: float = 1.0) -> None:
        """One step, `pace` times as far as the rate says."""
        self._steps += 1
        rate = self._rate * pace
        far = rate * float(np.sqrt(1 - 0.999**self._steps)) / (1 - 0.9**self._steps)
        for each, gradient, first, second in zip(self._parameters, gradients, self._first, self._second, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            each *= 1 - rate * self._decay
            each -= far * first / (np.sqrt(second) + 1e-8)


# ------------------------------------------------------------------------------------------ from steps to numbers


def vector(x: Features, slots: Mapping[str, int], width: int) -> Floats:
    """A task as a network sees it, in units of 1; what it has no input for is left out."""
    row = np.zeros(width)
    for name, value in x.items():
        slot = slots.get(name, width)
        if slot < width:
            row[slot] = min(max(value, -LIMIT), LIMIT) / ONE
    return row


class Examples(Struct, frozen=True):
    """Experiences as arrays, one row each, oldest first. Outputs are lanes, in the order of `lanes`.

    Attributes:
        lanes: keys of the lanes that have an output; never more than `LANES`.
        tried: how many of the experiences are of each.
        x: inputs.
        taken: output of the lane that was chosen.
        open: which lanes could have been chosen.
        propensity: how likely the choice was, as it was logged.
        reward: what it was worth.
        weight: 1 for the newest, and ever less the more came after it (`params.forgetting`).
        last: no decision followed that could tell more.
        x_after, open_after: of the decision that followed.
    """

    lanes: tuple[str, ...]
    tried: tuple[int, ...]
    x: Floats
    taken: Places
    open: Flags
    propensity: Floats
    reward: Floats
    weight: Floats
    last: Flags
    x_after: Floats
    open_after: Flags

    def __len__(self) -> int:
        return len(self.reward)


def known_lanes(replay: Replay) -> dict[str, int]:
    """Lanes that get an output, in the order of their keys, each with how often it was tried."""
    tried: dict[str, int] = {}
    newest: dict[str, int] = {}
    for place, experience in enumerate(replay):
        lane = experience.step.lane
        tried[lane] = tried.get(lane, 0) + 1
        newest[lane] = place
    kept = sorted(newest, key=lambda lane: newest[lane], reverse=True)[:LANES]
    return {lane: tried[lane] for lane in sorted(kept)}


def examples(replay: Replay, vocabulary: Sequence[str], forgetting: float) -> Examples:
    """What a network learns from, of the experiences with a lane that has an output."""
    tried = known_lanes(replay)
    outputs = {lane: output for output, lane in enumerate(tried)}
    slots = {name: slot for slot, name in enumerate(vocabulary[:MOST])}
    rows = [experience for experience in replay if experience.step.lane in outputs]
    count, width = len(rows), len(slots)
    x, x_after = np.zeros((count, width)), np.zeros((count, width))
    able, able_after = np.zeros((count, len(outputs)), np.bool_), np.zeros((count, len(outputs)), np.bool_)
    for row, experience in enumerate(rows):
        _fill(experience, outputs, slots, x[row], able[row], x_after[row], able_after[row])
    return Examples(
        lanes=tuple(outputs),
        tried=tuple(tried.values()),
        x=x,
        taken=np.array([outputs[experience.step.lane] for experience in rows], np.intp),
        open=able,
        propensity=np.array([experience.step.propensity for experience in rows], np.float64),
        reward=np.array([experience.reward for experience in rows], np.float64),
        weight=forgetting ** np.arange(count - 1, -1, -1, dtype=np.float64),
        last=np.logical_not(able_after.any(1)),
        x_after=x_after,
        open_after=able_after,
    )


def _fill(
    experience: Experience,
    outputs: Mapping[str, int],
    slots: Mapping[str, int],
    x: Floats,
    able: Flags,
    x_after: Floats,
    able_after: Flags,
) -> None:
    """Write one experience into its rows."""
    step, after = experience.step, experience.after
    x[:] = vector(step.x, slots, len(slots))
    able[[outputs[option.lane] for option in step.options if option.lane in outputs]] = True
    able[outputs[step.lane]] = True  # whatever the log has forgotten: it was chosen
    if after is not None:
        x_after[:] = vector(after.x, slots, len(slots))
        able_after[[outputs[option.lane] for option in after.options if option.lane in outputs]] = True


def seeded(replay: Replay) -> np.random.Generator:
    """Chance that follows from what happened: the same experiences, the same numbers."""
    whole = hashlib.sha256()
    for experience in replay:
        whole.update(b"%d %.9f;" % (experience.step.position, experience.reward))
    return np.random.default_rng(int.from_bytes(whole.digest()[:8], "big"))


# ------------------------------------------------------------------------------------------ stored


class Heads(Struct, frozen=True):
    """A trained network that can be asked about lanes.

    Attributes:
        network: its outputs are of `lanes`, in this order.
        lanes: their keys, each with its output.
        tried: outcomes that the network has seen of each, by key.
        slots: inputs by the name of the feature.
    """

    network: Network
    lanes: Mapping[str, int]
    tried: Mapping[str, int]
    slots: Mapping[str, int]

    def ask(self, x: Features, lanes: Sequence[str], burn_in: int) -> list[float | None]:
        """The network's number for each lane; None for those that have been tried less than `burn_in` times."""
        if not self.lanes:
            return [None] * len(lanes)
        numbers = self.network(vector(x, self.slots, len(self.network.inner))).tolist()
        return [
            numbers[self.lanes[lane]] if self.tried.get(lane, -1) >= burn_in and lane in self.lanes else None
            for lane in lanes
        ]


class _Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """A network as bytes: `weights` are those of all layers as little-endian 32-bit floats."""

    of: str
    inputs: int
    hidden: int
    lanes: tuple[str, ...]
    tried: tuple[int, ...]
    weights: bytes


def pack(name: str, network: Network, lanes: Sequence[str], tried: Sequence[int]) -> bytes:
    """The bytes of a network; `name` says of which algorithm."""
    weights = np.concatenate([each.ravel() for each in network.parameters])
    # A float of 32 bits holds far more than this; a weight of such a size says nothing more either way.
    stored = np.clip(np.nan_to_num(weights), -1e6, 1e6).astype("<f4").tobytes()
    inputs, hidden = network.inner.shape
    return msgspec.msgpack.encode(_Stored(name, inputs, hidden, tuple(lanes), tuple(tried), stored))


def unpack(name: str, snapshot: PolicySnapshot) -> Heads:
    """The network of a snapshot. Raises `Unreadable` for what is none, or of another algorithm."""
    try:
        stored = msgspec.msgpack.decode(snapshot.model, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"no network of {name}: {error}") from None
    inputs, hidden, outputs = stored.inputs, stored.hidden, len(stored.lanes)
    fitting = (
        stored.of == name
        and 0 <= inputs <= min(MOST, len(snapshot.vocabulary))
        and 1 <= hidden <= 4096
        and outputs <= LANES
        and len(stored.tried) == len(set(stored.lanes)) == outputs
        and len(stored.weights) == 4 * (inputs * hidden + hidden + hidden * outputs + outputs)
    )
    if not fitting:
        raise Unreadable(f"no network of {name}: {stored.of!r} with {inputs} inputs and {outputs} lanes")
    weights = np.frombuffer(stored.weights, "<f4").astype(np.float64)
    if not np.isfinite(weights).all():
        raise Unreadable(f"no network of {name}: its weights are not finite")
    inner, inner_bias, outer, outer_bias = np.split(weights, np.cumsum([inputs * hidden, hidden, hidden * outputs]))
    return Heads(
        Network(inner.reshape(inputs, hidden), inner_bias, outer.reshape(hidden, outputs), outer_bias),
        {lane: output for output, lane in enumerate(stored.lanes)},
        dict(zip(stored.lanes, stored.tried, strict=True)),
        {feature: slot for slot, feature in enumerate(snapshot.vocabulary)},
    )


def adams_rate(params: Params) -> float:
    """The learning rate that is configured, scaled for Adam."""
    return params.learning_rate * SLOWER
