"""Display of progress: none, lines, bars; and the loss curve in a notebook."""

import io
import sys
import types

import IPython
import pytest
import rich.console

from latens import progress
from latens.errors import MissingExtra
from latens.figures import live
from latens.figures.live import in_notebook, live_loss
from latens.progress import SECONDS_BETWEEN_LINES, Lines, Silent, Terminal, progress_for
from latens.training.loop import build_model, train
from latens.training.recipes import RECIPES


class TerminalStream(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until `clock.now` is set."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    """What Terminal writes, with rich's console on a stream that says it is a terminal."""
    stream, console = TerminalStream(), rich.console.Console
    monkeypatch.setattr(
        rich.console,
        "Console",
        lambda stderr, highlight=True: console(file=stream, width=120, force_terminal=True, highlight=highlight),
    )
    return stream


def test_silent_shows_nothing(capsys):
    shown = Silent()
    shown.say("text")
    with shown.stage("work", "images") as tick:
        tick(1, 2)
        tick(2, 2, "text")
    assert capsys.readouterr() == ("", "")


def test_lines_come_now_and_then(clock):
    stream = io.StringIO()
    with Lines(stream).stage("training", "steps") as tick:
        tick(1, 2000, "too early")
        clock.now += SECONDS_BETWEEN_LINES - 0.1
        tick(10, 2000, "still too early")
        assert stream.getvalue() == ""
        clock.now += 0.1
        tick(500, 2000, "loss 0.1")
        tick(501, 2000, "just said")
        clock.now += 2 * SECONDS_BETWEEN_LINES
        tick(1500, 2000, "loss 0.05")
        clock.now += SECONDS_BETWEEN_LINES
        tick(2000, 2000, "loss 0.02")  # the end is told once, below
    assert stream.getvalue().splitlines() == [
        "training: 500 of 2,000 steps  loss 0.1  15 s left",
        "training: 1,500 of 2,000 steps  loss 0.05  5 s left",
        "training: done in 20.0 s  loss 0.02",
    ]


def test_lines_of_a_stage_that_counts_nothing(clock):
    stream = io.StringIO()
    shown = Lines(stream)
    shown.say("[a note]")
    with shown.stage("scores") as tick:
        clock.now += SECONDS_BETWEEN_LINES
        tick(0, 3, "map")
    with shown.stage("figures"):
        pass
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[a note]"
    assert lines[1] == "scores: 0 of 3  map"  # how long it will take can't be told yet
    assert lines[2:] == ["scores: done in 5.0 s  map", "figures: done in 0.0 s"]


def test_time_left_of_work_gone_on_with_counts_what_was_done_now(clock):
    stream = io.StringIO()
    with Lines(stream).stage("training", "steps") as tick:
        tick(900, 1000)
        clock.now += SECONDS_BETWEEN_LINES
        tick(950, 1000)
    assert stream.getvalue().splitlines()[0] == "training: 950 of 1,000 steps  5 s left"


def test_a_stage_that_fails_is_not_done():
    stream = io.StringIO()
    with pytest.raises(KeyError), Lines(stream).stage("training"):
        raise KeyError
    assert stream.getvalue() == ""


def test_bars_fill_and_texts_are_no_markup(terminal):
    shown = Terminal()
    shown.say("a [bold]note[/bold]")
    assert terminal.getvalue() == "a [bold]note[/bold]\n"
    with shown.stage("training", "steps") as tick:
        tick(1, 4)
        tick(3, 4, "loss 0.5")
    text = terminal.getvalue()
    assert "training" in text
    assert "loss 0.5" in text
    assert "4/4" in text
    with shown.stage("a stage without ticks"):
        pass
    assert "1/1" in terminal.getvalue()


def test_what_suits_a_stream(monkeypatch):
    stream = io.StringIO()
    lines = progress_for(stream)
    assert isinstance(lines, Lines)
    assert lines.stream is stream
    assert isinstance(progress_for(TerminalStream()), Terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    assert progress_for().stream is stream


class Handle:
    """What IPython gives for a display with an id."""

    def __init__(self, shown, place):
        self.shown, self.place = shown, place

    def update(self, picture):
        self.shown[self.place].append(picture)


@pytest.fixture
def shown_in_notebook(monkeypatch):
    """The displays of a cell, each with all that was shown in it, in turn; what is cleared is lost."""
    shown = []

    def display(picture, display_id=False):
        shown.append([picture])
        return Handle(shown, len(shown) - 1) if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.display.clear_output", lambda wait=False: shown.clear())
    return shown


def test_live_loss_redraws_after_each_epoch_and_passes_steps_on(blobs, shown_in_notebook, monkeypatch):
    drawn = []
    loss = live.FIGURES["loss"]
    monkeypatch.setattr(
        live, "FIGURES", {"loss": lambda history, last: drawn.append((list(history), last)) or loss(history, last=last)}
    )
    recipe = RECIPES["fast"](blobs).with_options(epochs=3, latent_dim=8)
    model = build_model(recipe, blobs.shape)
    shown_in_notebook.append(["a note that was shown before"])
    steps = list(live_loss(train(model, blobs, recipe.config), last=2))
    assert [step.epoch for step in steps] == [1, 2, 3]
    note, pictures = shown_in_notebook  # one display, drawn again; the note stays
    assert note == ["a note that was shown before"]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.data.startswith(b"\x89PNG")  # a notebook without pyplot shows no Figure
    history, last = drawn[-1]
    assert last == 2
    assert history == [{"epoch": s.epoch, "train_loss": s.train_loss, "test_mse": s.test_mse} for s in steps]


def test_live_loss_needs_ipython(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingExtra, match="needs IPython; `pip install ipython`"):
        next(live_loss([]))


def test_only_a_kernel_is_a_notebook(monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert not in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace())  # IPython in a terminal
    assert not in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel="a kernel"))
    assert in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not in_notebook()
