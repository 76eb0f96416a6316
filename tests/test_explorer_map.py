"""The explorer's map in a real browser that has no graphics card: drawing, hovering, selecting and moving by keys."""

import http.server
import io
import threading
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from browser import PAGE, chromium, processed, swipe, until

WIDTH, HEIGHT = 500, 400
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self' blob:; img-src 'self'"
HARNESS = {
    "/favicon.ico": ("image/x-icon", ""),
    "/harness.html": (
        "text/html",
        '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/harness.css">'
        '<div id="host"></div><script type="module" src="/harness.js"></script>',
    ),
    "/harness.css": (
        "text/css",
        ":root { --paper: #ffffff } html, body, #host { margin: 0; height: 100% }"
        "@media (prefers-color-scheme: dark) { :root { --paper: #102030 } }",
    ),
    "/harness.js": (
        "text/javascript",
        """
import { MapView } from "/map.js";

const kinds = ["hover", "move", "leave", "press", "select", "walk", "frame", "error"];
window.fresh = (source) => {
  window.map?.destroy();
  const options = { label: "a map" };
  if (source) options.makeWorker = () => new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.map = new MapView(document.getElementById("host"), options);
  window.told = [];
  for (const kind of kinds) {
    map.addEventListener(kind, ({ detail }) => told.push({ kind, ...detail, rows: detail?.rows && [...detail.rows] }));
  }
};
window.points = (x, y, how) => map.setPoints({ x: Uint16Array.from(x), y: Uint16Array.from(y) }, how);
window.colours = (codes, palette) => map.setColours(Uint8Array.from(codes), palette);
const mask = (values) => values && Uint8Array.from(values);
window.visible = (values) => map.setVisible(mask(values));
window.selection = (values) => map.setSelection(mask(values));
// A page of sprites on which each cell has a colour of its own, with much blue and no green.
window.sprites = (info) => map.setThumbnails(info, async (page) => {
  told.push({ kind: "page", page });
  const canvas = new OffscreenCanvas(info.across * info.size, (info.per_page / info.across) * info.size);
  const context = canvas.getContext("2d");
  for (let k = 0; k < info.per_page; k++) {
    context.fillStyle = `rgb(${(page * info.per_page + k) % 200}, 0, 255)`;
    context.fillRect((k % info.across) * info.size, Math.floor(k / info.across) * info.size, info.size, info.size);
  }
  return canvas.transferToImageBitmap();
});
// So many points, normally distributed about the middle, of classes in turn; by Box and Muller, the same each time.
window.cluster = (count, spread, classes, palette) => {
  let state = 1;
  const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0), (state + 1) / 4294967297);
  const [x, y] = [new Uint16Array(count), new Uint16Array(count)];
  for (let i = 0; i < count; i++) {
    const [r, angle] = [spread * Math.sqrt(-2 * Math.log(random())), 2 * Math.PI * random()];
    x[i] = Math.max(0, Math.min(65535, 32768 + r * Math.cos(angle)));
    y[i] = Math.max(0, Math.min(65535, 32768 + r * Math.sin(angle)));
  }
  map.setPoints({ x, y });
  map.setColours(Uint8Array.from(x, (_, i) => i % classes), palette);
};
// The worker's answer to a question: it has read all that was sent before.
window.heard = () => map.ask({ type: "pick", x: -1e6, y: -1e6, radius: 1 });
// Two frames after an image that the worker makes of all that was sent, everything is on the screen.
window.settled = async () => {
  const nextFrame = () => new Promise(requestAnimationFrame);
  await heard(); // else the next image may be of what was sent first
  map.setView(map.view);
  await new Promise((resolve) => map.addEventListener("frame", resolve, { once: true }));
  await nextFrame();
  await nextFrame();
};
""",
    ),
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path not in HARNESS:
            return super().do_GET()
        kind, text = HARNESS[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *args):
        pass


def wait_for(page, condition, seconds=5):
    """Playwright's own waiting evaluates text within the page, which its policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        page.wait_for_timeout(15)


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(PAGE))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/harness.html"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page(address):
    with chromium() as browser:
        page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, has_touch=True).new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.goto(address)
        wait_for(page, "Boolean(window.fresh)")
        yield page


@pytest.fixture
def view(page):
    """The page with a new map; what went wrong on it fails the test."""
    page.mouse.move(0, 0)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.evaluate("fresh()")
    yield page
    assert page.errors == []
    assert page.evaluate("told.filter(({ kind }) => kind === 'error')") == []


FLIGHT = 550  # ms from one map to another, a little less than in map.js
RED, GREEN = "#d00000", "#00a000"


def show(view, x, y, codes=None, palette=(RED,)):
    view.evaluate("([x, y]) => points(x, y)", [list(map(int, x)), list(map(int, y))])
    codes = [0] * len(x) if codes is None else list(map(int, codes))
    view.evaluate("([codes, palette]) => colours(codes, palette)", [codes, list(palette)])


def screenshot(view):
    return np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB")).astype(int)


def picture(view):
    view.evaluate("settled()")
    return screenshot(view)


def centre_of_ink(image):
    """Where what isn't white lies on average, and how much of it there is."""
    ink = 255 - image.min(2)
    y, x = np.indices(ink.shape)
    return (x * ink).sum() / ink.sum() + 0.5, (y * ink).sum() / ink.sum() + 0.5, ink.sum() / 255


def screen(view, x, y):
    return view.evaluate("([x, y]) => map.toScreen(x, y)", [float(x), float(y)])


def told(view, kind, count=1):
    wait_for(view, f"told.filter(({{ kind }}) => kind === '{kind}').length >= {count}")
    return view.evaluate(f"told.filter(({{ kind }}) => kind === '{kind}')")


def in_polygon(x, y, corners):
    """The even-odd rule, by the signs of cross products: an edge counts where it passes a point's height to its right."""
    odd = np.zeros(len(x), bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        up = (ay <= y) & (y < by)
        down = (by <= y) & (y < ay)
        side = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        odd ^= (up & (side > 0)) | (down & (side < 0))
    return odd


def scattered(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(3000, 62000, count), rng.integers(3000, 62000, count)


def to_units(view, spots):
    of = view.evaluate("map.view")
    spots = np.array(spots, float)
    return np.stack(
        [of["x"] + (spots[:, 0] - WIDTH / 2) / of["scale"], of["y"] - (spots[:, 1] - HEIGHT / 2) / of["scale"]], 1
    )


def drag(view, spots, shift=False):
    if shift:
        view.keyboard.down("Shift")
    view.mouse.move(*spots[0])
    view.mouse.down()
    for spot in spots[1:]:
        view.mouse.move(*spot)
    view.mouse.up()
    if shift:
        view.keyboard.up("Shift")


def test_the_map_is_drawn_without_3d(view):
    show(view, [32768], [32768])
    assert centre_of_ink(picture(view))[2] > 3
    kinds = "['webgl', 'webgl2'].map((kind) => document.createElement('canvas').getContext(kind))"
    assert view.evaluate(kinds) == [None, None]
    used = "".join(path.read_text() for path in PAGE.glob("*.js"))
    assert "webgl" not in used.lower()
    host = view.locator("#host")
    assert (host.get_attribute("role"), host.get_attribute("aria-label")) == ("application", "a map")


def test_the_worker_runs_from_one_text(view):
    """As in the page of a single file: splat.js before it, and the lines that import and the words that export left out."""
    lines = [line for name in ("splat.js", "map-worker.js") for line in (PAGE / name).read_text().splitlines()]
    text = "\n".join(line.removeprefix("export ") for line in lines if not line.startswith("import "))
    view.evaluate("text => fresh(text)", text)
    show(view, [45000], [50000])
    assert centre_of_ink(picture(view))[:2] == pytest.approx(screen(view, 45000, 50000), abs=0.15)


def test_a_point_is_where_its_numbers_say_and_moves_with_the_hand(view):
    show(view, [45000], [50000])
    x, y = screen(view, 45000, 50000)
    assert x > WIDTH / 2
    assert y < HEIGHT / 2  # up is up
    assert centre_of_ink(picture(view))[:2] == pytest.approx([x, y], abs=0.15)
    drag(view, [(100, 100), (110, 90), (161, 140)])
    view.mouse.move(0, 0)
    assert screen(view, 45000, 50000) == pytest.approx([x + 61, y + 40])
    assert centre_of_ink(picture(view))[:2] == pytest.approx([x + 61, y + 40], abs=0.15)


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.3, 3.2])
def test_a_disc_has_the_same_ink_at_any_place_within_a_pixel(view, radius):
    brush = view.evaluate(
        "async (radius) => { const { makeBrush } = await import('/splat.js'), brush = makeBrush(radius, 0.9, new Int32Array(1));"
        "return { size: brush.size, weights: [...brush.weights] }; }",
        radius,
    )
    ink = np.reshape(brush["weights"], (8, 8, brush["size"] ** 2)).sum(2) / 256
    assert ink == pytest.approx(np.full((8, 8), 0.9 * (np.pi * radius**2 if radius > 0.8 else 1)), rel=0.03)


def test_the_wheel_zooms_about_the_pointer(view):
    show(view, *scattered(100))
    before = to_units(view, [(400, 90)])[0]
    view.mouse.move(400, 90)
    view.mouse.wheel(0, -300)
    wait_for(view, "map.view.scale > 0.008")
    assert screen(view, *before) == pytest.approx([400, 90], abs=1e-6)


def test_a_double_click_zooms_in_about_the_pointer(view):
    show(view, *scattered(100))
    scale, before = view.evaluate("map.view.scale"), to_units(view, [(330, 120)])[0]
    view.mouse.dblclick(330, 120)
    wait_for(view, f"Math.abs(map.view.scale - 2 * {scale}) < 1e-9")
    assert screen(view, *before) == pytest.approx([330, 120], abs=1e-6)


def at_rest(view):
    """Wait until the map has stopped moving: its view is the same over ten frames."""
    view.evaluate(
        """async () => {
          for (let same = 0, last = ""; same < 10; ) {
            await new Promise(requestAnimationFrame);
            const now = JSON.stringify(map.view);
            same = now === last ? same + 1 : 0;
            last = now;
          }
        }"""
    )


def test_zooming_to_points_shows_them_all(view):
    x, y = scattered(2000)
    show(view, x, y)
    rows = np.flatnonzero((x > 40000) & (x < 50000) & (y > 10000) & (y < 14000))
    home = view.evaluate("map.view.scale")
    view.evaluate("rows => map.zoomTo(rows)", rows.tolist())
    at_rest(view)
    places = np.array([screen(view, x[row], y[row]) for row in rows])
    assert len(rows) > 10
    assert (places > [0, 0]).all()
    assert (places < [WIDTH, HEIGHT]).all()
    assert np.ptp(places, axis=0)[0] > 0.7 * WIDTH
    assert view.evaluate("map.view.scale") > 3 * home
    view.evaluate("map.zoomTo([7])")
    at_rest(view)
    assert screen(view, x[7], y[7]) == pytest.approx([WIDTH / 2, HEIGHT / 2], abs=1e-6)


def test_on_a_fine_screen_points_lie_where_they_should_and_are_finer(page, view):
    show(view, [45000], [50000])
    coarse = centre_of_ink(picture(view))
    fine = page.context.browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2)
    try:
        other = fine.new_page()
        other.goto(page.url)
        wait_for(other, "Boolean(window.fresh)")
        other.evaluate("fresh()")
        show(other, [45000], [50000])
        image = picture(other)
        assert image.shape == (2 * HEIGHT, 2 * WIDTH, 3)
        x, y, ink = centre_of_ink(image)
        assert (x / 2, y / 2) == pytest.approx(screen(other, 45000, 50000), abs=0.1)
        assert ink == pytest.approx(4 * coarse[2], rel=0.25)  # of the same size, in four times the pixels
        other.mouse.click(x / 2, y / 2)
        assert told(other, "press")[0]["row"] == 0
        other.evaluate("map.setMarks([{ kind: 'cross', x: [45000], y: [50000], colour: '#ff00ff' }])")
        left, top, _ = centre_of_ink(255 - 255 * is_magenta(picture(other))[..., None])
        assert (left, top) == pytest.approx((x, y), abs=1)
    finally:
        fine.close()


