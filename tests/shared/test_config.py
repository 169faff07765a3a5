"""Settings: what is set is taken from the right place, and what is not understood stops the start by name."""

import re
from pathlib import Path

import pytest

from cca import config
from cca.config import Settings
from cca.errors import Misconfigured

EXAMPLE = Path(__file__).parents[2] / "cca.example.toml"


def complaint(tmp_path: Path, text: str = "", **environ: str) -> str:
    file = tmp_path / "cca.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured) as caught:
        config.load(environ, file)
    return str(caught.value)


def test_without_anything_set_the_defaults_hold() -> None:
    assert config.load({}, None) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cca.toml"
    file.write_text("[http]\nport = 1\nhost = '0.0.0.0'\n")
    http = config.load({"CCA_HTTP_PORT": "2"}, file).http
    assert (http.port, http.host) == (2, "0.0.0.0")


def test_the_file_can_be_named_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("replicas = 3\n")
    assert config.load({"CCA_CONFIG": str(file)}).replicas == 3


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.toml: cannot be read"):
        config.load({"CCA_CONFIG": str(tmp_path / "nowhere.toml")})


@pytest.mark.covers("ARCH-005")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[http]\nprt = 1", "http.prt is not a known key; did you mean http.port?"),
        ("[htp]\nport = 1", "htp.port is not a known key"),
        ("colour = 'blue'", "colour is not a known key"),
        ("nats = 'here'", "nats must be a section: [nats]"),
        ("[http]\nport = 'many'", "http.port: expected int, got str"),
        ("[http]\nport = 65536", "http.port: expected int <= 65535"),
        ("[log]\nbatch_from = -1", "log.batch_from: expected int >= 0"),
        ("[log]\nlevel = 'loud'", "log.level: expected one of debug, info, warning, error"),
        ("replicas = 2", "replicas: expected one of 1, 3, 5"),
        ("[nats]\npassword = 7", "nats.password: expected str, got int"),
        ("[nats]\nurl = 'http://here'", "nats.url must be a URL that begins with nats://"),
        ("[postgres]\nurl = 'here'", "postgres.url must be a URL that begins with postgresql://"),
        ("[nats", "not TOML"),
        ("[http]\nhost = ''", "http.host: expected str of length >= 1"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, text)
    assert "cca.toml" in complaint(tmp_path, text)


@pytest.mark.covers("ARCH-005")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CCA_HTP_PORT", "1", "CCA_HTP_PORT is not a known variable; did you mean CCA_HTTP_PORT?"),
        ("CCA_HTTP_PORT", "many", "CCA_HTTP_PORT: expected int, got str"),
        ("CCA_HTTP_PORT", "-1", "CCA_HTTP_PORT: expected int >= 0"),
        ("CCA_HTTP_PORT", "", "CCA_HTTP_PORT is set but empty"),
        ("CCA_REPLICAS", "4", "CCA_REPLICAS: expected one of 1, 3, 5"),
        ("CCA_NATS_PASSWORD_FILE", "/nowhere", "CCA_NATS_PASSWORD_FILE: the file /nowhere cannot be read"),
        ("CCA_NATS_URL", "nats://here:port", "CCA_NATS_URL must be a URL"),
        ("CCA_POSTGRES_STATEMENT_TIMEOUT_S", "nan", "CCA_POSTGRES_STATEMENT_TIMEOUT_S"),
    ],
)
def test_an_environment_that_is_wrong_is_refused_by_name(tmp_path: Path, name: str, value: str, said: str) -> None:
    assert said in complaint(tmp_path, **{name: value})


def test_names_that_are_not_ours_or_tell_a_run_of_its_task_are_no_settings() -> None:
    environ = {"PATH": "/bin", "CCA_TASK_DESCRIPTION": "x", "CCA_TASK_ID": "y", "CCA_DIR": "/stack", "CCAT": "z"}
    assert config.load(environ) == Settings()


def test_a_secret_can_be_in_a_file_named_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("  s3cret\n")
    assert config.load({"CCA_NATS_PASSWORD_FILE": str(tmp_path / "secret")}).nats.password == "s3cret"


def test_a_secret_can_be_in_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "cca.toml").write_text("[postgres]\npassword_file = 'secret'\n")
    assert config.load({}, tmp_path / "cca.toml").postgres.password == "s3cret"


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    twice = complaint(tmp_path, CCA_NATS_PASSWORD="a", CCA_NATS_PASSWORD_FILE=str(tmp_path / "secret"))
    assert "both set" in twice
    assert "both set" in complaint(tmp_path, "[nats]\npassword = 'a'\npassword_file = 'secret'")


@pytest.mark.covers("H20")
def test_a_numeric_secret_is_text(tmp_path: Path) -> None:
    file = tmp_path / "cca.toml"
    file.write_text("[client]\napi_key = '123456'\n")
    assert config.load({}, file).client.api_key == "123456"
    assert config.load({"CCA_API_KEY": "123456"}).client.api_key == "123456"


def test_an_api_key_is_the_password_of_the_nats_user_admin() -> None:
    for environ in ({"CCA_API_KEY": "k"}, {"CCA_API_KEY": "k", "CCA_NATS_USER": "admin"}):
        nats = config.load(environ).nats
        assert (nats.user, nats.password) == ("admin", "k")


def test_an_api_key_is_not_the_password_of_anybody_else() -> None:
    assert config.load({"CCA_API_KEY": "k", "CCA_NATS_USER": "service"}).nats.password is None
    assert config.load({"CCA_API_KEY": "k", "CCA_NATS_PASSWORD": "p"}).nats.password == "p"


def test_credentials_in_a_url_are_taken_out_of_it() -> None:
    environ = {
        "CCA_NATS_URL": "nats://me:p%40ss@one:4222,nats://me:p%40ss@two:4222",
        "CCA_POSTGRES_URL": "postgresql://you:word@host:5/db?sslmode=require",
    }
    settings = config.load(environ)
    assert settings.nats.url == "nats://one:4222,nats://two:4222"
    assert (settings.nats.user, settings.nats.password) == ("me", "p@ss")
    assert settings.postgres.url == "postgresql://you@host:5/db?sslmode=require"
    assert settings.postgres.password == "word"


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    names = [config.variable(key) for key in config.SECRETS]
    settings = config.load(dict.fromkeys(names, "s3cret"))
    assert "s3cret" not in repr(settings) and "***" in repr(settings)
    wrong = complaint(tmp_path, CCA_HTTP_PORT="x", CCA_NATS_URL="nats://u:s3cret@h", CCA_NATS_PASSWORD="s3cret")
    assert "s3cret" not in wrong


def test_the_sources_say_where_each_setting_came_from(tmp_path: Path) -> None:
    file = tmp_path / "cca.toml"
    file.write_text("[log]\nlevel = 'debug'\n")
    _, sources = config.load_with_sources({"CCA_HTTP_PORT": "1"}, file)
    assert sources == {"http.port": "CCA_HTTP_PORT", "log.level": f"{file}: log.level"}


@pytest.mark.covers("H18")
def test_the_example_names_every_setting_and_shows_the_defaults() -> None:
    assert config.load({}, EXAMPLE) == Settings()
    text = EXAMPLE.read_text(encoding="utf-8")
    for key in config.names():
        name = key.rpartition(".")[2]
        assert re.search(rf"^(# )?{name}(_file)? = .*# {config.variable(key)}", text, re.M), key
