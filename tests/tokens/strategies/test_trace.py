"""Stack traces of several languages: one's own frames stay, those of libraries are one line, and twice is once."""

from cca.tokens.folds import Section
from cca.tokens.strategies.trace import Traces, traces

PYTHON = """\
Traceback (most recent call last):
  File "/app/main.py", line 10, in <module>
    run()
    ~~~^^
  File "/app/.venv/lib/python3.11/site-packages/starlette/applications.py", line 123, in __call__
    await self.middleware_stack(scope, receive, send)
  File "/app/.venv/lib/python3.11/site-packages/starlette/middleware/errors.py", line 186, in __call__
    raise exc
  File "/app/.venv/lib/python3.11/site-packages/starlette/routing.py", line 66, in app
    response = await func(request)
  File "/app/pricing.py", line 9, in price
    return cart["amount"]
           ~~~~^^^^^^^^^^
KeyError: 'amount'"""
JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: order 8841 has no price
\tat com.acme.orders.Pricing.price(Pricing.java:44)
\tat com.acme.orders.OrderService.create(OrderService.java:88)
\tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)
\tat java.base/java.lang.reflect.Method.invoke(Method.java:580)
\tat org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)
\tat org.apache.catalina.core.ApplicationFilterChain.doFilter(ApplicationFilterChain.java:165)
\tat com.acme.Main.main(Main.java:12)
Caused by: java.sql.SQLException: connection refused
\tat org.postgresql.Driver.connect(Driver.java:300)
\tat com.zaxxer.hikari.Pool.get(Pool.java:1)
\tat com.zaxxer.hikari.Pool.take(Pool.java:2)
\tat com.acme.Db.open(Db.java:5)
\t... 4 more"""
NODE = """\
TypeError: Cannot read properties of undefined (reading 'id')
    at getUser (/app/src/users.js:12:18)
    at Layer.handle [as handle_request] (/app/node_modules/express/lib/router/layer.js:95:5)
    at next (/app/node_modules/express/lib/router/route.js:144:13)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
    at async /app/src/server.js:3:1"""
GO = """\
panic: runtime error: index out of range [5] with length 3

goroutine 18 [running]:
main.pick(0xc000012340, 0x5)
\t/home/u/app/main.go:12 +0x1d
net/http.HandlerFunc.ServeHTTP(0xc000012340)
\t/usr/local/go/src/net/http/server.go:2136 +0x29
net/http.serverHandler.ServeHTTP({0xc000012340})
\t/usr/local/go/src/net/http/server.go:2938 +0x8e
net/http.(*conn).serve(0xc000012340)
\t/usr/local/go/src/net/http/server.go:2009 +0x5f4
main.main()
\t/home/u/app/main.go:20 +0x1d"""
RUST = """\
thread 'main' panicked at src/main.rs:4:5:
index out of bounds: the len is 3 but the index is 99
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:645:5
   1: core::panicking::panic_fmt
             at /rustc/abc/library/core/src/panicking.rs:72:14
   2: core::panicking::panic_bounds_check
             at /rustc/abc/library/core/src/panicking.rs:208:5
   3: app::pick
             at ./src/main.rs:4:5"""


def short(text: str) -> list[str]:
    return Traces().short(text.split("\n"))


def test_python_keeps_its_own_frames_and_the_exception() -> None:
    lines = PYTHON.split("\n")
    assert short(PYTHON) == [
        *lines[:4],
        "  … 3 library frames: starlette/applications.py:123 __call__ … starlette/routing.py:66 app",
        *lines[10:],
    ]


def test_java_keeps_its_own_frames_and_every_cause() -> None:
    lines = JAVA.split("\n")
    assert short(JAVA) == [
        *lines[:3],
        "  … 4 library frames: DirectMethodHandleAccessor.invoke … ApplicationFilterChain.doFilter",
        *lines[7:9],
        "  … 3 library frames: Driver.connect … Pool.take",
        *lines[12:],
    ]


def test_node_go_and_rust_are_understood() -> None:
    assert short(NODE)[1:] == [
        NODE.split("\n")[1],
        "  … 3 library frames: Layer.handle [as handle_request] … process.processTicksAndRejections",
        NODE.split("\n")[-1],
    ]
    lines = GO.split("\n")
    assert short(GO) == [
        *lines[:5],
        "  … 3 library frames: net/http/server.go:2136 net/http.HandlerFunc.ServeHTTP … "
        "net/http/server.go:2009 net/http.(*conn).serve",
        *lines[11:],
    ]
    lines = RUST.split("\n")
    assert short(RUST) == [
        *lines[:3],
        "  … 3 library frames: rust_begin_unwind … core::panicking::panic_bounds_check",
        *lines[9:],
    ]


def test_the_same_trace_again_is_named_and_counted() -> None:
    out = short("\n".join([JAVA, JAVA, JAVA, "bye"]))
    title = JAVA.split("\n")[0]
    assert out[-2:] == [f"same trace as above: {title} (x2)", "bye"]
    assert out.count(title) == 1


def test_another_exception_from_the_same_place_keeps_its_message() -> None:
    out = short(PYTHON + "\n" + PYTHON.replace("'amount'", "'price'"))
    assert "KeyError: 'amount'" in out and "KeyError: 'price'" in out
    assert "  … same 5 frames as above" in out


def test_goroutines_that_wait_in_one_place_are_named() -> None:
    many = "\n\n".join(GO.split("\n\n")[1].replace("goroutine 18", f"goroutine {number}") for number in range(20, 60))
    out = short(many)
    assert len(out) < 12 and out[-1].startswith("same trace as above: goroutine 59") and out[-1].endswith("(x39)")


def test_recursion_is_said_once() -> None:
    frame = '  File "/app/deep.py", line 3, in down\n    return up()\n'
    frame += '  File "/app/deep.py", line 6, in up\n    return down()\n'
    out = short(
        "Traceback (most recent call last):\n" + frame * 400 + "RecursionError: maximum recursion depth exceeded"
    )
    assert out[0].startswith("Traceback") and out[-1].startswith("RecursionError")
    assert out[-2] == "  … these 2 frames 400 times" and len(out) == 7


def test_a_trace_of_library_frames_alone_keeps_where_it_was_thrown() -> None:
    frames = [f"\tat org.apache.kafka.clients.C{number}.run(C{number}.java:{number})" for number in range(9)]
    out = short("\n".join(["java.lang.NullPointerException", *frames]))
    assert out[:4] == ["java.lang.NullPointerException", *frames[:3]] and "… 6 library frames: " in out[4]


def test_text_without_traces_is_left_alone() -> None:
    assert traces(Section(("at home", "  at work", "in File", "10: ten"), "trace")) is None
    assert short("a\n\nb") == ["a", "", "b"]
