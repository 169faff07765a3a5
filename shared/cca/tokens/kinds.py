"""What kind of text some lines are, told by cheap signs that are counted."""

import re
from collections import Counter
from collections.abc import Sequence

from cca.contracts.tokens import ContentKind

_CUT = 400
"""So many characters of a line are looked at; what a line is shows at its beginning."""
_SAMPLE = 240
ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")

# One expression with a group for each sort of line, the most special first: one match tells the sort.
_SORTS = {
    "diff": r"diff (?:--git|-[a-zA-Z]+) \S|index [0-9a-f]{6,40}\.\.[0-9a-f]|@@ -\d+(?:,\d+)? \+\d"
    r"|--- (?:[abiwco]/\S|/dev/null)"
    r"|\+\+\+ (?:[abiwco]/\S|/dev/null)|(?:new|deleted) file mode \d|similarity index \d|rename (?:from|to) \S"
    r"|Binary files .{1,300} differ|commit [0-9a-f]{40}\b",
    "trace": r"Traceback \(most recent call|\s+File \"[^\"]{1,300}\", line \d|\s+at [\w$.<>/@\[\] -]{1,200}\("
    r"|\s+at (?:async )?\S{1,300}:\d+|Caused by: |\s+\.\.\. \d+ (?:more|common)|goroutine \d+ \[|panic: "
    r"|thread '[^']{0,80}' panicked|stack backtrace:|\s{1,4}\d{1,3}: +(?:0x[0-9a-f]{1,16} - )?[\w<{][\w:<>{}$ ]{0,200}$"
    r"|created by \S+ in goroutine|\t/\S{1,300}:\d+ \+0x",
    "tests": r"={3,} .{0,200}(?:test session|passed|failed|error|FAILURES|ERRORS|short test summary|warnings"
    r"|no tests ran)"
    r"|_{3,} .{1,200} _{3,}$|\S{1,300}::\S{1,300} (?:PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)"
    r"|(?:PASSED|FAILED|ERROR|SKIPPED|XFAIL) (?:\S+::|\[\d+\] )|\S{1,200}\.py [.FEsxX]{1,300}\s*(?:\[ *\d+%\])?$"
    r"|collected \d+ items?|platform \w+ -- Python|rootdir: |plugins: |E   "
    r"|\s*+=== (?:RUN|PAUSE|CONT|NAME)\b|\s*+--- (?:PASS|FAIL|SKIP|BENCH): |(?:ok|FAIL|\?) {0,4}\t\S|(?:PASS|FAIL|ok)$"
    r"|test \S{1,300}(?: - should panic)? \.\.\. (?:ok|FAILED|ignored|bench)|running \d+ tests?$|test result: "
    r"|failures:$"
    r"|\s*+(?:PASS|FAIL) \S{1,300}\.(?:[jt]sx?|mjs|cjs|vue)\b|\s*+[✓✔✕✗×○√↓] \S"
    r"|\s*+Tests?(?: Suites| Files)?:?\s+\d+ (?:passed|failed|skipped|total)|\s*+(?:not )?ok \d+\b|TAP version "
    r"|1\.\.\d+$"
    r"|\w{1,200} \([\w.]{1,300}\)(?: \.\.\. (?:ok|FAIL|ERROR|skipped.{0,200}|expected failure))?$|Ran \d+ tests? in ",
    "log": r"(?:[\w./-]{1,60}\s*\|\s+)?(?:[\[(]?(?:\d{4}[-/.]\d\d[-/.]\d\d[T _]\d\d:\d\d|\d\d/[A-Z][a-z]{2}/\d{4}[: ]"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d(?:[.,]\d{1,9})?[\]Z ]|\d{10,13}(?:\.\d{1,9})?[\]:]? \S)"
    r"|[IWEF]\d{4} \d\d:\d\d:|\d{1,3}(?:\.\d{1,3}){3} \S{1,60} \S{1,60} \[)"
    r"|[\[<(]?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SEVERE|[tdiwe]rc|INF|WRN|ERR"
    r"|DBG)[\])>]?[ \t:|\]]"
    r"|(?:time|ts|timestamp|level|lvl)=\S+ ",
    "build": r" {1,20}(?:Compiling|Checking|Downloading|Downloaded|Finished|Fresh|Updating|Locking|Building|Installing"
    r"|Documenting|Adding|Running|Packaging|Verifying|Archiving|Uploading|Replacing|Dirty) [`\S]"
    r"|npm (?:WARN|warn|ERR!|error|notice|http|info)\b|(?:added|removed|changed|audited) \d+ packages?"
    r"|g?make(?:\[\d+\])?: "
    r"|(?:\S{0,100}/)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|ld|ar|rustc|javac|nvcc)(?:-[\d.]+)? -\S"
    r"|\[ *\d{1,3}%\] |\[\d{1,6}/\d{1,6}\] \S|Step \d+/\d+ ?:|#\d{1,3} (?:\d+\.\d+ |\[|DONE|CACHED|sha256|exporting"
    r"|extract)"
    r"| *=> (?:=> )?[\[\w]| ?---> |Removing intermediate container|Successfully (?:built|installed|tagged|uninstalled) "
    r"|\s*+(?:Collecting|Using cached|Requirement already satisfied|Installing collected packages|Building wheels? for"
    r"|Preparing metadata|Getting requirements|Created wheel|Stored in directory|Attempting uninstall|Obtaining) ?\S"
    r"|Downloading \S|> Task :|BUILD (?:SUCCESSFUL|FAILED)|Get:\d+ \S|Unpacking \S|Setting up \S|Selecting previously"
    r"|(?:warning|error)(?:\[\w{1,20}\])?: \S| {1,8}--> \S{1,300}:\d|\s+= (?:note|help): "
    r"|\s*(?:asset \S{1,200} [\d.]+ [KM]?i?B|(?:modules|assets) by (?:path|status|info|layer)|(?:runtime|cacheable"
    r"|orphan|hidden)"
    r" modules |webpack \d|\S{1,200}\.\w{1,5} +[\d.]+ [kKM]i?B(?: | ?│))"
    r"|[\w./+-]{1,300}:\d{1,7}:\d{1,5}: (?:warning|error|note|fatal error): ",
    "listing": r"[-dlcbps][-rwxsStTlL]{9}[.+@]? +\d|total \d+(?:\.\d+)?[KMG]?$|[│ |\xa0]{0,200}(?:[├└|`](?:──"
    r"|--)[ \xa0])"
    r"|\d+ director(?:y|ies), \d+ files?|(?:\.{0,2}/)?[\w@+.-]{1,120}(?:/[\w@+.\[\]-]{1,120}){1,40}/?:?$",
    "search": r"(?:[A-Za-z]:\\)?[\w@+~/\\-]{0,300}[./][\w@+~./\\-]{0,300}[:-]\d{1,7}[:-]",
    "number": r"\d{1,7}[:-](?!\d\d\b)",
    "table": r"\s*+\|.{0,395}$|[+|]?(?:[-=]{2,80}[+| ]{1,3}){1,40}[-=]{0,80}[+|]?$|\(\d+ rows?\)$",
    "code": r"\s*+(?:(?:def|class|fn|func|pub|impl|struct|enum|interface|trait|namespace|typedef|import|from|export"
    r"|package"
    r"|const|let|var|static|public|private|protected|async|return|raise|throw|yield|await|elif|switch|case|use|mod"
    r"|extern|template|@\w+)\b(?=.{0,300}[({;:=.\[<'\"]|.{0,40}$)|(?:if|for|while|match|with|try|else|except|finally|catch|do)\b"
    r".{0,390}[:{]\s*$|//|/\*|\*/|\"{3}|'{3}|#(?:include|define|if|endif|pragma|!)|[})\]]{1,6}[;,)]{0,3}\s*$|<[/!?]?[a-zA-Z][^<>]{0,300}/?>"
    r"|[\w.\[\]\"'*&-]{1,120}\s*(?:[+*/|&^-]|:)?={1,2}\s*\S|.{0,395}(?:[;{]|\)\s*:|=>|->.{0,60}[:{])\s*$|\w[\w.]{0,100}\(.{0,280}\)\s*,?$"
    r"|['\"][^'\"]{0,200}['\"]\s*[:,].{0,150}$)",
    "item": r"\s*+(?:[-*•]|\d{1,3}[.)]) \S|#{1,6} \S|>",
}
_LINE = re.compile("|".join(f"(?P<{sort}>{pattern})" for sort, pattern in _SORTS.items()))
_JSONISH = re.compile(
    r'\s*+(?:[{\[]\s*+(?:["{\[\d-]|$)|"(?:[^"\\]|\\.){0,200}"\s*(?::|,?\s*$)|[}\]]{1,9},?\s*$|-?[\d.]{1,30},?$)'
)
_WORDS = re.compile(r"\b[^\W\d_]{2,}['’]?(?:[ ,;:]+[^\W\d_]+['’]?){3}")
_QUOTED = re.compile(r'"[^"]*"')
_GAP = re.compile(r"\S(?: {2,}|\t+)(?=\S)")
_STRONG: tuple[ContentKind, ...] = ("diff", "trace", "tests", "log", "build", "search", "listing")


