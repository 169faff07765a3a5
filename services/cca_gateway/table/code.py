"""The routes of code search: index a directory, look how far it is, search."""

from cca.contracts.code import CodeHits, CodeJob, CodeJobs, CodeStats, IndexCode, SearchCode
from cca_gateway import code
from cca_gateway.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/code/index",
        handle=code.index,
        summary="Begin to index a directory",
        body=IndexCode,
        gives={"Location": "Where to look how far the job is."},
        answers={202: CodeJob},
        refusals=("not-allowed", "not-found", "project-exists", "bad-path", "bad-glob", "too-many-files"),
    ),
    Route(
        method="GET",
        path="/code/jobs",
        handle=code.jobs,
        summary="List the last jobs that index code",
        query=code.JobQuery,
        answers={200: CodeJobs},
    ),
    Route(
        method="GET",
        path="/code/jobs/{job}",
        handle=code.job,
        summary="How far a job is",
        answers={200: CodeJob},
        refusals=("not-found", "invalid"),
    ),
    Route(
        method="POST",
        path="/code/jobs/{job}/cancel",
        handle=code.cancel,
        summary="Stop a job",
        answers={200: CodeJob},
        refusals=("not-found", "invalid"),
    ),
    Route(
        method="POST",
        path="/code/search",
        handle=code.search,
        summary="Look for code by words and by meaning",
        body=SearchCode,
        answers={200: CodeHits},
    ),
    Route(
        method="GET",
        path="/code/stats",
        handle=code.stats,
        summary="What is in the index of code",
        answers={200: CodeStats},
    ),
    Route(
        method="DELETE",
        path="/code/projects/{project}",
        handle=code.drop,
        summary="Take a project out of the index of code",
        answers={200: CodeStats},
        refusals=("not-found", "job-running", "invalid"),
    ),
)
