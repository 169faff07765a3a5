"""Agents that look for things in a file system: listings, trees, searches."""

import random

from cca.bench.tokens.transcripts.briefs import CODER, onwards, opening
from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.project import Project, grep, project
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import PACKAGES, PARTS, THINGS, Words, fill, hexadecimal, plural


def long_listing(rng: random.Random, clock: Clock, names: list[str], sizes: dict[str, int]) -> str:
    """`ls -l`."""
    lines = [f"total {rng.randint(200, 90_000)}"]
    for name in names:
        clock.tick(90_000)
        folder = "." not in name
        mode = (
            "drwxr-xr-x"
            if folder
            else rng.choice(("-rw-r--r--", "-rw-r--r--", "-rw-r--r--", "-rwxr-xr-x", "-rw-rw-r--"))
        )
        size = sizes.get(name, 4096 if folder else int(rng.lognormvariate(8, 1.4)))
        lines.append(
            f"{mode} {rng.randint(2, 9) if folder else 1:>2} "
            f"{rng.choice(('deploy', 'deploy', 'root', 'ci'))} staff {size:>10} {clock.now:%b %d %H:%M} {name}"
        )
    return "\n".join(lines)


class _Folder(dict[str, "_Folder"]):
    """What is in it, by name; a file is an empty one."""


def tree(paths: list[str], root: str) -> str:
    """`tree`, with its lines."""
    whole = _Folder()
    for path in paths:
        place = whole
        for part in path.split("/"):
            place = place.setdefault(part, _Folder())
    lines, folders, files = [root], 0, 0

    def draw(place: _Folder, before: str) -> None:
        nonlocal folders, files
        for number, name in enumerate(sorted(place), start=1):
            last = number == len(place)
            lines.append(f"{before}{'└── ' if last else '├── '}{name}")
            folders, files = folders + bool(place[name]), files + (not place[name])
            draw(place[name], before + ("    " if last else "│   "))

    draw(whole, "")
    return "\n".join([*lines, "", f"{folders} directories, {files} files"])


def _paths(rng: random.Random, repository: Project, count: int) -> list[str]:
    """More paths than there are texts: a real repository has tests, assets, fixtures, locales."""
    paths = set(repository.files)
    while len(paths) < count:
        package, part, thing = rng.choice(PACKAGES), rng.choice(PARTS), rng.choice(THINGS)
        paths.add(
            rng.choice(
                (
                    f"tests/{package}/test_{part}.py",
                    f"tests/{package}/fixtures/{thing}_{rng.randint(1, 40):03d}.json",
                    f"web/src/components/{thing}/{thing.capitalize()}{rng.choice(('List', 'Form', 'Card', 'Row'))}.tsx",
                    f"web/public/locales/{rng.choice(('de', 'en', 'fi', 'pt', 'fr', 'nl'))}/{package}.json",
                    f"src/{package}/{part}.py",
                    f"migrations/versions/{hexadecimal(rng, 12)}_{rng.choice(('add', 'drop', 'rename'))}_{thing}.py",
                    f"docs/{package}/{part}.md",
                    (
                        f"deploy/{rng.choice(('prod', 'staging'))}/{package}/"
                        f"{rng.choice(('deployment', 'service', 'ingress', 'hpa'))}.yaml"
                    ),
                )
            )
        )
    return sorted(paths)


