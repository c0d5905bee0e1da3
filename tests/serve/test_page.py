"""The page to try a model, in a headless Chromium: keyboard alone, narrow and wide, light and dark."""

import pytest
from starlette.testclient import TestClient

from kft.serve.guard import Access
from tests.serve.browser import CHROMIUM, Browser, listening
from tests.serve.linear import make_server, write_model

SHOWN = "(document.getElementById('answer').hidden ? '' : document.getElementById('answer').innerText)"
FOCUS = "document.activeElement.id"


def test_pages_fetch_nothing_from_elsewhere_and_run_one_script(ask):
    for path in ("/", "/docs"):
        response = ask.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "://" not in response.text.replace("http://HOST:PORT", ""), path
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
    assert nonce and nonce not in ask.get("/").text  # another each time
    page = ask.get("/docs").text
    assert "POST /predict" in page and "POST /v2/models/{model}/infer" in page
    for code in ("401", "413", "422", "429", "503"):
        assert f'<th scope="row">{code}</th>' in page


def test_the_page_asks_for_a_token_where_there_is_one(folder):
    with TestClient(make_server(folder, access=Access("secret", local=False))) as ask:
        page = ask.get("/").text
        assert '<div id="token-part" >' in page and "secret" not in page
    with TestClient(make_server(folder)) as ask:
        assert '<div id="token-part" hidden>' in ask.get("/").text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, True)])
def test_a_text_is_answered_by_keyboard_alone(tmp_path, width, dark):
    folders = [write_model(tmp_path / "a"), write_model(tmp_path / "b", name="pairs", kind="text-pair")]
    with listening(make_server(*folders, access=Access("secret"))) as url:
        browser = Browser(CHROMIUM, url, tmp_path, width=width, dark=dark)
        try:
            browser.wait(f"{FOCUS} === 'token'")
            browser.type("wrong")
            browser.press("Enter", 13)
            assert "The token is missing or wrong." in browser.wait(SHOWN)
            browser.press("a", 65, 2)
            browser.type("secret")
            browser.press("Tab", 9)
            browser.wait("document.getElementById('title').textContent === 'spam'")
            while browser.get(FOCUS) != "text":
                browser.press("Tab", 9)
            browser.type("9" * 12)
            browser.press("Enter", 13, 2)
            answer = browser.wait(f"{SHOWN}.includes('confidence') && {SHOWN}")
            assert "spam, version 1" in answer and "%" in answer and "Withheld" not in answer
            browser.screenshot(tmp_path / f"answer-{width}.png")
            browser.press("a", 65, 2)
            browser.type("free money")
            browser.press("Tab", 9)
            assert browser.get(FOCUS) == "send"
            browser.press("Enter", 13)
            answer = browser.wait(f"{SHOWN}.includes('Withheld') && {SHOWN}")
            assert "not sure enough. The model declines to answer." in answer and "It would have said" in answer
            browser.screenshot(tmp_path / f"withheld-{width}.png")
            assert browser.get("document.documentElement.scrollWidth") <= width
        finally:
            browser.close()
