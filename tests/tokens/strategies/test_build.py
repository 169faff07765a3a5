"""Output of builds and installations: routine is counted, warnings, errors, versions and results stay."""

from cca.tokens.folds import Section
from cca.tokens.strategies.build import builds


def folded(text: str) -> list[str]:
    out = builds(Section(tuple(text.split("\n")), "build"))
    assert out is not None
    return list(out)


def test_crates_are_named_once_with_their_versions() -> None:
    crates = [f"crate-{number} v1.{number}.0" for number in range(30)]
    lines = ["    Updating crates.io index", *(f"  Downloaded {crate}" for crate in crates)]
    lines += [f"   Compiling {crate}" for crate in crates]
    tail = [
        "   Compiling shop v0.3.1 (/build/shop)",
        "error[E0308]: mismatched types",
        "  --> src/signing.rs:116:11",
        "   |",
        "116|         &pool, contract.id, 2,",
        "   |                ^^^^^^^^^^^ expected `Option<Id>`, found `Id`",
        "",
        "error: could not compile `shop` (lib) due to 1 previous error",
    ]
    out = folded("\n".join(lines + tail))
    assert out[0] == "… 30 fetched"
    assert out[1].startswith("… 30 compiled: crate-0 1.0.0, crate-1 1.1.0, ") and "crate-29 1.29.0" in out[1]
    assert out[2:] == tail


def test_a_warning_that_comes_again_and_again_is_its_places() -> None:
    lines = []
    for number in range(40):
        lines += [
            f"gcc -O2 -Wall -Wextra -I/usr/include/foo -DNDEBUG -fstack-protector -c src/m{number}.c -o m{number}.o",
            f"src/m{number}.c: In function 'f{number}':",
            f"src/m{number}.c:2:19: warning: unused parameter 'b{number}' [-Wunused-parameter]",
            f"    2 | int f{number}(int a, int b{number}) {{ return a; }}",
            "      |                ~~~~^~",
        ]
    error = ["src/main.c:3:13: error: expected ';' before '}' token", "    3 | int broken( { return 1 }", "      |  ^"]
    tail = ["make: *** [Makefile:7: src/main.o] Error 1"]
    out = folded("\n".join([*lines, *error, *tail]))
    assert lines[2] in out and lines[4] in out and lines[12] in out
    assert lines[16] not in out
    (more,) = (line for line in out if "more" in line)
    assert more.startswith("… 37 more [-Wunused-parameter]: src/… m3.c:2, m4.c:2, ") and more.endswith("39.c:2")
    assert out[-4:] == [*error, *tail]
    assert any(line == "… 36 compiled (gcc): src/m4.c … src/m39.c" for line in out)


def test_warnings_of_rust_come_with_their_places() -> None:
    lines = []
    for number in range(9):
        lines += [
            f"warning: unused variable: `v{number}`",
            f" --> src/lib.rs:{number}:9",
            "  |",
            f"{number} | let v;",
            "",
        ]
    out = folded("\n".join([*lines, "    Finished `dev` profile in 3.2s"]))
    assert out[:15] == lines[:15]
    assert out[15:] == [
        "… 6 more unused variable: …: src/lib.rs:… 3, 4, 5, 6, 7, 8",
        "    Finished `dev` profile in 3.2s",
    ]


def test_pip_and_npm_keep_what_was_installed_and_what_is_wrong() -> None:
    names = ("flask", "click", "jinja2", "werkzeug", "idna", "certifi")
    lines = []
    for name in names:
        lines += [f"Collecting {name}", f"  Downloading {name}-3.1.0-py3-none-any.whl (103 kB)"]
        lines += ["     ━━━━━━━━━━━━━━━━━━━━ 103.0/103.0 kB 5.1 MB/s eta 0:00:00"]
    lines += ["Installing collected packages: " + ", ".join(names)]
    done = "Successfully installed " + " ".join(f"{name}-3.1.0" for name in names)
    warning = "WARNING: Running pip as the 'root' user can result in broken permissions"
    assert folded("\n".join([*lines, done, warning])) == ["… 6 collected", done, warning]
    lines = [f"npm http fetch GET 200 https://registry.npmjs.org/http-errors-{n} {n}ms (cache miss)" for n in range(60)]
    bad = "npm http fetch GET 404 https://registry.npmjs.org/left-pat 12ms (cache skip)"
    tail = ["npm warn deprecated inflight@1.0.6: This module is not supported", "added 81 packages in 6s"]
    assert folded("\n".join([*lines, bad, *tail])) == ["… 60 requests", bad, *tail]


