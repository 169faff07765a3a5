"""Diffs: every changed line stays, but for what tools have written and long blocks that only went."""

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.folds import Section
from cca.tokens.strategies.diff import FOLDS, fold
from cca.tokens.strategies.locks import changes, is_generated

CALM = settings(deadline=None, max_examples=80)

CHANGED = """\
commit 9f08b8adbedd31bc2089b81beb5bc04798fdb445
Author: Ann Lee <ann@example.com>

    Read strips what it reads

 app.py | 12 ++++++------
 1 file changed, 1 insertion(+), 1 deletion(-)

diff --git a/app.py b/app.py
index e73d6fe..a054f1f 100644
--- a/app.py
+++ b/app.py
@@ -3,12 +3,13 @@ import os
 
 def load(path):
     with open(path) as file:
-        return file.read()
+        return file.read().strip()
 
 
 def save(path, text):
     with open(path, "w") as file:
         file.write(text)
+        file.flush()
 
 
 def tail():
"""
LOCK = """\
diff --git a/package-lock.json b/package-lock.json
index 6a3aee8..253d29e 100644
--- a/package-lock.json
+++ b/package-lock.json
@@ -5,21 +5,21 @@
     "": {
       "name": "shop",
       "dependencies": {
-        "lodash": "^4.17.20"
+        "lodash": "^4.17.21"
       }
     },
     "node_modules/lodash": {
-      "version": "4.17.20",
-      "resolved": "https://registry.npmjs.org/lodash/-/lodash-4.17.20.tgz",
-      "integrity": "sha512-AAAA=="
-    },
-    "node_modules/left-pad": {
-      "version": "1.3.0",
-      "integrity": "sha512-CCC=="
+      "version": "4.17.21",
+      "resolved": "https://registry.npmjs.org/lodash/-/lodash-4.17.21.tgz",
+      "integrity": "sha512-BBBB=="
     },
     "node_modules/@types/node": {
       "version": "20.1.0",
       "integrity": "sha512-DDD=="
+    },
+    "node_modules/zod": {
+      "version": "3.22.0",
+      "integrity": "sha512-EEE=="
     }
   }
 }
"""
HEADS = """\
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
index b023018..0000000
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/logo.png b/logo.png
new file mode 100644
index 0000000..f584f40
Binary files /dev/null and b/logo.png differ
diff --git a/old_name.py b/new_name.py
similarity index 94%
rename from old_name.py
rename to new_name.py
index af8a489..07eac32 100644
--- a/old_name.py
+++ b/new_name.py
@@ -9,3 +9,3 @@ line 6
 line 9
-line 10
+line ten
 line 11
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git a/a file.txt b/another file.txt
similarity index 100%
rename from a file.txt
rename to another file.txt
"""


def folded(text: str) -> list[str] | None:
    return fold(Section(lines=tuple(text.split("\n")), kind="diff"))


def long_block(sign: str) -> list[str]:
    return [f"{sign}def compute_total():", *(f"{sign}    step_{n}()" for n in range(30)), f"{sign}    return 7"]


def test_changed_lines_stay_with_one_line_around_them_and_their_place() -> None:
    assert folded(CHANGED) == [
        "commit 9f08b8adbedd31bc2089b81beb5bc04798fdb445",
        "Author: Ann Lee <ann@example.com>",
        "",
        "    Read strips what it reads",
        "",
        " app.py | 12",
        " 1 file changed, 1 insertion(+), 1 deletion(-)",
        "",
        "diff app.py (+2 -1)",
        "@@ 5 @@ import os",
        "     with open(path) as file:",
        "-        return file.read()",
        "+        return file.read().strip()",
        "… 4 lines",
        "         file.write(text)",
        "+        file.flush()",
        "",
    ]


def test_the_head_of_each_file_is_one_line_that_says_what_became_of_it() -> None:
    lines = folded(HEADS)
    assert lines is not None
    assert [line for line in lines if line.startswith("diff")] == [
        "diff gone.txt (deleted, -1)",
        "diff logo.png (new, binary)",
        "diff old_name.py → new_name.py (94% alike, renamed, +1 -1)",
        "diff run.sh (mode 100644 → 100755)",
        "diff a file.txt → another file.txt (renamed)",
    ]
    assert "-bye" in lines and "+line ten" in lines


def test_a_lock_file_says_which_versions_changed() -> None:
    assert folded(LOCK) == [
        "diff package-lock.json (+8 -8, written by a tool)",
        " lodash wanted ^4.17.20 → ^4.17.21",
        " lodash 4.17.20 → 4.17.21",
        "-left-pad 1.3.0",
        "+zod 3.22.0",
        "",
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [" [[package]]", ' name = "serde"', '-version = "1.0.190"', '+version = "1.0.193"'],
            [" serde 1.0.190 → 1.0.193"],
        ),
        (["-golang.org/x/net v0.1.0 h1:aa=", "+golang.org/x/net v0.2.0 h1:b="], [" golang.org/x/net v0.1.0 → v0.2.0"]),
        (["-    rails (7.0.1)", "+    rails (7.1.0)"], [" rails 7.0.1 → 7.1.0"]),
        ([" lodash@^4.17.20:", '-  version "4.17.20"', '+  version "4.17.21"'], [" lodash 4.17.20 → 4.17.21"]),
        (["-  /@babel/core@7.1.0:", "+  '@babel/core@7.2.0(x@1)':"], [" @babel/core 7.1.0 → 7.2.0"]),
        (["+exports[`renders a list 1`] = `", "+<div />"], ["+renders a list 1"]),
        (["+(function(e){return e})(1)"], []),
    ],
    ids=["cargo", "go", "bundler", "yarn", "pnpm", "snapshot", "minified"],
)
def test_versions_are_found_in_the_lock_files_of_other_tools(lines: list[str], said: list[str]) -> None:
    assert changes(lines) == said


