"""The widget in JupyterLab and Notebook 7, in Chromium: the page and Python share facts, also while a cell runs."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from browser import learned_run, missing

pytestmark = pytest.mark.jupyter
CELLS = (
    "import latens, time\nrun = latens.open_run({folder!r})\nshown = latens.explore(run, height=520)\nshown",
    "shown.selection = [3, 5, 8]\nshown.current = 17\n"
    "print('SET', type(shown).__name__, shown.current == run.latents['ids'][17])",
    "print('READ', shown.selection.tolist())",
    "before = shown.current\nfor _ in range(1200):\n    time.sleep(0.05)\n    if shown.current != before: break\n"
    "print('MEANWHILE', shown.current != before)",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A function that starts JupyterLab or Notebook on a folder with the notebook in it, and gives its address."""
    told = os.environ.get("LATENS_JUPYTER", "")
    if not (Path(told) / "jupyter").exists():
        missing("LATENS_JUPYTER names no folder with jupyter in it")
    folder = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(learned_run(tmp_path_factory), folder / "run")
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
        for i, text in enumerate(one.replace("{folder!r}", repr(str(folder / "run"))) for one in CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    running = []

    def start(kind):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{kind}.ipynb").write_text(json.dumps(notebook))
        options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=t", f"--ServerApp.root_dir={folder}"]
        environment = {**os.environ, "HOME": str(folder), "LATENS_NOTEBOOK": "widget"}
        command = [Path(told).resolve() / "jupyter", kind, *options, "--allow-root"]
        with (folder / f"{kind}.log").open("w") as log:
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder))
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        place = "lab/tree" if kind == "lab" else "notebooks"
        return f"http://127.0.0.1:{port}/{place}/{kind}.ipynb?token=t"

    yield start
    for one in running:
        one.terminate()
        one.wait(20)


@pytest.mark.parametrize("kind", ["lab", "notebook"])
def test_python_and_the_page_share_facts(browser, server, kind):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(server(kind))
    cell = page.locator(".jp-CodeCell")
    cell.first.wait_for()
    page.get_by_text(re.compile(r"Python 3 \(ipykernel\) \| Idle|Python 3 \(ipykernel\)")).first.wait_for()
    page.wait_for_timeout(3000)

    def run(number, words=""):
        cell.nth(number).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        said = cell.nth(number).locator(".jp-OutputArea-output")
        return said.filter(has_text=words).inner_text() if words else said

    run(0)
    frame = page.locator("iframe[title='latens explorer']").first.content_frame
    frame.locator(".verdict").first.wait_for(state="attached")
    assert "SET Explorer True" in run(1, "SET")
    frame.get_by_role("tab", name="Selection", exact=True).click()
    frame.locator("#panel").filter(has_text="3 images selected").wait_for()
    frame.locator(".map").focus()
    frame.locator(".map").press("s")
    frame.locator("#panel").filter(has_text="4 images selected").wait_for()
    page.wait_for_timeout(1000)
    assert "READ [3, 5, 8, 17]" in run(2, "READ")
    meanwhile = run(3)
    page.wait_for_timeout(1000)
    frame.locator(".map").focus()
    frame.locator(".map").press("ArrowRight")
    assert "MEANWHILE True" in meanwhile.filter(has_text="MEANWHILE").inner_text()
    page.close()
