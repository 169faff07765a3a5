"""The SDK asks what it should."""

from datetime import UTC, datetime
from typing import Any, cast

from cca.code.remote import CodeIndex
from cca.contracts.code import (
    CancelCodeJob,
    CodeHits,
    CodeJob,
    CodeJobs,
    CodeStats,
    DropCode,
    GetCodeJob,
    GetCodeStats,
    IndexCode,
    JobState,
    ListCodeJobs,
    SearchCode,
    Tally,
)
from cca.message import Command
from cca.nats import subjects


async def test_every_question_goes_where_it_is_answered_and_a_job_can_be_waited_for() -> None:
    asked: list[tuple[str, Command]] = []
    states: list[JobState] = ["waiting", "running", "completed"]

    async def ask(subject: str, command: Command, kind: type[Any]) -> Any:
        asked.append((subject, command))
        if kind is CodeJob:
            state = states.pop(0) if states else "completed"
            return CodeJob("j", "/p", "p", state, Tally(), datetime(2026, 1, 1, tzinfo=UTC))
        return (
            CodeHits((), "lexical") if kind is CodeHits else CodeJobs(()) if kind is CodeJobs else CodeStats((), (), ())
        )

    code = CodeIndex(cast(Any, ask))
    assert (await code.index("/p", wait_s=30, project="p", languages=("go",))).state == "completed"
    await code.jobs("p", 3)
    await code.cancel("j")
    await code.search("where", project="p", limit=2)
    await code.stats()
    await code.drop("p", "me")
    assert asked == [
        (subjects.RPC_CODE_INDEX, IndexCode("/p", "p", languages=("go",))),
        (subjects.RPC_CODE_JOB, GetCodeJob("j")),
        (subjects.RPC_CODE_JOB, GetCodeJob("j")),
        (subjects.RPC_CODE_JOBS, ListCodeJobs("p", 3)),
        (subjects.RPC_CODE_CANCEL, CancelCodeJob("j")),
        (subjects.RPC_CODE_SEARCH, SearchCode("where", "p", limit=2)),
        (subjects.RPC_CODE_STATS, GetCodeStats()),
        (subjects.RPC_CODE_DROP, DropCode("p", "me")),
    ]
