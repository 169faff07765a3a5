"""What a terminal shows and nobody reads goes; everything that says something stays."""

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Section
from cca.tokens.strategies.noise import quiet


def folded(text: str, kind: ContentKind = "build") -> str | None:
    out = quiet(Section(tuple(text.split("\n")), kind))
    return None if out is None else "\n".join(out)


def test_colours_and_titles_go() -> None:
    assert folded("\x1b[1;31merror\x1b[0m: \x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b(Bdone\x1b[K") == "error: link done"


def test_of_overwritten_progress_the_last_state_stays() -> None:
    assert folded("Downloading  10%\rDownloading  50%\rDownloading 100%\ndone") == "Downloading 100%\ndone"
    assert folded("a|\x08/\x08-\x08 ok") == "a ok"


def test_trouble_that_was_overwritten_stays() -> None:
    assert folded("10%\rwarning: disk nearly full\r20%\r30%") == "warning: disk nearly full\n30%"


def test_windows_line_ends_go() -> None:
    assert folded("one\r\ntwo\r") == "one\ntwo"


def test_blanks_empty_lines_rules_and_repetitions_are_cut_short() -> None:
    assert folded("a   \n\n\n\n\nb\n" + "=" * 70 + "\nc") == "a\n\nb\n===\nc"
    assert folded("a\n\n\nb   ") == "a\n\n\nb"
    assert folded("waiting for db\n" * 57 + "up") == "waiting for db (x57)\nup"
    assert folded("==================== FAILURES ====================") == "=== FAILURES ==="


def test_in_code_diffs_and_tables_only_escapes_go() -> None:
    for kind in ("code", "diff", "table"):
        text = "a  \n\n\n\n\n----------\n}\n}\n}"
        assert folded(text, kind) is None
        assert folded("\x1b[32m+a  \x1b[0m", kind) == "+a  "


def test_what_is_quiet_already_is_left_alone() -> None:
    assert folded("one\ntwo\n\nthree") is None
