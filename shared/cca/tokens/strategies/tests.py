"""Output of test runs: what passed is counted by file, what failed stays with its details."""

import re
from collections import Counter

from msgspec import Struct

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.failures import details
from cca.tokens.strategies.log import routine_summed
from cca.tokens.strategies.noise import plain, worthwhile
from cca.tokens.strategies.tallies import counted
from cca.tokens.strategies.trace import Traces

_KINDS: frozenset[ContentKind] = frozenset({"tests"})
_SLOW_S = 1.0
"""Passing tests that took so long stay, the slowest ten of them."""
_LONGEST = 1_000
"""Characters of a line that may be a result."""


class _Rule(Struct, frozen=True):
    """How a runner says that tests passed, were skipped, or were no news.

    A match may have the groups `state`, `group`, `why`, `count`, `dots`, `time` and `unit`.
    """

    pattern: re.Pattern[str]
    state: str = "passed"


def _rule(pattern: str, state: str = "passed") -> _Rule:
    return _Rule(re.compile(pattern), state)


_RULES = (
    # pytest -v, with and without xdist
    _rule(r"(?P<group>\S+?\.py)::\S.*? (?P<state>PASSED|SKIPPED|XFAIL)(?: \((?P<why>.*)\))?(?: +\[ *\d+%\])?$"),
    _rule(r"\[gw\d+\] \[ *\d+%\] (?P<state>PASSED|SKIPPED|XFAIL) (?P<group>\S+?)::"),
    # pytest and unittest with dots
    _rule(r"(?P<group>\S+\.py) (?P<dots>[.sx]+)(?: +\[ *\d+%\])?$", "dots"),
    _rule(r"(?P<dots>[.sx]+)(?: +\[ *\d+%\]|(?<=.{20}))$", "dots"),
    # unittest -v
    _rule(
        r"\w+ \((?P<group>[\w.]+?)(?:\.test\w*)?\)(?: \[.*\])?(?:\n.*)? \.\.\. (?:(?P<state>ok|expected failure)"
        r"|skipped '(?P<why>.*)')$"
    ),
    # go test
    _rule(r"=== (?:RUN|PAUSE|CONT|NAME)\b", "silent"),
    _rule(r"(?P<indent> *)--- (?P<state>PASS|SKIP): \S+ \((?P<time>[\d.]+)(?P<unit>s)\)$"),
    _rule(r"ok\s+(?P<group>\S+)\t(?:(?P<time>[\d.]+)(?P<unit>s)|\(cached\))$"),
    _rule(r"\?\s+(?P<group>\S+)\t\[(?P<why>no test files)\]$", "skipped"),
    _rule(r"PASS$", "silent"),
    # cargo test
    _rule(
        r"test (?P<group>\S+?)(?:::\w+)?(?: - .*)? \.\.\. (?P<state>ok"
        r"|ignored)(?:, (?P<why>.*))?(?: <(?P<time>[\d.]+)(?P<unit>s)>)?$"
    ),
    _rule(r"running \d+ tests?$", "silent"),
    # jest, vitest, mocha, node
    _rule(r"PASS +(?:[\w-]+ )?(?P<group>[^\s(]+\.\w+)(?: \((?P<time>[\d.]+) (?P<unit>m?s)\))?$", "file"),
    _rule(
        r"\s*[✓√✔] +(?P<group>\S+\.[cm]?[jt]sx?) .*"
        r"\((?P<count>\d+) tests?(?: \| \d+ skipped)?\)(?: (?P<time>[\d.]+) ?(?P<unit>m?s))?$"
    ),
    _rule(r"\s*[✓√✔] +(?P<group>\S+\.[cm]?[jt]sx?) > .*?(?: (?P<time>[\d.]+) ?(?P<unit>m?s))?$"),
    _rule(r"\s*[✓√✔] .*?(?: \(?(?P<time>[\d.]+) ?(?P<unit>m?s)\)?)?$", "checked"),
    _rule(r"\s*[○↓] (?P<why>skipped|todo)\b.*$", "skipped"),
    # TAP
    _rule(r"\s*ok \d+\b.*# (?:SKIP|skip|TODO|todo)\S* ?(?P<why>.*)$", "skipped"),
    _rule(r"\s*ok \d+\b(?:.*# time=(?P<time>[\d.]+)(?P<unit>ms))?.*$", "tap"),
    # Maven, Gradle, CTest, dotnet
    _rule(
        r"(?:\[INFO\] )?Tests run: (?P<count>\d+), Failures: 0, Errors: 0, Skipped: \d+, Time elapsed: "
        r"(?P<time>[\d.]+) (?P<unit>s).*?(?:in|-) (?P<group>[\w.$]+)$"
    ),
    _rule(r"\[INFO\] Running [\w.$]+$", "silent"),
    _rule(r"(?P<group>[\w.$]+) > .+ (?P<state>PASSED|SKIPPED)$"),
    _rule(r" *\d+/\d+ Test +#\d+: (?P<group>[A-Za-z0-9]+)\S* \.+ +Passed +(?P<time>[\d.]+) (?P<unit>sec)$"),
    _rule(r" *Start +\d+: \S+$", "silent"),
    _rule(r" +Passed (?P<group>[\w.]+)\.\w+.* \[(?:< )?(?P<time>[\d.]+) (?P<unit>m?s)\]$"),
    # rows of a table of coverage that miss nothing
    _rule(r"(?P<group>\S+) +\d+ +0(?: +\d+ +0)? +100(?:\.0+)?%$", "covered"),
    _rule(r" *(?P<group>\S+) +\|(?: +100 \|){4} *$", "covered"),
)
_STATES = {
    "PASSED": "passed",
    "PASS": "passed",
    "ok": "passed",
    "SKIPPED": "skipped",
    "SKIP": "skipped",
    "ignored": "skipped",
}
_FLAKY = re.compile(r"\((?:retry|retried|flaky|attempt)\b|\bRERUN\b|\bFLAKY\b|\bretry x?\d", re.IGNORECASE)
_BAD = re.compile(r"\s*(?:[✕×✗✘●]|not ok\b|FAIL|--- FAIL|\d+\) )")
_PACKAGE = re.compile(r"(?:ok|FAIL)\s+(\S+/\S+|\S+)\s+(?:[\d.]+s|\(cached\))")
_FILE = re.compile(r"(?:PASS|FAIL) +(?:[\w-]+ )?([^\s(]+\.\w+)")
_DOC = re.compile(r"test\w* \([\w.]+\)$")