def sort_of(line: str) -> str:
    """The sort of a single line: a kind, or `blank`, `number`, `item`, `indented`, `prose` where it tells little."""
    if "\x1b" in line:
        line = ANSI.sub("", line[: 2 * _CUT])
    if not line or line.isspace():
        return "blank"
    found = _LINE.match(line, 0, _CUT)
    if found is not None:
        return found.lastgroup or "prose"
    return "indented" if line[:4].isspace() or line[0] == "\t" else "prose"


def classify(lines: Sequence[str]) -> ContentKind:
    """The kind of text that most of some lines are. A sample of them is looked at, and the beginning of each."""
    if len(lines) > _SAMPLE:
        third = _SAMPLE // 3
        middle = len(lines) // 2
        lines = [*lines[:third], *lines[middle : middle + third], *lines[-third:]]
    if any(line.startswith(("[ctx:", '{"$ctx":')) for line in lines) and all(
        line.startswith(("[ctx:", '{"$ctx":')) or line.isspace() or not line for line in lines
    ):
        return "folded"
    return kind_of(lines, Counter(map(sort_of, lines)))


def kind_of(lines: Sequence[str], sorts: Counter[str]) -> ContentKind:
    """The kind of some lines of which the sorts are known; all lines are looked at."""
    full = sorts.total() - sorts["blank"]
    if not full:
        return "prose"
    if _json(lines, full):
        return "json"
    strong: dict[ContentKind, int] = {sort: sorts.get(sort, 0) for sort in _STRONG}
    kind = max(_STRONG, key=strong.__getitem__)
    most = strong[kind]
    if strong["diff"] >= 2 and _has_hunk(lines):
        return "diff"
    if strong["tests"] >= 3 and strong["tests"] >= 0.15 * full and strong["log"] + strong["build"] < 0.6 * full:
        return "tests"
    if strong["trace"] >= 2 and strong["trace"] >= 0.3 * full and most - strong["trace"] <= 0.3 * full:
        return "trace"
    if strong["log"] and strong["log"] + strong["trace"] >= 0.5 * full and strong["log"] >= 0.25 * full:
        return "log"
    if most and most >= 0.5 * full:
        return kind
    if (
        sorts["number"]
        and sorts["number"] + strong["search"] + strong["listing"] >= 0.6 * full
        and sorts["number"] < full
    ):
        return "search"
    if is_table(lines, sorts):
        return "table"
    if strong["build"] >= 3 and strong["build"] >= 0.25 * full:
        return "build"
    code = sorts["code"] + 0.5 * sorts["indented"]
    if code >= 0.35 * full and sorts["code"] and (sorts["code"] >= 0.5 * full or _wordy(lines) <= 0.6 * full):
        return "code"
    return "prose"


