"""Secrets are taken out of texts; what is none stays."""

import string
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cca.keys import new_key, new_pepper
from cca.redact.redact import SORTS, marks, redact, redacted_values

BASE62 = string.ascii_letters + string.digits
RANDOM = "q7Vb2XkT9mZp4LrW8cNd3YhJ6sFg1QaE5uRt0iOwPzKx"
"""Letters that no word has."""

KNOWN = {
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.{RANDOM[:24]}.{RANDOM[:30]}",
    "cca-key": f"cca_local_0123456789ab_{RANDOM}",
    "nats-seed": "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
    "anthropic-key": f"sk-ant-api03-{RANDOM}",
    "openai-key": f"sk-proj-{RANDOM}",
    "aws-key": "AKIAIOSFODNN7EXAMPLE",
    "github-token": f"ghp_{RANDOM[:36]}",
    "gitlab-token": f"glpat-{RANDOM[:20]}",
    "slack-token": f"xoxb-1234567890-{RANDOM[:24]}",
    "google-key": f"AIza{RANDOM[:35]}",
    "stripe-key": f"sk_live_{RANDOM[:24]}",
    "npm-token": f"npm_{RANDOM[:36]}",
    "huggingface-token": f"hf_{RANDOM[:34]}",
    "sendgrid-key": f"SG.{RANDOM[:22]}.{RANDOM[:43]}",
}
BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDXx2gHq1bq7P1e"] * 3 + ["aGVsbG8gd29ybGQ="])
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("sort", KNOWN)
def test_keys_of_known_providers_are_told_by_their_shape(sort: str) -> None:
    for before, after in (("", ""), ("it was ", " and then"), ('{"a":"', '"}'), ("x=", "\n"), ("(", ")")):
        found = redact(f"{before}{KNOWN[sort]}{after}")
        assert KNOWN[sort] not in found.text
        assert sum(found.found.values()) == 1 and marks(found.text) == found.found
        assert found.text.startswith(before) and found.text.endswith(after)
    assert redact(f"see {KNOWN[sort]} there").text == f"see [redacted:{sort}] there"


def test_a_key_of_our_own_is_a_secret() -> None:
    text, _ = new_key(new_pepper(), name="ann")
    assert redact(f"CCA_API_KEY={text}").text == "CCA_API_KEY=[redacted:cca-key]"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgres://bob:hunter2secret@db:5432/x", "hunter2secret"),
        ("https://0f1a2B3c4D5e6F7a8B9c0D1e@example.com/git", "0f1a2B3c4D5e6F7a8B9c0D1e"),
        ("password: hunter2", "hunter2"),
        ("the password is Tr0ub4dor&3", "Tr0ub4dor&3"),
        ('{"password": "correct horse battery"}', "correct horse battery"),
        ('{\\"db_password\\": \\"hunter2\\"}', "hunter2"),
        ("<password>hunter2</password>", "hunter2"),
        ("mysql --password hunter2 -u root", "hunter2"),
        ("mysql --password=hunter2 -u root", "hunter2"),
        ("export DB_PASS=p&ss,word", "p&ss,word"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("client_secret: 'a8f5f167f44f4964e6c998dee827110c'", "a8f5f167f44f4964e6c998dee827110c"),
        ("GET /x?access_token=9f8e7d6c5b4a&user=bob", "9f8e7d6c5b4a"),
        ("Authorization: Bearer 9f8e7d6c5b4a39281706", "9f8e7d6c5b4a39281706"),
        ("authorization: Basic Ym9iOmh1bnRlcjI=", "Ym9iOmh1bnRlcjI="),
        ("X-Api-Key: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
        ("Cookie: session=9f8e7d6c5b4a39281706; theme=dark", "9f8e7d6c5b4a39281706"),
        (f"this is the key that you need: {RANDOM}", RANDOM),
        (f"token {RANDOM[:24]}", RANDOM[:24]),
        ("Server=x;AccountKey=abcd1234efgh5678==;End", "abcd1234efgh5678"),
        ("password=" + "x1" * 200, "x1x1"),
    ],
)
def test_what_is_called_a_secret_is_one(text: str, secret: str) -> None:
    found = redact(text)
    assert secret not in found.text and sum(found.found.values()) == 1, found


