"""Chromium, Firefox and WebKit with the same few methods, for tests that must pass in all three.

Chromium is driven by Playwright, Firefox by WebDriver BiDi over its own WebSocket (geckodriver is not in Debian stable), WebKit
by WebDriver over HTTP. Playwright's own Firefox and WebKit are patched builds, so they would not show what users meet.
"""

import base64
import io
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from browser import chromium, missing

WIDTH, HEIGHT = 1200, 800
# Notes what goes wrong from the first script of the page on. WebDriver tells nothing of the console.
RECORDER = """
window.problems = [];
const note = (text) => window.problems.push(String(text));
addEventListener("error", (event) => note(event.message || `${event.target?.src || event.target?.href} did not load`), true);
addEventListener("unhandledrejection", ({reason}) => note(reason));
const broken = ({violatedDirective, blockedURI}) => note(`policy: ${violatedDirective} ${blockedURI}`);
document.addEventListener("securitypolicyviolation", broken);
const written = console.error;
console.error = (...words) => (note(words.join(" ")), written.apply(console, words));
"""


def record_in(page):
    """A page's HTML that notes its own problems; before the policy stands, which would refuse this script."""
    assert page.count("<head>") == 1
    return page.replace("<head>", f"<head><script>{RECORDER}</script>")


class Chromium:
    """The system's Chromium, by Playwright."""

    def __init__(self, context):
        self.page = context.new_page()

    def open(self, address):
        """Go to an address."""
        self.page.goto(address)

    def run(self, expression):
        """The value of an expression of JavaScript."""
        return self.page.evaluate(f"() => ({expression})")

    def move(self, x, y):
        """Move the pointer to a place of the page, in CSS pixels."""
        self.page.mouse.move(x, y)

    def picture(self):
        """What is seen, as PNG."""
        return self.page.screenshot()


class Firefox:
    """The system's Firefox, by WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/)."""

    def __init__(self, connection):
        self.connection, self.numbers = connection, itertools.count()
        self.command("session.new", capabilities={})
        self.context = self.command("browsingContext.getTree")["contexts"][0]["context"]
        self.command("browsingContext.setViewport", context=self.context, viewport={"width": WIDTH, "height": HEIGHT})

    def command(self, method, **params):
        """Send a command, and give its result."""
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self.connection.recv(timeout=30))).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address):
        """Go to an address."""
        self.command("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def run(self, expression):
        """The value of an expression of JavaScript."""
        asked = f"JSON.stringify({expression}) ?? 'null'"
        answer = self.command("script.evaluate", expression=asked, target={"context": self.context}, awaitPromise=False)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def move(self, x, y):
        """Move the pointer to a place of the page, in CSS pixels."""
        self.command("input.performActions", context=self.context, actions=pointer_to(x, y))

    def picture(self):
        """What is seen, as PNG."""
        return base64.b64decode(self.command("browsingContext.captureScreenshot", context=self.context)["data"])


class WebKit:
    """The system's WebKit in its small browser, by WebDriver (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, driver, binary):
        self.driver = driver
        options = {"binary": str(binary), "args": ["--automation"]}
        capabilities = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self.session = f"/session/{self.ask('POST', '/session', capabilities)['sessionId']}"
        self.ask("POST", f"{self.session}/window/rect", {"width": WIDTH, "height": HEIGHT})

    def ask(self, method, path, body=None):
        """What the driver answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.driver + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.read().decode()}") from None

    def open(self, address):
        """Go to an address."""
        self.ask("POST", f"{self.session}/url", {"url": address})

    def run(self, expression):
        """The value of an expression of JavaScript."""
        return self.ask("POST", f"{self.session}/execute/sync", {"script": f"return {expression}", "args": []})

    def move(self, x, y):
        """Move the pointer to a place of the page, in CSS pixels."""
        self.ask("POST", f"{self.session}/actions", {"actions": pointer_to(x, y)})

    def picture(self):
        """What is seen, as PNG."""
        return base64.b64decode(self.ask("GET", f"{self.session}/screenshot"))

    def close(self):
        """End the session, and the browser with it."""
        self.ask("DELETE", self.session)


def pointer_to(x, y):
    """The actions of WebDriver that put the pointer somewhere."""
    move = {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0, "origin": "viewport"}
    return [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [move]}]


def seen(browser):
    """What a browser shows, int (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB")).astype(int)


@contextmanager
def started(command, **options):
    """A process that is ended with the block."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _chromium(folder):
    with chromium() as found:
        context = found.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        yield Chromium(context)
        context.close()


@contextmanager
def _firefox(folder):
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        missing("there is no firefox-esr")
    try:
        from websockets.sync.client import connect
    except ImportError:
        missing("websockets is not installed")
    command = [path, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port=0"]
    own_home = {**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with started(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=own_home) as process:
        lines = iter(process.stderr.readline, "")
        found = next((found for line in lines if (found := re.search(r"BiDi listening on (ws://\S+)", line))), None)
        assert found, "Firefox ended before it listened"
        with connect(f"{found[1]}/session", max_size=None) as connection:
            yield Firefox(connection)


@contextmanager
def _webkit(folder):
    binary = next(Path("/usr/lib").glob("*/webkit*gtk-*/MiniBrowser"), None)
    if binary is None or shutil.which("WebKitWebDriver") is None:
        missing("there is no WebKitWebDriver with its MiniBrowser (Debian: webkit2gtk-driver)")
    if shutil.which("Xvfb") is None:
        missing("there is no Xvfb, and WebKit has no headless mode (Debian: xvfb)")
    display = ["Xvfb", "-displayfd", "1", "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]
    with started(display, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as screen:
        number = screen.stdout.readline().strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own_home = {**os.environ, "DISPLAY": f":{number}", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with started(["WebKitWebDriver", f"--port={port}"], env=own_home, **silent) as driver:
            while driver.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            browser = WebKit(f"http://127.0.0.1:{port}", binary)
            yield browser
            browser.close()


BROWSERS = {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}
