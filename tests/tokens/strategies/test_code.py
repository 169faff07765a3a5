"""Code without comments and bodies: what a reader needs to use it stays, in each language and in slices of files."""

import re
from pathlib import Path

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

import cca.tokens.folds
from cca.tokens.folds import Section
from cca.tokens.strategies.code import FOLDS, comments, skeleton

CALM = settings(deadline=None, max_examples=50)

PYTHON = '''\
#!/usr/bin/env python3
# Copyright 2024 Example Ltd. All rights reserved.
# Licensed under the Apache License, Version 2.0; see https://www.apache.org/licenses/
"""Orders and what becomes of them.

There is much more to tell about them.
"""

import os

# How often a payment is tried again.
RETRIES = 3  # as the bank asks


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        id: of the order.
    """

    id: str
    total: int = 0

    # The price has no taxes.
    # TODO: taxes, see SHOP-1234
    def price(self, rate: float = 0.19) -> int:
        """The price in cents.

        Rounded half up.
        """
        net = self.total
        # rounding
        gross = net * (1 + rate)
        if gross < 0:
            raise ValueError("negative")
        cents = round(gross)
        log(cents)
        return cents

    def short(self) -> str:
        return self.id
'''
TYPESCRIPT = """\
/*
 * Copyright (c) 2024 Example Ltd.
 */
import { api } from './api';

/**
 * Loads the users of a team.
 * @param team its id
 */
export async function loadUsers(team: string): Promise<User[]> {
  // the server pages
  const users: User[] = [];
  let page = 1;
  for (;;) {
    const part = await api.get(`/teams/${team}/users?page=${page}`);
    users.push(...part);
    // eslint-disable-next-line no-constant-condition
    if (!part.length) return users;
    page += 1;
  }
}

describe('loadUsers', () => {
  it('reads all pages', async () => {
    const one = 1;
    const two = 2;
    const three = 3;
    const four = 4;
    const five = 5;
    const six = 6;
    expect(await loadUsers('t1')).toHaveLength(three);
  });
});
"""
RUST = """\
// Copyright 2024 Example Ltd.

use std::fs;

/// Reads a file.
///
/// # Errors
/// When there is none.
pub fn read(path: &str) -> Result<String, Error> {
    // SAFETY: the path is ours
    let a = 1;
    let b = 2;
    let c = 3;
    // no more of them
    let d = 4;
    let text = fs::read_to_string(path)?;
    Ok(text)
}
"""
GO = """\
package shop

// Total is the sum of all lines.
// It is in cents.
func (o *Order) Total(ctx context.Context) (int, error) {
	// start
	sum := 0
	for _, line := range o.Lines {
		sum += line.Price
	}
	//nolint:errcheck
	log(sum)
	if sum < 0 {
		return 0, errNegative
	}
	return sum, nil
}
"""
JAVA = """\
package shop;

/** An order. */
public class Order {
    /**
     * The sum of all lines.
     * @param lines of which to take the sum
     * @return the sum
     * @throws Negative when it is below zero
     */
    @Override
    public int total(List<Line> lines) throws Negative {
        int sum = 0;
        for (Line line : lines) {
            sum += line.price();
        }
        // check
        if (sum < 0) {
            throw new Negative();
        }
        return sum;
    }
}
"""
C = """\
/* Copyright 2024 Example Ltd. */
#include <stdio.h>

// adds
static int add(const int *values, int count)
{
    int sum = 0;
    /* one after the other,
       from the first */
    for (int i = 0; i < count; i++) {
        sum += values[i];
    }
    if (sum < 0)
        return -1;
    return sum;
}
"""
RETRIES = "RETRIES = 3  # as the bank asks"
BY_LANGUAGE = {"python": PYTHON, "typescript": TYPESCRIPT, "rust": RUST, "go": GO, "java": JAVA, "c": C, "cpp": C}


def section(text: str, language: str | None = "python", name: str | None = None) -> Section:
    return Section(lines=tuple(text.split("\n")), kind="code", language=language, name=name)


def test_of_python_licence_comments_and_long_documentation_go() -> None:
    lines = comments(section(PYTHON))
    assert lines is not None
    assert (
        "\n".join(lines)
        == '''\
#!/usr/bin/env python3
"""Orders and what becomes of them."""

import os

RETRIES = 3  # as the bank asks


@dataclass(frozen=True)
class Order:
    """One order."""

    id: str
    total: int = 0

    # TODO: taxes, see SHOP-1234
    def price(self, rate: float = 0.19) -> int:
        """The price in cents."""
        net = self.total
        gross = net * (1 + rate)
        if gross < 0:
            raise ValueError("negative")
        cents = round(gross)
        log(cents)
        return cents

    def short(self) -> str:
        return self.id
'''
    )


def test_the_skeleton_of_python_keeps_what_one_needs_to_call_it() -> None:
    lines = skeleton(section(PYTHON))
    assert lines is not None
    text = "\n".join(lines)
    assert text.startswith(PYTHON[: PYTHON.index('        """The price')])
    assert (
        text[text.index('        """The price') :]
        == '''\
        """The price in cents."""
        … 8 lines

    def short(self) -> str:
        return self.id
'''
    )


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_of_every_language_comments_for_people_go_and_those_for_tools_stay(language: str) -> None:
    text = BY_LANGUAGE[language]
    lines = comments(section(text, language))
    assert lines is not None
    said = "\n".join(lines)
    assert "Copyright" not in said
    for kept in ("SAFETY", "nolint", "eslint-disable", "SHOP-1234", "Reads a file.", "Loads the users of a team."):
        assert (kept in said) == (kept in text)
    for gone in (
        "start\n",
        "// check",
        "in cents.\n",
        "one after the other",
        "no more of them",
        "@param",
        "the server pages",
    ):
        assert gone not in said or language == "python"
    code = [
        line
        for line in text.split("\n")
        if re.search(r"[;{}]$|:=|return", line) and "//" not in line and "*" not in line
    ]
    assert set(code) <= {*lines}


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_of_every_language_bodies_go_and_signatures_stay(language: str) -> None:
    lines = skeleton(section(BY_LANGUAGE[language], language))
    assert lines is not None
    assert any(re.fullmatch(r"\s+… \d+ lines", line) for line in lines)
    signature = next(
        line for line in BY_LANGUAGE[language].split("\n") if re.search(r"(?:total|price|add|read|Total|Users)\(", line)
    )
    assert signature in lines