@pytest.mark.parametrize(
    "text",
    [
        "password: str | None = None",
        "password = settings.password",
        'password = getpass("Password: ")',
        "token = tokens[3]",
        "the password is wrong",
        "password: required",
        "max_tokens: 20000, tokens=1234567890",
        "DB_PASSWORD=${DB_PASSWORD}",
        'api_key = os.environ["API_KEY"]',
        "password=***",
        "commit 8f14e45fceea167a5a36dedd4bea2543f1a2b3c4 fixes the token test",
        "task 01890a5d-ac96-774b-bcce-b302099a8057 has the key 01890a5d-ac96-774b-bcce-b302099a8057",
        "see shared/cca/tokens/strategies/grammars.py and test_counting_of_tokens_by_model.py",
        "http://localhost:8080/path?x=1 and git@github.com:owner/name.git",
        "the signature is checked, the secret is safe, and basic authentication is off",
        "sk-learn and AKIA are words; eyJ is none",
        "for key, value in sorted(pairs.items()): keys[key] = value",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text).text == text


def test_private_keys_go_whole_whatever_is_left_of_them() -> None:
    assert redact(f"a\n{PEM}\nb").text == "a\n[redacted:private-key]\nb"
    assert redact("a " + PEM.replace("\n", "\\n") + " b").text == "a [redacted:private-key] b"
    assert redact(f"{PEM}\n{PEM}").found == {"private-key": 2}
    for cut in range(40, len(PEM) - 40, 7):  # the head or the end is missing
        for part in (PEM[:cut], PEM[cut:]):
            for each in (part, part.replace("\n", "\\n")):
                left = redact(f"before\n{each}").text
                assert len(left) < len("before\n[redacted:private-key]") + 18, (cut, left)
    assert redact("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----").found == {}
    assert redact("-----BEGIN RSA PRIVATE KEY-----\nthe words that follow").text.endswith("the words that follow")


def test_a_value_is_judged_by_the_name_of_its_label() -> None:
    labels = {"password": "hunter2", "project": "shop", "note": f"uses {KNOWN['github-token']}", KNOWN["aws-key"]: "x"}
    assert redacted_values(labels) == {
        "password": "[redacted:secret]",
        "project": "shop",
        "note": "uses [redacted:github-token]",
        "[redacted:aws-key]": "x",
    }


pieces = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [*KNOWN.values(), PEM, "password: ", "token=", '"', "'", " is ", "://", "@", ":", "\n", "\0", "\\n"]
    ),
    st.sampled_from(
        [f"[redacted:{sort}]" for sort in SORTS] + ["[redacted:", "]", "\ue000", "-----BEGIN PRIVATE KEY-----"]
    ),
    st.text(BASE62, min_size=8, max_size=60),
)
texts = st.lists(pieces, max_size=12).map("".join)


@settings(max_examples=300)
@given(texts)
def test_what_is_redacted_once_stays_as_it_is(text: str) -> None:
    once = redact(text)
    assert redact(once.text).text == once.text
    assert "\0" not in once.text


@settings(max_examples=200)
@given(texts, st.sampled_from(sorted(KNOWN.values())), texts)
def test_a_known_key_never_comes_through(before: str, key: str, after: str) -> None:
    assume(key not in before and key not in after)  # glued to something else, it is another word
    assert key not in redact(f"{before} {key} {after}").text


@settings(max_examples=100)
@given(st.text(BASE62 + "!#%+-_.~", min_size=8, max_size=40).filter(lambda s: any(c.isdigit() for c in s)))
def test_a_password_in_a_url_never_comes_through(password: str) -> None:
    assert f":{password}@" not in redact(f"amqp://user:{password}@host/").text


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "token" * n,
        lambda n: "password=" * n,
        lambda n: "://a:" * n,
        lambda n: "-----BEGIN PRIVATE KEY-----\n" * n,
        lambda n: "-----END PRIVATE KEY-----\n" * n,
        lambda n: "-----BEGIN PRIVATE KEY-----" + "A" * n,
        lambda n: "eyJ" * n,
        lambda n: "key aB3" * n,
        lambda n: "KEY" * n,
        lambda n: "password: '" * n,
        lambda n: "secret is " * n,
    ],
)
def test_no_text_makes_it_slow(make: Callable[[int], str]) -> None:
    # No clock: what takes quadratic time here does not end.
    redact(make(150_000))
