"""What build tools print: cargo, npm and webpack, make and gcc, docker, pip."""

import random

from cca.bench.tokens.transcripts.words import PACKAGES, PARTS, THINGS, Words, fill, hexadecimal, listed

CRATES = listed(
    "proc-macro2 unicode-ident quote syn libc cfg-if autocfg memchr serde serde_derive once_cell "
    "itoa ryu bytes pin-project-lite "
    "futures-core futures-task futures-util slab tokio tokio-macros mio socket2 hyper http "
    "http-body tower tower-layer tracing "
    "tracing-core log smallvec parking_lot lock_api scopeguard bitflags rustix getrandom rand "
    "rand_core ppv-lite86 zerocopy regex "
    "regex-syntax regex-automata aho-corasick chrono num-traits uuid url idna percent-encoding "
    "rustls ring webpki base64 sqlx "
    "sqlx-core sqlx-macros hashbrown indexmap equivalent ahash anyhow thiserror thiserror-impl "
    "clap clap_builder strsim prost "
    "prost-derive tonic either itertools dashmap crossbeam-utils rayon flate2 miniz_oxide "
    "crc32fast toml toml_edit winnow"
)
NODE = listed(
    "react react-dom next webpack terser eslint prettier typescript lodash axios rxjs chalk "
    "yargs glob minimatch semver postcss "
    "autoprefixer tailwindcss babel-core babel-loader css-loader style-loader ts-loader zod "
    "immer redux express cors helmet pino "
    "dotenv uuid nanoid date-fns classnames rimraf inflight querystring har-validator request mkdirp"
)
DEPRECATED = (
    "This module is not supported, and leaks memory.",
    "Please upgrade to version 7 or higher.",
    "this library is no longer supported",
    "Glob versions prior to v9 are no longer supported",
)
WHEELS = listed(
    "aiohttp attrs certifi click cryptography fastapi frozenlist greenlet grpcio h11 httpx idna "
    "jinja2 markupsafe multidict numpy "
    "orjson packaging pandas pydantic pydantic-core pyjwt python-dateutil pytz pyyaml redis "
    "requests scipy six sqlalchemy starlette "
    "tenacity typing-extensions urllib3 uvicorn uvloop watchfiles websockets yarl zstandard"
)


def version(rng: random.Random) -> str:
    """Three numbers."""
    return f"{rng.choice((0, 0, 1, 1, 2, 3, 4))}.{rng.randint(0, 40)}.{rng.randint(0, 19)}"


