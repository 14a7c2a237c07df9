"""A headless Chromium that is driven as a reader would: real keys and clicks, its console and its requests watched.

It is spoken to in the DevTools protocol, as JSON over a pipe, for which no library is needed.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

__all__ = ["Browser", "Tab"]

PATIENCE = 60.0

FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --force-color-profile=srgb --remote-debugging-pipe
""".split()  # noqa: SIM905

LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3), os.dup2(int(sys.argv[2]), 4)  # where the protocol expects its pipes
os.execvp(sys.argv[3], sys.argv[3:])
"""

KEYS = {
    "ArrowLeft": ("ArrowLeft", 37),
    "ArrowUp": ("ArrowUp", 38),
    "ArrowRight": ("ArrowRight", 39),
    "ArrowDown": ("ArrowDown", 40),
    "Enter": ("Enter", 13),
    "Escape": ("Escape", 27),
    "Tab": ("Tab", 9),
    " ": ("Space", 32),
    ",": ("Comma", 188),
    ".": ("Period", 190),
    "/": ("Slash", 191),
}
"""The code and the number of a key, where these are not its letter's."""


class Browser:
    """One process, with a profile of its own."""

    def __init__(self, profile: Path) -> None:
        names = ("chromium", "chromium-browser", "google-chrome")
        program = next(filter(None, map(shutil.which, names)), None)
        if program is None:
            raise RuntimeError(f"no browser: none of {', '.join(names)} is installed; Debian: apt-get install chromium")
        commands, self._commands = os.pipe()
        self._replies, replies = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, replies)]
        launch = [sys.executable, "-c", LAUNCHER, *map(str, ends), program, *FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(launch, pass_fds=ends, stderr=subprocess.DEVNULL)
        for end in (commands, replies, *ends):
            os.close(end)
        self._numbers = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What the browser replies; the events until then are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self.read()
            if reply.get("id") == number:
                assert "error" not in reply, (method, reply)
                return reply["result"]
            self.events.append(reply)

    def read(self) -> dict[str, Any]:
        """The next message."""
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._replies], [], [], PATIENCE)
            assert ready, "the browser says nothing more"
            part = os.read(self._replies, 1 << 20)
            assert part, "the browser is gone"
            self._unread += part
        text, _, self._unread = self._unread.partition(b"\0")
        return json.loads(text)

    def close(self) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            os.close(self._commands)
            os.close(self._replies)


class Tab:
    """A page in a window of a size. `close()` returns what it had to complain about."""

    def __init__(self, browser: Browser, url: str, width: int = 1200, height: int = 900, **media: str) -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._target = target
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.resize(width, height)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, expression: str) -> Any:
        """The value of an expression; of a promise, what it is resolved to."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def one(self, selector: str, value: str) -> Any:
        """The value, in JavaScript, of the first element `e` that is selected."""
        return self.run(f"(e => {value})(document.querySelector({json.dumps(selector)}))")

    def each(self, selector: str, value: str) -> list[Any]:
        """The same of all of them."""
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => {value})")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """x, y, width and height of the first one, in the window."""
        return tuple(self.one(selector, "(b => [b.x, b.y, b.width, b.height])(e.getBoundingClientRect())"))

    def until(self, condition: str) -> None:
        """Wait for an expression to become true."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait for what is near the window to be filled, loaded and painted."""
        self.run(
            """(async () => {
                 const frame = () => new Promise(requestAnimationFrame);
                 await frame(); await frame();
                 await Promise.all([...document.images].filter(i => i.src && !i.hidden && i.loading !== 'lazy')
                   .map(i => i.decode().catch(() => null)));
                 await frame(); await frame();
               })()"""
        )

    def key(self, name: str, times: int = 1) -> None:
        code, number = KEYS.get(name, ("", ord(name.upper()[0])))
        text = {"Enter": "\r"}.get(name, name if len(name) == 1 else "")
        for _ in range(times):
            press = {"key": name, "code": code, "windowsVirtualKeyCode": number}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **press)
            self.call("Input.dispatchKeyEvent", type="keyUp", **press)

    def click(self, selector: str) -> None:
        """In the middle of the first such element."""
        self.one(selector, "e.scrollIntoView({block: 'nearest'})")
        x, y, width, height = self.box(selector)
        at = {"x": x + width / 2, "y": y + height / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **at, button="left", clickCount=1)

    def wheel(self, selector: str, down: float = 0, right: float = 0) -> None:
        """Turn the wheel over the middle of the first such element, by pixels."""
        x, y, width, height = self.box(selector)
        at = {"x": x + width / 2, "y": y + height / 2}
        self.call("Input.dispatchMouseEvent", type="mouseWheel", **at, deltaX=right, deltaY=down)

    def choose(self, selector: str, value: object) -> None:
        """Set a control and say so, as its own way of being set does."""
        attribute = "checked" if isinstance(value, bool) else "value"
        self.one(selector, f"e.{attribute} = {json.dumps(value)}")
        self.one(selector, "e.dispatchEvent(new Event('input', {bubbles: true}))")
        assert self.one(selector, f"e.{attribute}") == value, f"{selector} takes no {value!r}"

    def screenshot(self) -> np.ndarray:
        """What the window shows: (H, W, 3) RGB."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def requests(self) -> list[str]:
        """All that was asked for."""
        return [event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """What the page and the browser wrote to the console."""
        said = [str(event["params"]["entry"]["text"]) for event in self._events("Log.entryAdded")]
        said += [str(event["params"]["args"]) for event in self._events("Runtime.consoleAPICalled")]
        return said + [str(event["params"]["exceptionDetails"]) for event in self._events("Runtime.exceptionThrown")]

    def close(self) -> list[str]:
        self._browser.call("Target.closeTarget", targetId=self._target)
        return self.complaints()

    def _events(self, method: str) -> list[dict[str, Any]]:
        return [e for e in self._browser.events if e.get("sessionId") == self._session and e["method"] == method]
