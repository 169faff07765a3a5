"""Templates of lines: what is the same in them, and what their values are."""

from collections.abc import Sequence

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.strategies.drain import Template, masked, templates
from cca.tokens.strategies.spread import spread

CALM = settings(deadline=None, max_examples=60)
LINES = st.lists(st.text(st.sampled_from("ab1 =/é\0\ud800#"), max_size=30), max_size=40)


def found(lines: Sequence[str]) -> list[Template]:
    return templates([masked(line) for line in lines], lambda key: ("error" if "failed" in key else "plain", 0))


def shown(template: Template) -> str:
    return " ".join(word or "<*>" for word in template.words)


def test_lines_that_differ_in_numbers_are_one_template() -> None:
    lines = [f"GET /users/{number} took {number * 1.5}ms id=7f{number}ab" for number in range(30)]
    (only,) = found(lines)
    assert shown(only) == "GET /users/# took # id=#"
    assert only.members == list(range(30))


def test_a_word_that_varies_becomes_a_place() -> None:
    (only,) = found([f"user {name} logged in from web" for name in ("alice", "bob", "carol")])
    assert shown(only) == "user <*> logged in from web"


def test_lines_of_another_sort_are_never_one_template() -> None:
    lines = ["job 1 has finished now", "job 2 has failed now", "job 3 has finished now"]
    assert [one.members for one in found(lines)] == [[0, 2], [1]]


def test_short_lines_say_too_much_to_be_joined() -> None:
    assert len(found(["cache hit", "cache miss", "cache hit"])) == 2


def test_a_rare_line_is_not_lost_in_a_large_template_that_it_resembles() -> None:
    lines = [f"route {number} via gateway east is up and fine" for number in range(50)]
    lines.append("route 51 via tunnel west is up and fine")
    assert [len(one.members) for one in found(lines)] == [50, 1]


def test_two_places_that_vary_on_their_own_make_one_template_of_many_small_ones() -> None:
    names, towns = ("ann", "ben", "cid", "dee", "eva"), ("rome", "oslo", "bonn", "lyon")
    lines = [f"parcel for {name} leaves {town} on time today with us" for name in names for town in towns]
    assert len(found(lines)) == 1


@CALM
@forall(LINES)
def test_every_line_is_in_one_template(lines: list[str]) -> None:
    # As sections are: split at line feeds, which `splitlines` would not do.
    members = sorted(number for one in found(lines) for number in one.members)
    assert members == list(range(len(lines)))


@CALM
@forall(LINES)
def test_templates_say_nothing_that_is_not_in_each_of_their_lines(lines: list[str]) -> None:
    for one in found(lines):
        for number in one.members:
            words = masked(lines[number]).split()
            assert len(words) == len(one.words)


# ------------------------------------------------------------------------------------------ values


def test_one_value_is_itself() -> None:
    assert spread(["web-1"] * 5).text == "web-1"


def test_few_values_are_named_most_frequent_first() -> None:
    assert spread(["GET"] * 5 + ["PUT"] * 2 + ["POST"] * 3).text == "<GET|POST|PUT>"


def test_what_values_begin_with_is_said_once() -> None:
    assert spread(["level=info"] * 3 + ["level=debug"] * 2).text == "level=<info|debug>"


def test_numbers_are_a_range_with_their_unit() -> None:
    assert spread([f"{number}ms" for number in range(3, 49)]).text == "<3ms…48ms>"
    assert spread([f"/users/{number}/cart" for number in range(12, 999)]).text == "/users/<12…998>/cart"


def test_units_are_compared_as_what_they_mean() -> None:
    values = ["900us", "3ms", "1.5s", "20ms", "40ms", "700us", "2m", "1s"]
    assert spread(values).text == "<700us…2m>"


def test_ids_are_counted() -> None:
    values = [f"req-{number * 2654435761 % 2**32:08x}" for number in range(100)]
    assert spread(values).text == "req-<100 different>"


def test_addresses_are_counted() -> None:
    values = [f"{number % 200 + 10}.7.{number}.9:{3000 + number % 2}" for number in range(50)]
    assert spread([value.split(":")[0] for value in values]).text == "<50 addresses>"


def test_names_that_recur_are_listed_while_they_have_room() -> None:
    names = ["ann", "ben", "cid", "dee", "eva", "fay", "gus", "hal"]
    assert spread([name for name in names for _ in range(20)]).text == f"<{'|'.join(names)}>"


def test_a_rare_value_among_such_that_recur_is_odd() -> None:
    assert spread(["200"] * 98 + ["201"] * 40 + ["503"]).odd == {"503"}
    assert spread(["alice"] * 30 + ["bob"] * 30 + ["mallory"]).odd == {"mallory"}


def test_a_number_far_from_the_others_is_odd() -> None:
    assert spread([f"{20 + number % 30}ms" for number in range(300)] + ["8421ms"]).odd == {"8421ms"}
    assert spread([f"free={800 + number % 100}MB" for number in range(300)] + ["free=12MB"]).odd == {"free=12MB"}


def test_an_address_from_elsewhere_is_odd() -> None:
    values = [f"10.0.{number % 4}.{number % 250}:{30000 + number * 7}" for number in range(300)]
    assert spread([*values, "203.0.113.9:4444"]).odd == {"203.0.113.9:4444"}


def test_numbers_that_are_spread_evenly_have_nothing_odd() -> None:
    assert spread([str(number * 7919 % 10_000) for number in range(1_000)]).odd == set()


@CALM
@forall(st.lists(st.text(max_size=20), min_size=1, max_size=60))
def test_any_values_are_said_in_some_way(values: list[str]) -> None:
    found = spread(values)
    assert found.odd <= set(values)
    assert found == spread(values)


@CALM
@forall(
    st.lists(
        st.sampled_from(["a=1", "a=2", "b", "a=10.5ms", "9" * 400, "1e9", "10.0.0.1", ""]), min_size=1, max_size=80
    )
)
def test_values_of_any_shape_together_are_said_in_some_way(values: list[str]) -> None:
    assert spread(values).odd <= set(values)