def test_a_tap_presses(view):
    x, y = scattered(50)
    show(view, x, y)
    view.touchscreen.tap(*screen(view, x[3], y[3]))
    assert told(view, "press")[0]["row"] == 3


def test_hovering_finds_the_nearest_point_and_tells_it_once(view):
    x, y = scattered(200)
    show(view, x, y)
    left, top = screen(view, x[17], y[17])
    view.mouse.move(left, top)
    assert told(view, "hover")[0]["row"] == 17
    view.mouse.move(left + 0.3, top)
    processed(view)
    assert len(told(view, "hover")) == 1
    moved = told(view, "move")[0]
    assert (moved["x"], moved["y"]) == pytest.approx((x[17], y[17]), abs=1)
    view.mouse.move(1, 1)
    assert told(view, "hover", 2)[1]["row"] == -1


def test_a_press_finds_the_nearest_of_many(view):
    x, y = scattered(5000)
    show(view, x, y)
    for k, spot in enumerate([(120, 130), (250, 200), (333, 301)]):
        view.mouse.click(*spot)
        units = to_units(view, [spot])[0]
        nearest = np.argmin((x - units[0]) ** 2 + (y - units[1]) ** 2)
        assert told(view, "press", k + 1)[k]["row"] == nearest


def test_hidden_points_are_neither_drawn_nor_picked(view):
    show(view, [20000, 45000], [20000, 45000])
    view.evaluate("visible([1, 0])")
    assert centre_of_ink(picture(view))[:2] == pytest.approx(screen(view, 20000, 20000), abs=0.15)
    view.mouse.click(*screen(view, 45000, 45000))
    view.mouse.click(*screen(view, 20000, 20000))
    assert [event["row"] for event in told(view, "press", 2)] == [-1, 0]