def test_what_tools_write_is_known_by_its_name() -> None:
    assert all(
        map(is_generated, ["web/package-lock.json", "Cargo.lock", "dist/app.min.js", "a/__snapshots__/b.tsx.snap"])
    )
    assert not any(map(is_generated, ["package.json", "Cargo.toml", "app.js", "lock.py", "my-go.sum.md"]))


def test_a_long_block_that_was_only_removed_shows_its_ends_and_its_names() -> None:
    block = long_block("-")
    middle = ["-", "-class Basket:", *block[1:-1], *block]
    removed = [*block[:-1], *middle]
    text = [f"@@ -1,{len(removed) + 2} +1,2 @@", " before", *removed, " after"]
    lines = folded("\n".join(["--- a/shop.py", "+++ b/shop.py", *text]))
    assert lines is not None
    assert lines[0] == f"diff shop.py (-{len(removed)})"
    assert lines[3] == "-def compute_total():" and lines[-2] == "-    return 7"
    assert f"-… {len(removed) - 5} lines removed, among them Basket, compute_total" in lines


def test_a_block_that_moved_says_where_to_and_stays_there() -> None:
    away, there = long_block("-"), long_block("+")
    lines = folded(
        "\n".join(
            [
                *["--- a/shop.py", "+++ b/shop.py", f"@@ -1,{len(away) + 1} +1,1 @@", " x", *away],
                *["--- a/sums.py", "+++ b/sums.py", f"@@ -1,1 +1,{len(there) + 1} @@", " y", *there],
            ]
        )
    )
    assert lines is not None
    assert "-… 27 lines moved to sums.py" in lines
    assert [line for line in lines if line.startswith("+")] == there


def test_a_long_block_that_was_rewritten_stays_whole() -> None:
    away, instead = long_block("-"), ["+def compute_total():", "+    return sum(steps)"]
    head = ["diff --git a/a.py b/a.py", "index 1234567..89abcde 100644", "--- a/a.py", "+++ b/a.py"]
    context = [f" line {n} of what did not change" for n in range(10)]
    counts = f"@@ -1,{len(away) + 20} +1,{len(instead) + 20} @@"
    lines = folded("\n".join([*head, counts, *context, *away, *instead, *context]))
    assert lines is not None and set(away) <= set(lines)


def test_a_diff_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    lines = folded("\n".join(CHANGED.split("\n")[:20]))
    assert lines is not None and lines[-1] == "+        return file.read().strip()"


@pytest.mark.parametrize("text", ["", "--- a\n+++ b", "@@ -1 +1 @@\n-a\n+b", "- a list\n- of things", "diff --cc a.py"])
def test_what_is_no_diff_or_gains_nothing_stays(text: str) -> None:
    assert folded(text) is None


HUNK_LINES = st.lists(st.tuples(st.sampled_from("    -+"), st.text(st.characters(exclude_characters="\n"), max_size=8)))


@CALM
@forall(st.lists(HUNK_LINES, min_size=1, max_size=4))
def test_every_changed_line_of_short_blocks_stays_in_order(hunks: list[list[tuple[str, str]]]) -> None:
    text = ["diff --git a/some/long/path.py b/some/long/path.py", "index 1111111..2222222 100644"]
    text += ["--- a/some/long/path.py", "+++ b/some/long/path.py"]
    changed: list[str] = []
    for hunk in hunks:
        body = [sign + line for sign, line in hunk][:19]
        old, new = (sum(line[0] in signs for line in body) for signs in (" -", " +"))
        text += [f"@@ -1,{old} +1,{new} @@ def f():", *body]
        changed += [line for line in body if line[0] != " "]
    lines = folded("\n".join(text))
    if lines is not None:
        assert [line for line in lines if line[0] in "+-"] == changed


@CALM
@forall(st.text() | st.text(alphabet="+-@ ,1d\n/ab"), st.booleans())
def test_whatever_it_is_it_never_fails_and_never_grows(text: str, headed: bool) -> None:
    text = CHANGED + text if headed else text
    lines = folded(text)
    assert lines == folded(text)
    if lines is not None:
        assert len("\n".join(lines)) < len(text) and not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        CHANGED * 3_000,
        "--- a\n+++ b\n@@ -1 +1 @@\n-a\n" * 20_000,
        "--- a\n+++ b\n@@ -1,100000 +1,1 @@\n" + "-x\n" * 100_000,
        "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-" + "x" * 1_000_000 + "\n+" + " " * 1_000_000,
        "diff --git a/" + "b/" * 100_000 + "\n",
        " " + "a | " * 200_000 + "\n" + CHANGED,
        LOCK.replace('"version"', " " * 200_000 + '"version"'),
    ],
    ids=range(7),
)
def test_nasty_diffs_are_read_in_time(text: str) -> None:
    lines = folded(text)
    assert lines is None or len(lines) <= text.count("\n") + 1


def test_the_strategy_is_safe() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("diff", "safe", ["diff"])
