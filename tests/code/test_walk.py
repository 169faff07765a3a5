"""Which files of a directory are found, and that nothing leads out of it."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca.code.jobs import Known, made
from cca.code.roots import Roots, content, opened
from cca.code.walk import LARGEST, Wanted, listing
from cca.errors import Refused


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def paths(root: Path, base: str = "", under: str = "", wanted: Wanted | None = None) -> list[str]:
    return [file.path for file in listing(str(root), base, under, wanted or Wanted()).files]


def test_files_in_known_languages_are_found_in_order(tmp_path: Path) -> None:
    write(tmp_path, {"b/z.py": "", "b/a.rs": "", "a.md": "", "c.txt": "", ".git/x.py": "", "node_modules/m.js": ""})
    assert paths(tmp_path) == ["a.md", "b/a.rs", "b/z.py"]
    assert paths(tmp_path, "b") == ["a.rs", "z.py"]
    assert paths(tmp_path, "", "b") == ["b/a.rs", "b/z.py"]
    assert paths(tmp_path, "", "b/a.rs") == ["b/a.rs"]


def test_patterns_and_languages_that_were_asked_for_are_heeded(tmp_path: Path) -> None:
    write(tmp_path, {"src/a.py": "", "src/b.go": "", "tests/t.py": "", "x.h": ""})
    assert paths(tmp_path, wanted=Wanted(include=("src/",))) == ["src/a.py", "src/b.go"]
    assert paths(tmp_path, wanted=Wanted(exclude=("tests/",))) == ["src/a.py", "src/b.go", "x.h"]
    assert paths(tmp_path, wanted=Wanted(languages=("python",))) == ["src/a.py", "tests/t.py"]
    assert paths(tmp_path, wanted=Wanted(languages=("cpp",))) == ["x.h"]
    with pytest.raises(Refused, match="no pattern"):
        paths(tmp_path, wanted=Wanted(include=("!",)))


def test_what_is_above_a_directory_in_its_repository_is_heeded_and_bad_patterns_are_not(tmp_path: Path) -> None:
    write(
        tmp_path, {".gitignore": "gen/\n!\n", "repo/.git/HEAD": "", "repo/.gitignore": "*.md\n", "repo/a/gen/x.py": ""}
    )
    write(tmp_path, {"repo/a/y.py": "", "repo/a/z.md": ""})
    assert paths(tmp_path, "repo/a") == ["gen/x.py", "y.py"]


PARTS = st.sampled_from(["a", "b", "gen", "build"])
RULES = st.sampled_from(
    ["*.py", "!a.py", "gen/", "/b", "a/**/b", "!b/", "build", "**/gen", "a/", "!*.rs", "b/*", "[ab].rs"]
)


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.tuples(PARTS, PARTS, st.sampled_from(["a.py", "b.rs", "gen.go"])), max_size=12),
    st.dictionaries(st.sampled_from(["", "a/", "gen/", "a/b/"]), st.lists(RULES, max_size=4), max_size=3),
)
def test_what_git_ignores_is_not_found(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[str, str, str]], rules: dict[str, list[str]]
) -> None:
    root = tmp_path_factory.mktemp("repo")
    write(root, {"/".join(parts): "" for parts in files})
    write(root, {f"{directory}.gitignore": "\n".join(lines) for directory, lines in rules.items()})
    subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)
    git = ["git", "ls-files", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(git, cwd=root, check=True, capture_output=True, text=True).stdout
    assert paths(root) == sorted(name for name in listed.split("\0") if name.endswith((".py", ".rs", ".go")))


# ------------------------------------------------------------------------------------------ nothing leads out


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A root, beside which there is a secret."""
    write(tmp_path, {"secret/key.py": "SECRET = 1\n", "root/ok.py": "a = 1\n", "root/sub/b.py": "b = 1\n"})
    return tmp_path / "root"


