"""A headless Chromium that is driven by keys, over its own debugging pipe: no package is needed for that."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")


class Browser:
    """One page of one browser."""

    def __init__(self, program: str, url: str, folder: Path, *, width: int = 1200, dark: bool = False) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]

        def give_pipes() -> None:  # Chromium reads commands from 3 and writes what happened to 4
            kept = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(kept[0], 3), os.dup2(kept[1], 4)

        self._process = subprocess.Popen(
            command, preexec_fn=give_pipes, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(theirs_in), os.close(theirs_out)
        self._number, self._left, self._session = 0, b"", ""
        page = next(each for each in self.send("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        self.send("Page.navigate", url=url)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns what came of it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._left:
                self._left += os.read(self._in, 1 << 16)
            line, _, self._left = self._left.partition(b"\0")
            found = json.loads(line)
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]

    def get(self, expression: str) -> Any:
        """Returns what an expression of JavaScript is worth."""
        return self.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Returns what an expression is worth once that is true."""
        limit = time.monotonic() + 30
        while not (found := self.get(expression)):
            assert time.monotonic() < limit, expression
            time.sleep(0.05)
        return found

    def type(self, text: str) -> None:
        """Types a text where the cursor is."""
        self.send("Input.insertText", text=text)

    def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Presses a key: 2 is the modifier Ctrl, 8 Shift."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        text = {"text": "\r"} if key == "Enter" and not modifiers else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in), os.close(self._out)


@contextmanager
def listening(server: Any) -> Iterator[str]:
    """Runs an application at a port of its own; gives its address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(server, log_config=None, ws="none", lifespan="on"))
        thread = threading.Thread(target=running.run, args=([taken],))
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        running.should_exit = True
        thread.join()