def test_the_first_lasso_selects_what_lies_in_it(view):
    x, y = scattered(4000)
    hidden = np.arange(4000) % 7 == 0
    show(view, x, y)
    view.evaluate("values => visible(values)", [int(not each) for each in hidden])
    view.evaluate("map.setTool('lasso')")
    # It crosses itself: the even-odd rule leaves the overlap out.
    spots = [(90, 80), (400, 110), (380, 320), (150, 300), (160, 60), (300, 40), (320, 250), (120, 200)]
    drag(view, spots)
    rows = told(view, "select")[0]["rows"]
    expected = np.flatnonzero(in_polygon(x, y, to_units(view, spots)) & ~hidden)
    assert 200 < len(expected) < 3000
    assert rows == expected.tolist()


def test_shift_and_drag_selects_a_box(view):
    x, y = scattered(4000)
    show(view, x, y)
    drag(view, [(350, 300), (200, 250), (130, 90)], shift=True)
    (left, top), (right, bottom) = to_units(view, [(130, 90), (350, 300)])
    expected = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    assert told(view, "select")[0]["rows"] == expected.tolist()
    assert len(expected) > 500


def test_arrow_keys_walk_and_others_zoom(view):
    x, y = np.meshgrid(np.arange(20000, 46000, 5000), np.arange(20000, 46000, 5000))
    show(view, x.ravel(), y.ravel())  # six a row, row 0 at the bottom
    view.evaluate("map.setCursor(14)")
    view.locator("#host").focus()
    for k, (key, row) in enumerate([("Right", 15), ("Up", 21), ("Left", 20), ("Left", 19), ("Down", 13)]):
        view.keyboard.press(f"Arrow{key}")
        assert told(view, "walk", k + 1)[k]["row"] == row
    view.keyboard.press("Enter")
    assert told(view, "press")[0]["row"] == 13
    home = view.evaluate("map.view.scale")
    view.keyboard.press("+")
    wait_for(view, f"Math.abs(map.view.scale - 1.5 * {home}) < 1e-9")
    view.keyboard.press("0")
    wait_for(view, f"Math.abs(map.view.scale - {home}) < 1e-9")
    view.keyboard.press("Escape")
    assert told(view, "select")[0]["rows"] == []


