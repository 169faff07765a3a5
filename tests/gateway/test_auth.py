"""Nobody is anonymous: every route asks for a key, but for two that say nothing."""

import base64
from itertools import product

import pytest
from tests.gateway.conftest import Api

from cca.config import HttpSettings
from cca.errors import Misconfigured
from cca_gateway import auth
from cca_gateway.route import Route
from cca_gateway.routes import BASE, ROUTES

TASK = "01890a5d-ac96-774b-bcce-b302099a8057"
GUARDED = [route for route in ROUTES if not route.open]


def path(route: Route) -> str:
    return BASE + route.path.replace("{task}", TASK)


BAD: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer x"},
    {"Authorization": "Bearer cca_local_000000000000_" + "A" * 44},
    {"Authorization": "Bearer " + "x" * 7_000},
    {"Authorization": "Digest x"},
    {"X-API-Key": "x"},
    {"X-API-Key": ""},
    {"Authorization": "Basic " + base64.b64encode(b"x:y").decode()},
    {"Authorization": "Basic \xff"},
]


async def test_no_route_answers_without_a_valid_key(api: Api) -> None:
    for route, headers in product(GUARDED, BAD):
        answer = await api.anonymous(route.method, path(route), headers=headers)
        assert (answer.status, answer.problem) == (401, "not-authenticated"), (route.path, headers)
        assert answer.headers["WWW-Authenticate"].startswith("Basic" if route.browser else "Bearer")


async def test_a_path_that_does_not_exist_is_not_told_to_strangers(api: Api) -> None:
    for what in ("/", "/api/v1", "/api/v1/keys", "/tasks", "/api/v1/tasks/x/y/z"):
        assert (await api.anonymous("GET", what)).status == 401
        assert (await api.request("GET", what)).status == 404


async def test_a_key_is_taken_in_either_header(api: Api) -> None:
    for headers in ({"X-API-Key": api.key}, {"Authorization": f"bearer {api.key}"}):
        assert (await api.anonymous("GET", "/api/v1/agents", headers=headers)).status == 200


async def test_a_key_that_differs_in_one_place_is_refused(api: Api) -> None:
    for at in (-1, -20, 12, 5):
        wrong = list(api.key)
        wrong[at] = "x" if wrong[at] != "x" else "y"
        headers = {"X-API-Key": "".join(wrong)}
        assert (await api.anonymous("GET", "/api/v1/agents", headers=headers)).status == 401


async def test_a_browser_may_log_in_to_read_and_to_nothing_else(api: Api) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(f"ann:{api.key}".encode()).decode()}
    for route in GUARDED:
        answer = await api.anonymous(route.method, path(route), headers=basic)
        assert (answer.status == 200) is route.browser, route.path
        assert (answer.status == 401) is not route.browser, route.path


async def test_the_key_is_looked_at_before_anything_else(api: Api) -> None:
    answer = await api.anonymous("POST", "/api/v1/tasks", data=b"{" * 500_000)
    assert answer.status == 401
    for method in ("DELETE", "PATCH", "OPTIONS"):
        assert (await api.anonymous(method, "/api/v1/tasks")).status == 401


async def test_a_key_is_never_repeated(api: Api) -> None:
    secret = "cca_local_abcdefabcdef_" + "S" * 44
    answer = await api.anonymous("GET", "/api/v1/agents", headers={"Authorization": f"Bearer {secret}"})
    assert secret not in answer.body.decode() + str(answer.headers)


@pytest.mark.parametrize("settings", [HttpSettings(), HttpSettings(pepper="x"), HttpSettings(keys_file="x")])
def test_without_keys_the_gateway_does_not_start(settings: HttpSettings) -> None:
    with pytest.raises(Misconfigured, match=r"http\.(keys_file|pepper)"):
        auth.keyring(settings)
