"""Logs: routine is summed up by template; what is rare, odd, wrong or a change stays literally, in its order."""

import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Section
from cca.tokens.strategies.log import logs, routine_summed

CALM = settings(deadline=None, max_examples=25)
USERS = ("alice", "bob", "carol", "dave", "erin")


def folded(lines: Sequence[str], kind: ContentKind = "log") -> list[str]:
    out = logs(Section(tuple(lines), kind))
    assert out is not None
    return list(out)


def access(seed: int, lines: int) -> list[str]:
    """The log of a web service on a quiet day."""
    rng = random.Random(seed)
    time = datetime(2024, 11, 22, 10, tzinfo=UTC)
    out = []
    for _ in range(lines):
        time += timedelta(milliseconds=rng.randint(5, 300))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        request = f"req-{rng.getrandbits(32):08x}"
        text = rng.choices(
            (
                f"INFO  [http] {request} GET /api/users/{rng.randint(12, 998)} 200 in {rng.randint(3, 48)}ms",
                f"DEBUG [cache] {rng.choice(('hit', 'miss'))} key=user:{rng.randint(1, 999)}:profile ttl=60",
                f"INFO  [auth] user {rng.choice(USERS)} logged in from 10.0.{rng.randint(0, 3)}.{rng.randint(1, 254)}",
                f"WARN  [db] slow query took {rng.randint(200, 900)}ms: SELECT * FROM t WHERE id={rng.randint(1, 9)}",
            ),
            (60, 20, 12, 8),
        )[0]
        out.append(f"{stamp} {text}")
    return out


def planted(lines: list[str], at: int, text: str) -> str:
    """A line among others that was written when the one after it was."""
    line = f"{lines[at].split(' ')[0]} {text}"
    lines.insert(at, line)
    return line


def test_routine_lines_are_said_by_template_with_their_values() -> None:
    out = folded(access(1, 2_000))
    assert out[0].startswith("2000 lines 2024-11-22T10:00:00.") and out[0].endswith(", by template:")
    found = re.fullmatch(
        r"(\d+)x INFO \[http\] req-<(\d+) different> GET /api/users/<1\d…99\d> 200 in <3ms…48ms>", out[1]
    )
    assert found is not None and found[1] == found[2] and 1_100 < int(found[1]) < 1_300
    assert any("user <" in line and all(name in line for name in USERS) for line in out)
    assert len(out) < 20


def test_rare_lines_errors_and_changes_stay_in_their_order() -> None:
    lines = access(2, 1_500)
    stay = [
        planted(lines, 200, "INFO  [deploy] release v2.14.3 (commit 9f8e7d6) deployed to eu-west-1 by marta"),
        planted(lines, 500, "ERROR [payments] req-deadbeef charge 8841 failed: card_declined customer=cus_Q9x"),
        planted(lines, 501, "FATAL [core] out of file handles"),
        planted(lines, 900, "INFO  [ledger] the books of 2023 are closed, checksum 77aa01"),
        planted(lines, 1_300, "INFO  [raft] leader lost, election in term 42"),
    ]
    out = folded(lines)
    assert [line for line in out if line in stay] == stay
    assert out.count("… 299") == 1, "how many routine lines stand between two that stay is said"


def test_values_unlike_the_others_keep_their_lines() -> None:
    lines = access(3, 1_500)
    stay = [
        planted(lines, 300, "INFO  [http] req-00ff00ff GET /api/users/77 200 in 8421ms"),
        planted(lines, 600, "INFO  [http] req-00ff00fe GET /api/users/78 503 in 12ms"),
        planted(lines, 700, "INFO  [auth] user mallory logged in from 10.0.1.17"),
        planted(lines, 800, "INFO  [auth] user alice logged in from 203.0.113.9"),
    ]
    out = folded(lines)
    assert [line for line in out if line in stay] == stay
    assert any("in <3ms…48ms>" in line for line in out), "the range is that of the usual lines"


def test_an_error_that_is_routine_is_summed_up_but_its_first_and_last_lines_stay() -> None:
    lines = access(4, 600)
    for at in range(100, 500, 5):
        planted(lines, at, f"ERROR [mail] cannot reach smtp-{at % 2}.example.org: timeout after {3000 + at}ms")
    out = folded(lines)
    whole = [line for line in out if "ERROR" in line and line.startswith("2024")]
    assert [("3100ms" in line, "3495ms" in line) for line in whole] == [(True, False), (False, True)]
    assert any(line.startswith("80x ERROR [mail]") and "<3100ms…3495ms>" in line for line in out)


def test_a_line_that_counts_no_errors_is_routine() -> None:
    lines = [f"2024-01-01 10:00:{n % 60:02} INFO batch {n} done, errors=0 failed: 0" for n in range(200)]
    out = folded(lines)
    assert len(out) < 8 and "200x INFO batch" in out[1]


