"""Files in chunks: every line once, and names as people would give them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca.code.chunks import LARGEST, chunks, text_of
from cca.code.languages import LANGUAGES, language_by_look, language_of, language_of_ending
from cca.contracts.code import CodeLanguage

SAMPLES: dict[CodeLanguage, tuple[str, set[tuple[str, str]]]] = {
    "python": (
        "import os\n\n\n# About it.\n@cache(\n  1)\nasync def load(a,\n    b=1) -> int:\n"
        "    '''Loads.'''\n    return 1\n\n\n"
        "class Client(Base):\n    '''Speaks.'''\n\n    def submit(self):\n        def inner():\n            pass\n",
        {("module", ""), ("function", "load"), ("class", "Client"), ("method", "Client.submit")},
    ),
    "javascript": (
        "const a = require('a');\n\n// Counts.\nfunction count(b) {\n  return 1;\n}\nclass Q extends R {\n  #p = 1;\n"
        "  get v() {\n    return 1;\n  }\n}\nQ.prototype.f = function () {\n  return 2;\n};\n",
        {("module", ""), ("function", "count"), ("class", "Q"), ("method", "Q.v"), ("function", "Q.f")},
    ),
    "typescript": (
        "export interface I {\n  a(): void;\n}\n/** Does h. */\n"
        "export const h = async (a: number): Promise<void> => {\n"
        "  await a;\n};\nnamespace N.M {\n  export enum E {\n    A,\n  }\n}\n"
        "export abstract class A<T> {\n  @dec()\n  m() {\n  }\n}\n",
        {
            ("interface", "I"),
            ("function", "h"),
            ("module", "N.M"),
            ("enum", "N.M.E"),
            ("class", "A"),
            ("method", "A.m"),
        },
    ),
    "tsx": ("export const App: FC = () => {\n  return <div/>;\n};\n", {("function", "App")}),
    "rust": (
        "/// Doc.\n#[derive(Clone)]\nstruct A<T> {\n    a: T,\n}\n\nimpl<T> Tr for A<T> {\n    const X: u8 = 1;\n"
        "    /// Does it.\n    fn f(&self) -> u8 {\n        1\n    }\n}\nmod inner {\n    fn g() {}\n}\n"
        "enum E {\n    A,\n}\n"
        "trait Q {\n    fn b(&self) {}\n}\n",
        {
            ("struct", "A"),
            ("impl", "A"),
            ("method", "A.f"),
            ("module", "inner"),
            ("function", "inner.g"),
            ("enum", "E"),
            ("trait", "Q"),
            ("method", "Q.b"),
        },
    ),
    "go": (
        "package main\n\n// A is.\ntype A struct {\n\tx int\n}\n\ntype B interface {\n\tF()\n}\n\n"
        "func (a *A[T]) F(x int) error {\n\treturn nil\n}\n\nfunc main() {\n}\n",
        {("module", ""), ("struct", "A"), ("interface", "B"), ("method", "A.F"), ("function", "main")},
    ),
    "java": (
        "package a.b.c;\n/** Doc. */\n@X\npublic class A<T> extends B {\n  int a;\n  @Override\n"
        "  public void f(int x) {\n  }\n"
        "  interface I {\n    void z();\n    default void q() {\n    }\n  }\n}\n",
        {("class", "A"), ("method", "A.f"), ("interface", "A.I"), ("method", "A.I.q"), ("module", "")},
    ),
    "c": (
        "#include <stdio.h>\ntypedef struct node {\n  int a;\n} node_t;\n\n/* Adds. */\nstatic int *\n"
        "add(int a,\n  int b)\n{\n"
        "  return 0;\n}\nenum kind {\n  ONE,\n};\n",
        {("module", ""), ("struct", "node_t"), ("function", "add"), ("enum", "kind")},
    ),
    "cpp": (
        "namespace a::b {\ntemplate <class T>\nclass X : Y {\n public:\n  void f() const {\n  }\n};\n}\n"
        "int *X::g(int a) {\n  return 0;\n}\n",
        {("module", "a.b"), ("class", "a.b.X"), ("method", "a.b.X.f"), ("function", "X.g")},
    ),
    "markdown": (
        "Before it all.\n\n# Guide\n\nText.\n\n## Install\n\nMore.\n\nUse it\n---\n\n```py\n"
        "# no heading\n```\n# Other\n",
        {
            ("section", ""),
            ("section", "Guide"),
            ("section", "Guide > Install"),
            ("section", "Guide > Use it"),
            ("section", "Other"),
        },
    ),
}


def test_there_is_a_sample_of_every_language() -> None:
    assert set(SAMPLES) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_is_cut_where_it_defines_something(language: CodeLanguage) -> None:
    code, expected = SAMPLES[language]
    found = {(chunk.kind, chunk.name) for chunk in chunks(code, language, "src/x")}
    assert found == expected


def test_a_definition_begins_with_what_is_said_of_it_and_has_its_signature() -> None:
    code, _ = SAMPLES["python"]
    load = next(chunk for chunk in chunks(code, "python", "src/x.py") if chunk.name == "load")
    assert load.signature == "async def load(a, b=1) -> int"
    assert load.text.startswith("# About it.\n@cache(")
    assert (load.start_line, load.end_line) == (4, 10)
    assert load.title == "src/x.py load async def load(a, b=1) -> int"


def test_later_pieces_of_something_large_say_what_it_is_for() -> None:
    body = "".join(f"    value_{n} = compute({n})\n" for n in range(400))
    found = chunks(f"def long(a):\n    '''Computes much.'''\n{body}", "python", "x.py")
    assert len(found) > 2
    assert {chunk.name for chunk in found} == {"long"}
    assert all(chunk.title.endswith("Computes much.") for chunk in found[1:])


def check(code: str, language: CodeLanguage) -> None:
    """Every line with something on it is in one chunk, none is in two, and no chunk is too large."""
    text = text_of(code.encode("utf-8", "surrogatepass"))
    lines = text.split("\n")
    seen = [0] * (len(lines) + 1)
    for chunk in chunks(text, language, "x"):
        assert 1 <= chunk.start_line <= chunk.end_line <= len(lines)
        assert len(chunk.text) <= LARGEST
        assert "\0" not in chunk.text + chunk.title
        whole = "\n".join(lines[chunk.start_line - 1 : chunk.end_line])
        assert chunk.text == whole or chunk.text in lines[chunk.start_line - 1]
        for line in range(chunk.start_line, chunk.end_line + 1):
            if len(lines[line - 1]) <= LARGEST:
                seen[line] += 1
    for number, said in enumerate(lines, 1):
        if said.strip() and len(said) <= LARGEST:
            assert seen[number] == 1, (number, said)


SCRAPS = [line for code, _ in SAMPLES.values() for line in code.split("\n")] + ["é" * 3, "\t}", "{" * 40, "  x" * 900]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SCRAPS) | st.text(max_size=30), max_size=60), st.sampled_from(LANGUAGES))
def test_every_line_is_in_exactly_one_chunk_of_whatever_is_called_code(
    lines: list[str], language: CodeLanguage
) -> None:
    check("\n".join(lines), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_that_breaks_off_anywhere_still_has_chunks(language: CodeLanguage) -> None:
    code, _ = SAMPLES[language]
    for end in range(1, len(code), 7):
        check(code[:end], language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("nasty", ["(" * 20_000, "{\n" * 5_000, "x" * 100_000, "a\n\n" * 20_000, "def f(:\n" * 3_000])
def test_what_is_no_code_at_all_does_no_harm(language: CodeLanguage, nasty: str) -> None:
    check(nasty, language)


def test_bytes_that_are_not_utf8_and_all_ends_of_lines_are_read() -> None:
    assert text_of("é\r\nb\rc".encode("latin-1")) == "é\nb\nc"
    assert text_of("\ufeffdef é(): pass".encode()) == "def é(): pass"
    assert text_of(b"") == "" and chunks("", "python", "x.py") == [] and chunks(" \n\n", "python", "x.py") == []


def test_the_same_text_in_the_same_place_has_the_same_digest_wherever_its_lines_are() -> None:
    one = chunks("def a():\n    return 1\n", "python", "x.py")[0]
    two = chunks("\n\n\ndef a():\n    return 1\n", "python", "x.py")[0]
    other = chunks("def a():\n    return 1\n", "python", "y.py")[0]
    assert one.digest == two.digest != other.digest and one.start_line != two.start_line


def test_languages_are_told_by_endings_with_a_dot_or_without() -> None:
    assert language_of_ending(".py") == language_of_ending("py") == "python"
    assert language_of_ending("TSX") == "tsx"
    assert language_of("a/b.RS") == "rust" and language_of("a.b/go") is None and language_of(".py") is None
    assert language_by_look("c", "x.h", b"#pragma once\nnamespace a {\n}\n") == "cpp"
    assert language_by_look("c", "x.h", b"int a(void);\n") == "c"
