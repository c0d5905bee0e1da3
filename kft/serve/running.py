"""A server's process: takes the port before models are loaded, then answers requests until a signal comes."""

from __future__ import annotations

import errno
import logging
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kft.errors import UsageError, require_plain
from kft.serve.guard import is_loopback

TOKEN_VARIABLE = "KFT_TOKEN"
GRACE_SECONDS = 5
"""What a shutdown may take beyond the time that a request may take."""
BACKLOG = 1024
CONNECTIONS_A_REQUEST = 4
"""Connections may be idle; beyond so many for each request that is answered at a time, new ones get 503."""


def read_token(file: Path | None, variables: Mapping[str, str]) -> str:
    """Returns the token that clients have to show; empty where there is none.

    Args:
        file: That holds it, on one line.
        variables: Of the environment: ``KFT_TOKEN``, where no file is named.

    Raises:
        UsageError: The file is missing, or what it holds cannot be a token.
    """
    if file is None:
        where, text = TOKEN_VARIABLE, variables.get(TOKEN_VARIABLE, "")
        if not text:
            return ""
    else:
        where, text = f"--token-file {file}", _file_text(file)
    token = text.strip()
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    raise UsageError(
        "the token cannot be used",
        where=where,
        received="nothing" if not token else "several words or lines, or characters beyond ASCII",
        expected="one line of ASCII without spaces",
        next_step=f"openssl rand -hex 32 > {file or 'token.txt'}",
    )


def _file_text(file: Path) -> str:
    require_plain(str(file), "--token-file", UsageError)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise OSError(errno.EINVAL, "not a file")
        return file.read_bytes()[:10_000].decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            "the token cannot be read",
            where=f"--token-file {file}",
            received=error.strerror or str(error),
            expected="a file with one line",
            next_step=f"openssl rand -hex 32 > {file}",
        ) from None


def require_guarded(host: str, token: str) -> None:
    """Refuses to be reached from other machines by whoever likes.

    Raises:
        UsageError: The host is not this machine's own, and there is no token.
    """
    if token or is_loopback(host):
        return
    raise UsageError(
        "a server that other machines reach needs a token",
        where=f"--host {host}",
        received=f"neither --token-file nor {TOKEN_VARIABLE}",
        expected="a token that each client has to show, or --host 127.0.0.1",
        next_step="openssl rand -hex 32 > token.txt, then kft serve ... --token-file token.txt",
    )


def take_port(host: str, port: int, command: str = "kft serve ...") -> socket.socket:
    """Returns a socket that holds a port; nobody is answered yet.

    Args:
        host: The address to listen at.
        port: 0 takes any that is free.
        command: What a person types for it, without those two.

    Raises:
        UsageError: The host is none of this machine's, or the port is taken.
    """
    require_plain(host, "--host", UsageError)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _no_port(host, port, "the host is unknown", str(error), command) from None
    family, kind, protocol, _, address = found[0]
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        # Two servers may bind one port as long as neither listens: whoever comes second has to be told now.
        taken.listen(BACKLOG)
    except OSError as error:
        taken.close()
        problem = "the port is in use" if error.errno == errno.EADDRINUSE else "the address cannot be used"
        raise _no_port(host, port, problem, error.strerror or str(error), command) from None
    return taken


def _no_port(host: str, port: int, problem: str, received: str, command: str) -> UsageError:
    step = f"{command} --port 0 takes any that is free" if "use" in problem else f"{command} --host 127.0.0.1"
    return UsageError(
        problem,
        where=f"{host}, port {port}",
        received=received,
        expected="an address of this machine and a port that is free",
        next_step=step,
    )


def address_of(taken: socket.socket) -> str:
    """Returns where a socket is reached, as a URL."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: Any, taken: socket.socket, *, requests: int, seconds: float, ready: Callable[[], None]) -> None:
    """Answers requests until SIGTERM or Ctrl-C; then those that were let in are answered, and no new ones.

    Args:
        app: The application.
        taken: The socket.
        requests: That are answered at a time.
        seconds: That a request may take.
        ready: Is called once requests are answered.
    """
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what a request holds may stand in its messages
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        interface="asgi3",
        lifespan="on",
        backlog=BACKLOG,
        limit_concurrency=requests * CONNECTIONS_A_REQUEST,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(seconds) + GRACE_SECONDS,
    )
    Announcing(config).run([taken])
