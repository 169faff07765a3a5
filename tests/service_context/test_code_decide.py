"""What becomes of jobs, and which files they read: decided without servers."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cca.code.chunks import VERSION
from cca.code.walk import Found, Listing
from cca.contracts.code import CodeIndexEnded, CodeIndexProgressed, CodeIndexStarted, Tally
from cca.ids import word
from cca_context.code_decide import (
    FOLD,
    GROUP_BYTES,
    GROUP_FILES,
    Job,
    Row,
    end,
    is_under,
    plan,
    progress,
    project_of,
    related,
    start,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
STARTED = CodeIndexStarted("j", "/r/shop", "shop")
EVENTS = st.lists(
    st.sampled_from(
        [
            STARTED,
            CodeIndexProgressed("j", Tally(files=3)),
            CodeIndexProgressed("j", Tally(files=3), resumed=True),
            CodeIndexEnded("j", "completed", Tally(files=3), 1.0),
            CodeIndexEnded("j", "canceled", Tally(), 1.0),
        ]
    ),
    max_size=8,
)


@given(EVENTS)
def test_deciding_twice_changes_nothing_and_what_is_over_stays_so(events: list[object]) -> None:
    job = Job()
    for event in events:
        if isinstance(event, CodeIndexStarted):
            decision = start(event, job)
        elif isinstance(event, CodeIndexProgressed):
            decision = progress(event, job)
        else:
            assert isinstance(event, CodeIndexEnded)
            decision = end(event, job)
        after = FOLD.over(job, decision.events)
        if job.ended is not None:
            assert not decision.events and after == job
        job = after
        assert not start(STARTED, job).events or job.asked is None
    assert job.is_open == (job.state in ("waiting", "running") and job.asked is not None)


def row(file: Found, job: str = "old", problem: str = "", made: int = VERSION) -> Row:
    return Row(file.path, b"d", file.size, file.mtime_ns, 1, problem, made, job, NOW)


def found(path: str, size: int = 10, ago_s: float = 60.0) -> Found:
    return Found(path, size, int((NOW - timedelta(seconds=ago_s)).timestamp() * 1e9), "python")


def test_only_what_may_have_changed_is_read() -> None:
    same, fresh, old_rules, bad, new = (found(name) for name in ("same", "fresh", "rules", "bad", "new"))
    fresh = found("fresh", ago_s=0.5)
    there = {one.path: row(one) for one in (same, fresh)} | {
        "rules": row(old_rules, made=VERSION - 1),
        "bad": row(bad, problem="not a text"),
        "gone": row(found("gone")),
        "locked/x": row(found("locked/x")),
    }
    listing = Listing([same, fresh, old_rules, bad, new], ["large"], {"locked": "permission denied"})
    todo = plan(listing, there, "", "job", False, Tally())
    assert {known.path: known.digest for group in todo.read for known in group} == {
        "fresh": b"d",
        "rules": None,
        "new": None,
    }
    assert todo.gone == ["gone"]
    assert (todo.tally.files, todo.tally.done) == (7, 4)
    assert (todo.tally.unchanged, todo.tally.skipped, todo.tally.failed) == (1, 2, 1)


def test_a_forced_job_reads_all_but_what_it_has_read_before_it_was_cut_short() -> None:
    mine, theirs = found("mine"), found("theirs")
    there = {"mine": row(mine, "job"), "theirs": row(theirs)}
    todo = plan(Listing([mine, theirs], [], {}), there, "", "job", True, Tally(added=4, dropped=1))
    assert [known.path for group in todo.read for known in group] == ["theirs"]
    assert todo.own == {"mine"}
    assert (todo.tally.indexed, todo.tally.added, todo.tally.dropped, todo.tally.bytes) == (1, 4, 1, 10)


@given(st.lists(st.integers(0, 1024 * 1024), max_size=100))
def test_files_are_read_in_groups_of_a_bearable_size_and_in_order(sizes: list[int]) -> None:
    files = [found(f"f{number:03}", size) for number, size in enumerate(sizes)]
    groups = plan(Listing(files, [], {}), {}, "", "job", False, Tally()).read
    by_path = {file.path: file.size for file in files}
    assert [known.path for group in groups for known in group] == sorted(by_path)
    for group in groups:
        assert len(group) <= GROUP_FILES
        assert len(group) == 1 or sum(by_path[known.path] for known in group) <= GROUP_BYTES


@given(st.text(max_size=80))
def test_whatever_a_directory_is_called_its_project_has_a_name(name: str) -> None:
    assert word(project_of(f"/r/{name}"), "a project")


def test_paths_are_compared_by_their_parts() -> None:
    assert related("/r/a", "/r/a/b") and related("/r/a/b", "/r/a") and not related("/r/a", "/r/ab")
    assert is_under("a/b.py", "a") and is_under("a", "a") and is_under("x", "") and not is_under("ab", "a")
