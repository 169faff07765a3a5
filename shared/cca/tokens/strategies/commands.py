"""Command lines of compilers and linkers, which are long and say little: which tool, and which file."""

import re

_TOOL = re.compile(
    r"(?:libtool: (?:compile|link|install): +|\s*Running `|\+ |/bin/(?:ba)?sh \S*libtool .*?--mode=\w+ )?"
    r"(?:[A-Z_]+=\S+ +)*(?:(?:ccache|sccache|distcc) +)?"
    r"(?P<tool>(?:\S*/)?(?:[\w.]+-)*"
    r"(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|rustc|javac|nvcc|ld|ar|tsc|swiftc|emcc)(?:-[\d.]+)?(?:\.exe)?) "
)
_SOURCE = re.compile(r"(?<= )[^\s=-][^\s=]*\.(?:c|cc|cpp|cxx|C|m|mm|s|S|rs|cu|java|swift)(?= |$|`)")
_CRATE = re.compile(r"--crate-name (\S+)")
_OUTPUT = re.compile(r" -o +(\S+)")


def command(line: str) -> tuple[str, str] | None:
    """What a compiler was called for, and the file; None when the line is no such call."""
    found = _TOOL.match(line)
    if found is None:
        return None
    tool = found["tool"].rsplit("/", 1)[-1]
    if crate := _CRATE.search(line):
        return f"compiled ({tool})", crate[1]
    output = _OUTPUT.search(line)
    sources = _SOURCE.findall(line)
    if " -c " in line or tool in ("rustc", "javac", "nvcc", "tsc") or (sources and output is None):
        return f"compiled ({tool})", sources[0] if sources else ""
    if output is not None:
        return f"linked ({tool})", output[1]
    if tool == "ar":
        archive = next((word for word in line.split() if word.endswith((".a", ".lib"))), "")
        return "archived (ar)", archive
    return None