class _Line(Struct):
    """What a line says of tests."""

    state: str
    group: str = ""
    why: str = ""
    count: int = 1
    seconds: float = 0.0


def runs(section: Section) -> list[str] | None:
    """The run, with what passed counted."""
    lines = plain(section.lines)
    out = _Run(lines).folded()
    out = Traces().short(details(routine_summed(out)))
    return worthwhile(section.lines, out)


class _Run:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.found = self.results()
        self.headings = self.describing()

    def results(self) -> list[_Line | None]:
        rules = list(_RULES)
        out: list[_Line | None] = []
        for at, line in enumerate(self.lines):
            found = None
            if line and len(line) <= _LONGEST:
                if at and " ... " in line and _DOC.match(self.lines[at - 1]):
                    found = _read(rules, f"{self.lines[at - 1]}\n{line}")
                    if found is not None:
                        out[-1] = _Line("silent")
                else:
                    found = _read(rules, line)
            out.append(found)
        self.silence_notes(out)
        slow = sorted((one.seconds for one in out if one is not None and one.seconds >= _SLOW_S), reverse=True)
        least = slow[min(9, len(slow) - 1)] if slow else _SLOW_S
        return [None if one is not None and one.seconds >= least and one.seconds >= _SLOW_S else one for one in out]

    def silence_notes(self, out: list[_Line | None]) -> None:
        """The notes that TAP puts below a test that passed, and the title above it."""
        passed = False
        inside = False
        for at, one in enumerate(out):
            line = self.lines[at].strip()
            if inside:
                out[at] = _Line("silent")
                inside = line != "..."
            elif passed and line == "---" and "..." in (text.strip() for text in self.lines[at + 1 : at + 12]):
                out[at] = _Line("silent")
                inside = True
            passed = one is not None and one.state == "tap"
            if line.startswith("# Subtest: "):
                out[at] = _Line("silent")

    def describing(self) -> set[int]:
        """The lines that are titles above results which are set deeper, as Jest and Mocha print them."""
        titles: set[int] = set()
        below = -1
        for at in range(len(self.lines) - 1, -1, -1):
            line = self.lines[at]
            if not line:
                continue
            one = self.found[at]
            indent = len(line) - len(line.lstrip())
            if one is not None:
                below = indent if line.lstrip()[0] in "✓√✔○↓" else -1
            elif _BAD.match(line):
                below = indent if line.lstrip()[:1] in "✕×✗✘" or re.match(r"\s+\d+\) ", line) else -1
            elif indent < below and len(line) < 200 and not _FILE.match(line):
                titles.add(at)
                below = indent
            else:
                below = -1
        return titles

    def folded(self) -> list[str]:
        passed: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        ran: Counter[str] = Counter()
        files: list[str] = []
        expected = 0
        covered: list[str] = []
        out: list[str | None] = []
        where: int | None = None
        above: list[tuple[int, str]] = []
        group = ""
        unnamed = 0
        """Tests of Go that passed, until their package is named below them."""
        dropped = False
        for line, one, title in zip(
            self.lines, self.found, (at in self.headings for at in range(len(self.lines))), strict=True
        ):
            if unnamed and (package := _PACKAGE.match(line)):
                passed[package[1]] += unnamed - (one is not None)
                unnamed = 0
            if file := _FILE.match(line):
                group = file[1]
            if one is not None:
                if where is None:
                    where = len(out)
                    out.append(None)
                dropped = True
                if one.state in ("passed", "tap", "checked"):
                    name = one.group or group or (above[0][1].strip(" ▶❯›") if above and one.state == "checked" else "")
                    if name:
                        passed[name] += one.count
                    else:
                        unnamed += one.count
                elif one.state == "file":
                    files.append(one.group)
                elif one.state == "dots":
                    ran[one.group] += one.count
                elif one.state == "xfailed":
                    expected += 1
                elif one.state == "skipped":
                    skipped[one.why] += one.count
                elif one.state == "covered":
                    covered.append(one.group)
                continue
            if not line:
                if not dropped:
                    out.append(line)
                continue
            indent = len(line) - len(line.lstrip())
            while above and above[-1][0] >= indent:
                above.pop()
            if title:
                above.append((indent, line))
                continue
            # What stays stays below its titles.
            out += [text for depth, text in above if depth < indent]
            above.clear()
            if dropped and out and out[-1] and (line.startswith("=") or not line.strip()):
                out.append("")
            out.append(line)
            dropped = False
        passed[""] += unnamed
        files = [name for name in files if name not in passed]
        summary = [
            *([f"… {total} passed{counted(passed)}"] if (total := passed.total()) else []),
            *([f"… {total} ran without a failure{counted(ran)}"] if (total := ran.total()) else []),
            *([f"… {len(files)} files passed{counted(dict.fromkeys(files, ''))}"] if files else []),
            *([f"… {expected} failed as expected"] if expected else []),
            *_skips(skipped),
            *([f"… {len(covered)} files are covered completely"] if covered else []),
        ]
        return [text for at, text in enumerate(out) for text in (summary if at == where else [text or ""])]


