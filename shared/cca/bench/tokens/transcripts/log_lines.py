"""Lines of logs in the formats that agents meet: JSON lines, application logs, access logs, the system's."""

import json
import random
from typing import Any

from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.words import (
    CITIES,
    Words,
    address,
    fill,
    hexadecimal,
    person,
    plural,
    suffix,
    uuid,
)


class Service:
    """A service that logs: its name, hosts and the routes that it serves, with how often each is called."""

    def __init__(self, rng: random.Random) -> None:
        words = Words(rng)
        self.rng, self.words = rng, words
        self.name = words["package"]
        self.things = [words[f"thing{number}"] for number in range(1, 5)]
        self.hosts = [f"{self.name}-{hexadecimal(rng, 9)}-{suffix(rng)}" for _ in range(3)]
        self.peers = [words[f"package{number}"] for number in range(2, 5)]
        self.routes = [
            (verb, f"/api/v{rng.randint(1, 3)}/{plural(thing)}{tail}")
            for thing in self.things
            for verb, tail in (("GET", ""), ("GET", "/{id}"), ("POST", ""), ("PATCH", "/{id}"))
        ]
        self.weights = [rng.paretovariate(1.1) for _ in self.routes]
        self.routine = [(shape, rng.paretovariate(0.9)) for shape in rng.sample(ROUTINE, 14)]

    def route(self) -> tuple[str, str]:
        """A call of a route, with an id where it takes one."""
        verb, path = self.rng.choices(self.routes, self.weights)[0]
        number = self.rng.choice((str(self.rng.randint(1_000, 99_999)), hexadecimal(self.rng, 12)))
        return verb, path.replace("{id}", number)

    def message(self) -> tuple[str, str, dict[str, Any]]:
        """What happens all the time: level, text, and values by name."""
        rng = self.rng
        shapes, weights = zip(*self.routine, strict=True)
        level, text = rng.choices(shapes, weights)[0]
        verb, path = self.route()
        thing = rng.choice(self.things)
        values: dict[str, Any] = {
            "method": verb,
            "path": path,
            "status": rng.choices((200, 201, 204, 304, 404), (80, 8, 6, 4, 2))[0],
            "duration_ms": round(rng.lognormvariate(3, 0.7), 1),
            "id": f"{thing[:3]}_{hexadecimal(rng, 10)}",
            "user": rng.randint(1_000, 60_000),
            "count": rng.randint(1, 500),
            "queue": f"{self.name}.{thing}.{rng.choice(('in', 'out', 'retry'))}",
            "peer": rng.choice(self.peers),
            "shard": rng.randint(0, 31),
            "ip": address(rng),
            "bytes": rng.randint(200, 90_000),
            "request_id": uuid(rng),
            "thing": thing,
            "things": plural(thing),
            "city": rng.choice(CITIES),
            "person": person(rng),
        }
        used = {key: value for key, value in values.items() if "{" + key + "}" in text}
        return level, text.format(**values), used | {"request_id": values["request_id"]}


ROUTINE = (
    ("INFO", "{method} {path} {status} {duration_ms}ms"),
    ("INFO", "request completed method={method} path={path} status={status} took={duration_ms}ms user={user}"),
    ("INFO", "{thing} {id} accepted for user {user}"),
    ("INFO", "published {count} {things} to {queue}"),
    ("DEBUG", "cache hit for {thing} {id} ({bytes} bytes)"),
    ("DEBUG", "cache miss for {thing} {id}, asking {peer}"),
    ("INFO", "consumer {queue} committed offset {bytes} on partition {shard}"),
    ("INFO", "connection from {ip} accepted"),
    ("INFO", "connection from {ip} closed after {duration_ms}ms"),
    ("DEBUG", "acquired lock on shard {shard} in {duration_ms}ms"),
    ("INFO", "batch of {count} {things} written in {duration_ms}ms"),
    ("INFO", "session of user {user} renewed from {ip}"),
    ("DEBUG", "SELECT on {things} returned {count} rows in {duration_ms}ms"),
    ("INFO", "health check of {peer} ok in {duration_ms}ms"),
    ("INFO", "{thing} {id} assigned to depot {city}"),
    ("INFO", "webhook for {thing} {id} delivered to {peer} with status {status}"),
    ("DEBUG", "token of user {user} validated, {count} scopes"),
    ("INFO", "scheduled job refresh_{things} finished: {count} checked, 0 changed"),
    ("DEBUG", "compressed response of {bytes} bytes for {path}"),
    ("INFO", "mail to {person} queued as {id}"),
)


