"""Settings are documented, and read from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from actors import host
from schemas.settings import CONTEXTS, Settings, reference

ROOT = Path(__file__).parents[2]


def test_every_setting_says_what_it_is_for():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_page_of_settings_is_what_the_code_says():
    assert (ROOT / "docs/settings.md").read_text() == reference(), "write it anew: schemas.settings.reference()"


def test_the_environment_sets_them(monkeypatch):
    monkeypatch.setenv("BOMNAE_HTTP_PORT", "0")
    monkeypatch.setenv("BOMNAE_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("BOMNAE_DATA", "/var/lib/bomnae")
    settings = Settings()
    assert settings.http_port == 0
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.secret_file == Path("/var/lib/bomnae/jwt-secret")
    assert settings.shards("road") == settings.road_shards


def test_a_value_that_cannot_be_is_refused(monkeypatch):
    monkeypatch.setenv("BOMNAE_HTTP_PORT", "70000")
    with pytest.raises(ValidationError):
        Settings()


def test_every_context_that_has_shards_has_an_owner():
    assert tuple(host.CONTEXTS) == CONTEXTS
    assert all(Settings().shards(context) >= 1 for context in CONTEXTS)


def test_every_port_that_can_be_set_is_one_that_something_listens_on():
    code = "\n".join(path.read_text() for path in (ROOT / "serve").rglob("*.py"))
    assert [name for name in Settings.model_fields if "_port" in name and f"settings.{name}" not in code] == []