def test_docker_keeps_its_steps_and_what_apt_installed() -> None:
    lines = ["#7 [build 3/3] RUN apt-get update && apt-get install -y libpq-dev"]
    for number in range(30):
        package = f"amd64 lib{number} amd64 1.{number}-2 [12 kB]"
        lines += [f"#7 1.{number:03} Get:{number} http://deb.debian.org/debian bookworm/main {package}"]
    for number in range(30):
        lines += [f"#7 3.{number:03} Selecting previously unselected package lib{number}:amd64."]
        lines += [f"#7 3.{number:03} Unpacking lib{number}:amd64 (1.{number}-2) ..."]
    lines += [f"#7 5.{number:03} Setting up lib{number}:amd64 (1.{number}-2) ..." for number in range(30)]
    tail = ["#7 31.719 E: Unable to locate package libinvoice6-dev", "ERROR: failed to solve: exit code: 100"]
    out = folded("\n".join([*lines, *tail]))
    assert out[0] == lines[0] and out[1] == "… 30 fetched"
    assert out[2].startswith("… 30 installed: lib0 1.0-2, lib1 1.1-2, ") and "lib29 1.29-2" in out[2]
    assert out[3:] == tail
    pull = [
        f"{number:012x}: {what}" for number in range(9) for what in ("Pulling fs layer", "Waiting", "Pull complete")
    ]
    assert (
        folded("\n".join(["Step 1/3 : FROM debian", *pull, "Status: Downloaded newer image for debian:12"]))[1]
        == "… 27 layers"
    )


def test_configuring_says_what_was_not_found() -> None:
    lines = [f"checking for function_{number}... yes" for number in range(40)]
    lines[10] = "checking for epoll_pwait2... no"
    lines += ["configure: error: libssl is required"]
    assert folded("\n".join(lines)) == [
        "… 39 checks passed",
        "… 1 checks answered no: epoll_pwait2",
        "configure: error: libssl is required",
    ]


def test_gradle_maven_and_ninja_are_understood() -> None:
    gradle = [f"> Task :module{number}:compileJava UP-TO-DATE" for number in range(30)]
    gradle += ["> Task :app:test FAILED", "", "FAILURE: Build failed with an exception."]
    assert folded("\n".join(gradle)) == ["… 30 tasks up to date", *gradle[30:]]
    maven = ["[INFO] Scanning for projects..."]
    for number in range(20):
        maven += [f"[INFO] Downloading from central: https://repo.maven.org/a/{number}/a-{number}.pom"]
        maven += [
            f"[INFO] Downloaded from central: https://repo.maven.org/a/{number}/a-{number}.pom (2.1 kB at 60 kB/s)"
        ]
    maven += ["[ERROR] COMPILATION ERROR : ", "[ERROR] /a/B.java:[12,5] cannot find symbol", "[INFO] BUILD FAILURE"]
    out = folded("\n".join(maven))
    assert out[1] == "… 40 downloads" and out[3:] == maven[-2:]
    ninja = [f"[{number}/30] Building CXX object CMakeFiles/shop.dir/src/m{number}.cc.o" for number in range(1, 30)]
    ninja += ["[30/30] Linking CXX executable bin/shop"]
    assert folded("\n".join(ninja)) == ["… 29 compiled: src/m1.cc … src/m29.cc", "… 1 linked: bin/shop"]


def test_artefacts_and_their_sizes_stay() -> None:
    head = ["asset vendor.9e24773f.js 258 KiB [emitted] [immutable] [minimized] (name: main)"]
    modules = [f"  ./src/billing/retry-{number}.ts 68.65 KiB [built] [code generated]" for number in range(40)]
    tail = ["", "ERROR in ./src/risk.ts 12:3", "Module not found: Error: Can't resolve './offset'"]
    assert folded("\n".join([*head, *modules, *tail])) == [*head, "… 40 modules", *tail]


def test_what_is_no_build_is_left_alone() -> None:
    assert builds(Section(("hello", "there is nothing to do"), "build")) is None
