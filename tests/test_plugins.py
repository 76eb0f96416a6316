"""Entries of the tables that come from installed packages."""

import shutil

import numpy as np
import pytest

import latens
import plugins
from latens import cli
from latens.errors import PluginError, UnknownName, UsageError
from latens.figures.of_run import draw, draw_run
from latens.report import build_html, story_of
from latens.tables import Table

SAMPLER = '''
import numpy as np
from latens.samplers import Sampler


class OneImage(Sampler):
    """The first training latent, again and again."""

    keeps_data = True

    @property
    def classes(self):
        return np.empty(0, np.int64)

    def labels_for(self, n):
        return None

    def fit(self, latents, labels=None, progress=None):
        self.first = np.asarray(latents[:1], np.float32)
        return self

    def sample(self, n, seed=0, labels=None):
        return np.repeat(self.first, n, 0)

    def state(self):
        return {"first": self.first}

    @classmethod
    def restore(cls, state, options=None):
        made = cls()
        made.first = np.asarray(state["first"])
        return made
'''

MAP = '''
import numpy as np
from latens.maps.surface import Surface


class TwoNumbers(Surface):
    """The first two latent numbers."""

    title = "first two"
    meaning = "the first two latent numbers"

    def fit(self, latents, seed=0, progress=None):
        self._set(latents, np.ascontiguousarray(latents[:, :2], np.float32), np.ones(len(latents), np.float32))
        return self
'''

FIGURE = """
import numpy as np
from latens.figures.canvas import letter, new_figure
from latens.figures.contract import LABELS, FigureEntry, Option


def norms(latents, bins=5):
    figure = new_figure(300, 200)
    letter(figure, 20, 20, f"{len(latents)} norms in {bins} bins")
    return figure


def of_run(run, images, bins):
    return norms(run.latents["latents"], bins)


def words(story, variant):
    return "Norms of the latents.", f"How long the latents of {story.data.name} are. <b>"


NORMS = FigureEntry(norms, of_run, words, "map", (LABELS,), (Option("bins", 5, "how many bins", metavar="N"),))
ELSEWHERE = FigureEntry(norms, of_run, words, "an unknown chapter", options=NORMS.options)
"""


METRIC = """
import numpy as np
from latens.metrics import Definition, Metric, Protocol, Scores

BRIGHTNESS = Definition("brightness", "The mean pixel of the reconstructions.", "none", "of 1", "the images",
                        "real images")


def score(inputs):
    pixels = inputs.test.pixels
    protocol = Protocol("mean over pixels and images", images=len(pixels))
    return Scores((BRIGHTNESS.score(inputs.reconstruct(pixels).mean(), protocol, float(np.mean(pixels)) / 255),))


METRIC = Metric("Brightness: is it kept?", (BRIGHTNESS,), score)
"""


@pytest.fixture
def install(monkeypatch, tmp_path):
    def call(package, modules, entries):
        folder = tmp_path / "site-packages"
        folder.mkdir()
        plugins.install(monkeypatch, folder, package, modules, entries)

    return call


@pytest.fixture
def copied(finished_run, tmp_path):
    return shutil.copytree(finished_run.path, tmp_path / "copied")


def test_a_sampler_from_a_package_outside(install, copied):
    install("latens-once", {"once_sampler.py": SAMPLER}, {"latens.samplers": {"once": "once_sampler:OneImage"}})
    assert list(latens.SAMPLERS)[-1] == "once"
    run = latens.open_run(copied)
    samples = run.sample(3, "once")
    np.testing.assert_array_equal(samples.latents, np.repeat(run.of_part("latents", 0)[:1], 3, 0))
    again = latens.open_run(copied)
    np.testing.assert_array_equal(again.sample(2, "once").latents, samples.latents[:2])  # from the run's folder
    from latens.samplers import samplers_for

    assert "once" in samplers_for(run.model)
    assert "once" not in samplers_for(run.model, every=False)  # it keeps training data


