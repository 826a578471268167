"""Chromium without a window, asked by the WebDriver protocol: what a page looks like, asks for and complains about."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

PROGRAMS = ("chromium", "chromedriver")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
           "--disable-component-update", "--disable-sync")  # fmt: skip
HEIGHT = 800  # of the window, in pixels of CSS


def missing() -> list[str]:
    """The programs that are not there."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


class Browser:
    """One window. Its logs are those of the page that was opened last."""

    def __init__(self, address: str, profile: Path) -> None:
        self.address = address
        options = {"args": [*OPTIONS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        session = self._ask("/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.address += f"/session/{session}"

    def open(self, page: Path, width: int, scheme: str) -> None:
        """Show a file in a window so many pixels wide, to someone who prefers light or dark."""
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 500}
        self._command("Emulation.setDeviceMetricsOverride", size)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._command("Emulation.setEmulatedMedia", {"features": media})
        self._ask("/url", {"url": "about:blank"})
        for log in ("browser", "performance"):
            self._ask("/se/log", {"type": log})  # which empties it
        self._ask("/url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        """What a function of JavaScript with this body returns; it is not the page's own."""
        return self._ask("/execute/sync", {"script": script, "args": []})

    def complaints(self) -> list[str]:
        """On the console."""
        return [entry["message"] for entry in self._ask("/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """The address of everything that the page asked for."""
        entries = [json.loads(entry["message"])["message"] for entry in self._ask("/se/log", {"type": "performance"})]
        sent = (entry["params"] for entry in entries if entry["method"] == "Network.requestWillBeSent")
        return [entry["request"]["url"] for entry in sent]

    def _command(self, name: str, parameters: dict[str, Any]) -> None:
        self._ask("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(self.address + path, json.dumps(body).encode(), headers), timeout=60) as answer:
            return json.load(answer)["value"]

    def close(self) -> None:
        with urlopen(Request(self.address, method="DELETE"), timeout=60):
            pass


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A window of its own, with a new profile in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, quiet = f"http://127.0.0.1:{port}", subprocess.DEVNULL
    with subprocess.Popen(["chromedriver", f"--port={port}"], stdout=quiet, stderr=quiet) as driver:
        try:
            _wait(f"{address}/status")
            window = Browser(address, folder)
            try:
                yield window
            finally:
                window.close()
        finally:
            driver.terminate()


def _wait(address: str) -> None:
    """Until the driver answers: a second on an idle machine."""
    for _ in range(100):
        try:
            with urlopen(address, timeout=5):
                return
        except URLError:
            time.sleep(0.2)
    raise TimeoutError("chromedriver does not answer")