@pytest.mark.covers("H15")
def test_links_are_not_followed_whatever_they_point_at(inside: Path) -> None:
    (inside / "link.py").symlink_to("../secret/key.py")
    (inside / "dir").symlink_to("../secret")
    (inside / "loop").symlink_to(".")
    (inside / "own.py").symlink_to("ok.py")
    assert paths(inside) == ["ok.py", "sub/b.py"]
    for path in ("link.py", "dir/key.py", "loop/ok.py"):
        assert made(str(inside), "", Known(path)).state == "failed"
        with pytest.raises(OSError):
            opened(str(inside), path)


@pytest.mark.covers("H15")
@pytest.mark.parametrize("path", ["../secret/key.py", "sub/../../secret/key.py", "./ok.py", "sub//b.py", "/etc/passwd"])
def test_paths_that_lead_elsewhere_are_not_opened(inside: Path, path: str) -> None:
    with pytest.raises(OSError):
        content(str(inside), path, 10)


@pytest.mark.covers("H15")
def test_a_directory_that_becomes_a_link_after_it_was_listed_is_not_followed(inside: Path) -> None:
    assert "sub/b.py" in paths(inside)
    write(inside.parent, {"secret/b.py": "SECRET = 2\n"})
    (inside / "sub").rename(inside / "was")
    (inside / "sub").symlink_to("../secret")
    assert made(str(inside), "", Known("sub/b.py")).rows == ()


@pytest.mark.covers("H15")
def test_only_what_is_below_a_root_can_be_asked_for_and_nothing_is_said_of_the_rest(inside: Path) -> None:
    roots = Roots.parse(f"{inside}:{inside}")
    assert roots.place(str(inside / "sub" / ".." / "sub")).relative == "sub"
    assert roots.place(str(inside / "ok.py")).is_file
    (inside / "out").symlink_to("../secret")
    texts = set()
    for path in ("../secret", "../none", "out", "sub/../../secret/key.py", "/", f"{inside}x"):
        with pytest.raises(Refused) as refused:
            roots.place(str(inside / path))
        assert refused.value.code == "not-allowed"
        texts.add(str(refused.value))
    assert len(texts) == 1
    with pytest.raises(Refused, match="no such file") as missing:
        roots.place(str(inside / "none"))
    assert missing.value.code == "not-found"
    with pytest.raises(Refused, match="absolute"):
        roots.place("sub")
    with pytest.raises(Refused, match="CCA_CONTEXT_ROOTS"):
        Roots.parse("").place(str(inside))


def test_pipes_binaries_large_and_oddly_named_files_do_no_harm(inside: Path) -> None:
    os.mkfifo(inside / "pipe.py")
    (inside / "large.py").write_bytes(b"x" * (LARGEST + 1))
    (inside / "binary.py").write_bytes(b"a\0b")
    (inside / "wide.py").write_text("\ufeffdef grüße():\n    return '\U0001f600'\n", "utf-16")
    with open(os.fsencode(inside) + b"/bad\xff.py", "wb"):
        pass
    found = listing(str(inside), "", "", Wanted())
    assert found.large == ["large.py"] and list(found.unreadable.values()) == ["its name is not UTF-8"]
    assert [file.path for file in found.files] == ["binary.py", "ok.py", "sub/b.py", "wide.py"]
    assert made(str(inside), "", Known("binary.py")).state == "skipped"
    assert made(str(inside), "", Known("wide.py")).state == "skipped"
    assert made(str(inside), "", Known("pipe.py")).state == "failed"
    assert made(str(inside), "", Known("none.py")).state == "gone"


def test_a_file_with_the_digest_that_it_had_is_not_cut_again(inside: Path) -> None:
    first = made(str(inside), "", Known("ok.py"))
    assert first.state == "chunked" and len(first.rows) == 1
    again = made(str(inside), "", Known("ok.py", first.digest))
    assert (again.state, again.rows) == ("same", ())
    assert made(str(inside), "", Known("ok.py"), ("go",)).state == "left"
