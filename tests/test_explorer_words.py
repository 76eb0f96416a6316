"""Texts of the page's modules, run in Node: numbers, the gauge, and which labels are written."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from browser import PAGE, missing


def in_node(folder, script):
    """What a script gives that may import any module of the page."""
    node = shutil.which("node")
    if node is None:
        missing("there is no node")
    for path in PAGE.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "script.js").write_text(f"{script}\nconsole.log(JSON.stringify(answer));")
    done = subprocess.run([node, "script.js"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[:2000]
    return json.loads(done.stdout)


def test_numbers_read_like_numbers(tmp_path):
    asked = {
        -2345.6: "-2,346",
        0: "0",
        0.000213: "0.000213",
        12345678: "12,345,678",
        0.97: "0.97",
        99.96: "100",
        1e-9: "1 × 10⁻⁹",
        8.674e-19: "8.67 × 10⁻¹⁹",
        2.5e20: "2.5 × 10²⁰",
        1e-6: "0.000001",
    }
    script = f"""
    import {{readable, steady, percent}} from "./numbers.js";
    const answer = {{all: {json.dumps(list(asked))}.map((value) => readable(value)),
      none: readable(NaN), endless: readable(1 / 0), minus: readable(Math.round(-0.2)),
      steady: [steady(1.5), steady(-0.001), steady(2345.6), steady(2.04, 1)], percent: [percent(0.376), percent(23.456)]}};
    """
    answer = in_node(tmp_path, script)
    assert answer["all"] == list(asked.values())
    assert (answer["none"], answer["endless"], answer["minus"]) == ("–", "∞", "0")
    assert answer["steady"] == ["1.50", "0.00", "2,346", "2.0"]
    assert answer["percent"] == ["38 %", "2,346 %"]


@pytest.mark.parametrize(
    ("ratio", "trip", "moved", "kind"),
    [
        (0.3, 0.02, 0.3, "good"),
        (1.5, 0.2, 1.2, "good"),
        (2.0, 0.02, 0.3, "fair"),
        (9.0, 0.02, 0.3, "bad"),
        (0.3, 0.38, 0.4, "fair"),  # near the data, but decoded and encoded again it is far away
        (0.3, 0.8, 0.4, "bad"),
        (0.3, 0.08, 7.5, "bad"),  # of a poor model: a small share of the length is many usual distances
        (0.3, None, None, "good"),  # no encoder in the file
        (None, 0.02, 0.3, "fair"),  # all latents are equal: there is no distance
    ],
)
def test_the_gauge_weighs_distance_and_round_trip(tmp_path, ratio, trip, moved, kind):
    given = json.dumps({"ratio": [ratio], "round_trip": [trip], "moved": [moved]}).replace("null", "NaN")
    answer = in_node(tmp_path, f'import {{judge}} from "./gauge.js";\nconst answer = judge({given}, 0);')
    assert answer["kind"] == kind
    assert (answer["off"] <= 1.5) == (kind == "good")
    if kind == "bad" and ratio is not None and ratio < 1:
        assert "does not hold this latent" in answer["words"]


LABELS = """
import {drawLabels} from "./map-marks.js";
const written = [];
const context = {
  measureText: (text) => ({width: 8 * text.length}), strokeText() {}, fillText: (...told) => written.push(told),
};
const paper = {paper: "#fff", ink: "#000", accent: "#00f", rem: 16};
const crowded = drawLabels(context, LABELS, {width: 800, height: 600}, POINTER, paper);
const answer = {written, crowded};
"""


@pytest.mark.parametrize("pointer", [None, [400, 300]])
def test_labels_are_written_where_there_is_room(tmp_path, pointer):
    rng = np.random.default_rng(0)
    at = rng.uniform([0, 0], [800, 600], (300, 2)).round(1)
    weights = rng.permutation(300)
    labels = [
        {"text": f"class {k}", "at": place.tolist(), "weight": int(weight)}
        for k, (place, weight) in enumerate(zip(at, weights, strict=True))
    ]
    script = LABELS.replace("LABELS", json.dumps(labels)).replace("POINTER", json.dumps(pointer))
    answer = in_node(tmp_path, script)
    assert answer["crowded"]
    assert 12 <= len(answer["written"]) < 60
    covered = sum((8 * len(text) + 8) * 14 for text, _, _ in answer["written"])
    assert covered < 0.1 * 800 * 600  # the points stay visible
    for k, (text, x, y) in enumerate(answer["written"]):
        for other, u, v in answer["written"][:k]:
            assert abs(y - v) >= 14 or abs(x - u) >= 4 * (len(text) + len(other))  # no two stand over each other
    names = [text for text, _, _ in answer["written"]]
    largest = f"class {weights.argmax()}"
    if pointer is None:
        assert names[0] == largest
    else:
        nearest = np.linalg.norm(at - pointer, axis=1).argmin()
        assert names[0] == f"class {nearest}"


def test_a_label_alone_is_written_and_nothing_is_crowded(tmp_path):
    labels = [{"text": "one", "at": [100, 100], "weight": 1}, {"text": "out of sight", "at": [900, 100], "weight": 9}]
    answer = in_node(tmp_path, LABELS.replace("LABELS", json.dumps(labels)).replace("POINTER", "null"))
    assert [text for text, _, _ in answer["written"]] == ["one"]
    assert not answer["crowded"]


def test_three_hundred_classes_are_named_by_their_places(tmp_path):
    script = """
    import {classNames} from "./class-names.js";
    const names = Array.from({length: 300}, (_, k) => `class ${k}`);
    const x = Uint16Array.from({length: 3000}, (_, i) => (i % 300) * 200 + 10), y = Uint16Array.from(x);
    const codes = Uint16Array.from(x, (_, i) => i % 300);
    const [mark] = classNames({x, y}, {kind: "class", names}, codes, null);
    const answer = {...mark, numbers: classNames({x, y}, {kind: "number", names: []}, codes, null)};
    """
    answer = in_node(tmp_path, script)
    assert answer["kind"] == "label"
    assert len(answer["text"]) == 300
    assert answer["weights"] == [10] * 300
    np.testing.assert_allclose(answer["x"], np.arange(300) * 200 + 10, atol=65_536 / 32)
    assert answer["numbers"] == []


def test_a_long_name_on_the_map_is_cut_and_no_letter_is_broken(tmp_path):
    labels = [{"text": "😀" * 90, "at": [400, 300], "weight": 1}, {"text": "short", "at": [100, 100], "weight": 1}]
    script = LABELS.replace("LABELS", json.dumps(labels)).replace("POINTER", "null")
    texts = [one[0] for one in in_node(tmp_path, script)["written"]]
    assert texts[1] == "short"
    assert texts[0].endswith("…")
    assert set(texts[0][:-1]) == {"😀"}
    assert 5 < len(texts[0]) < 30


def test_a_name_from_right_to_left_keeps_to_itself_and_others_stay_as_they_are(tmp_path):
    names = ["class 1", "日本語", "👩🏽‍🔬", "שקית", "زجاجة 7", "a زجاجة"]
    script = f"""
    import {{named}} from "./dom.js";
    const answer = {json.dumps(names)}.map(named);
    """
    assert in_node(tmp_path, script) == [*names[:3], *(f"\u2068{name}\u2069" for name in names[3:])]
