"""Commands find the API of a folder, whatever port their own environment names."""

from pathlib import Path

from schemas.settings import Settings
from serve.address import recall, remember


def test_the_address_of_a_folder_is_the_one_its_instance_was_started_with(tmp_path: Path) -> None:
    remember(Settings(data=tmp_path, host="127.0.0.2", http_port=8123))
    assert recall(Settings(data=tmp_path, http_port=8000)) == "http://127.0.0.2:8123"


def test_without_an_instance_the_settings_say_where_the_api_is(tmp_path: Path) -> None:
    assert recall(Settings(data=tmp_path, http_port=8001)) == "http://127.0.0.1:8001"
