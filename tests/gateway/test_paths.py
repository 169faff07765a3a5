"""Which route a path means: words before names, every name by its rule, and no path is an error of ours."""

import re
from urllib.parse import quote

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from cca.errors import Refused
from cca_gateway import paths
from cca_gateway.call import Call
from cca_gateway.conditions import etag, expected, has
from cca_gateway.paths import PARAMETERS, Paths
from cca_gateway.problems import Problem
from cca_gateway.routes import ROUTES

TEMPLATES = sorted({route.path for route in ROUTES})
GOOD = {
    "task": "01890a5d-ac96-774b-bcce-b302099a8057",
    "role": "*",
    "scope": "agent:b-1",
    "key": "files.main_py",
    "memory": "a" * 64,
    "job": "j-1",
    "project": "web",
}


def every() -> Paths[str]:
    found: Paths[str] = Paths()
    for template in TEMPLATES:
        found.at(template, template)
    return found


ALL = every()


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_path_of_the_table_is_found_with_its_names(template: str) -> None:
    names = re.findall(r"{(\w+)}", template)
    path = re.sub(r"{(\w+)}", lambda found: quote(GOOD[found[1]], safe=""), template)
    found, given = ALL.find(path)
    assert (found, given) == (template, {name: GOOD[name] for name in names})
    assert paths.read(given) == given


def test_every_name_of_the_table_is_known_and_no_other() -> None:
    used = {name for template in TEMPLATES for name in re.findall(r"{(\w+)}", template)}
    assert used == PARAMETERS.keys() == GOOD.keys()


def test_a_word_goes_before_a_name() -> None:
    assert ALL.find("/memory/stats") == ("/memory/stats", {})
    assert ALL.find("/memory/statistics") == ("/memory/{memory}", {"memory": "statistics"})
    assert ALL.find("/memory/policies/feedback") == ("/memory/policies/{role}", {"role": "feedback"})
    assert ALL.find("/context/stats") == ("/context/stats", {})
    assert ALL.find("/memory/policies/backend/feedback") == (None, {})


def test_what_is_there_already_stays() -> None:
    found: Paths[str] = Paths()
    assert [found.at("/a/{key}", one) for one in ("first", "second")] == ["first", "first"]
    assert [found.at("/a", one) for one in ("first", "second")] == ["first", "first"]


def test_two_names_cannot_stand_in_one_place() -> None:
    found: Paths[str] = Paths()
    found.at("/a/{key}", "x")
    for path in ("/a/{role}/b", "/{nonsense}"):
        with pytest.raises(ValueError, match="cannot stand here"):
            found.at(path, "y")


@given(st.lists(st.sampled_from(["", "tasks", "memory", "{memory}", "x", "%2F", "..", "%"]) | st.text(), max_size=6))
def test_any_path_is_found_or_not(parts: list[str]) -> None:
    found, names = ALL.find("/".join(parts))
    assert found is None or found.count("{") == len(names)


@given(st.sampled_from(sorted(PARAMETERS)), st.text(max_size=80) | st.from_regex(r"[a-z*]+:?[A-Za-z0-9._-]*\n?"))
def test_a_name_keeps_its_rule_or_is_refused(name: str, text: str) -> None:
    try:
        read = paths.read({name: text})[name]
    except (Problem, Refused) as error:
        assert str(error)
        return
    assert paths.read({name: read}) == {name: read}
    assert not set(read) & set("/\n \x00")
    if rule := PARAMETERS[name].schema.get("pattern"):
        assert re.search(rule, read)


# ------------------------------------------------------------------------------------------ conditions


def call(**headers: str) -> Call:
    return Call(
        make_mocked_request("PUT", "/", headers={name.replace("_", "-"): text for name, text in headers.items()})
    )


@given(st.integers(0, 10**17))
def test_a_revision_is_understood_as_it_was_given(revision: int) -> None:
    assert expected(call(If_Match=etag(revision))) == revision
    assert has(call(If_None_Match=f'"{revision + 1}", W/{etag(revision)}'), revision)
    assert not has(call(If_None_Match=etag(revision + 1)), revision)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20))
def test_no_condition_is_half_understood(text: str) -> None:
    has(call(If_None_Match=text), 1)
    for headers in ({"If_Match": text}, {"If_None_Match": text}):
        try:
            found = expected(call(**headers))
        except Problem as problem:
            assert problem.code == "bad-header"
        else:
            assert found == 0 or text.strip() == etag(found or 0) or text.strip().lstrip('"0').rstrip('"') == str(found)


def test_without_a_condition_any_revision_will_do() -> None:
    assert expected(call()) is None
    assert not has(call(), 1)
