"""Who is answered: a browser of this machine that was shown the token, and no page from elsewhere."""

import stat

import pytest
from starlette.testclient import TestClient

from kft.errors import UsageError
from kft.ui.access import PageAccess, kept_token, make_own
from kft.ui.app import ASSETS, make_app
from tests.ui.conftest import TOKEN

READS = ("/", "/state", "/runs", "/jobs/0001-train", "/runs/a/about", "/shown/runs/a/report.html", *ASSETS)
CHANGES = ("/look", "/recipe", "/start", "/stop", "/files", "/try")


@pytest.mark.parametrize("path", READS)
def test_nothing_is_read_without_the_token(stranger, path):
    found = stranger.get(path)
    assert found.status_code == 401
    assert "open the address that kft ui printed in its terminal" in found.text


@pytest.mark.parametrize("path", CHANGES)
def test_nothing_is_changed_without_the_token(stranger, path, folder):
    assert stranger.post(path, headers={"X-KFT": "page"}, content="{}").status_code == 401
    assert [each.name for each in folder.iterdir()] == ["tickets.csv"]


def test_the_address_gives_a_cookie_that_no_other_site_sends(stranger):
    entered = stranger.get(f"/?token={TOKEN}")
    cookie = entered.headers["set-cookie"]
    assert entered.status_code == 200 and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert TOKEN not in entered.text  # the page goes on to an address without it
    found = stranger.get("/")
    assert found.status_code == 200 and "Choose your data" in found.text
    assert (
        "script-src 'self'" in found.headers["content-security-policy"]
        and "unsafe" not in found.headers["content-security-policy"]
    )


@pytest.mark.parametrize("shown", ["", "x", TOKEN[:-1], TOKEN + "t", "%00", "ü"])
def test_another_token_is_refused(stranger, shown):
    assert stranger.get("/", params={"token": shown}).status_code == 401
    stranger.cookies.set("kft_ui_8765", shown if shown.isascii() else "x")
    assert stranger.get("/state").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1.evil.example:8765", "127.0.0.1", "127.0.0.1:80", "0.0.0.0:8765", ""]
)
def test_another_host_is_refused_with_the_right_token_too(page, host):
    for path in ("/", f"/?token={TOKEN}", "/state"):
        found = page.get(path, headers={"Host": host})
        assert found.status_code == 421
        assert "only http://localhost:8765 and http://127.0.0.1:8765 are answered" in found.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},  # another server of this machine: the same site, another origin
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_may_not_ask_even_with_the_cookie(page, headers):
    assert page.post("/start", json={"kind": "check", "recipe": "a.yaml"}, headers=headers).status_code == 403
    assert page.get("/state", headers=headers).status_code == 403


def test_a_form_of_elsewhere_cannot_change_anything(page):
    del page.headers["X-KFT"]
    assert page.post("/stop", data={"id": "0001-train"}).status_code == 403


def test_the_token_is_kept_where_its_owner_alone_reads_it(tmp_path):
    file = make_own(tmp_path / "own") / "token"
    first = kept_token(file)
    assert len(first) >= 43 and kept_token(file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)  # others may have read it
    assert kept_token(file) != first
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("x" * 43)
    assert kept_token(file) != "x" * 43 and not file.is_symlink()


def test_a_link_in_the_place_of_the_pages_own_folder_is_refused(tmp_path):
    (tmp_path / ".kft-ui").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="own folder is a link"):
        make_own(tmp_path / ".kft-ui")


def test_two_servers_of_one_machine_know_their_cookies_apart(folder):
    other = TestClient(make_app(folder, PageAccess("o" * 43, 9000)), base_url="http://localhost:9000")
    other.cookies.set("kft_ui_8765", TOKEN)
    assert other.get("/state").status_code == 401
