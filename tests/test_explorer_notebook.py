"""The explorer in a notebook: who may frame it, when the whole page is shown instead, and what is put below the cell."""

import html
import json
import os
import re
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest

import latens
import latens.explorer.exploring
from latens.explorer import View, notebook
from latens.explorer.columns import Column
from latens.explorer.notebook import REMOTE, Frame, is_remote, origins, show
from latens.runs import open_run
from records import read_record, write_record

EDITORS = ["vscode-webview:", "vscode-file:"]
ANY_PORT = ["http://localhost:*", "http://127.0.0.1:*"]


def at(port, scheme="http"):
    return [f"{scheme}://localhost:{port}", f"{scheme}://127.0.0.1:{port}"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Leaves files as notebook servers do, in a folder that is empty at first; no other sign of a notebook exists."""
    for name in (*REMOTE, "LATENS_NOTEBOOK", "VSCODE_PID", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)  # anywidget is not installed

    def leave(port, pid=0, hostname="localhost", name="jpserver", **more):
        told = {"port": port, "pid": pid, "hostname": hostname, "secure": False, "sock": "", **more}
        (tmp_path / f"{name}-{port}.json").write_text(json.dumps(told))

    return leave


@pytest.fixture
def running(monkeypatch):
    """The servers that a test starts, stopped behind it."""
    started = {}
    monkeypatch.setattr(notebook, "_running", started)
    yield started
    for serving in started.values():
        serving.stop()
        serving.wait()


def ask(address, **headers):
    """Status and headers of what a browser is answered that navigates there."""
    request = urllib.request.Request(address, headers={"sec-fetch-mode": "navigate", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_the_server_that_started_the_kernel_may_frame_alone(server, monkeypatch):
    server(8888, pid=11)
    server(8889, pid=12)
    monkeypatch.setenv("JPY_PARENT_PID", "12")
    assert origins() == [*at(8889), *EDITORS]


def test_it_is_known_by_the_parent_process_too(server):
    server(8888, pid=11)
    server(8889, pid=os.getppid())
    assert origins() == [*at(8889), *EDITORS]


def test_all_servers_may_frame_where_the_own_one_is_not_known(server):
    server(8888, pid=11)
    server(8889, pid=12, name="nbserver")
    assert origins() == [*at(8888), *at(8889), *EDITORS]


def test_origins_are_those_at_which_a_browser_sees_the_server(server, monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "11")
    server(8888, pid=11, secure=True, hostname="0.0.0.0")
    assert origins() == [*at(8888, "https"), *EDITORS]
    server(8888, pid=11, hostname="10.1.2.3")
    assert origins() == [*at(8888), "http://10.1.2.3:8888", *EDITORS]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"pid": 1}', '{"port": "8888; script-src *"}', '{"port": null}'])
def test_a_file_that_tells_no_port_is_passed_over(server, tmp_path, text):
    server(8888)
    (tmp_path / "jpserver-1.json").write_text(text)
    (tmp_path / "kernel-1.json").write_text('{"port": 1}')
    assert origins() == [*at(8888), *EDITORS]


def test_without_a_server_only_who_asks_for_it_gets_a_frame_of_any_port(server, monkeypatch):
    assert is_remote()
    monkeypatch.setenv("LATENS_NOTEBOOK", "frame")
    assert not is_remote()
    assert origins() == [*ANY_PORT, *EDITORS]
    monkeypatch.delenv("LATENS_NOTEBOOK")
    monkeypatch.setenv("VSCODE_PID", "7")
    assert not is_remote()
    assert origins() == EDITORS


@pytest.mark.parametrize("name", REMOTE)
def test_surroundings_tell_that_the_kernel_is_remote(server, monkeypatch, name):
    server(8888)
    assert not is_remote()
    monkeypatch.setenv(name, "1")
    assert is_remote()
    monkeypatch.setenv("LATENS_NOTEBOOK", "frame")
    assert not is_remote()


@pytest.mark.parametrize("told", [{"hostname": "0.0.0.0"}, {"hostname": ""}, {"hostname": "10.1.2.3"}, {"sock": "/s"}])
def test_a_server_for_other_machines_is_remote(server, told):
    server(8888, **told)
    assert is_remote()


def test_it_can_be_told_that_the_kernel_is_remote(server, monkeypatch):
    server(8888)
    monkeypatch.setenv("LATENS_NOTEBOOK", "file")
    assert is_remote()


def test_a_frame_is_let_in_at_once_and_only_by_the_notebook(server, running, finished_run):
    server(8888)
    frame = show(View(finished_run), height=432)
    shown = frame._repr_html_()
    assert f'src="{frame.address}"' in shown
    assert 'height="432"' in shown
    assert frame.address in repr(frame)  # for consoles
    # No waiting here: browsers do not either, and do not try again.
    status, headers = ask(frame.address, **{"sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"})
    assert status == 200
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"].split() == [*at(8888), *EDITORS]
    assert "set-cookie" not in headers
    home = "/".join(frame.address.split("/")[:3])
    for path in ("/", "/wrong/", "/api/run", f"/api/run?token={frame.address.split('/')[3]}"):
        assert ask(home + path, **{"sec-fetch-site": "cross-site"})[0] == 403


def test_a_cell_that_is_run_again_shows_the_same_server(server, running, finished_run):
    server(8888)
    first = show(View(finished_run))
    assert show(View(open_run(finished_run.path)), height=300).address == first.address
    assert show(View(finished_run), View(finished_run)).address != first.address
    assert len(running) == 2


def test_what_shows_something_else_gets_a_server_of_its_own(server, running, finished_run, tmp_path):
    server(8888)
    folder = tmp_path / "run"
    shutil.copytree(finished_run.path, folder)
    addresses = [show(View(finished_run)).address, show(View(open_run(folder))).address]
    record = read_record(folder)
    write_record(folder, record | {"seconds": -1})  # as if it was trained again
    addresses.append(show(View(open_run(folder))).address)
    ids = [str(one) for one in View(finished_run).ids]
    for values in (np.zeros(len(ids)), np.ones(len(ids))):
        file = tmp_path / "own.csv"
        file.write_text("id,own\n" + "".join(f"{one},{value}\n" for one, value in zip(ids, values, strict=True)))
        view = View(finished_run, latens.explorer.exploring.read_columns(file, ids))
        addresses += [show(view).address, show(view).address]
    assert len(set(addresses)) == len(running) == 5
    assert addresses[3] == addresses[4] != addresses[5] == addresses[6]


def test_where_the_kernel_is_remote_the_whole_page_is_shown(server, running, finished_run, monkeypatch):
    monkeypatch.setenv("LATENS_NOTEBOOK", "file")
    frame = show(View(finished_run))
    assert not running
    assert frame.address == ""
    shown = frame._repr_html_()
    sandbox, page = re.fullmatch(r'<iframe sandbox="([^"]*)" srcdoc="([^"]*)" [^<>]*></iframe>', shown).groups()
    # With allow-same-origin it would be of the notebook's origin, and could run code in its kernel.
    assert sandbox.split() == ["allow-scripts", "allow-forms", "allow-downloads"]
    assert html.unescape(page) == frame.page
    assert frame.page.lower().startswith("<!doctype html>")
    # Workers of a Blob that are modules do not start in a sandboxed frame.
    assert re.search(r'type: ?"module"', frame.page) is None


def test_what_one_file_cannot_show_is_warned_about(server, finished_run, monkeypatch):
    monkeypatch.setenv("LATENS_NOTEBOOK", "file")
    column = Column("own:x", "x", "number", load=lambda: np.zeros(240))
    with pytest.warns(UserWarning, match="no columns of yours"):
        show(View(finished_run, (column,)))


def test_one_file_shows_two_runs(server, finished_run, monkeypatch):
    monkeypatch.setenv("LATENS_NOTEBOOK", "file")
    page = show(View(finished_run), View(finished_run)).page
    facts = json.loads(page.partition('id="latens-data">')[2].partition("</script>")[0])
    assert facts["beside"]["run"]["name"] == facts["run"]["beside"] == finished_run.name


def test_nothing_gets_out_of_a_frames_attributes():
    for frame in (Frame(page='"><b>'), Frame(address='"><b>')):
        assert re.fullmatch(r'<iframe( [a-z]+="[^"<>]*")+></iframe>', frame._repr_html_())


def test_explore_shows_in_notebooks_and_serves_elsewhere(server, running, finished_run, monkeypatch):
    server(8888)
    monkeypatch.setattr(latens.explorer.exploring, "in_notebook", lambda: True)
    frame = latens.explore(finished_run.path, height=500)
    assert isinstance(frame, Frame)
    assert frame.height == 500
    monkeypatch.setattr(latens.explorer.exploring, "in_notebook", lambda: False)
    served = []

    def serve(*views, **options):
        served.append(options)
        raise KeyboardInterrupt  # as uvicorn does, once it has stopped

    monkeypatch.setattr(latens.explorer.exploring, "serve", serve)
    assert latens.explore(finished_run.path, port=5, open_page=False) is None
    assert [one.pop("kept").path.parent.name for one in served] == ["explorer"]
    assert served == [{"port": 5, "open_page": False}]


def test_only_kernels_are_notebooks(monkeypatch):
    IPython = pytest.importorskip("IPython")
    from latens.figures.live import in_notebook

    class Kernel:
        kernel = object()

    for shell, expected in ((None, False), (object(), False), (Kernel(), True)):
        monkeypatch.setattr(IPython, "get_ipython", lambda shell=shell: shell)
        assert in_notebook() is expected
