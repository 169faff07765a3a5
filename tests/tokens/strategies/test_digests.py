"""Digests are known by their first characters; everything else in a line stays."""

import hashlib

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.folds import Section
from cca.tokens.strategies.digests import FOLDS, SHOWN, fold, shortened

CALM = settings(deadline=None, max_examples=80)
HEX = hashlib.sha256(b"layer").hexdigest()
PULL = f"""\
16-alpine: Pulling from library/postgres
Digest: sha256:{HEX}
Status: Downloaded newer image for postgres:16-alpine
docker.io/library/postgres:16-alpine"""


def test_a_digest_of_docker_is_cut_and_the_lines_around_it_stay() -> None:
    assert fold(Section(lines=tuple(PULL.split("\n")), kind="build")) == [
        "16-alpine: Pulling from library/postgres",
        f"Digest: sha256:{HEX[:12]}…",
        "Status: Downloaded newer image for postgres:16-alpine",
        "docker.io/library/postgres:16-alpine",
    ]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f"{HEX}  ./dist/app.tar.gz", f"{HEX[:12]}…  ./dist/app.tar.gz"),
        (f"commit {HEX[:40]} (HEAD -> main)", f"commit {HEX[:12]}… (HEAD -> main)"),
        (f"ghcr.io/acme/web:1.4@sha256:{HEX}", f"ghcr.io/acme/web:1.4@sha256:{HEX[:12]}…"),
        (f'ETag: W/"{HEX[:32]}"', f'ETag: W/"{HEX[:12]}…"'),
        (f"{HEX} {HEX[::-1]}", f"{HEX[:12]}… {HEX[::-1][:12]}…"),
        (f"integrity sha512-{'aB3+/x' * 14}Ag==", "integrity sha512-aB3+/xaB3+/x…"),
        (f"a={HEX[:32]},b={HEX[32:]}", f"a={HEX[:12]}…,b={HEX[32:44]}…"),
    ],
    ids=["sha256sum", "commit", "image", "etag", "two", "integrity", "pairs"],
)
def test_digests_wherever_they_stand(text: str, short: str) -> None:
    assert shortened(text) == short


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1" * 64,
        "a" * 64,
        HEX[:31],
        f"{HEX}xyz",
        f"_id{HEX}",
        "3f2b8c1e-9a4d-4c6f-8b1a-2e7d5f9c0a1b",
        "sha256-short",
        HEX.upper(),
        "the facade of a decade",
        "192.168.100.200:8080",
        f"{HEX[:12]}…",
    ],
)
def test_what_is_no_long_digest_stays(text: str) -> None:
    assert shortened(text) == text and fold(Section(lines=(text,), kind="prose")) is None


def test_other_digests_are_still_to_be_told_apart() -> None:
    digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(200)]
    assert len({shortened(one) for one in digests}) == 200


@CALM
@forall(st.text() | st.text(alphabet="0123456789abcdef sh-+/=\n…", max_size=200))
def test_whatever_it_is_it_never_fails_never_grows_and_is_the_same_when_done_twice(text: str) -> None:
    short = shortened(text)
    assert len(short) <= len(text) and shortened(short) == short and short.count("\n") == text.count("\n")
    lines = fold(Section(lines=tuple(text.split("\n")), kind="log"))
    assert lines == fold(Section(lines=tuple(text.split("\n")), kind="log"))
    assert (lines is None) == (short == text)


@CALM
@forall(
    st.from_regex(r"[0-9a-f]{32,70}", fullmatch=True), st.sampled_from([" ", '"', ":", "@", "/", "ü", "\ud800", "\0"])
)
def test_of_a_digest_the_beginning_stays(digest: str, around: str) -> None:
    short = shortened(f"{around}{digest}{around}")
    one_sort = digest.isdecimal() or digest.isalpha()
    assert short == f"{around}{digest if one_sort else digest[:SHOWN] + '…'}{around}"


@pytest.mark.parametrize(
    "text",
    [
        "0" * 300_000,
        "a" * 300_000,
        ("0" * 31 + " ") * 10_000,
        "sha256-" * 50_000,
        f"sha512-{'A/' * 150_000}",
        "1a" * 150_000,
    ],
    ids=range(6),
)
def test_nasty_lines_are_read_in_time(text: str) -> None:
    assert len(shortened(text)) <= len(text)


def test_the_strategy_is_safe_and_not_for_json_or_code() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level) == ("digests", "safe")
    assert {"log", "build", "table", "prose"} <= strategy.kinds and not strategy.kinds & {"json", "code", "diff"}