def test_traces_belong_to_their_line_and_the_second_is_named() -> None:
    lines = access(5, 900)
    trace = [
        "Traceback (most recent call last):",
        '  File "/app/orders/api.py", line 88, in create',
        "    total = price(cart)",
        '  File "/usr/lib/python3.11/site-packages/web/a.py", line 3, in one',
        "    two()",
        '  File "/usr/lib/python3.11/site-packages/web/b.py", line 4, in two',
        "    three()",
        '  File "/usr/lib/python3.11/site-packages/web/c.py", line 5, in three',
        "    raise KeyError(name)",
        "KeyError: 'amount'",
    ]
    for at in (700, 300):
        lines[at:at] = [f"{lines[at].split(' ')[0]} ERROR [orders] unhandled exception in order {at}", *trace]
    out = folded(lines)
    first = out.index(next(line for line in out if line.endswith("in order 300")))
    assert out[first + 1 : first + 6] == [
        *trace[:3],
        "  … 3 library frames: web/a.py:3 one … web/c.py:5 three",
        "KeyError: 'amount'",
    ]
    second = out.index(next(line for line in out if line.endswith("in order 700")))
    assert out[second + 1] == "same trace as above: KeyError: 'amount'"


def test_what_led_to_an_error_stays_when_it_has_the_same_id() -> None:
    lines = access(6, 900)
    first = planted(lines, 380, "INFO  [http] req-0badcafe GET /api/users/501 200 in 7ms")
    planted(lines, 400, "ERROR [billing] req-0badcafe invoice lost")
    assert first in folded(lines)


def test_logs_of_systemd_nginx_and_logfmt_are_understood() -> None:
    rng = random.Random(7)
    syslog = [
        f"Nov 22 14:{n // 60:02}:{n % 60:02} ip-10-0-0-7 sshd[{rng.randint(100, 9999)}]: Accepted key for git from "
        f"10.1.{rng.randint(0, 9)}.{rng.randint(1, 250)} port {rng.randint(30000, 60000)} ssh2"
        for n in range(300)
    ]
    odd = "Nov 22 14:02:59 ip-10-0-0-7 kernel: Out of memory: Killed process 4711 (java) total-vm:9182736kB"
    syslog.insert(180, odd)
    out = folded(syslog)
    assert odd in out and len(out) < 10 and "Nov 22 14:00:00…Nov 22 14:04:59" in out[0]
    nginx = [
        f"10.0.{rng.randint(0, 9)}.{rng.randint(1, 250)} - - [04/Apr/2025:12:{n // 60:02}:{n % 60:02} +0000] "
        f'"GET /v1/items/{rng.randint(1, 9999)} HTTP/1.1" 200 {rng.randint(300, 9000)} "-" "curl/8.5.0"'
        for n in range(300)
    ]
    bad = '10.0.3.4 - - [04/Apr/2025:12:03:09 +0000] "GET /v1/items/7 HTTP/1.1" 502 150 "-" "curl/8.5.0"'
    nginx.insert(190, bad)
    out = folded(nginx)
    assert bad in out and len(out) < 10
    logfmt = [f'time=2024-01-01T00:00:{n % 60:02}Z level=info msg="tick" n={n} took={n % 9}ms' for n in range(300)]
    out = folded(logfmt)
    assert len(out) < 8 and "level=info" in out[1]


def test_objects_of_json_are_treated_by_their_message() -> None:
    lines = [
        f'{{"ts":"2024-11-22T10:00:{n % 60:02}Z","level":"info","msg":"served /api/items/{n}","ms":{n % 40}}}'
        for n in range(400)
    ]
    error = '{"ts":"2024-11-22T10:00:59Z","level":"error","msg":"disk /dev/sdb1 is full","ms":3}'
    lines.insert(333, error)
    out = folded(lines, "json")
    assert error in out and len(out) < 10
    assert any('"msg":"served /api/items/<' in line.replace(": ", ":") for line in out)


def test_lines_of_another_format_do_not_break_it() -> None:
    lines = access(8, 600)
    foreign = ["Picked up JAVA_TOOL_OPTIONS: -Xmx2g", "ready.", "{ not json", "", "+++ exited with 137 +++"]
    lines[300:300] = foreign
    out = folded(lines)
    assert [line for line in out if line in foreign and line] == [line for line in foreign if line]


def test_what_has_no_routine_is_left_alone() -> None:
    rng = random.Random(9)
    words = [f"{rng.getrandbits(40):x}".translate(str.maketrans("0123456789", "ghijklmnop")) for _ in range(3_000)]
    assert logs(Section(tuple(" ".join(words[at : at + 9]) for at in range(0, 3_000, 9)), "log")) is None
    assert logs(Section(("one", "two"), "log")) is None


def test_a_stretch_of_log_in_other_output_is_summed_up() -> None:
    lines = ["before", "", *access(10, 200), "", "after"]
    out = routine_summed(lines)
    assert (out[:2], out[-2:]) == (["before", ""], ["", "after"]) and len(out) < 20


@CALM
@forall(
    st.integers(0, 10_000),
    st.lists(
        st.tuples(st.integers(0, 299), st.sampled_from(["ERROR", "FATAL"]), st.text("abcdefgh ", min_size=3)),
        max_size=6,
    ),
)
def test_every_rare_error_is_there_literally(seed: int, errors: list[tuple[int, str, str]]) -> None:
    lines = access(seed, 300)
    said = [planted(lines, at, f"{level} {text}".rstrip()) for at, level, text in errors]
    out = folded(lines)
    assert all(line in out for line in said)