def test_a_map_from_a_package_outside(install, copied):
    install("latens-two", {"two_map.py": MAP}, {"latens.maps": {"two": "two_map:TwoNumbers"}})
    run = latens.open_run(copied)
    made = run.map("two")
    np.testing.assert_array_equal(made.coordinates, run.of_part("latents", run.mapped_part)[:, :2])
    np.testing.assert_array_equal(latens.open_run(copied).map("two").coordinates, made.coordinates)


def test_a_figure_from_a_package_outside(install, copied, capsys):
    entries = {"norms": "norms_figure:NORMS", "elsewhere": "norms_figure:ELSEWHERE"}
    install("latens-norms", {"norms_figure.py": FIGURE}, {"latens.figures": entries})
    run = latens.open_run(copied)
    assert cli.main(["figure", str(copied), "norms", "--bins", "7"]) == 0
    seven = (copied / "figures" / "norms.png").read_bytes()
    draw_run(run, run.images, names=["norms", "elsewhere"])
    assert (copied / "figures" / "norms.png").read_bytes() != seven
    draw(run, "norms", bins=7)
    assert (copied / "figures" / "norms.png").read_bytes() == seven
    with pytest.raises(UsageError, match="the figure norms has no option start; it has bins"):
        draw(run, "norms", start=3)
    text = build_html(story_of(run, run.images))
    chapter, _, rest = text.partition('<h2 id="probe-title">')
    assert "How long the latents of blobs are. &lt;b&gt;" in chapter
    assert "How long" in rest.partition("More figures")[2]


def test_a_broken_figure_of_a_package_stops_no_report(install, copied):
    install("latens-bad", {"bad_figure.py": "1 / 0\n"}, {"latens.figures": {"bad": "bad_figure:BAD"}})
    run = latens.open_run(copied)
    with pytest.warns(UserWarning, match=r"figure 'bad' of the package latens-bad can't be loaded \(ZeroDivisionError"):
        assert "A map of latent space" in build_html(story_of(run, run.images))


def test_a_metric_from_a_package_outside(install, copied):
    install("latens-bright", {"bright_metric.py": METRIC}, {"latens.metrics": {"brightness": "bright_metric:METRIC"}})
    from latens.experiment import score as score_again
    from latens.progress import Silent

    run = score_again(latens.open_run(copied), progress=Silent())
    score = run.scores.find("brightness")
    assert (score.group, score.baseline_kind) == ("brightness", "real images")
    assert score.value == pytest.approx(run.reconstruct(run.images.test.pixels).mean(), rel=1e-5)
    assert "brightness" in [row["name"] for row in run.scores.to_dicts()]
    words = (run.path / "report.html").read_text()
    assert "Brightness: is it kept?" in words
    assert "The mean pixel of the reconstructions" in words
    printed = latens.open_run(copied).scores
    assert printed.find("brightness") == score


def test_a_plugin_cannot_replace_an_entry(install):
    with pytest.warns(UserWarning, match="'pca' of the package latens-two is left out: latens has one of that name"):
        install("latens-two", {"two_map.py": MAP}, {"latens.maps": {"pca": "two_map:TwoNumbers"}})
    assert latens.MAPS["pca"].__name__ == "PCAMap"


def test_a_plugin_that_cannot_be_loaded_is_named(install):
    install("latens-bad", {"bad_map.py": "import nothing_of_the_sort\n"}, {"latens.maps": {"bad": "bad_map:Bad"}})
    assert "bad" in latens.MAPS
    with pytest.raises(PluginError, match=r"map 'bad' of the package latens-bad can't be loaded .*nothing_of_the_sort"):
        latens.MAPS["bad"]


def test_a_table_without_a_group_takes_no_plugins():
    table = Table("root", {"square": "math:sqrt"})
    assert (len(table), list(table), "square" in table, "cubic" in table) == (1, ["square"], True, False)
    with pytest.raises(UnknownName, match="unknown root 'cubic'; known: square"):
        table["cubic"]


def test_every_table_has_its_group():
    for table in plugins.all_tables():
        assert table.group
