"""The routine steps that build tools, installers and container builds report, a rule for each."""

import re

from msgspec import Struct


class Rule(Struct, frozen=True):
    """How a tool reports a step.

    Attributes:
        pattern: of the whole line; may have the groups `item` and `version`.
        label: what was done, after its count. `silent`: not worth a word; `progress`: only the last one is.
        sure: the line is routine even when it has a word in it that sounds like trouble (a package `error-chain`).
    """

    pattern: re.Pattern[str]
    label: str
    sure: bool = True


def _rule(label: str, pattern: str, *, sure: bool = True) -> Rule:
    return Rule(re.compile(pattern), label, sure)


RULES = (
    # cargo
    _rule("compiled", r"\s+(?:Compiling|Checking) (?P<item>\S+) v(?P<version>\S+)$"),
    _rule("fetched", r"\s+(?:Downloaded|Fresh|Unpacked|Vendoring) (?P<item>\S+) v(?P<version>\S+)(?: \(.*\))?$"),
    _rule(
        "silent",
        r"\s+(?:Updating|Downloading|Blocking|Locking|Dirty) .*(?:index|crates|file lock|\.\.\."
        "|packages.*)$",
    ),
    _rule("added", r"\s+Adding (?P<item>\S+) v(?P<version>\S+)(?: \(.*\))?$"),
    # npm, yarn, pnpm
    _rule("requests", r"npm http (?:fetch \w+ (?:200|304) |cache ).*$"),
    _rule("requests", r"npm (?:info|verb|sill|timing|silly) .*$", sure=False),
    _rule(
        "fetched",
        r"➤ YN\d+: [│┌└] (?P<item>\S+?)(?:@npm:(?P<version>\S+))? can't be found in the cache and will be fetched.*$",
    ),
    _rule("silent", r"➤ YN0000: [│┌└]?.*$", sure=False),
    _rule("progress", r"Progress: resolved \d+, reused \d+, downloaded \d+, added \d+.*$"),
    _rule("progress", r"(?:Packages: \+\d+|\++$)"),
    # webpack, vite
    _rule("modules", r"\s+(?:\| +)?\./\S+ [\d.]+ (?:bytes|[KM]iB)(?: \[[\w ]+\]){1,4}$"),
    _rule(
        "modules",
        r"\s+(?:modules by path|\./\S+|\|\s+\./\S+|\+ \d+ (?:hidden )?modules?) .*?(?:\d+ (?:bytes|[KM]iB)"
        r"|\[built\]|modules?).*$",
        sure=False,
    ),
    _rule("progress", r"(?:<s> )?\[webpack\.Progress\] \d+%.*$"),
    _rule("progress", r"transforming(?: \(\d+\))? ?.*$|rendering chunks.*$|computing gzip size.*$"),
    # make, cmake, ninja, autoconf
    _rule(
        "compiled",
        r"\[ *\d+(?:%|/\d+)\] (?:Building"
        r"|Compiling) (?:\w+ )?(?:object )?(?:CMakeFiles/[^/]+\.dir/)?(?P<item>\S+?)(?:\.o|\.obj)?$",
    ),
    _rule(
        "generated",
        r"\[ *\d+(?:%|/\d+)\] (?:Generating|Automatic \w+ for target|Copying|Creating|Scanning) ?(?P<item>\S*).*$",
        sure=False,
    ),
    _rule("built", r"\[ *\d+%\] Built target (?P<item>\S+)$"),
    _rule(
        "linked",
        r"\[ *\d+(?:%|/\d+)\] Linking \w+ (?:executable|(?:static|shared|shared module)? ?library) (?P<item>\S+)$",
    ),
    _rule("compiled", r"  (?:CC|CXX|AS|HOSTCC|RUSTC|GOC)(?: \[M\])? +(?P<item>\S+)$"),
    _rule(
        "steps",
        r"  (?:AR|LD|GEN|UPD|WRAP|HOSTLD|SYNC|CALL|DESCEND|MKDIR|OBJCOPY|INSTALL|CHK|CCLD|CXXLD)(?: \[M\])? +\S.*$",
    ),
    _rule("silent", r"(?:g?make|ninja)(?:\[\d+\])?: (?:Entering|Leaving) directory .*$"),
    _rule("silent", r"(?:g?make|ninja)(?:\[\d+\])?: Nothing to be done for .*$"),
    _rule("checks passed", r"checking .*\.\.\. (?:\(cached\) )?(?!no\b|none\b|failed|not )\S.*$", sure=False),
    _rule(
        "checks answered no",
        r"checking (?:for |whether )?(?P<item>.*?)\.\.\. (?:\(cached\) )?(?:no|none needed|not found)$",
    ),
    _rule(
        "checks passed",
        r"-- (?:Looking for|Check(?:ing)? (?:for|size of|if)?|Performing Test|Detecting"
        r"|Test(?:ing)?) ?.*(?: - (?:found|Success|done|yes|works)|\.\.\. ?(?:yes|found|done)?|size = \d+"
        r"|- skipped)$",
    ),
    _rule("silent", r"-- (?:Looking for|Check(?:ing)?(?: for| size of| if)?|Performing Test|Detecting) [^-]*$"),
    _rule("checks answered no", r"-- (?:Looking for|Performing Test) (?P<item>\S+)(?: .*)? - (?:not found|Failed)$"),
    _rule("installed files", r"-- (?:Installing|Up-to-date): (?P<item>\S+)$"),
    _rule("steps", r"config\.status: (?:creating|executing|linking) (?P<item>.*)$"),
    _rule("steps", r"(?:mv -f|rm -f|mkdir -p|ranlib|touch|/usr/bin/install|install) \S.*$"),
    # docker
    _rule(
        "layers",
        r"[0-9a-f]{12}: (?:Pulling fs layer|Waiting|Verifying Checksum|Download complete|Pull complete"
        r"|Layer already exists|Pushed|Preparing|Already exists|Downloading.*|Extracting.*|Pushing.*)$",
    ),
    _rule("layers", r"(?:sha256:[0-9a-f]{8,64}|extracting sha256:[0-9a-f]{8,64}|resolve \S+@sha256:[0-9a-f]{64})\b.*$"),
    _rule(
        "silent",
        r" ---> (?:Running in )?[0-9a-f]{12}$|(?: ---> )?Removed? intermediate container [0-9a-f]{12}$"
        r"|Removing intermediate container [0-9a-f]{12}$",
    ),
    _rule(
        "silent",
        r"(?:transferring (?:context|dockerfile)|\[internal\] load|exporting (?:layers|config|manifest)"
        r"|preparing layers|DONE 0\.\d+s|\.\.\.$|sending tarball).*$",
    ),
    _rule("steps cached", r"CACHED$"),
    # apt, apk, dnf
    _rule("fetched", r"Get:\d+ \S+ \S+ \S+ (?P<item>\S+) \S+ (?P<version>\S+) \[[\d.,]+ k?M?B\]$"),
    _rule("silent", r"(?:Hit|Ign|Get):\d+ .*$|Fetched .* in .*$"),
    _rule(
        "silent",
        r"Selecting previously unselected package \S+\.?$|Preparing to unpack \S+.*$|\(Reading database \.\.\..*$"
        r"|Unpacking \S+ .*\.\.\.$",
    ),
    _rule("installed", r"Setting up (?P<item>\S+?)(?::\w+)? \((?P<version>\S+)\) \.\.\.$"),
    _rule("installed", r"\(\d+/\d+\) Installing (?P<item>\S+) \((?P<version>\S+)\)$"),
    _rule(
        "steps",
        r"Processing triggers for .*$|update-alternatives: using .*$|Executing \S+\.trigger$|(?:debconf"
        r"|invoke-rc\.d|policy-rc\.d): .*$",
    ),
    _rule(
        "silent",
        r"Reading (?:package lists|state information)\.\.\.(?: Done)?$|Building dependency tree\.\.\.(?: Done)?$"
        r"|fetch https?://\S+/APKINDEX\.tar\.gz$",
    ),
    # pip, uv, poetry
    _rule("collected", r"\s*(?:Collecting|Obtaining) (?P<item>[A-Za-z0-9][\w.-]*).*$"),
    _rule(
        "silent",
        r"\s+(?:Downloading|Using cached|Preparing metadata|Getting requirements|Installing build dependencies"
        r"|Installing backend dependencies|Created wheel|Stored in directory|Building wheel for"
        r"|Checking if build backend|File was already downloaded) ?.*$",
        sure=False,
    ),
    _rule(
        "silent",
        r"(?:Building wheels? for collected packages|Installing collected packages): .*$"
        r"|Building wheels? for .*(?:\.\.\.|: (?:started|finished with status 'done'))$",
    ),
    _rule(
        "already there",
        r"Requirement already satisfied: (?P<item>[A-Za-z0-9][\w.-]*).*?(?: \((?P<version>[^()\s]+)\))?$",
    ),
    _rule("silent", r"\s*━[━╸╺╴ ]{8,}.*(?:[kMG]?B/s|eta).*$|\s*\|?[█▉▊▋▌▍▎▏]{2}[█▉▊▋▌▍▎▏ ]*+\|? .*$"),
    _rule("installed", r" \+ (?P<item>[A-Za-z0-9][\w.-]*)==(?P<version>\S+)$"),
    _rule("installed", r"  [-•] (?:Installing|Updating) (?P<item>\S+) \((?P<version>[^()]+)\)(?:: .*)?$"),
    # gradle, maven
    _rule("tasks up to date", r"> Task \S+ (?:UP-TO-DATE|NO-SOURCE|FROM-CACHE|SKIPPED)$"),
    _rule("tasks", r"> Task (?P<item>:\S+)$"),
    _rule(
        "downloads",
        r"(?:\[INFO\] )?(?:Download(?:ing)?|Downloading from \S+:|Downloaded(?: from \S+)?:?) .*https?://\S+.*$",
    ),
    _rule("progress", r"Progress \(\d+\): .*$|<[=-]+> \d+% .*$"),
    _rule("plugins ran", r"\[INFO\] -{2,} (?P<item>[\w.-]+:[\w.-]+:[\w-]+) \(.*$"),
    _rule(
        "silent",
        r"\[INFO\] *(?:-{5,}(?:\[ \w+ \]-*)?|=+)?$|\[INFO\] (?:Nothing to compile|Copying \d+ resource"
        r"|Using '\S+' encoding|skip non existing|No tests to run|Changes detected|Recompiling).*$",
    ),
    # go, git
    _rule("fetched", r"go: (?:downloading|extracting|finding) (?P<item>\S+) (?P<version>v\S+)$"),
    _rule(
        "progress",
        r"(?:remote: )?(?:Enumerating|Counting|Compressing|Receiving|Writing|Unpacking) objects: .*$"
        r"|Resolving deltas: .*$|Updating files: .*$",
    ),
    # anything that counts up to a hundred
    _rule(
        "progress",
        r"[^%\n]{0,80}\b\d{1,3}(?:\.\d+)?%[^%\n]{0,80}(?:[kKMG]i?B(?:/s)?|ETA|eta|it/s|\d+:\d\d)\b.*$",
        sure=False,
    ),
)