def json_line(service: Service, clock: Clock, level: str, text: str, values: dict[str, Any]) -> str:
    """One JSON object a line, as structured loggers write it."""
    rng = service.rng
    return json.dumps(
        {
            "ts": clock.iso(),
            "level": level.lower(),
            "service": service.name,
            "host": rng.choice(service.hosts),
            "logger": f"{service.name}.{values.get('thing', 'http')}",
            "msg": text,
            **{key: value for key, value in values.items() if key not in ("thing", "things")},
        }
    )


def app_line(service: Service, clock: Clock, level: str, text: str, values: dict[str, Any]) -> str:
    """As Python's logging writes it."""
    logger = f"{service.name}.{values.get('thing', 'http')}"
    return f"{clock.plain(',')} {level:<7} [{logger}] {text} rid={values['request_id'][:8]}"


def java_line(service: Service, clock: Clock, level: str, text: str, values: dict[str, Any]) -> str:
    """As Logback writes it."""
    rng = service.rng
    thread = rng.choice(
        (f"http-nio-8080-exec-{rng.randint(1, 32)}", f"pool-3-thread-{rng.randint(1, 8)}", "scheduling-1")
    )
    name = f"c.{service.name[:1]}.{service.name}.{values.get('thing', 'web').capitalize()}Service"
    return f"{clock.plain()} {level:>5} [{service.name},{values['request_id'][-12:]}] --- [{thread}] {name} : {text}"


def access_line(service: Service, clock: Clock, status: int | None = None, path: str | None = None) -> str:
    """As nginx writes it, with times at the end."""
    rng = service.rng
    verb, called = service.route()
    if path is None and rng.random() < 0.08:
        probe = f'10.42.0.1 - - [{clock.access()}] "GET /healthz HTTP/1.1" 200 2 "-" "kube-probe/1.29"'
        return f"{probe} rt=0.00{rng.randint(0, 3)} uct=0.000"
    code = status or rng.choices((200, 201, 204, 301, 304, 401, 404), (82, 5, 3, 1, 5, 2, 2))[0]
    took = rng.lognormvariate(-3.2, 0.8)
    return (
        f'{address(rng)} - - [{clock.access()}] "{verb} {path or called} HTTP/{rng.choice(("1.1", "2.0"))}" {code} '
        f'{rng.randint(120, 48_000)} "-" "{rng.choice(AGENTS)}" rt={took:.3f} uct={took / 40:.3f}'
    )


AGENTS = (
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36"
    ),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
    "Go-http-client/2.0",
    "curl/8.5.0",
)

SYSTEM = (
    "systemd[1]: Started Session {n} of User {user}.",
    "systemd[1]: session-{n}.scope: Deactivated successfully.",
    "sshd[{pid}]: Accepted publickey for {user} from {ip} port {port} ssh2: ED25519 SHA256:{hash}",
    "sshd[{pid}]: pam_unix(sshd:session): session opened for user {user}(uid={n}) by (uid=0)",
    "CRON[{pid}]: ({user}) CMD (/usr/local/bin/{job} >/dev/null 2>&1)",
    "kernel: [{up}] IPv6: ADDRCONF(NETDEV_CHANGE): veth{hash6}: link becomes ready",
    "kernel: [{up}] docker0: port {n}(veth{hash6}) entered forwarding state",
    "dockerd[{pid}]: time=\"{iso}\" level=info msg=\"ignoring event\" container={hash64} module=libcontainerd",
    "containerd[{pid}]: time=\"{iso}\" level=info msg=\"shim disconnected\" id={hash64} namespace=moby",
    ("kubelet[{pid}]: I{n} reconciler_common.go:{n}] "
"\"operationExecutor.VerifyControllerAttachedVolume started for volume\" pod=\"{job}-{hash6}\""),
    "systemd-resolved[{pid}]: Using degraded feature set UDP instead of UDP+EDNS0 for DNS server {ip}.",
    "chronyd[{pid}]: Selected source {ip} ({job}.pool.ntp.org)",
)  # fmt: skip


