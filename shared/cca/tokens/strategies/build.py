"""Output of builds and installations: routine steps are counted, warnings, errors and what came out of it stay."""

import re
from collections.abc import Sequence

from msgspec import Struct

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.commands import command
from cca.tokens.strategies.compilers import shown_warnings
from cca.tokens.strategies.log import routine_summed
from cca.tokens.strategies.noise import plain, worthwhile
from cca.tokens.strategies.salient import is_trouble
from cca.tokens.strategies.steps import RULES, Rule
from cca.tokens.strategies.tallies import limited
from cca.tokens.strategies.trace import Traces

_KINDS: frozenset[ContentKind] = frozenset({"build"})
_LONGEST = 20_000
"""Characters of a line that may be a step."""
_DOCKER = re.compile(r"(?:#\d+ (?:\d+\.\d+ )?|\[\d+/\d+\] \d+\.\d+ )")
_TOLD = ("installed", "compiled")
"""What was done with these is told by name and version; with more than `_NAMED` things without one, by count."""
_NAMED = 12
_SHORT = 100
"""Characters of a step that may stay as it is, when there are less than `_FEW` in a row."""
_FEW = 3


class _Step(Struct):
    """A routine step: what was done, with what, and in which line."""

    label: str
    item: str
    line: str


def builds(section: Section) -> list[str] | None:
    """The output, with its routine steps counted."""
    lines = plain(section.lines)
    out = Traces().short(routine_summed(_steps(shown_warnings(lines))))
    return worthwhile(section.lines, out)


def _steps(lines: Sequence[str]) -> list[str]:
    """Each run of routine steps becomes a line for each sort of step."""
    rules = list(RULES)
    steps = [_read(rules, line) for line in lines]
    said = _named(lines, steps)
    out: list[str] = []
    run: list[_Step] = []
    blanks = 0
    for line, step in zip(lines, steps, strict=True):
        if step is not None:
            run.append(step)
            blanks = 0
        elif not line and run:
            blanks += 1
        else:
            out += _summary(run, said)
            out += [""] * min(blanks, 1)
            run, blanks = [], 0
            out.append(line)
    return out + _summary(run, said) + [""] * min(blanks, 1)


def _named(lines: Sequence[str], steps: Sequence[_Step | None]) -> set[str]:
    """What is named with its version as installed or compiled: its download need not name it again."""
    names = {step.item.split(" ")[0] for step in steps if step is not None and step.label in _TOLD}
    for line, step in zip(lines, steps, strict=True):
        if step is None and line.startswith("Successfully installed "):
            names.update(word.rsplit("-", 1)[0].lower() for word in line.split()[2:])
    return names


def _read(rules: list[Rule], line: str) -> _Step | None:
    if not line or len(line) > _LONGEST:
        return None
    text = line
    if line[0] in "#[" and (found := _DOCKER.match(line)):
        text = line[found.end() :]
    for at, rule in enumerate(rules):
        found = rule.pattern.match(text)
        if found is None:
            continue
        if at > 3:  # the tool that spoke speaks on
            rules.insert(0, rules.pop(at))
        parts = found.groupdict()
        item = " ".join(part for name in ("item", "version") if (part := parts.get(name)))
        if not rule.sure and is_trouble(text):
            return None
        return _Step(rule.label, item, line)
    if len(text) > 60 and (ran := command(text)) is not None:
        return _Step(ran[0], ran[1], line)
    return None


def _summary(run: Sequence[_Step], said: set[str]) -> list[str]:
    """What some steps that follow each other were."""
    if len(run) < _FEW and all(len(step.line) < _SHORT for step in run):
        return [step.line for step in run if step.label != "silent"]
    labels: dict[str, dict[str, None]] = {}
    counts: dict[str, int] = {}
    last = ""
    for step in run:
        if step.label == "progress":
            last = step.line
            continue
        if step.label == "silent":
            continue
        counts[step.label] = counts.get(step.label, 0) + 1
        items = labels.setdefault(step.label, {})
        if step.item and (step.label in _TOLD or step.item.split(" ")[0].lower() not in said):
            items[step.item] = None
    out: list[str] = []
    for label, items in labels.items():
        many = len(items) > _NAMED and not all(" " in item for item in items)
        names = "" if not items or many else ": " + limited(list(items), 6_000)
        if many:
            ends = list(items)
            names = f": {ends[0]} … {ends[-1]}"
        out.append(f"… {counts[label]} {label}{names}")
    return [*out, last] if last else out


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="build",
        summary="Routine steps of builds and installations are counted; warnings, errors, versions and results stay.",
        kinds=_KINDS,
        level="safe",
        function=builds,
    ),
)
