"""Secrets that are told by their shape alone: keys of known providers, tokens, seeds.

Each pattern begins behind something that is no letter or digit, and ends with a greedy class: no text makes it slow.
"""

import re

from msgspec import Struct


class Shape(Struct, frozen=True):
    """What a sort of secret looks like.

    Attributes:
        sort: what stands in its place: `[redacted:<sort>]`.
        hint: it holds this, as it stands here; a text without it is not searched.
        pattern: its first group is the secret, or all of it when there is no group.
    """

    sort: str
    hint: str
    pattern: re.Pattern[str]


def _shape(sort: str, hint: str, pattern: str) -> Shape:
    return Shape(sort, hint, re.compile(rf"(?<![A-Za-z0-9]){pattern}"))


SHAPES: tuple[Shape, ...] = (
    _shape("jwt", "eyJ", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"),
    _shape("cca-key", "cca_", r"cca_[a-z0-9]{1,16}_[a-z0-9]{8,32}_[A-Za-z0-9]{20,}"),
    _shape("nats-seed", "S", r"S[UAOCNXPD][A-Z2-7]{56}(?![A-Za-z0-9])"),
    _shape("anthropic-key", "sk-ant-", r"sk-ant-[A-Za-z0-9_-]{16,}"),
    _shape("openai-key", "sk-", r"sk-(?!ant-)[A-Za-z0-9_-]{20,}"),
    _shape("aws-key", "A", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _shape("github-token", "gh", r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _shape("github-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{30,}"),
    _shape("gitlab-token", "gl", r"gl(?:pat|dt|rt|cbt|ptt|ft|oas|soat|agent)-[A-Za-z0-9_-]{16,}"),
    _shape("slack-token", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    _shape("slack-token", "xapp-", r"xapp-[A-Za-z0-9-]{10,}"),
    _shape("slack-hook", "hooks.slack.com", r"hooks\.slack\.com/services/([A-Za-z0-9/]{20,})"),
    _shape("discord-hook", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/([0-9]{10,}/[A-Za-z0-9_-]{20,})"),
    _shape("google-key", "AIza", r"AIza[A-Za-z0-9_-]{30,}"),
    _shape("google-key", "GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    _shape("google-token", "ya29.", r"ya29\.[A-Za-z0-9_-]{20,}"),
    _shape("stripe-key", "_live_", r"(?:sk|rk|pk)_live_[A-Za-z0-9]{16,}"),
    _shape("stripe-key", "_test_", r"(?:sk|rk)_test_[A-Za-z0-9]{16,}"),
    _shape("stripe-key", "whsec_", r"whsec_[A-Za-z0-9+/=]{16,}"),
    _shape("npm-token", "npm_", r"npm_[A-Za-z0-9]{30,}"),
    _shape("pypi-token", "pypi-", r"pypi-[A-Za-z0-9_-]{40,}"),
    _shape("huggingface-token", "hf_", r"hf_[A-Za-z0-9]{30,}"),
    _shape("voyage-key", "pa-", r"pa-[A-Za-z0-9_-]{40,}"),
    _shape("sendgrid-key", "SG.", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _shape("twilio-key", "SK", r"SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    _shape("docker-token", "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    _shape("digitalocean-token", "_v1_", r"do[opr]_v1_[0-9a-f]{40,}"),
    _shape("databricks-token", "dapi", r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    _shape("shopify-token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _shape("linear-key", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{30,}"),
    _shape("notion-token", "ntn_", r"ntn_[A-Za-z0-9]{30,}"),
    _shape("atlassian-token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{40,}"),
    _shape("vault-token", "hv", r"hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    _shape("telegram-token", ":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}"),
    _shape("age-key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
)
"""In the order in which they are looked for: what one takes, the next does not see."""