def test_tests_without_names_of_their_own_are_still_told() -> None:
    lines = skeleton(section(TYPESCRIPT, "typescript"))
    assert lines is not None
    assert lines[-6:] == [
        "describe('loadUsers', () => {",
        "  it('reads all pages', async () => {",
        "    … 7 lines",
        "  });",
        "});",
        "",
    ]


@pytest.mark.parametrize("form", ["{:6}\t{}", "{}: {}", "{}:{}", "{:>5}→{}"], ids=["cat", "colon", "grep", "arrow"])
def test_numbers_before_lines_stay_where_the_lines_stay(form: str) -> None:
    text = "\n".join(form.format(n, line) for n, line in enumerate(PYTHON.split("\n"), 1))
    lines, bodies = comments(section(text)), skeleton(section(text))
    assert lines is not None and bodies is not None
    assert form.format(12, RETRIES) in lines and form.format(12, RETRIES) in bodies
    assert form.format(4, '"""Orders and what becomes of them."""') in lines
    assert "        … 8 lines" in bodies and form.format(43, "        return self.id") in bodies


def test_a_slice_that_begins_within_a_class_is_understood() -> None:
    text = PYTHON[PYTHON.index("    # The price") :] + "\n\ndef other():\n    return 1\n"
    lines = skeleton(section(text))
    assert lines is not None and "        … 8 lines" in lines
    assert lines[2] == "    def price(self, rate: float = 0.19) -> int:"


def test_a_slice_that_ends_within_a_function_is_understood() -> None:
    text = TYPESCRIPT[: TYPESCRIPT.index("    expect")]
    lines = skeleton(section(text, "typescript"))
    assert lines is not None and "export async function loadUsers(team: string): Promise<User[]> {" in lines


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (PYTHON, None),
        (PYTHON, "ruby"),
        (PYTHON, "rust"),
        ("Dear all, this is no code, though it may say so. " * 30, "go"),
        ("x = 1\ny = 2\n", "python"),
        ("", "python"),
        ("# only\n# comments\n" * 3 + "x" * 30_000, "python"),
    ],
    ids=range(7),
)
def test_what_is_not_understood_or_gains_nothing_stays(text: str, language: str | None) -> None:
    assert comments(section(text, language)) is None
    assert skeleton(section(text, language)) is None


def test_files_with_markup_in_them_are_read_as_such() -> None:
    body = "".join(f"  const value{n} = {n};\n" for n in range(9))
    text = f"export const App = () => {{\n{body}  return <div className='a'>{{value1}}</div>;\n}};\n"
    lines = skeleton(section(text, "typescript", "src/App.tsx"))
    assert lines == ["export const App = () => {", "  … 10 lines", "};", ""]


def test_our_own_code_without_comments_is_still_code_that_says_the_same() -> None:
    folder = Path(cca.tokens.folds.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        lines = comments(section(text))
        if lines is not None:
            compile("\n".join(lines), str(path), "exec")


@CALM
@forall(st.sampled_from(sorted(BY_LANGUAGE)), st.integers(0, 40), st.integers(0, 60))
def test_slices_never_fail_and_never_grow(language: str, start: int, length: int) -> None:
    lines = BY_LANGUAGE[language].split("\n")[start : start + length]
    for fold in (comments, skeleton):
        part = Section(lines=tuple(lines), kind="code", language=language)
        folded = fold(part)
        assert folded == fold(part)
        if folded is not None:
            assert len("\n".join(folded)) < len("\n".join(lines)) and not any("\n" in line for line in folded)


@CALM
@forall(st.sampled_from(sorted(BY_LANGUAGE)), st.text() | st.text(alphabet="/*#\"'{}() \ndef:x"))
def test_whatever_it_is_it_never_fails(language: str, text: str) -> None:
    for fold in (comments, skeleton):
        folded = fold(section(text, language))
        assert folded is None or len("\n".join(folded)) < len(text)


@pytest.mark.parametrize("language", ["python", "typescript", "c"])
@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "\n" + "x" * 100,
        "{\n" * 50_000,
        "def f():\n" + "    x = 1  # one\n" * 20_000,
        "/* a */\n// b\n# c\n" * 10_000,
        "\n".join("  " * n + "if x:" for n in range(300)),
        '"""\n' * 20_000,
        "\x00\ud800\n" * 5_000,
    ],
    ids=range(7),
)
def test_nasty_code_is_read_in_time(language: str, text: str) -> None:
    for fold in (comments, skeleton):
        folded = fold(section(text, language))
        assert folded is None or len("\n".join(folded)) < len(text)


def test_both_strategies_are_strong_and_only_old_code_loses_its_bodies() -> None:
    assert [(s.name, s.level, s.old_only) for s in FOLDS] == [
        ("comments", "strong", False),
        ("skeleton", "strong", True),
    ]
