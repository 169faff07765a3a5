"""Vowpal Wabbit as a challenger: what our own policies are compared with, where the package is installed."""

import importlib.util
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from cca.contracts.policy import PolicySnapshot
from cca.errors import Unreadable
from cca.routing.algorithm import Fitted, History
from cca.routing.buffer import experiences
from cca.routing.features import ONE, Features
from cca.routing.networks import LIMIT
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.simple import even

RARE = 0.01
"""Logged chances below this count as this: costs are divided by them."""


def installed() -> bool:
    """Whether the package is there; it belongs to the extra `rl`."""
    return importlib.util.find_spec("vowpalwabbit") is not None


class VowpalWabbit(Struct, frozen=True):
    """A contextual bandit of Vowpal Wabbit, for evaluation and benchmarks only.

    It goes through the decisions in order. Its state depends on that order, cannot be merged, and is read by its own
    code, so it does not decide live.

    Attributes:
        exploration: `squarecb` (Foster and Rakhlin, 2020) or `regcb` (Foster and others, 2018).
    """

    exploration: str = "squarecb"

    @property
    def summary(self) -> str:
        return f"Vowpal Wabbit, --cb_explore_adf --{self.exploration}; can be evaluated, but not decide live."

    @property
    def name(self) -> str:
        return f"vowpal-wabbit-{self.exploration}/1"

    def fit(self, history: History) -> Fitted:
        slots = {name: slot for slot, name in enumerate(history.vocabulary)}
        with tempfile.TemporaryDirectory(prefix="cca-vw-") as folder:
            file = Path(folder, "model")
            learning = _workspace(f"--cb_explore_adf --{self.exploration} --quiet --random_seed 1 -q sa")
            try:
                for experience in experiences(history):
                    step = experience.step
                    lanes = list(dict.fromkeys([*(option.lane for option in step.options), step.lane]))
                    label = f"0:{1 - experience.reward:.6f}:{min(max(step.propensity, RARE), 1.0):.6f} "
                    learning.learn(lines(step.x, slots, lanes, {step.lane: label}))
                learning.save(str(file))
            finally:
                learning.finish()
            content = file.read_bytes()
        return Fitted(msgspec.msgpack.encode(_Stored(self.name, sha256(content).digest(), content)))

    def policy(self, snapshot: PolicySnapshot) -> "Challenger":
        """The policy of a model; close it after use. Raises `Unreadable` for what is no model."""
        try:
            stored = msgspec.msgpack.decode(snapshot.model, type=_Stored)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(f"no model of {self.name}: {error}") from None
        if stored.of != self.name:
            raise Unreadable(f"no model of {self.name}, but of {stored.of!r}")
        if stored.digest != sha256(stored.content).digest():
            raise Unreadable(f"no model of {self.name}: it was damaged")
        with tempfile.TemporaryDirectory(prefix="cca-vw-") as folder:
            file = Path(folder, "model")
            file.write_bytes(stored.content)
            try:
                workspace = _workspace(f"--quiet -t -i {file}")
            except RuntimeError as error:
                raise Unreadable(f"no model of {self.name}: {error}") from None
        return Challenger(self.name, workspace, {name: slot for slot, name in enumerate(snapshot.vocabulary)})


class _Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """A model as Vowpal Wabbit wrote it, for which exploration, and its SHA-256, since its reader checks nothing."""

    of: str
    digest: bytes
    content: bytes


class Challenger:
    """A model of Vowpal Wabbit that is open; `close` it, or use it in a `with` statement."""

    def __init__(self, name: str, workspace: Any, slots: dict[str, int]) -> None:
        self._name, self._workspace, self._slots = name, workspace, slots

    @property
    def name(self) -> str:
        return self._name

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        """How likely each lane is; what was compared are these very chances."""
        answer = self._workspace.predict(lines(case.x, self._slots, [lane.key for lane in lanes]))
        chances = [max(float(chance), 0.0) for chance in answer]
        total = sum(chances)
        shares = [chance / total for chance in chances] if total > 0 else even(len(lanes))
        return Judgement(shares, shares)

    def close(self) -> None:
        """Give the memory of the model back. Once is enough, twice does no harm."""
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            workspace.finish()

    def __enter__(self) -> "Challenger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _workspace(arguments: str) -> Any:
    import vowpalwabbit

    return vowpalwabbit.Workspace(arguments)


def lines(x: Features, slots: dict[str, int], lanes: Sequence[str], labels: dict[str, str] | None = None) -> list[str]:
    """A decision in Vowpal Wabbit's text: features by slot, so that no name can be taken for syntax."""
    known = sorted((slots[name], min(max(value, -LIMIT), LIMIT) / ONE) for name, value in x.items() if name in slots)
    shared = " ".join(f"f{slot}:{value:.6f}" for slot, value in known)
    # A lane is hex for the same reason.
    return [f"shared |s {shared}", *(f"{(labels or {}).get(lane, '')}|a l{lane.encode().hex()}" for lane in lanes)]
