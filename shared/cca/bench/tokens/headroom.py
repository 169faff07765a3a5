"""headroom-ai on the same transcripts, when it is installed: in its own process, offline, its store thrown away."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from cca.contracts.tokens import Turn

PACKAGE = "headroom"
MODEL = "gpt-4o"
"""headroom counts with it; its answer is counted again by us."""


def installed() -> bool:
    """Whether it can be imported here."""
    return importlib.util.find_spec(PACKAGE) is not None


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Turns in the form of OpenAI's chat: what a tool answers is a message of the tool, after the call that asked."""
    found: list[dict[str, Any]] = []
    for number, turn in enumerate(turns):
        message: dict[str, Any] = {"role": turn.role, "content": turn.text}
        if turn.role == "tool":
            message["tool_call_id"] = f"call_{number}"
        elif turn.role == "assistant" and number + 1 < len(turns) and turns[number + 1].role == "tool":
            # By the name and the arguments it decides what it may touch.
            call = {"name": turns[number + 1].name or "tool", "arguments": _arguments(turn.text)}
            message["tool_calls"] = [{"id": f"call_{number + 1}", "type": "function", "function": call}]
        found.append(message)
    return found


def _arguments(text: str) -> str:
    """What an agent's turn ends with when it calls a tool: the tool's name, and its arguments as JSON."""
    said = text.rpartition("\n\n")[2].partition(" ")[2]
    try:
        return said if isinstance(json.loads(said), dict) else "{}"
    except ValueError:
        return "{}"


def compressed(transcripts: Sequence[Sequence[Turn]]) -> list[tuple[list[str], float]]:
    """What headroom makes of each transcript: the texts of its messages, and the CPU seconds that it took.

    Raises `RuntimeError`, with what it printed, when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="cca-headroom-") as home:
        # Its own settings: no network, no telemetry, and originals into a folder that goes afterwards.
        environment = os.environ | {"HOME": home, "HEADROOM_TELEMETRY": "off", "HEADROOM_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "cca.bench.tokens.headroom"],
            input=json.dumps([messages(turns) for turns in transcripts]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"headroom failed: {done.stderr.strip()[-2_000:]}")
    return [(texts, seconds) for texts, seconds in json.loads(done.stdout.rsplit("\n", 1)[-1])]


def _serve() -> None:
    headroom: Any = importlib.import_module(PACKAGE)
    found = []
    conversations = json.load(sys.stdin)
    headroom.compress(conversations[0], model=MODEL)  # the first call loads what it needs, and is not measured
    for conversation in conversations:
        start = time.process_time()
        result = headroom.compress(conversation, model=MODEL)
        seconds = time.process_time() - start
        texts = [
            each["content"] if isinstance(each["content"], str) else json.dumps(each["content"])
            for each in result.messages
        ]
        found.append((texts, seconds))
    # The last line: whatever it prints itself comes before.
    sys.stdout.write("\n" + json.dumps(found))


if __name__ == "__main__":
    _serve()
