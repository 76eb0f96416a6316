"""The explorer as a widget: Python and the page in Chromium share selection, current image and tags, without a server.

The widget is the real one of anywidget and ipywidgets. Of Jupyter there are only the two ends that it gives: a comm in Python,
and a model in the notebook's page; messages between them are carried as they come.
"""

import base64
import json
import queue
import shutil
from importlib.resources import files

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the extra `notebook` is not installed")

import comm

import latens.explorer.exploring
from browser import expect, learned_run, open_tab, until, watch
from latens.errors import UsageError
from latens.explorer import View, notebook
from latens.explorer.notebook import Frame
from latens.explorer.widget import Explorer
from latens.runs import open_run

HOST = "https://notebook.test/"
# As microsoft/vscode has it for notebooks (backLayerWebView.ts), its own addresses aside.
EDITOR = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' https: http: data:; font-src 'self' https:; connect-src https:; child-src https: data:"
)
MODEL = """
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const textOf = (value) => {
  const given = ArrayBuffer.isView(value) ? [value.buffer, value.byteOffset, value.byteLength] : [value];
  const bytes = new Uint8Array(...given);
  let letters = "";
  for (let i = 0; i < bytes.length; i += 4096) letters += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(letters);
};
const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);
class Model extends EventTarget {
  constructor(state) { super(); this.state = state; this.changed = {}; this.heard = new Map(); }
  get(name) { return this.state[name]; }
  set(name, value) {
    this.state[name] = this.changed[name] = value;
    this.tell(`change:${name}`);
  }
  save_changes() {
    const plain = Object.entries(this.changed).map(([name, value]) => [name, isBinary(value) ? {binary: textOf(value)} : value]);
    this.changed = {};
    kernelHears({state: Object.fromEntries(plain)});
  }
  send(content, callbacks, buffers = []) {
    kernelHears({content, buffers: buffers.filter((one) => one !== undefined).map(textOf)});
  }
  on(name, call) { this.heard.set(name, [...(this.heard.get(name) ?? []), call]); }
  off(name, call) { this.heard.set(name, this.heard.get(name).filter((one) => one !== call)); }
  tell(name, ...given) { for (const call of this.heard.get(name) ?? []) call(...given); }
  take({state, content, buffers}) {
    if (content) return this.tell("msg:custom", content, buffers.map((text) => new DataView(bytesOf(text).buffer)));
    for (const [name, value] of Object.entries(state)) {
      this.state[name] = value && value.binary !== undefined ? new DataView(bytesOf(value.binary).buffer) : value;
      this.tell(`change:${name}`);
    }
  }
}
const model = new Model({});
model.take({state: (await kernelSays(true))[0].state});
const ends = ["one", "two"].map((name) => {
  const el = document.getElementById(name);
  return el && widget.render({model, el});
});
document.getElementById("away").onclick = () => ends[0]();
setInterval(async () => { for (const one of await kernelSays(false)) model.take(one); }, 15);
"""


class Wire:
    """What a kernel gives a widget as its comm; the test carries what goes over it."""

    comm_id = "wire"

    def __init__(self, data=None, buffers=None, **others):
        self.state = self._joined(data["state"], data.get("buffer_paths", ()), buffers)
        self.sent = queue.SimpleQueue()

    @staticmethod
    def _joined(state, paths, buffers):
        for (name,), buffer in zip(paths, buffers or (), strict=True):
            state = {**state, name: {"binary": base64.b64encode(buffer).decode()}}
        return state

    def on_msg(self, call):
        self.hears = call

    def send(self, data=None, buffers=None, **others):
        if data["method"] == "update":
            self.sent.put({"state": self._joined(data["state"], data.get("buffer_paths", ()), buffers)})
        elif data["method"] == "custom":
            texts = [base64.b64encode(one).decode() for one in buffers or ()]
            self.sent.put({"content": data["content"], "buffers": texts})

    def close(self, *given, **others):
        pass

    def hear(self, told):
        """A message of the notebook's page."""
        if "content" in told:
            data = {"method": "custom", "content": told["content"]}
            return self.hears(
                {"content": {"data": data}, "buffers": [memoryview(base64.b64decode(one)) for one in told["buffers"]]}
            )
        binary = {name: one["binary"] for name, one in told["state"].items() if isinstance(one, dict)}
        state = {name: one for name, one in told["state"].items() if name not in binary}
        data = {"method": "update", "state": state, "buffer_paths": [[name] for name in binary]}
        return self.hears(
            {"content": {"data": data}, "buffers": [memoryview(base64.b64decode(one)) for one in binary.values()]}
        )

    def say(self, opening):
        if opening:
            return [{"state": self.state}]
        return [self.sent.get() for _ in range(self.sent.qsize())]


@pytest.fixture
def folder(tmp_path_factory):
    return shutil.copytree(learned_run(tmp_path_factory), tmp_path_factory.mktemp("widget") / "run")


