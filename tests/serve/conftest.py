import io

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.serve.linear import make_server, write_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "spam-1")


@pytest.fixture(scope="session")
def ask(folder):
    """A client of a server with one model of texts."""
    with TestClient(make_server(folder)) as client:
        yield client


@pytest.fixture(scope="session")
def png():
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 10)).save(out, "PNG")
    return out.getvalue()
