"""Sets that are made of what is on the machine: the same every time, and each question with one answer."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.bench.search.commits import FEWEST, Left, commits, plain
from cca.bench.search.functions import functions, sentence
from cca.bench.search.headings import sections
from cca.bench.search.sets import LONGEST, Pair, distinct, made, sample

PAIRS = st.lists(
    st.builds(Pair, st.text(max_size=3), st.text("ab ", max_size=3), st.text("ab", max_size=3)), max_size=30
)


@given(PAIRS, st.randoms())
def test_the_sample_does_not_depend_on_the_order_of_the_pairs(pairs: list[Pair], random: object) -> None:
    other = list(pairs)
    random.shuffle(other)  # type: ignore[attr-defined]  # it is a random.Random
    assert sample(pairs, 5) == sample(other, 5)


@given(PAIRS)
def test_no_question_and_no_document_stands_twice(pairs: list[Pair]) -> None:
    found = sample(pairs, 100)
    assert len({" ".join(one.question.split()).casefold() for one in found}) == len(found)
    assert len({one.document for one in found}) == len(found)


def test_a_set_has_questions_further_documents_and_spare_questions() -> None:
    pairs = [Pair(str(number), f"question {number}", f"document {number} " + "x" * 3_000) for number in range(20)]
    one = made("name", pairs, 3, 8, spare=2, note="from here")
    assert (len(one.questions), len(one.documents), len(one.spare), one.note) == (3, 8, 2, "from here")
    for question in one.questions:
        (answer,) = question.answers
        assert one.documents[answer].split()[1] == question.text.split()[1]
    assert all(len(text) == LONGEST for text in one.documents.values())
    assert one.scope == "project:bench-name" and distinct([one]) == [one]


# ------------------------------------------------------------------------------------------- functions


CODE = '''
class Shop:
    def price(self, goods):
        """Add up what all goods cost together. More is not said."""
        total = 0
        for one in goods:
            total += one.cents
        return total

    def short(self):
        """Say nothing that would be long."""
        return 1

    async def silent(self, a, b):
        a += b
        b += a
        return a
'''


def test_a_function_is_asked_for_by_the_first_sentence_and_stands_there_without_its_docstring(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "other.py").write_text(CODE.replace("goods", "things"))
    one = functions(5, 5, root=tmp_path)
    assert [question.text for question in one.questions] == ["Add up what all goods cost together."]
    (document,) = one.documents.values()
    assert document.startswith("def price(self, goods):\n    total = 0") and document.endswith("return total")


def test_the_first_sentence_is_in_one_line() -> None:
    assert sentence("Add it\n    up. And then?") == "Add it up."
    assert sentence("No end here\n\nMore.") == "No end here"
    assert sentence("") == ""


# ------------------------------------------------------------------------------------------- headings


def test_a_section_goes_to_the_next_heading_and_a_comment_in_code_is_none() -> None:
    filler = "words that say enough of it " * 6
    first = f"Title\n\n## How to *install* it ##\n{filler}\n```\n# no heading\n```\nend\n"
    text = f"{first}# Usage\n{filler}\n# Two words\nshort\n"
    (pair,) = sections("package", text)
    assert pair.question == "How to install it"
    assert "# no heading" in pair.document and pair.document.endswith("end")


@given(st.text("#`~ ab\n[]()", max_size=200))
def test_any_text_has_sections(text: str) -> None:
    assert all(pair.question and pair.document for pair in sections("any", text))


# ------------------------------------------------------------------------------------------- commits


def git(directory: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, "-C", str(directory), *arguments], check=True, capture_output=True)


def test_commits_are_read_from_the_repository_around_a_directory(tmp_path: Path) -> None:
    git(tmp_path, "init")
    for count in range(FEWEST + 1):
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / "sub" / f"file{count}.txt").write_text(f"line of {count}\n")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", f"Change number {count} is made\n\nWith more text.")
    git(tmp_path, "commit", "--allow-empty", "-m", "Nothing is changed here")
    one = commits(5, 50, tmp_path / "sub")
    assert len(one.documents) == FEWEST + 1 and len(one.questions) == 5
    assert one.note == f"the history of {tmp_path.name}"
    for question in one.questions:
        number = question.text.split()[2]
        (answer,) = question.answers
        assert one.documents[answer] == f"sub/file{number}.txt\n+line of {number}"


def test_without_history_the_set_is_left_out_and_it_is_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cca.bench.search.commits.cca.__file__", str(tmp_path / "a" / "b" / "c"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(Left, match="no git history"):
        commits(5, 5, tmp_path)
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "The first of all commits")
    with pytest.raises(Left, match="has 1 commits"):
        commits(5, 5, tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Left, match="git is not installed"):
        commits(5, 5, tmp_path)


def test_of_a_change_only_names_and_lines_are_left() -> None:
    change = (
        "diff --git a/x.py b/x.py\nindex 1..2 100644\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@ def f():\n-old\n+new\n"
        "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-all\n"
    )
    assert plain(change) == "x.py\ndef f():\n-old\n+new\ngone\n-all"