@pytest.fixture
def shown(folder, monkeypatch):
    """The explorer on a run, with its comm as `shown.wire`."""
    wires = []
    monkeypatch.setattr(comm, "create_comm", lambda **given: wires.append(Wire(**given)) or wires[-1])
    explorer = Explorer(View(open_run(folder)))
    explorer.wire = next(wire for wire in wires if "selection" in wire.state)  # the layout of a widget has one too
    return explorer


@pytest.fixture
def opened(browser, shown):
    """A function that shows the widget in a page, in one cell or two, by the rules of an editor or none."""
    contexts = []

    def open_(cells=("one",), policy=""):
        context = browser.new_context(viewport={"width": 1300, "height": 800 * len(cells)})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watch(page, context, HOST)
        code = files("latens.explorer").joinpath("widget.js").read_text().replace("export default", "const widget =")
        held = "".join(f'<div id="{name}"></div>' for name in cells)
        meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
        held += f'<button id="away">away</button><script type="module">{code}{MODEL}</script>'
        body = f'<!doctype html>{meta}<link rel="icon" href="data:,">{held}'
        context.route(f"{HOST}**", lambda route: route.fulfill(body=body, content_type="text/html"))
        page.expose_function("kernelHears", shown.wire.hear)
        page.expose_function("kernelSays", shown.wire.say)
        page.goto(HOST)
        frames = [page.locator(f"#{name} iframe").content_frame for name in cells]
        for frame in frames:
            expect(frame.locator(".verdict").first).to_be_attached(timeout=40_000)
        return page, *frames

    yield open_
    for context in contexts:
        (page,) = context.pages
        context.close()
        assert page.errors == []


def test_python_selects_and_the_page_shows_it(shown, opened):
    _, frame = opened()
    ids = shown.selected_ids
    assert (ids.shape, ids.dtype.kind, shown.selection.dtype, shown.current) == ((0,), "U", np.int64, None)
    shown.selection = [3, 5, 8]
    open_tab(frame, "Selection")
    expect(frame.locator("#panel")).to_contain_text("3 images")
    shown.selected_ids = [*shown._view.ids[:7].tolist()]
    expect(frame.locator("#panel")).to_contain_text("7 images")
    shown.selection = []
    expect(frame.locator("#panel")).not_to_contain_text("7 images")


def test_the_page_selects_and_python_reads_it(shown, opened):
    page, frame = opened()
    heard = []
    shown.on_change("selection", heard.append)
    shown.on_change("current", heard.append)
    shown.current = "17"
    open_tab(frame, "Image")
    expect(frame.locator("#panel")).to_contain_text("17")
    frame.locator(".map").focus()
    frame.locator(".map").press("s")
    until(page, lambda: len(shown.selection) == 1)
    assert shown.selected_ids.tolist() == ["17"]
    assert shown._view.run.latents["ids"][shown.selection].tolist() == ["17"]
    frame.locator(".map").press("ArrowRight")
    until(page, lambda: shown.current != "17")
    assert shown.current in shown._view.row_of_id
    assert [type(one) for one in heard] == [str, np.ndarray, str]
    assert heard[1].tolist() == shown.selection.tolist()


def test_tags_go_both_ways(shown, opened):
    page, frame = opened()
    shown.selection = [1, 2, 4]
    shown.tags["from Python"] = shown.selection
    open_tab(frame, "Lists")
    expect(frame.locator("#panel")).to_contain_text("from Python")
    told = []
    shown.on_change("tags", lambda tags: told.append(sorted(tags)))
    frame.get_by_label("Tag", exact=True).first.fill("from the page")
    frame.get_by_label("Tag", exact=True).first.press("Enter")
    until(page, lambda: told)
    assert told[-1] == ["from Python", "from the page"]
    assert shown.tags["from the page"].tolist() == shown.selected_ids.tolist()
    shown.tags["from Python"] = shown.selected_ids[:1]
    assert shown.tags["from Python"].tolist() == shown.selected_ids[:1].tolist()
    del shown.tags["from Python"]
    expect(frame.locator("#panel")).not_to_contain_text("from Python")
    assert list(shown.tags) == ["from the page"]


def test_two_cells_show_the_same_and_answers_find_the_cell_that_asked(shown, opened):
    page, first, second = opened(cells=("one", "two"))
    shown.current = "20"
    for frame in (first, second):
        open_tab(frame, "Image")
        expect(frame.locator("#panel")).to_contain_text("20")
    first.locator(".map").focus()
    first.locator(".map").press("s")
    open_tab(second, "Selection")
    expect(second.locator("#panel")).to_contain_text("1 image")
    page.locator("#away").click()  # the first cell's output is removed
    shown.selection = [1, 2]
    expect(second.locator("#panel")).to_contain_text("2 images")


def test_a_place_is_decoded_and_a_frame_moved_elsewhere_opens_again(shown, opened):
    page, frame = opened()
    box = page.locator("#one iframe").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 350)
    expect(frame.locator("#panel .honest").first).to_contain_text("usual distance")
    shown.selection = [1, 2, 3, 4]
    page.evaluate("document.body.append(document.getElementById('one'))")  # as notebooks do; the frame is loaded again
    expect(frame.locator(".verdict").first).to_be_attached(timeout=40_000)
    open_tab(frame, "Selection")
    expect(frame.locator("#panel")).to_contain_text("4 images")


