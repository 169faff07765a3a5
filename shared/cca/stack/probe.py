"""Whether the parts of a stack answer, asked on a bare socket: the supervisor stays small without clients."""

import asyncio
import json

_PATIENCE_S = 2.0


async def service_answers(port: int, user: str, password: str, service: str) -> bool:
    """Whether a NATS micro service on this machine answers `$SRV.PING.<service>`."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if not (await reader.readline()).startswith(b"INFO "):
                    return False
                who = {"user": user, "pass": password, "name": "cca up", "lang": "python", "verbose": False}
                who |= {"headers": True, "no_responders": True}  # an answer at once when nobody listens
                inbox = "_INBOX_cca_up.1"
                writer.write(
                    f"CONNECT {json.dumps(who)}\r\nSUB {inbox} 1\r\nPUB $SRV.PING.{service} {inbox} 0\r\n\r\n".encode()
                )
                while line := await reader.readline():
                    if line.startswith((b"MSG ", b"HMSG ", b"-ERR")):
                        return line.startswith(b"MSG ")
                return False
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def http_answers(host: str, port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