def cargo(
    rng: random.Random, crates: list[tuple[str, str]], own: list[str], ending: list[str], middle: list[str]
) -> str:
    """`cargo build`: downloads once, then every crate, the warnings of our own, and how it ends."""
    lines = ["    Updating crates.io index"]
    lines += [f"  Downloaded {name} v{number}" for name, number in rng.sample(crates, len(crates) // 2)]
    lines += [f"   Compiling {name} v{number}" for name, number in crates]
    lines += [f"   Compiling {name} v0.4.2 (/build/crates/{name})" for name in own]
    return "\n".join([*lines, *middle, *ending])


def rust_warning(rng: random.Random) -> tuple[str, list[str]]:
    """What it is, and all of it."""
    words = Words(rng)
    what = fill(
        rng.choice(
            (
                "warning: unused variable: `$field`",
                "warning: method `$verb_$thing` is never used",
                "warning: unused import: `crate::$part::$Thing`",
            )
        ),
        words,
    )
    line = rng.randint(10, 300)
    return what, [
        what,
        fill(f"  --> crates/$package/src/$part.rs:{line}:{rng.randint(5, 30)}", words),
        "   |",
        fill(f"{line:<3}|     let $field = $thing.$verb($small)?;", words),
        fill("   |         ^^^^^ help: if this is intentional, prefix it with an underscore: `_$field`", words),
        "   |",
        "   = note: `#[warn(unused)]` on by default",
        "",
    ]


def rust_error(rng: random.Random) -> tuple[str, str, list[str]]:
    """What it is, where, and all of it."""
    words = Words(rng)
    line = rng.randint(10, 300)
    place = fill(f"crates/$package/src/$part2.rs:{line}:{rng.randint(9, 40)}", words)
    what = fill("error[E0308]: mismatched types", words)
    return fill("expected `Option<$ThingId>`, found `$ThingId`", words), place, [
        what,
        f"  --> {place}",
        "   |",
        fill(f"{line - 1:<3}|     let page = $verb_$things(", words),
        "   |                ------------- arguments to this function are incorrect",
        fill(f"{line:<3}|         &pool, $thing.id, $small,", words),
        fill("   |                ^^^^^^^^^ expected `Option<$ThingId>`, found `$ThingId`", words),
        "   |",
        fill("   = note: expected enum `Option<$ThingId>`\n              found struct `$ThingId`", words),
        "",
        fill("For more information about this error, try `rustc --explain E0308`.", words),
        fill("error: could not compile `$package` (lib) due to 1 previous error; 1 warning emitted", words),
    ]  # fmt: skip


def npm(rng: random.Random, vulnerable: str) -> str:
    """`npm ci`: deprecations, and what an audit found."""
    lines = [
        f"npm warn deprecated {name}@{version(rng)}: {rng.choice(DEPRECATED)}"
        for name in rng.sample(NODE, rng.randint(8, 14))
    ]
    lines += [
        "",
        (
            f"added {rng.randint(700, 1600)} packages, and audited {rng.randint(1601, 1900)} packages "
            f"in {rng.randint(12, 70)}s"
        ),
        "",
    ]
    lines += [
        f"{rng.randint(80, 250)} packages are looking for funding",
        "  run `npm fund` for details",
        "",
        vulnerable,
    ]
    return "\n".join(lines)


def webpack(rng: random.Random, modules: int, problems: list[str]) -> str:
    """`webpack --stats detailed`: assets, modules, and problems."""
    lines = [
        (
            f"asset {rng.choice(('main', 'vendor', 'checkout', 'admin'))}.{hexadecimal(rng, 20)}.js "
            f"{rng.randint(20, 900)} KiB [emitted] [immutable] [minimized] (name: {name})"
        )
        for name in ("main", "vendor", "checkout", "admin")
    ]
    lines += [
        (
            f"asset static/media/{name}.{hexadecimal(rng, 8)}.woff2 {rng.randint(12, 60)} KiB "
            f"[emitted] [immutable] [from: src/fonts/{name}.woff2]"
        )
        for name in rng.sample(THINGS, 8)
    ]
    lines += ["orphan modules 1.32 MiB [orphan] 812 modules", "runtime modules 9.8 KiB 18 modules"]
    for _ in range(modules):
        where = rng.choice(
            (
                f"./node_modules/{rng.choice(NODE)}/dist/index.js",
                f"./node_modules/{rng.choice(NODE)}/{rng.choice(('lib', 'esm'))}/{rng.choice(PARTS)}.js",
                f"./src/{rng.choice(PACKAGES)}/{rng.choice(PARTS)}.ts",
            )
        )
        lines.append(f"  {where} {rng.randint(200, 9999) / 100} KiB [built] [code generated]")
    return "\n".join([*lines, "", *problems])


def make(rng: random.Random, files: list[str], problems: dict[int, list[str]]) -> str:
    """`make -j4`: a long line for every file, with problems after some of them."""
    flags = (
        "-O2 -g -Wall -Wextra -Wno-unused-parameter -fPIC -std=gnu11 -D_GNU_SOURCE -DNDEBUG "
        "-Iinclude -Ideps/zlib -Ideps/lua/src"
    )
    lines = ["make all-recursive", "make[1]: Entering directory '/build/src'"]
    for number, file in enumerate(files):
        lines.append(f"gcc {flags} -MMD -MP -MF .deps/{file}.d -c -o {file}.o {file}.c")
        lines += problems.get(number, [])
    return "\n".join(lines)


def docker(rng: random.Random, steps: list[tuple[str, list[str]]], ending: list[str]) -> str:
    """`docker build --progress=plain`: every step with what it prints, and how it ends."""
    lines = [
        '#0 building with "default" instance using docker driver',
        "",
        "#1 [internal] load build definition from Dockerfile",
        "#1 transferring dockerfile: 1.42kB done",
        "#1 DONE 0.0s",
        "",
    ]
    for number, (step, output) in enumerate(steps, start=5):
        lines.append(f"#{number} [{rng.choice(('stage-1', 'build'))} {number - 4}/{len(steps)}] {step}")
        spent = 0.2
        for line in output:
            spent += rng.random() / 2
            lines.append(f"#{number} {spent:.3f} {line}")
        lines += [f"#{number} DONE {spent + 0.1:.1f}s" if output else f"#{number} CACHED", ""]
    return "\n".join([*lines, *ending])


def apt(rng: random.Random, packages: int) -> list[str]:
    """`apt-get install` in a build."""
    lines = [
        (
            f"Get:{number} http://deb.debian.org/debian bookworm/main amd64 {name} amd64 "
            f"{version(rng)}-{rng.randint(1, 9)} [{rng.randint(10, 900)} kB]"
        )
        for number, name in enumerate((f"lib{rng.choice(THINGS)}{rng.randint(1, 9)}" for _ in range(packages)), start=1)
    ]
    for line in list(lines):
        lines.append(f"Unpacking {line.split(' ')[4]} ({line.split(' ')[6]}) ...")
    lines += [
        f"Setting up {line.split(' ')[1]} {line.split(' ')[2]} ..." for line in lines if line.startswith("Unpacking")
    ]
    return lines


def pip(rng: random.Random, problem: list[str]) -> str:
    """`pip install -r requirements.txt` in a terminal: bars are drawn again and again on one line."""
    lines = []
    chosen = rng.sample(WHEELS, 26)
    for name in chosen:
        number, size = version(rng), rng.randint(30, 9_000)
        lines.append(f"Collecting {name}=={number} (from -r requirements.txt (line {rng.randint(1, 60)}))")
        lines.append(
            f"  Downloading {name.replace('-', '_')}-{number}-cp312-cp312-manylinux_2_17_x86_64.whl ({size} kB)"
        )
        bars = [
            (
                f"     {'━' * (done // 3)}{' ' * (40 - done // 3)} {size * done / 120:.1f}/{size}.0 "
                f"kB {rng.randint(2, 60)}.{rng.randint(0, 9)} MB/s eta 0:00:0{rng.randint(0, 3)}"
            )
            for done in sorted(rng.sample(range(3, 120), 5))
        ]
        lines.append(
            "\r".join([*bars, f"     {'━' * 40} {size}.0/{size}.0 kB {rng.randint(2, 60)}.0 MB/s eta 0:00:00"])
        )
    lines.append("Installing collected packages: " + ", ".join(chosen))
    return "\n".join([*lines, *problem])