def test_it_works_by_the_rules_of_visual_studio_code_where_frames_of_servers_do_not(shown, opened):
    page, frame = opened(policy=EDITOR)
    shown.current = "9"
    open_tab(frame, "Image")
    expect(frame.locator("#panel")).to_contain_text("9")
    assert page.errors == []
    page.evaluate("document.body.append(Object.assign(document.createElement('iframe'), {src: 'http://127.0.0.1:9/'}))")
    until(page, lambda: any("policy: frame-src" in one for one in page.errors))
    page.evaluate("void new Worker(URL.createObjectURL(new Blob([''])))")
    until(page, lambda: any("policy: worker-src" in one for one in page.errors))
    page.errors.clear()


def test_a_kernel_that_does_not_answer_is_said_and_taken_back(browser, shown, opened):
    page, frame = opened()
    page.clock.install()
    hear = shown.wire.hears
    shown.wire.hears = lambda message: None
    open_tab(frame, "Lists")
    frame.get_by_role("tab", name="Run").click()
    page.clock.fast_forward(25_000)
    page.clock.fast_forward(25_000)
    expect(frame.locator(".lost-note")).to_contain_text("The kernel does not answer")
    shown.wire.hears = hear


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (["no such"], "no image 'no such'"),
        ([10**6], "row 1000000 is no image"),
        ([-1], "row -1 is no image"),
        ([True, False], "2 booleans; one for each of all 240 images"),
        ([0.5], "rows \\(int\\), ids \\(str\\) or booleans are needed"),
        ([[1, 2]], "images of shape \\(1, 2\\)"),
        ([""], "no image"),
    ],
)
def test_what_is_no_image_is_refused_and_changes_nothing(shown, images, words):
    shown.selection = [4]
    with pytest.raises(UsageError, match=words):
        shown.selection = images
    with pytest.raises(UsageError, match=words):
        shown.tags["tag"] = images
    assert shown.selection.tolist() == [4]
    assert dict(shown.tags) == {}
    with pytest.raises(UsageError, match="nothing that changes; known: selection, current, tags"):
        shown.on_change("colour", print)


def test_images_are_named_by_rows_ids_and_booleans(shown):
    every = shown._view.run.latents["ids"].astype(str)
    shown.selection = every[[5, 3, 5]]
    assert shown.selection.tolist() == [5, 3]
    shown.selection = np.arange(len(every)) % 100 == 7
    assert shown.selection.tolist() == [7, 107, 207]
    shown.selection = "12"
    assert shown.selected_ids.tolist() == ["12"]
    shown.current = 30
    assert shown.current == every[30]
    shown.current = None
    assert shown.current is None
    assert "1 images selected" in repr(shown)


def test_train_images_of_a_large_run_are_shared_too(shown, monkeypatch):
    monkeypatch.setattr(type(shown._view), "first", property(lambda view: 200))  # points begin at row 200
    shown.selection = [0, 199, 200]
    assert np.frombuffer(shown.widget.selection, "<i4").tolist() == [-200, -1, 0]
    assert shown.selection.tolist() == [0, 199, 200]


def test_requests_are_answered_as_by_a_server(shown):
    def ask(path, method="GET", body=b"", **headers):
        shown.wire.hear(
            {
                "content": {"view": "v", "id": 1, "path": path, "method": method, "headers": headers},
                "buffers": [base64.b64encode(body).decode()],
            }
        )
        told = shown.wire.sent.get(timeout=20)
        return told["content"]["status"], base64.b64decode(told["buffers"][0])

    status, content = ask("/api/run")
    assert (status, json.loads(content)["count"]) == (200, 240)
    status, content = ask("/api/find?words=a%20b", accept="application/json")
    assert (status, json.loads(content)) == (200, {"found": []})
    assert ask("/api/map?name=none")[0] == 400
    assert ask("/api/nothing")[0] == 404
    assert ask("/api/run", origin="https://elsewhere.test")[0] == 403
    status, content = ask("/api/mean", "POST", b'{"points": [1]}', **{"content-type": "application/json"})
    assert status == 200


def test_explore_gives_the_widget_where_anywidget_is_and_a_frame_that_says_what_it_lacks(folder, monkeypatch):
    monkeypatch.setattr(latens.explorer.exploring, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook, "_running", {})
    monkeypatch.delenv("LATENS_NOTEBOOK", raising=False)
    assert isinstance(latens.explore(folder, height=500), Explorer)
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    monkeypatch.setenv("LATENS_NOTEBOOK", "widget")
    with pytest.raises(UsageError, match=r"pip install 'latens\[notebook\]'"):
        latens.explore(folder)
    with pytest.raises(
        AttributeError, match=r"selection needs the explorer as a widget: pip install 'latens\[notebook\]'"
    ):
        _ = Frame(page="x").selection
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = Frame(page="x").nothing
