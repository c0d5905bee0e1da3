"""Who may ask the page's server: a browser on this machine that was shown the token, and no other web page."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kft.errors import UsageError
from kft.records.files import storage_errors

LOOPBACK = ("localhost", "127.0.0.1")
KEPT_SECONDS = 30 * 24 * 3600
"""How long a browser keeps the cookie; the token itself lasts as long as its file."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ENTER = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>kft</title><p><a href="/">Go on to kft</a></p></html>"""
"""A page that goes on by itself: a redirect would not carry a strict cookie where a file or another page led here."""
STRANGER = "open the address that kft ui printed in its terminal: it holds a token, and this browser has shown none"


@dataclass(frozen=True)
class Refusal(Exception):
    """A request that is not answered.

    Attributes:
        status: The HTTP status.
        problem: What is wrong, for the person.
    """

    status: int
    problem: str


@dataclass(frozen=True)
class PageAccess:
    """Who may ask.

    Attributes:
        token: What the address holds at first, and the cookie then.
        port: Where the server listens: no other stands in an honest Host or Origin.
    """

    token: str
    port: int

    @property
    def cookie(self) -> str:
        return f"kft_ui_{self.port}"  # cookies do not tell ports apart

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(f"{name}:{self.port}" for name in LOOPBACK)

    def knows(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), self.token.encode())

    def require(self, method: str, headers: dict[str, str]) -> None:
        """Lets a request in that does not show the token in its address.

        Raises:
            Refusal: Its host is another (421), it comes from another page (403), or shows no token (401).
        """
        self.require_host(headers)
        origin = headers.get("origin")
        if origin is not None and origin not in [f"http://{host}" for host in self.hosts]:
            raise Refusal(403, "another web page may not ask here")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refusal(403, "another web page may not ask here")
        if (
            method != "GET" and "x-kft" not in headers
        ):  # a form cannot send it, and a script of elsewhere must ask first
            raise Refusal(403, "what changes something is asked by kft's own page alone")
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            found = None
        if found is None or not self.knows(found.value):
            raise Refusal(401, STRANGER)

    def require_host(self, headers: dict[str, str]) -> None:
        """Refuses what was asked under a name that is not this machine's own (DNS rebinding).

        Raises:
            Refusal: 421.
        """
        if headers.get("host", "").lower() not in self.hosts:
            raise Refusal(421, f"only http://{self.hosts[0]} and http://{self.hosts[1]} are answered")

    def enter(self) -> Response:
        """Returns the answer to the address that was printed: the cookie, and the page without the token."""
        response = HTMLResponse(ENTER, headers=HEADERS)
        response.set_cookie(self.cookie, self.token, max_age=KEPT_SECONDS, httponly=True, samesite="strict", path="/")
        return response


class Door:
    """An ASGI application around another one: nobody reaches that past ``PageAccess``.

    Args:
        app: What answers.
        access: Who may ask.
    """

    def __init__(self, app: ASGIApp, access: PageAccess) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or passes on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            response = self._entering(scope, headers)
        except Refusal as refusal:
            response = refused(refusal.status, refusal.problem, page=scope["path"] == "/")
        await (response or self._app)(scope, receive, send)

    def _entering(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and shown:
            self._access.require_host(headers)
            if not self._access.knows(shown):
                raise Refusal(401, STRANGER)
            return self._access.enter()
        self._access.require(scope["method"], headers)
        return None


def refused(status: int, problem: str, *, page: bool = False) -> Response:
    """Returns the answer to what is refused: words for a person, or JSON for the page's script."""
    if page:
        return HTMLResponse(
            f"<!doctype html><html lang='en'><title>kft</title><p>{problem}.</p></html>", status, HEADERS
        )
    return JSONResponse({"error": {"problem": problem}}, status, HEADERS)


def make_own(folder: Path) -> Path:
    """Makes a folder that is the page's own: nobody else reads it, and git leaves it alone.

    Raises:
        UsageError: It is a link: what is written into it would land elsewhere.
        StorageError: It cannot be made.
    """
    if folder.is_symlink():
        raise UsageError("the page's own folder is a link", where=str(folder), next_step=f"rm {folder}")
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")
    return folder


def kept_token(file: Path) -> str:
    """Returns the token in a file, made anew where there is none that its owner alone can read.

    It is kept so that a page that is open goes on when the server is started again.

    Raises:
        StorageError: The file cannot be written.
    """
    with storage_errors(file):
        try:
            found = file.lstat()
            own = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
            token = file.read_text(encoding="ascii").strip() if own else ""
            if len(token) >= 32:
                return token
        except (FileNotFoundError, UnicodeDecodeError):
            pass
        token = secrets.token_urlsafe(32)
        write_private(file, token)
    return token


def write_private(file: Path, content: str) -> None:
    """Writes a file anew that nobody but its owner can read."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(content)
