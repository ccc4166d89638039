"""The same FastAPI app on one plain uvicorn, over the shards of a running cluster: `python -m bench.plain PORT`."""

import sys

import ray
import uvicorn

from schemas.settings import Settings
from serve.app import Config, create_app, verifier_of
from serve.city import City
from serve.deployments import Rooted
from streams.asyncapi import document


def main(port: int) -> None:
    """Serve on loopback until killed."""
    settings = Settings()
    ray.init(address="auto", namespace=settings.ray_namespace, log_to_driver=False)
    city = City(settings)
    app = create_app(city, verifier_of(settings), Config.of(settings, document()))
    uvicorn.run(Rooted(app, city, lambda: None), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