def test_quick_steps_add_up(view):
    show(view, *scattered(100))
    start = view.evaluate("map.view.scale")
    view.locator("#host").focus()
    for _ in range(6):
        view.keyboard.press("+")
    wait_for(view, f"Math.abs(map.view.scale / {start} - {1.5**6}) < 1e-3")
    for _ in range(6):
        view.keyboard.press("-")
    wait_for(view, f"Math.abs(map.view.scale / {start} - 1) < 1e-3")
    wait_for(view, "Math.hypot(map.view.x - 32767.5, map.view.y - 32767.5) < 1")


def test_quick_steps_from_point_to_point_are_all_taken(view):
    x = np.arange(2000, 64000, 2000)
    show(view, x, np.full(len(x), 32768))
    view.evaluate("map.setCursor(0)")
    view.locator("#host").focus()
    for _ in range(5):
        view.keyboard.press("ArrowRight")
    wait_for(view, "map.cursor === 5")


def test_walking_keeps_its_direction(view):
    # To the right: the second point is nearer, and lies more upwards than to the right.
    show(view, [30000, 31000, 52000], [30000, 40000, 30000])
    view.evaluate("map.setCursor(0)")
    view.locator("#host").focus()
    view.keyboard.press("ArrowRight")
    assert told(view, "walk")[0]["row"] == 2