def _skips(skipped: Counter[str]) -> list[str]:
    if not (total := skipped.total()):
        return []
    reasons = ", ".join(f"{why!r} x{count}" for why, count in skipped.most_common() if why)
    return [f"… {total} skipped{': ' + reasons if reasons else ''}"]


def _read(rules: list[_Rule], line: str) -> _Line | None:
    for at, rule in enumerate(rules):
        found = rule.pattern.match(line)
        if found is None:
            continue
        if at > 2:  # what a runner says once it says again
            rules.insert(0, rules.pop(at))
        if _FLAKY.search(line):
            return None
        parts = found.groupdict()
        state = _STATES.get(parts.get("state") or "", rule.state)
        if parts.get("state") in ("XFAIL", "expected failure"):
            state = "xfailed"
        if parts.get("why") and rule.state == "passed":
            state = "skipped"
        seconds = _seconds(parts.get("time"), parts.get("unit"))
        dots = parts.get("dots")
        count = len(dots) if dots else int((parts.get("count") or "1")[:9])
        return _Line(state, parts.get("group") or "", parts.get("why") or "", count, seconds)
    return None


def _seconds(time: str | None, unit: str | None) -> float:
    try:
        return float(time or 0) * (0.001 if unit == "ms" else 1.0)
    except ValueError:
        return 0.0


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="tests",
        summary="Passing tests are counted by file; failures, slow and flaky tests and summaries stay.",
        kinds=_KINDS,
        level="safe",
        function=runs,
    ),
)
