"""Triage: what was planted is found, by pure functions and in a run."""

import csv

import numpy as np

from latens.review import KINDS, read_review, review_run


def test_a_review_is_kept_and_read_again(finished_run, tmp_path):
    import shutil

    from latens.runs import open_run

    shutil.copytree(finished_run.path, tmp_path / "run")
    run = open_run(tmp_path / "run")
    review = review_run(run, most=7)
    assert review.num_images == 240
    assert read_review(run) == review
    assert review.kinds[:2] == KINDS[:2]
    errors = run.latents["squared_error"]
    worst = review.of_kind("worst-rebuilt")
    assert [finding.row for finding in worst] == np.argsort(-errors, kind="stable")[:7].tolist()
    rows = list(csv.DictReader((run.path / "review.csv").read_text().splitlines()))
    assert len(rows) == len(review.findings)
    assert rows[0]["id"] == worst[0].id