def test_what_is_not_selected_fades_and_stays(view):
    show(view, [20000, 45000], [32768, 32768], [0, 1], [RED, GREEN])
    view.evaluate("selection([1, 0])")
    image = picture(view)
    pixel = {
        row: image[int(top), int(left)]
        for row, (left, top) in enumerate([screen(view, 20000, 32768), screen(view, 45000, 32768)])
    }
    assert pixel[0][0] - pixel[0][1] > 150  # as red as ever
    faded = pixel[1]
    assert 10 < faded[1] - faded[0] < 100  # green still, and pale
    assert faded[1] < 250
    view.mouse.click(*screen(view, 45000, 32768))
    assert told(view, "press")[0]["row"] == 1


def test_the_theme_changes_the_paper(view):
    show(view, [32768], [32768])
    assert picture(view)[5, 5].tolist() == [255, 255, 255]
    view.emulate_media(color_scheme="dark")
    assert picture(view)[5, 5].tolist() == [0x10, 0x20, 0x30]


def blue(image):
    """Pixels of the sprites: no point and no frame has them."""
    return (image[..., 2] > 200) & (image[..., 1] < 30)


def test_thumbnails_come_with_room_and_keep_their_places(view):
    show(view, *scattered(3000))
    view.evaluate("sprites({ size: 16, across: 20, per_page: 400, pages: 8 })")
    assert not blue(picture(view)).any()
    view.evaluate("map.setView({ ...map.view, scale: 6 * map.view.scale })")
    until(view, lambda: blue(picture(view)).mean() > 0.1)
    quiet(view)  # all pages are here
    first = picture(view)
    assert 0.1 < blue(first).mean() < 0.9
    # Moved by whole pixels, the same pictures stand at the same places.
    view.evaluate("map.setView({ ...map.view, x: map.view.x + 60 / map.view.scale })")
    second = picture(view)
    both = blue(first)[:, 100:-40], blue(second)[:, 40:-100]
    assert np.mean(both[0] != both[1]) < 0.01
    assert np.abs(first[:, 100:-40] - second[:, 40:-100])[both[0] & both[1]].max() <= 2


def test_all_of_a_thumbnail_is_its_image(view):
    show(view, *scattered(600))
    view.evaluate("sprites({ size: 16, across: 20, per_page: 400, pages: 2 })")
    view.evaluate("map.setView({ ...map.view, scale: 7 * map.view.scale })")
    picture(view)
    quiet(view)
    seen = picture(view)
    rows, columns = np.nonzero(blue(seen))
    places = np.random.default_rng(0).permutation(len(rows))[:25]
    for x, y in zip(columns[places], rows[places], strict=True):
        if x < 30 or y < 30 or x > WIDTH - 30 or y > HEIGHT - 30:
            continue
        view.evaluate("told.length = 0")
        view.mouse.move(2, 2)
        view.mouse.click(int(x), int(y))
        pressed = told(view, "press")[-1]["row"]
        # A picture's red is its row; at its edge the next cell of the sprites shines through.
        assert abs(pressed % 200 - seen[y, x, 0]) <= 1, (x, y)