def _wordy(lines: Sequence[str]) -> int:
    """How many lines have words one after another, as sentences do."""
    return sum([_WORDS.search(line, 0, _CUT) is not None for line in lines])


def _json(lines: Sequence[str], full: int) -> bool:
    first = next((line for line in lines if line and not line.isspace()), "")
    opening = first.lstrip()[:1]
    if opening not in ("{", "["):
        return False
    last = next((line for line in reversed(lines) if line and not line.isspace()), "")
    if last.rstrip()[-1:] not in ("}", "]", ","):
        return False
    return sum([_JSONISH.match(line, 0, _CUT) is not None for line in lines]) >= 0.85 * full


def _has_hunk(lines: Sequence[str]) -> bool:
    return any(line.startswith(("@@ ", "diff ", "+++ ", "--- ")) for line in lines)


def is_table(lines: Sequence[str], sorts: Counter[str]) -> bool:
    """Whether most lines have the same number of cells: between bars, commas, tabs, or wide gaps."""
    rows = [line[:_CUT] for line in lines if line and not line.isspace()]
    if len(rows) < 3:
        return False
    if sorts["table"] >= 0.7 * len(rows):
        return True
    if sorts["table"]:
        ruled = sum([" | " in row or row[:1] in ("|", "+", "-", "(") for row in rows])
        if ruled >= 0.8 * len(rows) and sum(["|" in row for row in rows]) >= 2:
            return True
    for mark, fewest in ((" | ", 1), ("\t", 1), (",", 2), (";", 2)):
        cells = [row.count(mark) for row in rows]
        if len(rows) - cells.count(0) < 0.8 * len(rows):  # as most kinds of text have it
            continue
        if mark in ",;":
            cells = [_QUOTED.sub("", row).count(mark) if '"' in row else row.count(mark) for row in rows]
        most, times = Counter(cells).most_common(1)[0]
        if most >= fewest and times >= 0.8 * len(rows) and (mark != "," or not _sentences(rows)):
            return True
    gaps = [len(_GAP.findall(row.strip())) if "  " in row or "\t" in row else 0 for row in rows]
    if len(rows) - gaps.count(0) < 0.7 * len(rows):
        return False
    most, times = Counter(gaps).most_common(1)[0]
    return most >= 2 and times >= 0.7 * len(rows)


def _sentences(rows: Sequence[str]) -> bool:
    """Whether commas are followed by blanks and rows end like sentences or code: then they are no cells."""
    spaced = sum(row.count(", ") for row in rows)
    commas = sum(row.count(",") for row in rows)
    ended = sum(row.rstrip()[-1:] in (".", ";", "{", "(", ":", ")") for row in rows)
    return spaced >= 0.5 * commas or ended >= 0.5 * len(rows)
