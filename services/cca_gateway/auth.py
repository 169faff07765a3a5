"""Who is asking: an API key, in `Authorization: Bearer`, `X-API-Key`, or for a browser's pages `Basic`."""

import base64
from pathlib import Path

from aiohttp.web_request import BaseRequest

from cca import keys
from cca.config import HttpSettings
from cca.errors import Misconfigured
from cca.keys import Key, Keyring
from cca_gateway.problems import Problem

BEARER = {"WWW-Authenticate": 'Bearer realm="cca"'}
BASIC = {"WWW-Authenticate": 'Basic realm="cca: any name, and an API key as the password", charset="UTF-8"'}


def keyring(settings: HttpSettings) -> Keyring:
    """The keys that are valid. Without them nobody could be let in, and the service does not start."""
    if settings.keys_file is None or settings.pepper is None:
        missing = "keys_file" if settings.keys_file is None else "pepper"
        raise Misconfigured(f"http.{missing} (CCA_HTTP_{missing.upper()}) is not set: nobody could be let in")
    return keys.load(Path(settings.keys_file), settings.pepper)


def authenticate(ring: Keyring, request: BaseRequest, browser: bool = False) -> Key:
    """Whose request it is. Raises `Problem` `not-authenticated`.

    `browser` also takes Basic credentials, because that is all that a browser can be asked for. A browser sends
    them along with what other sites make it send, so this is for pages that change nothing.
    """
    key = ring.verify(text) if (text := _presented(request, browser)) else None
    if key is None:
        what = "this API key is not known" if text else "send an API key, as `Authorization: Bearer <key>`"
        raise Problem("not-authenticated", what, BASIC if browser else BEARER)
    return key


def is_known(ring: Keyring, request: BaseRequest) -> bool:
    """Whether a request that needs no key has a valid one all the same."""
    text = _presented(request, browser=False)
    return text is not None and ring.verify(text) is not None


def _presented(request: BaseRequest, browser: bool) -> str | None:
    headers = request.headers
    authorization = headers.get("Authorization")
    if authorization is None:
        return headers.get("X-API-Key")
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if browser and scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:  # not base64, or not UTF-8
            return None
    return None