def quiet(view):
    """Wait until no page has been asked for for a while, in which the worker had its turns; the pages asked for until then."""
    pages = []
    while True:
        view.evaluate(
            "async () => { for (let k = 0; k < 5; k++) {"
            " await new Promise((done) => setTimeout(done, 80)); await heard(); } }"
        )
        now = view.evaluate("told.filter(({ kind }) => kind === 'page').map(({ page }) => page)")
        if len(now) == len(pages):
            return now
        pages = now


def test_a_view_of_very_many_thumbnails_asks_for_few_pages(view):
    show(view, *scattered(100_000))
    # 1,563 pages, of which 23 can be kept: points in view lie on far more.
    view.evaluate("sprites({ size: 208, across: 8, per_page: 64, pages: 1563 })")
    asked = 0
    for k in range(4):
        view.evaluate(f"map.setView({{ x: {20000 + 7000 * k}, y: 30000, scale: 16 * 0.94 * {HEIGHT} / 65536 }})")
        pages = quiet(view)
        assert 1 <= len(pages) - asked <= 12
        assert len(set(pages[asked:])) == len(pages) - asked  # none twice for one view
        asked = len(pages)
        assert blue(screenshot(view)).any()
    # While the map moves, for none; it moves as long as no frame of the page takes long.
    longest = view.evaluate(
        "async () => { let [longest, before] = [0, performance.now()];"
        "for (let k = 0; k < 40; k++) {"
        "  map.setView({ ...map.view, x: map.view.x - 100 });"
        "  await new Promise(requestAnimationFrame);"
        "  const now = performance.now(); longest = Math.max(longest, now - before); before = now; } return longest; }"
    )
    assert longest > 60 or len(view.evaluate("told.filter(({ kind }) => kind === 'page')")) == asked


def test_points_whose_page_is_here_go_before_others(view):
    x, y = scattered(10_000)
    covered = []
    for fails in (False, True):
        view.evaluate("fresh()")
        show(view, np.tile(x, 2), np.tile(y, 2))  # each twice: on one of the first 10 pages and on one of the last 10
        view.evaluate(
            "fails => { const make = () => { const canvas = new OffscreenCanvas(200, 200), context = canvas.getContext('2d');"
            "context.fillStyle = '#0000ff'; context.fillRect(0, 0, 200, 200); return canvas.transferToImageBitmap(); };"
            "map.setThumbnails({ size: 2, across: 100, per_page: 1000, pages: 20 }, async (page) => {"
            "told.push({ kind: 'page', page }); if (fails && page < 10) throw new Error('gone'); return make(); }); }",
            fails,
        )
        view.evaluate("map.setView({ ...map.view, scale: 9 * map.view.scale })")
        first = quiet(view)
        assert len(set(first)) == len(first) <= 12
        view.evaluate("map.setView(map.view)")
        pages = quiet(view)
        assert len(set(pages)) == len(pages)  # none twice, and what can't be had neither
        covered.append(blue(screenshot(view)).mean())
    assert covered[0] > 0.1
    assert covered[1] == pytest.approx(covered[0], rel=0.05)


def test_points_fly_to_the_right_places(view):
    (x, y), (to_x, to_y) = scattered(500), scattered(500, seed=1)
    show(view, to_x, to_y)
    there = picture(view)
    show(view, x, y)
    picture(view)
    view.evaluate("([x, y]) => points(x, y, { animate: true })", [to_x.tolist(), to_y.tolist()])
    # Where discs overlap, which one lies on top may differ.
    until(view, lambda: np.mean(np.abs(picture(view) - there) > 8) < 0.002)


def test_a_point_is_seen_on_its_way(view):
    show(view, [20000], [32768])
    picture(view)
    began, ends = screen(view, 20000, 0)[0], screen(view, 45000, 0)[0]
    view.evaluate("points([45000], [32768], { animate: true })")
    seen = []
    while not seen or seen[-1] < ends - 0.2:
        assert len(seen) < 100
        seen.append(centre_of_ink(screenshot(view))[0])
    assert any(began + 5 < x < ends - 5 for x in seen)
    assert seen == sorted(seen)


