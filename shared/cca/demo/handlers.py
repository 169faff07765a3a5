"""Python handlers of the demo's workers: `cca agent worker security --python cca.demo.handlers:security`."""

from cca.demo import trees
from cca.demo.findings import ONE_AT_A_TIME, Audit, Finding, Severity, audit, path_of, unreadable
from cca.work.task import Task


def security(task: Task) -> Audit:
    """Security findings of the task's file."""
    return bandit(path_of(task.description, task.input))


def docs(task: Task) -> Audit:
    """Docstring coverage of the task's file."""
    return trees.docs(path_of(task.description, task.input))


def bandit(path: str) -> Audit:
    """What bandit says of one file, in this process: its start takes longer than most files."""
    from bandit.core import config, manager  # type: ignore[import-untyped]  # it has no types

    with ONE_AT_A_TIME:
        run = manager.BanditManager(config.BanditConfig(), "file")
        run.discover_files([path])
        run.run_tests()
    if run.skipped:
        return unreadable(path, "bandit", str(run.skipped[0][1]))
    return audit(
        path,
        "bandit",
        (
            Finding(issue.test_id, _severity(issue.severity, issue.confidence), issue.lineno, issue.text[:300])
            for issue in run.get_issue_list()
        ),
        {"lines": run.metrics.data[path]["loc"]},
    )


def _severity(severity: str, confidence: str) -> Severity:
    if severity == "HIGH" and confidence != "LOW":
        return "high"
    return "medium" if severity in ("HIGH", "MEDIUM") else "low"