def system_line(rng: random.Random, clock: Clock, host: str, text: str | None = None) -> str:
    """As syslog writes it: what always happens, or a text that is given."""
    if text is None:
        text = rng.choices(SYSTEM, range(len(SYSTEM), 0, -1))[0].format(
            n=rng.randint(2, 9_000),
            pid=rng.randint(400, 32_000),
            port=rng.randint(30_000, 61_000),
            user=rng.choice(("deploy", "root", "ubuntu", "backup", "ci")),
            job=rng.choice(("rotate-keys", "metrics-push", "backup-db", "prune-images", "certbot", "mirror-sync")),
            ip=address(rng),
            hash=hexadecimal(rng, 40),
            hash6=hexadecimal(rng, 7),
            hash64=hexadecimal(rng, 64),
            up=f"{rng.randint(100_000, 9_000_000)}.{rng.randint(0, 999_999):06d}",
            iso=clock.iso(),
        )
    return f"{clock.syslog()} {host} {text}"


def java_trace(rng: random.Random, service: Service, message: str, cause: str) -> list[str]:
    """A stack trace of the JVM with a cause."""
    words = Words(rng)
    package = f"com.{words['part']}works.{service.name}"
    lines = [f"{package}.{fill('$Thing', words)}ProcessingException: {message}"]
    for _ in range(rng.randint(5, 9)):
        lines.append(
            fill(f"\tat {package}.$part.$Thing2Service.$verb$Thing($Thing2Service.java:{rng.randint(20, 480)})", words)
        )
        words = Words(rng)
    lines += [f"\tat {frame}" for frame in rng.sample(FRAMES, rng.randint(9, len(FRAMES)))]
    lines.append(f"Caused by: {cause}")
    lines += [fill(f"\tat {package}.client.$ThingClient.call($ThingClient.java:{rng.randint(30, 200)})", words)]
    lines += [f"\tat {frame}" for frame in rng.sample(FRAMES, 4)]
    return [*lines, f"\t... {rng.randint(20, 90)} common frames omitted"]


FRAMES = (
    "org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)",
    "org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:1081)",
    "org.springframework.aop.framework.CglibAopProxy$CglibMethodInvocation.proceed(CglibAopProxy.java:765)",
    "org.springframework.transaction.interceptor.TransactionInterceptor.invoke(TransactionInterceptor.java:119)",
    "jakarta.servlet.http.HttpServlet.service(HttpServlet.java:658)",
    "org.apache.catalina.core.ApplicationFilterChain.internalDoFilter(ApplicationFilterChain.java:205)",
    "org.apache.catalina.core.StandardWrapperValve.invoke(StandardWrapperValve.java:167)",
    "org.apache.coyote.http11.Http11Processor.service(Http11Processor.java:391)",
    "org.apache.tomcat.util.net.NioEndpoint$SocketProcessor.doRun(NioEndpoint.java:1740)",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
    "java.base/java.util.concurrent.CompletableFuture.get(CompletableFuture.java:2095)",
    "java.base/java.lang.Thread.run(Thread.java:842)",
    "io.netty.channel.AbstractChannelHandlerContext.invokeChannelRead(AbstractChannelHandlerContext.java:444)",
    "com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:181)",
)


def python_trace(rng: random.Random, service: Service, error: str) -> list[str]:
    """A traceback of Python."""
    lines = ["Traceback (most recent call last):"]
    for _ in range(rng.randint(3, 7)):
        words = Words(rng)
        lines.append(
            fill(f'  File "/app/src/{service.name}/$part.py", line {rng.randint(12, 420)}, in $verb_$thing', words)
        )
        lines.append(fill("    $thing2 = await self._$part2.$verb2($thing.$field, timeout=self.$field2)", words))
    return [*lines, error]
