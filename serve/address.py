"""Where the API of an instance listens, so that commands on its folder find it whatever their own environment says."""

from schemas.settings import Settings
from streams.instance import write_atomically, writing

_FILE = "http.url"


def remember(settings: Settings) -> None:
    """Keep the address in the data folder; for the process that owns the folder."""
    with writing(settings.data):
        write_atomically(settings.data / _FILE, _of(settings).encode())


def recall(settings: Settings) -> str:
    """The address kept in the data folder, or where the settings say that the API listens."""
    try:
        return (settings.data / _FILE).read_text().strip() or _of(settings)
    except FileNotFoundError:
        return _of(settings)


def _of(settings: Settings) -> str:
    return f"http://{settings.host}:{settings.http_port}"
