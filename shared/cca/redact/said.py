"""Secrets that are told by what stands before them: `password=…`, `"api_key": "…"`, `Authorization: Bearer …`."""

import re
from itertools import pairwise

_PASSWORD = r"pass(?:word|wd|phrase|code)|pwd|(?<=[_-])pass(?![A-Za-z])"
_KEY = (
    r"secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|auth[_-]?key|signing[_-]?key"
    r"|encryption[_-]?key|master[_-]?key|credentials?|connection[_-]?string|signature"
)
NAMED = re.compile(
    rf"""(?ix)
    (?: (?P<password>{_PASSWORD}) | (?P<key>{_KEY}) )
    (?P<suffix> [A-Za-z0-9_-]{{0,40}} )
    (?: [\\"'`\]]{{0,4}} [ \t]{{0,4}} (?: := | => | = | : | > ) [ \t]{{0,4}} | [ \t]{{1,4}} (?P<is>is) [ \t:]{{1,4}}
      | (?P<flag>[ \t]) )
    (?P<quote> \\? ["'`] )?
    (?P<value> (?(quote) [^"'`\\\n\0]{{1,500}} | [^\s"'`,;<>(){{}}\[\]|\\\0]{{1,500}} ) )
    (?P<call> [(\[] )?
    """
)
"""A name that says that its value is a secret, and the value."""
VARIABLE = re.compile(
    r"(?m)^[ \t]{0,8}(?:export[ \t]{1,4}|set[ \t]{1,4})?"
    r"(?P<name>[A-Z0-9_]{0,60}(?:PASS(?:WORD|WD|PHRASE)?|PWD|SECRET|TOKEN|KEY|CREDENTIALS?)[A-Z0-9_]{0,40})"
    r"=(?P<value>[^\s\"'\0]{1,500})"
)
"""A line of a shell or of an environment file: its value goes up to the next space."""
AUTHORIZATION = re.compile(
    r"(?i)\b(?:bearer|basic|authorization\\?[\"']?[ \t]{0,3}[:=][ \t]{0,3}\\?[\"']?(?:[a-z]{1,20}[ \t]{1,3})?)"
    r"[ \t]{0,3}(?P<value>[A-Za-z0-9._~+/-]{12,}={0,2})"
)
COOKIE = re.compile(
    r"(?i)\b(?:set-)?cookie\\?[\"']?[ \t]{0,3}:[ \t]{0,3}\\?[\"']?(?P<value>[^\s=;\"'\0]{1,100}=[^\n\"'\0]{8,4000})"
)
URL = re.compile(r"://[^\s/:@\"'<>\0]{0,100}:(?P<value>[^\s/\"'<>\0]{1,200})@")
URL_USER = re.compile(r"://(?P<value>[A-Za-z0-9_-]{20,200})@")
RUN = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
"""Long enough to be a secret, should somebody have said so shortly before."""
BEFORE = re.compile(
    r"(?i)secret|token|password|passwd|credential|\b(?:api|access|private|auth|signing|encryption)?[ _-]?key\b"
)
WINDOW = 60
"""Characters before a run in which it is looked for what it is."""

_BENIGN = frozenset(
    """
    str string bytes int integer bool boolean float none null nil undefined true false optional required must should
    missing empty invalid incorrect wrong expired changed reset hashed hidden masked unset default field value input
    prompt any object self this type here there with from your their please cannot could would needs not-set secret
    password token example changeme redacted
    """.split()  # noqa: SIM905 - forty words are easier to read so
)
_DOTTED = re.compile(r"[A-Za-z_$][\w$]*(?:\??\.[A-Za-z_$][\w$]*)+\Z")
_PLACE = re.compile(
    r"(?:\$\{?[A-Za-z_]\w*\}?|%[A-Za-z_]\w*%|\{\{?[^{}]*\}?\}|[*x.•]+|<[^<>]*>|\.\.\.|…)\Z", re.IGNORECASE
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)
_PATH = re.compile(r"(?:~|\.{1,2})?/(?:[a-z0-9._-]+/)*[a-z0-9._-]*\Z")
_SPELLED = re.compile(r"[A-Za-z]+(?:[ _-][A-Za-z]+)*\Z")


def is_password(value: str, *, quoted: bool, said: bool, called: bool) -> bool:
    """Whether the value of something called a password is one: of almost anything, it is believed.

    Args:
        said: it is prose (`the password is …`): a word alone is none.
        called: `(` or `[` follows: it is a piece of a program.
    """
    if len(value) < (2 if quoted else 4) or _harmless(value) or called:
        return False
    return not (said and _SPELLED.match(value.rstrip(".,!")))


def is_key(value: str, *, quoted: bool, said: bool, called: bool) -> bool:
    """Whether the value of something called a key, token or secret is one: it must look made up."""
    if len(value) < 8 or _harmless(value) or called or _UUID.match(value):
        return False
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    if letters and digits and " " not in value:
        return True
    if quoted and not said and len(value) >= 12 and " " not in value:
        return True
    return random_looking(value)


def random_looking(run: str) -> bool:
    """Whether it goes back and forth between small letters, capitals and digits as no word does.

    Of random letters of base 62 each differs in kind from the one before with a probability of 0.62, of random
    hexadecimal ones with 0.47; names that people make are below 0.3.
    """
    kinds = [1 if c.isdigit() else 2 if c.isupper() else 3 for c in run if c.isalnum()]
    if len(kinds) < 16 or (1 not in kinds and (2 not in kinds or 3 not in kinds)):
        return False
    return sum(a != b for a, b in pairwise(kinds)) >= 0.33 * (len(kinds) - 1)


def is_random_run(run: str) -> bool:
    """Whether a run of letters that somebody called a key shortly before is one."""
    return random_looking(run) and not _UUID.match(run)


def _harmless(value: str) -> bool:
    bare = value.strip().rstrip(".,:;!?")
    return (
        not any(map(str.isalnum, bare))
        or bare.lower() in _BENIGN
        or _PLACE.match(bare) is not None
        or (_DOTTED.match(bare) is not None and not random_looking(bare))
        or (_PATH.match(bare) is not None and not random_looking(bare))
    )
