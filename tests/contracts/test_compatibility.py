"""Of a published schema only optional properties may change, and only by being added."""

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Struct, defstruct

from cca.codec import tag_of
from cca.contracts.task import TaskView
from cca.errors import Misconfigured
from cca.message import Event
from cca.schemas import files
from cca.schemas.bodies import body
from cca.schemas.compatibility import breaks

TAG = "cca.test.happened.v1"


class Detail(Struct):
    """Something inside."""

    text: str


BASE: dict[str, Any] = {"task": (str,), "count": (int,), "note": (str, "none"), "detail": (Detail | None, None)}


def published(fields: dict[str, Any], tag: str = TAG, prose: str = "It happened.") -> dict[str, Any]:
    """The schema of an event with these fields."""
    kind = defstruct(
        "Happened",
        [(name, *each) for name, each in fields.items()],
        bases=(Event,),
        tag=tag,
        frozen=True,
        kw_only=True,
        namespace={"__doc__": prose},
    )
    return body(cast(type[Event], kind))


OLD = published(BASE)


def without(*names: str) -> dict[str, Any]:
    return {name: each for name, each in BASE.items() if name not in names}


def test_a_new_docstring_is_compatible() -> None:
    assert breaks(OLD, published(BASE, prose="Better said.")) == []


def test_a_new_optional_field_is_compatible() -> None:
    assert breaks(OLD, published(BASE | {"more": (str | None, None)})) == []


def test_a_new_optional_field_may_bring_a_struct_of_its_own() -> None:
    other = defstruct("Other", [("x", int)])
    assert breaks(OLD, published(BASE | {"other": (other | None, None)})) == []


BREAKING: dict[str, tuple[dict[str, Any], str]] = {
    "a new required field": (published(BASE | {"more": (str,)}), "/required: 'more' became required"),
    "a field that is gone": (published(without("note")), "/properties/note is gone"),
    "a field with another name": (published(without("note") | {"remark": (str, "none")}), "/properties/note is gone"),
    "a wider type": (
        published(BASE | {"count": (int | str,)}),
        "/properties/count/type is gone",
    ),
    "a required field that became optional": (
        published(BASE | {"count": (int, 0)}),
        "/required: 'count' was required",
    ),
    "another default": (published(BASE | {"note": (str, "")}), "/properties/note/default: 'none' became ''"),
    "another tag": (published(BASE, tag="cca.test.happened.v2"), "/properties/type/enum: "),
}


@pytest.mark.parametrize("change", BREAKING)
def test_everything_else_is_reported(change: str) -> None:
    new, said = BREAKING[change]
    found = breaks(OLD, new)
    assert any(each.startswith(said) for each in found), found


def test_a_narrower_rule_for_a_value_is_reported() -> None:
    new = json.loads(json.dumps(OLD))
    new["properties"]["task"]["maxLength"] = 10
    assert breaks(OLD, new) == ["/properties/task/maxLength is new"]


def test_a_change_inside_an_optional_struct_is_reported() -> None:
    narrow = defstruct("Detail", [("text", str), ("more", str)])
    assert breaks(OLD, published(BASE | {"detail": (narrow | None, None)})) == [
        "/$defs/Detail/required: 'more' became required"
    ]


def test_prose_inside_a_union_may_change() -> None:
    better = defstruct("Detail", [("text", str)], namespace={"__doc__": "Something else inside."})
    assert breaks(OLD, published(BASE | {"detail": (better | None, None)})) == []


@pytest.mark.parametrize("name", ["properties", "title", "description", "required", "anyOf"])
def test_a_field_may_have_the_name_of_a_keyword(name: str) -> None:
    with_it = published(BASE | {name: (str, "")})
    assert breaks(OLD, with_it) == []
    assert breaks(with_it, OLD) == [f"/properties/{name} is gone"]
    assert breaks(with_it, published(BASE | {name: (int, 0)})) != []


# ------------------------------------------------------------------------------- against a revision


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose last commit holds today's schemas; returns their folder."""
    root = tmp_path / "schemas"
    files.write(root)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "published")
    return root


def incompatible(root: Path, base: str = "HEAD") -> list[str]:
    """What is wrong since a revision, apart from missing samples."""
    return [each for each in files.problems(root, base) if each.endswith(f"since {base}") or " is gone " in each]


def test_what_is_unchanged_since_a_revision_is_compatible(repository: Path) -> None:
    assert incompatible(repository) == []


def test_a_type_that_was_published_may_not_go(repository: Path) -> None:
    old = repository / "events" / "cca.task.renamed.v1.json"
    old.write_text(files.text(OLD), encoding="utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one more")
    old.unlink()
    assert len(incompatible(repository)) == 1
    assert "cca.task.renamed.v1.json is gone since HEAD" in incompatible(repository)[0]


def test_a_field_that_was_published_may_not_go(repository: Path) -> None:
    file = repository / "replies" / f"{tag_of(TaskView)}.json"
    once = json.loads(file.read_text(encoding="utf-8"))
    once["properties"]["mood"] = {"type": "string", "default": "good"}
    file.write_text(files.text(once), encoding="utf-8")
    git(repository, "commit", "-q", "-a", "-m", "once")
    files.write(repository)
    assert incompatible(repository) == [f"replies/{file.name}/properties/mood is gone, since HEAD"]


def test_before_the_first_publication_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "empty")
    root = tmp_path / "schemas"
    files.write(root)
    assert incompatible(root) == []


def test_an_unknown_revision_is_an_error_and_not_a_pass(repository: Path) -> None:
    with pytest.raises(Misconfigured, match="nowhere"):
        files.problems(repository, "nowhere")