def test_points_that_fly_take_new_colours_and_masks_at_once(view):
    for _ in range(10):  # on a busy machine they may have arrived before two pictures are taken
        show(view, [20000, 20000], [20000, 45000])
        view.evaluate("selection([])")
        picture(view)
        began = view.evaluate("performance.now()")
        view.evaluate("points([45000, 45000], [20000, 45000], { animate: true })")
        view.evaluate("([codes, palette]) => colours(codes, palette)", [[0, 0], [GREEN]])
        view.evaluate("visible([1, 0])")
        image = picture(view)
        view.evaluate("selection([0, 1])")
        faded = picture(view)
        if view.evaluate("performance.now()") - began < FLIGHT:
            break
    else:
        pytest.fail("two pictures never took less than a flight")
    x, y, _ = centre_of_ink(image)
    assert y == pytest.approx(screen(view, 0, 20000)[1], abs=0.3)  # the other one is hidden
    assert x < screen(view, 44500, 0)[0]  # on its way yet
    darkest = image[np.unravel_index(image.sum(2).argmin(), image.shape[:2])]
    assert darkest[1] - darkest[0] > 50  # green
    assert centre_of_ink(faded)[0] < screen(view, 45000, 0)[0]
    assert 255 - faded.min() < 0.5 * (255 - image.min())


def test_points_do_not_move_with_reduced_motion(view):
    view.emulate_media(reduced_motion="reduce")
    show(view, [20000], [20000])
    picture(view)
    view.evaluate("points([45000], [45000], { animate: true })")
    assert centre_of_ink(picture(view))[:2] == pytest.approx(screen(view, 45000, 45000), abs=0.15)


def test_millions_are_all_drawn_once_the_map_stands_still(view):
    view.evaluate(
        "() => { const n = 2_000_000, draw = () => Uint16Array.from({ length: n }, () => 65536 * Math.random());"
        "map.setPoints({ x: draw(), y: draw() }); }"
    )
    wait_for(view, "told.some(({ kind, points }) => kind === 'frame' && points === 2_000_000)", 15)
    most = max(event["points"] for event in told(view, "frame") if not event.get("whole"))
    assert 0 < most < 2_000_000


def test_two_fingers_pinch(view):
    show(view, *scattered(100))
    before = to_units(view, [(250, 200)])[0]
    scale = view.evaluate("map.view.scale")
    swipe(view, *([(250 + side * apart, 200) for apart in (50, 70, 100)] for side in (-1, 1)))
    assert view.evaluate("map.view.scale") == pytest.approx(2 * scale, rel=0.05)
    assert screen(view, *before) == pytest.approx([250, 200], abs=3)


def is_magenta(image):
    return (image[..., 0] > 200) & (image[..., 1] < 60) & (image[..., 2] > 200)


def test_marks_lie_over_the_points(view):
    show(view, [1000], [1000])
    colour = "#ff00ff"
    marks = [
        {"kind": "dots", "x": [20000], "y": [45000], "colour": colour},
        {"kind": "line", "x": [20000, 32000, 45000], "y": [20000] * 3, "off": [False, True], "colour": colour},
        {"kind": "cross", "x": [45000], "y": [45000], "colour": colour},
        {"kind": "label", "x": [32768], "y": [32768], "text": ["MMMM"], "colour": colour},
    ]
    view.evaluate("marks => map.setMarks(marks)", marks)
    magenta = is_magenta(picture(view))
    for x, y in [(20000, 45000), (45000, 45000), (26000, 20000)]:
        left, top = screen(view, x, y)
        assert magenta[int(top), int(left)]
    left, top = map(int, screen(view, 32768, 32768))
    assert magenta[top - 10 : top + 10, left - 30 : left + 30].sum() > 50
    row = int(screen(view, 0, 20000)[1])
    solid, dashed = (
        magenta[row, int(screen(view, x, 0)[0]) : int(screen(view, x + 11000, 0)[0])].mean() for x in (20500, 32500)
    )
    assert solid == 1
    assert 0.1 < dashed < 0.8
    view.evaluate("map.setMarks([])")
    assert not is_magenta(picture(view)).any()


# ---- very many points

MANY, SPREAD = 1_000_000, 5000