def layout(seed: str) -> Transcript:
    """Where something is done in a large repository that nobody knows any more."""
    script = Script(seed)
    rng = script.rng
    repository = project(rng, "python", modules=24)
    clock = Clock(rng)
    paths = _paths(rng, repository, 420)
    words = Words(rng)
    script.system(CODER)
    script.user(
        fill(
            (
                "I inherited this repository. Where are $things put to $verb, and what would I have "
                "to touch to change the $field?"
            ),
            words,
        )
    )
    shown = [path for path in paths if not path.startswith("migrations")]
    rng.shuffle(shown)  # find prints in the order of the disk
    shown.sort(key=lambda path: path.rpartition("/")[0])
    script.bash(
        "find . -type f -not -path './.git/*' -not -path './migrations/*'",
        "\n".join(f"./{path}" for path in shown),
        opening(rng),
    )
    wanted = rng.sample(repository.sources, 4)
    for path in wanted[:3]:
        script.fact("path", path)
    deploy = rng.choice([path for path in shown if path.startswith("deploy/prod")])
    script.fact("path", deploy)
    word = words["field"]
    hits = grep(repository.files, word, 160)
    if hits.count("\n") < 20:
        word = "version"
        hits = grep(repository.files, word, 160)
    script.call("Grep", hits, onwards(rng), pattern=word, output_mode="content")
    chosen = rng.sample(hits.split("\n"), 2)
    for hit in chosen:
        script.fact("name", hit.split(":", 2)[2].strip())
    script.fact("path", ":".join(chosen[0].split(":", 2)[:2]))
    versions = [path.rpartition("/")[2] for path in paths if path.startswith("migrations")]
    large = rng.choice(versions)
    script.bash(
        "ls -l migrations/versions",
        long_listing(rng, clock, versions, {large: rng.randint(800_000, 9_000_000)}),
        onwards(rng),
    )
    script.fact("name", large)
    script.fact("number", next(line for line in script.turns[-1].text.split("\n") if line.endswith(large)).split()[4])
    some = [path.removeprefix("web/") for path in paths if path.startswith("web/")]
    script.bash("tree web", tree(some, "web"), "The front end as well.")
    script.fact("number", script.turns[-1].text.rsplit("\n", 1)[1])
    script.fact("path", rng.choice([path for path in some if path.endswith(".tsx")]).rpartition("/")[2])
    hits = grep(repository.files, "raise ", 120)
    script.bash("rg -n 'raise ' src", hits, onwards(rng))
    script.fact("error", rng.choice(hits.split("\n")).split(":", 2)[2].strip())
    count = "\n".join(
        f"{text.count('import')}\t{path}"
        for path, text in sorted(repository.files.items(), key=lambda each: -each[1].count("import"))
    )
    script.bash("rg -c import src | sort -rn", count, onwards(rng))
    script.say(
        f"In {wanted[0]} and {wanted[1]}; the third caller only reads. You would also change one "
        f"file of the deployment."
    )
    script.user("Then start with the second one, and leave the deployment to Oskar.")
    script.fact("decision", "start with the second one, and leave the deployment to Oskar")
    return script.end("files-layout", "files")


