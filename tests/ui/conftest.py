import pytest
from starlette.testclient import TestClient

from kft.ui.access import PageAccess
from kft.ui.app import make_app

TOKEN = "t" * 43


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A person's folder, which is the current one."""
    made = tmp_path / "tickets"
    made.mkdir()
    rows = "".join(f"message number {row},{'good' if row % 2 else 'bad'}\n" for row in range(40))
    (made / "tickets.csv").write_text("message,queue\n" + rows, encoding="utf-8")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def stranger(folder):
    """A browser that has not shown the token."""
    return TestClient(
        make_app(folder, PageAccess(TOKEN, 8765)), base_url="http://127.0.0.1:8765", raise_server_exceptions=False
    )


@pytest.fixture
def page(stranger):
    """The page, as its script asks."""
    stranger.cookies.set("kft_ui_8765", TOKEN)
    stranger.headers["X-KFT"] = "page"
    return stranger
