"""What the explorer reads before its first picture: neither torch, nor the model, nor the images, nor the latents."""

import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from browser import PAGE, Points, chromium, class_colours, colours_at, distance, expect, served, until
from latens.errors import RunDamaged
from latens.explorer import View, answer
from latens.maps import MAPS, is_decodable, map_kind
from latens.runs import Run

# A process that notes which files it opens.
WATCHED = """
import json, os, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
run = sys.argv[1]
from latens.explorer import answer
found = answer(run, "/api/opening")
inside = sorted({os.path.relpath(path, run) for path in opened if path.startswith(run) and os.path.exists(path)})
heavy = [name for name in ("torch", "scipy", "sklearn", "matplotlib", "pandas") if name in sys.modules]
images = [path for path in opened if path.endswith("blobs.npz")]
print(json.dumps({"inside": inside, "heavy": heavy, "images": images, "count": found["count"], "map": found["map"]}))
"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def damaged(run, tmp_path, array):
    """A copy of a run whose latents.npz has another byte at the end of one array."""
    folder = tmp_path / "copy"
    shutil.copytree(run.path, folder)
    file = folder / "latents.npz"
    with zipfile.ZipFile(file) as archive:
        after = sorted(
            one.header_offset for one in archive.infolist() if one.header_offset > archive.getinfo(array).header_offset
        )
        end = (after or [archive.start_dir])[0]
    content = bytearray(file.read_bytes())
    content[end - 1] ^= 0xFF
    file.write_bytes(content)
    return folder


def test_the_first_picture_needs_no_torch_and_opens_three_files(finished_run):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(finished_run.path)], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert said["heavy"] == []
    assert said["images"] == []
    assert said["inside"] == ["latents.npz", "maps/tsne.npz", "run.json"]
    assert (said["count"], said["map"]) == (240, "tsne")


def test_the_opening_says_what_the_run_and_its_map_say(finished_run):
    found, run, made = (answer(finished_run, f"/api/{path}") for path in ("opening?map=pca", "run", "map?name=pca"))
    assert {name: found[name] for name in ("name", "count", "class_names", "colours", "beside")} == {
        name: run[name] for name in ("name", "count", "class_names", "colours", "beside")
    }
    assert found["map"] == "pca"
    assert all(found[name] == made[name] for name in made if name != "name")
    assert found["labels"] == finished_run.latents["labels"].tolist()


def test_a_map_that_is_not_kept_is_not_fitted_for_it(finished_run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished_run.path, folder)
    run = Run(folder)
    run.forget("maps/tsne.npz")
    found = answer(run, "/api/opening?map=tsne")
    assert found["map"] == "pca"
    run.forget("maps/pca.npz")
    found = answer(run, "/api/opening")
    assert found["count"] == 240
    assert "map" not in found
    assert not (folder / "maps" / "tsne.npz").exists()


def test_what_is_shown_first_is_checked_first_and_the_rest_before_it_is_used(finished_run, tmp_path):
    folder = damaged(finished_run, tmp_path / "later", "latents.npy")
    assert answer(folder, "/api/opening")["count"] == 240
    with pytest.raises(RunDamaged, match=r"latents\.npz: its bytes are not those that were written"):
        answer(folder, "/api/image?row=0")
    with pytest.raises(RunDamaged, match=r"latents\.npz: not readable"):
        answer(damaged(finished_run, tmp_path / "first", "labels.npy"), "/api/opening")


def test_latents_are_mapped_and_a_part_of_them_is_no_copy(finished_run):
    run = Run(finished_run.path)
    latents = run.latents["latents"]
    assert isinstance(latents, np.memmap)
    assert np.shares_memory(run.of_part("latents", 1), latents)
    assert np.shares_memory(View(run).latents, latents)
    rows = run.latents["part"] == 0
    np.testing.assert_array_equal(run.of_part("squared_error", 0), run.latents["squared_error"][rows])


def test_whether_a_map_is_decodable_is_known_without_importing_it():
    for name in (*MAPS, "given", "features"):
        assert is_decodable(name) == map_kind(name).decodable


def test_the_map_is_there_before_the_model_and_the_images_are(browser, finished_run):
    held = []
    with served(finished_run.path) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        page.route("**/api/run", lambda route: held.append(route))
        page.goto(address)
        view = View(finished_run)
        until(page, lambda: held)
        points = Points(page, view)
        rows = points.lonely()
        wanted = class_colours(view)[view.labels[rows]]
        until(page, lambda: np.mean(distance(colours_at(page, points, rows), wanted) < 60) > 0.95)
        expect(page.locator("#panel")).to_have_text("Opening the model and the images…")
        assert page.get_by_role("tab").count() == 0
        held[0].continue_()
        expect(page.get_by_role("tab", name="Decode")).to_be_visible()
        expect(page.locator("#panel")).not_to_contain_text("Opening")
        page.close()


def test_the_page_asks_at_once_for_all_modules_of_its_first_picture():
    needed, left = set(), ["start.js"]
    while left:
        source = (PAGE / left.pop()).read_text("utf-8")
        new = set(re.findall(r'^import \{[^}]*\} from "\./([\w-]+\.js)";$', source, re.M)) - needed
        needed |= new
        left += new
    index = (PAGE / "index.html").read_text("utf-8")
    assert set(re.findall(r'rel="modulepreload" href="([^"]+)"', index)) == needed
    assert not any("panel" in name for name in needed)
