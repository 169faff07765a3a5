"""A handler that runs a command for each task, never through a shell."""

import errno
import logging
import os
import shlex
import signal
from collections.abc import Awaitable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import structs

from cca.errors import Misconfigured
from cca.work.outcome import tail
from cca.work.process import Process, Warden
from cca.work.task import Fail, Task

logger = logging.getLogger("cca.worker")

KEPT = 1024 * 1024
"""Bytes of standard output that can become the result. All of it is on `cca.output.<task>`."""
STDERR_KEPT = 8 * 1024
VARIABLE_LIMIT = 128 * 1024 - 64
"""Linux refuses a single environment variable of 128 KiB (MAX_ARG_STRLEN), with its name and its end."""
EX_DATAERR, EX_TEMPFAIL = 65, 75
"""sysexits.h: the input is at fault, another try is useless; a passing failure, another try is invited."""

ResultFormat = Literal["auto", "json", "text"]

PASSED_ON = frozenset({"CCA_HTTP_URL", "CCA_LOG_LEVEL", "CCA_LOG_FORMAT"})
"""Of our own variables, those that a command may see. The worker's credentials are not the task's."""
NATS_SECRETS = frozenset({"NATS_PASSWORD", "NATS_TOKEN", "NATS_NKEY", "NATS_CREDS", "NATS_USER", "NATS_CONTEXT"})


class Command:
    """Runs a command: the task as JSON on its standard input, its description in `CCA_TASK_DESCRIPTION`.

    Text of a task never becomes an argument. Standard output is the result. An exit code other than 0 fails the
    attempt: 65 (EX_DATAERR) for good, others may be retried, 75 (EX_TEMPFAIL) above all. Canceled or out of time, the
    whole process group gets SIGTERM, and SIGKILL after 1.5 seconds.

    Args:
        line: the command with its arguments, split once by the rules of a POSIX shell.
        result: `json`, `text`, or `auto`: JSON if all of the output is a JSON object or array, otherwise text.
    """

    def __init__(self, line: str, result: ResultFormat = "auto") -> None:
        try:
            self.argv = shlex.split(line)
        except ValueError as error:
            raise Misconfigured(f"the command cannot be read: {error}") from None
        if not self.argv:
            raise Misconfigured("the command is empty")
        self._result = result
        self._warden = Warden()

    async def __call__(self, task: Task) -> Any:
        heard = _Heard(task)
        body = msgspec.json.encode(_stdin(task))
        process = await self._start(task, body, heard)
        code = await process.wait()
        if code != 0:
            raise Fail(
                _ended(self.argv[0], code), exit_code=code, retryable=code != EX_DATAERR, detail=heard.stderr_text()
            )
        return self._result_of(heard, task.result_limit)

    async def _start(self, task: Task, body: bytes, heard: "_Heard") -> Process:
        env = environment(task, os.environ)
        try:
            try:
                return await Process.start(self.argv, body, env, heard.take, self._warden)
            except OSError as error:
                if error.errno != errno.E2BIG:
                    raise
                env = _without_description(env, task)
                return await Process.start(self.argv, body, env, heard.take, self._warden)
        except OSError as error:
            raise Fail(f"cannot start {self.argv[0]}: {error.strerror or error}") from None

    def close(self) -> None:
        """End what still runs."""
        self._warden.close()

    def _result_of(self, heard: "_Heard", limit: int) -> Any:
        if self._result != "text" and heard.cut == 0:
            try:
                value = msgspec.json.decode(heard.stdout)
                if self._result == "json" or isinstance(value, dict | list):
                    return value
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if self._result == "json":
                    raise Fail(
                        f"the output is not JSON: {error}", retryable=False, kind="rejected", detail=heard.stderr_text()
                    ) from None
        elif self._result == "json":
            raise Fail(f"result too large: {heard.size} bytes, limit {KEPT}", retryable=False, kind="rejected")
        return heard.text(limit)


class _Heard:
    """What a command has printed: passed on as it comes, the beginning of stdout and the end of stderr kept."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.stdout, self._stderr = bytearray(), bytearray()
        self.size = 0

    @property
    def cut(self) -> int:
        """How many bytes of standard output were not kept."""
        return self.size - len(self.stdout)

    def take(self, data: bytes, stream: str) -> Awaitable[None]:
        if stream == "stdout":
            self.size += len(data)
            self.stdout += data[: KEPT - len(self.stdout)]
        else:
            self._stderr += data
            del self._stderr[: -2 * STDERR_KEPT]
        return self._task.output(data, stream)

    def stderr_text(self) -> str:
        return tail(self._stderr.decode("utf-8", "replace"), STDERR_KEPT)

    def text(self, limit: int) -> str:
        """Standard output as a text of at most `limit` bytes of JSON, without the line ends at its end."""
        text = self.stdout.decode("utf-8", "replace").rstrip("\n")
        if not self.cut and len(msgspec.json.encode(text)) <= limit:
            return text
        note = f"\n[cut: {self.size} bytes in all; the whole output is on cca.output.{self._task.id}]"
        room = limit - len(note) - 16
        while (size := len(msgspec.json.encode(text))) > room:
            text = text[: int(len(text) * room / size)]
        return text + note


def environment(task: Task, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: the worker's without its credentials, and what is said of the task.

    Raises `Fail` when the description holds NUL, which no variable can.
    """
    if "\x00" in task.description:
        raise Fail("the description holds a NUL character", retryable=False, kind="rejected")
    env = {
        name: value
        for name, value in inherited.items()
        if (not name.startswith("CCA_") or name in PASSED_ON) and name not in NATS_SECRETS
    }
    env["CCA_TASK_ID"], env["CCA_TASK_ROLE"] = task.id, task.role
    env["CCA_TASK_ATTEMPT"] = str(task.attempt)
    env["CCA_TASK_DESCRIPTION"] = task.description
    env.pop("TRACEPARENT", None)
    if task.trace is not None:
        env["TRACEPARENT"] = task.trace
    if len(task.description.encode()) > VARIABLE_LIMIT:
        return _without_description(env, task)
    return env


def _without_description(env: dict[str, str], task: Task) -> dict[str, str]:
    logger.info("task %s: its description is too long for the environment; it is on standard input alone", task.id)
    del env["CCA_TASK_DESCRIPTION"]
    return env | {"CCA_TASK_DESCRIPTION_OMITTED": "too long for the environment; read it on standard input"}


def _stdin(task: Task) -> dict[str, Any]:
    """The task as its command reads it: all fields of the work message, and the attempt."""
    return {"attempt": task.attempt} | structs.asdict(task.work)


def _ended(program: str, code: int) -> str:
    name = os.path.basename(program)
    if code >= 0:
        return f"{name} ended with exit code {code}"
    try:
        return f"{name} was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"{name} was killed by signal {-code}"
