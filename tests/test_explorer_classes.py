"""The Classes panel: the class of each image's neighbours, counted, selected and used as a colour; of a server and of a file."""

import re

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from browser import expect, open_tab, opened
from latens.explorer import View
from latens.explorer.one_file import write_html
from latens.runs.run import TEST, TRAIN


def voted(near, labels):
    """The most frequent class, ties by the nearest: written out."""
    found = []
    for rows in near:
        names = labels[rows].tolist()
        found.append(max(names, key=lambda one, names=names: (names.count(one), -names.index(one))))
    return np.array(found)


def test_predictions_on_a_map_of_all_images_are_by_the_five_nearest_others(view):
    near = NearestNeighbors(n_neighbors=6).fit(view.latents).kneighbors(view.latents)[1][:, 1:]
    assert (
        view.column("predicted") == voted(near, view.labels)
    ).mean() > 0.99  # equal distances may be in another order


def test_predictions_on_a_map_of_test_images_are_by_train_images_as_the_score_has_it(view):
    tests_alone = View(view.run)
    tests_alone.part = TEST
    train = view.run.of_part("latents", TRAIN)
    near = NearestNeighbors(n_neighbors=5).fit(train).kneighbors(tests_alone.latents)[1]
    predicted = tests_alone.column("predicted")
    assert (predicted == voted(near, view.run.labels_of(TRAIN))).all()
    accuracy = {(one.subject, one.name): one.value for one in view.run.scores}
    score = next(value for (_, name), value in accuracy.items() if name == "knn_accuracy")
    assert (predicted == tests_alone.labels).mean() == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("where", ["served", "file"])
def test_the_table_counts_and_selects(browser, address, view, tmp_path, where):
    if where == "file":
        address = write_html(view.run, tmp_path / "explorer.html").as_uri()
    with opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        open_tab(page, "Classes")
        predicted, labels = view.column("predicted"), view.labels
        names = view.run.class_names
        wrong = np.flatnonzero(predicted != labels)[:2]
        for label, other in {(0, 0), *((int(labels[row]), int(predicted[row])) for row in wrong)}:
            num = int(((labels == label) & (predicted == other)).sum())
            words = f"of class {names[label]} with neighbours of class {names[other]}"
            cell = page.get_by_role("button", name=re.compile(f"{words}$"))
            expect(cell).to_have_text(str(num))
            cell.click()
            expect(page.locator(".selection strong")).to_have_text(re.compile(f"^{num} images? selected"))
        share = 100 * (predicted == labels).mean()
        expect(page.locator("#panel strong").first).to_have_text(re.compile(rf"^{share:.3g} %$"))
        page.get_by_role("button", name="Colour by the neighbours' class").click()
        expect(page.get_by_label("Colour", exact=True)).to_have_value("predicted")