def disk(seed: str) -> Transcript:
    """A disk that is full: sizes, old files, open files."""
    script = Script(seed)
    rng = script.rng
    clock = Clock(rng)
    script.system(CODER)
    script.user("The build machine is out of disk again. What can go?")
    volumes = [
        (f"/dev/nvme{number}n1", size, used, where)
        for number, size, used, where in (
            (0, "97G", "94G", "/"),
            (1, "492G", f"{rng.randint(461, 478)}G", "/var/lib/docker"),
            (2, "197G", "81G", "/home"),
        )
    ]
    table = "Filesystem      Size  Used Avail Use% Mounted on\n" + "\n".join(
        f"{name:<15} {size:>4}  {used:>4}  {rng.randint(1, 20):>3}G  {rng.randint(80, 99)}% {where}"
        for name, size, used, where in volumes
    )
    table += "".join(
        f"\n{kind:<15} {rng.randint(2, 32):>3}G     0  {rng.randint(2, 32):>3}G   0% {where}"
        for kind, where in (("tmpfs", "/run"), ("tmpfs", "/dev/shm"), ("udev", "/dev"), ("tmpfs", "/run/user/1000"))
    )
    script.bash("df -h", table, opening(rng))
    script.fact("number", volumes[1][2])
    folders = [
        f"/home/ci/work/{package}/{rng.choice(('target', 'node_modules', '.venv', 'dist', '.cache'))}"
        for package in PACKAGES
    ] + [f"/home/ci/work/{package}/.git" for package in PACKAGES]
    sizes = sorted(((rng.randint(20, 9_000), folder) for folder in folders), reverse=True)
    worst = f"/home/ci/artifacts/{rng.choice(PACKAGES)}/core-dumps"
    sizes.insert(0, (rng.randint(41_000, 90_000), worst))
    script.bash(
        "du -m --max-depth=4 /home/ci | sort -rn | head -60",
        "\n".join(f"{size}\t{folder}" for size, folder in sizes),
        onwards(rng),
    )
    script.fact("path", worst)
    script.fact("number", str(sizes[0][0]))
    names = [f"core.{rng.choice(PARTS)}.{rng.randint(1_000, 32_000)}" for _ in range(90)]
    names += [f"build-{rng.randint(10_000, 99_999)}.log" for _ in range(70)]
    rng.shuffle(names)
    odd = rng.choice([name for name in names if name.startswith("core")])
    keep = f"KEEP-incident-{rng.randint(100, 999)}.tar"
    names.insert(rng.randint(20, 120), keep)
    script.bash(
        f"ls -l {worst}",
        long_listing(rng, clock, names, {odd: rng.randint(4 * 10**9, 9 * 10**9), keep: rng.randint(10**6, 10**7)}),
        onwards(rng),
    )
    script.fact("name", keep)
    script.fact("name", odd)
    script.fact("number", next(line for line in script.turns[-1].text.split("\n") if line.endswith(odd)).split()[4])
    old = [
        (
            f"/var/lib/docker/overlay2/{hexadecimal(rng, 64)}/diff/"
            f"{rng.choice(('usr', 'opt', 'root'))}/{rng.choice(THINGS)}/"
            f"{rng.choice(PARTS)}.{rng.choice(('so', 'whl', 'tar', 'bin'))}"
        )
        for _ in range(120)
    ]
    other = f"/var/lib/docker/volumes/{plural(rng.choice(THINGS))}-db/_data/pg_wal"
    old.insert(rng.randint(30, 100), other)
    script.bash("find /var/lib/docker -size +500M -mtime +30", "\n".join(old), onwards(rng))
    script.fact("path", other)
    opened = [
        (
            f"{rng.choice(('java', 'node', 'python3', 'dockerd')):<9} {rng.randint(300, 32_000):>6} "
            f"ci {rng.randint(3, 400):>4}w REG 259,1 {rng.randint(10**5, 10**8):>11} "
            f"{rng.randint(10**5, 10**7)} /home/ci/work/{rng.choice(PACKAGES)}/{rng.choice(PARTS)}.log"
        )
        for _ in range(30)
    ]
    deleted = f"/var/log/{rng.choice(PACKAGES)}/trace.bin (deleted)"
    opened[rng.randint(5, 25)] = (
        f"java      {rng.randint(300, 32_000):>6} ci  211w REG 259,1 "
        f"{rng.randint(2 * 10**10, 9 * 10**10):>11} {rng.randint(10**5, 10**7)} {deleted}"
    )
    script.bash("lsof +L1 -u ci", "\n".join(opened), onwards(rng))
    script.fact("path", deleted)
    script.say(
        "The core dumps are most of it, then a log that was deleted and is still open. One file "
        "among the dumps says that it is to be kept."
    )
    script.user("Delete the dumps older than a week except the one to keep, and restart the java process tonight.")
    script.fact("decision", "Delete the dumps older than a week except the one to keep")
    return script.end("files-disk", "files")


def search(seed: str) -> Transcript:
    """A setting that is read in several places, found by searching."""
    script = Script(seed)
    rng = script.rng
    repository = project(rng, "typescript", modules=16)
    script.system(CODER)
    script.user("Which modules still use the old error classes, and where are limits set?")
    for number, word in enumerate(("Error", "MAX_", "import {", "return null", "async ")):
        hits = grep(repository.files, word, 90)
        script.call(
            "Grep",
            hits,
            opening(rng) if number == 0 else onwards(rng),
            pattern=word,
            output_mode="content",
            **{"-n": True},
        )
        for hit in rng.sample(hits.split("\n"), 2) if hits.count("\n") > 1 else []:
            path, line, text = hit.split(":", 2)
            if number % 2 == 0:
                script.fact("path", f"{path}:{line}")
            elif len(text.strip()) > 12:
                script.fact("name", text.strip())
    listing = "\n".join(
        sorted(
            f"{repository.root}/{path}"
            for path in _paths(rng, repository, 60)
            if path.endswith((".ts", ".tsx", ".json"))
        )
    )
    script.call("Glob", listing, onwards(rng), pattern="**/*.{ts,tsx,json}")
    script.fact("path", rng.choice(listing.split("\n")))
    script.say("Most of it is in the clients of the API; the limits are constants at the top of each module.")
    script.user("Put the limits into one file, src/limits.ts, and leave the error classes for Hana.")
    script.fact("decision", "Put the limits into one file, src/limits.ts")
    return script.end("files-search", "files")