def laid(image, paper, colour):
    """How much of a colour lies on the paper at each pixel, and how far the pixel is from any such mix, of 255."""
    paper, colour = np.array(paper, float), np.array(colour, float)
    share = ((image - paper) @ (colour - paper)) / ((colour - paper) @ (colour - paper))
    return share, np.abs(image - paper - share[..., None] * (colour - paper)).max(-1)


def rings(values):
    """Means over rings of equal width about the middle, from within to two and a half spreads."""
    y, x = np.indices(values.shape)
    away = np.hypot(x + 0.5 - WIDTH / 2, y + 0.5 - HEIGHT / 2) / (SPREAD * 0.94 * HEIGHT / 65_536)
    return np.array([values[(away >= k / 4) & (away < (k + 1) / 4)].mean() for k in range(10)])


@pytest.mark.parametrize(("scheme", "paper"), [("light", (255, 255, 255)), ("dark", (16, 32, 48))])
def test_a_million_points_show_what_is_within_a_cluster_in_their_colour(view, scheme, paper):
    view.emulate_media(color_scheme=scheme)
    view.evaluate("([n, spread]) => cluster(n, spread, 1, ['#d00000'])", [MANY, SPREAD])
    squares = (np.arange(10) + 0.5) ** 2  # by which the logarithm of a normal density falls

    def shown():
        share, off = laid(screenshot(view), paper, (0xD0, 0, 0))
        seen = rings(share)
        thins_out = (np.diff(seen) < -0.004).all() and seen[0] - seen[4] > 0.06  # no flat disc
        return thins_out and seen[0] > 0.9 and np.corrcoef(squares, seen)[0, 1] < -0.99 and rings(off).max() < 3

    until(view, shown)


def test_where_classes_mix_a_million_points_have_their_mean_colour(view):
    view.evaluate("([n, spread]) => cluster(n, spread, 2, ['#d00000', '#0000d0'])", [MANY, SPREAD])

    def mixed():
        middle = screenshot(view)[HEIGHT // 2 - 15 : HEIGHT // 2 + 15, WIDTH // 2 - 15 : WIDTH // 2 + 15].mean((0, 1))
        share, off = laid(middle, (255, 255, 255), (0x68, 0, 0x68))
        return share > 0.85 and off < 8

    until(view, mixed)


def test_few_selected_points_are_seen_among_a_million(view):
    view.evaluate("([n, spread]) => cluster(n, spread, 1, ['#d00000'])", [MANY, SPREAD])
    view.evaluate("n => map.setSelection(Uint8Array.from({ length: n }, (_, i) => Number(i < 40)))", MANY)
    spots = view.evaluate("[...Array(40).keys()].map(map.placeOf).map(({x, y}) => map.toScreen(x, y))")

    def stand_out():
        share, _ = laid(screenshot(view), (255, 255, 255), (0xD0, 0, 0))
        selected = [share[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].max() for x, y in spots]
        others = share[HEIGHT // 2 - 30 : HEIGHT // 2 + 30, WIDTH // 2 - 30 : WIDTH // 2 + 30]
        large = [(share[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] > 0.5).sum() for x, y in spots]
        return np.median(selected) > 0.5 and np.median(others) < 0.3 and np.median(large) > 8  # no single pixels

    until(view, stand_out)


def test_points_are_piled_up_only_where_many_fall_on_a_pixel_and_without_a_jump(view):
    """Below one on a pixel nothing changes, and from there on the picture does so steadily."""
    script = """async ([usual, most, opacity]) => {
      const { toneFor } = await import('/splat.js'), tone = toneFor(usual, most, opacity);
      return tone && [...tone.alphas];
    }"""
    assert view.evaluate(script, [1, 30, 0.8]) is None  # 10,000 and 70,000 points on any screen
    numbers = np.linspace(0, 30, 4096)
    before = 256 * (1 - (1 - 0.8) ** numbers)
    for usual in (1.001, 1.5, 2, 3, 4, 10):
        now = np.array(view.evaluate(script, [usual, 30, 0.8]), float)
        assert (np.diff(now) >= 0).all()
        assert np.abs(now - before).max() < 256 * 0.42 * np.log(usual) / np.log(1.4) + 1
        before = now if usual > 1.001 else before
    assert now[-1] == pytest.approx(256 * 0.97, abs=1)
