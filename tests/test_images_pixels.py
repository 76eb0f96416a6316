"""The range and channels of pixels are defined in `images/pixels.py` only."""

import ast
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import latens
from latens.images import pixels

ROOT = Path(latens.__file__).parent
ELSEWHERE = {"figures/palette.py"}  # colours of a palette are no pixels


def scales_and_channels(code):
    """The lines where code divides or multiplies by 255 or 257, compares with them, or asks for 1 or 3 channels."""
    found = []
    for node in ast.walk(ast.parse(code)):
        values = {child.value for child in ast.walk(node) if isinstance(child, ast.Constant)}
        if isinstance(node, ast.BinOp | ast.Call | ast.Compare) and any(
            type(value) in (int, float) and value in (255, 257) for value in values
        ):
            found.append(node.lineno)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            about_channels = "channels" in ast.unparse(node) or "image_shape[0]" in ast.unparse(node)
            plain = {side.value for side in sides if isinstance(side, ast.Constant)} & {1, 3}
            lists = [side for side in sides if isinstance(side, ast.Tuple | ast.List | ast.Set)]
            if (lists and values == {1, 3}) or (about_channels and plain):
                found.append(node.lineno)
    return found


def test_no_other_module_knows_the_scale_or_the_channels():
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in {"images/pixels.py"} | ELSEWHERE:
            assert not scales_and_channels(path.read_text()), name


@pytest.mark.parametrize(
    "code",
    [
        "x / 255",
        "x.div_(255)",
        "x.mul_(255.0)",
        "c not in (1, 3)",
        "channels == 1",
        "run.image_shape[0] == 3",
        "np.rint(x / 257)",
    ],
)
def test_such_code_would_be_noticed(code):
    assert scales_and_channels(code)


def test_bytes_and_floats_are_each_other_s_inverse():
    stored = np.arange(256, dtype=np.uint8)
    truth = [np.float32(value) / np.float32(255) for value in range(256)]
    assert pixels.to_floats(stored).tolist() == truth
    assert pixels.to_unit(torch.from_numpy(stored)).tolist() == truth
    assert pixels.to_uint8(pixels.to_floats(stored)).tolist() == stored.tolist()
    assert pixels.quantised(torch.tensor([-1.0, 0.5, 2.0])).tolist() == [0, np.float32(128) / np.float32(255), 1]


def test_floats_are_left_alone():
    given = np.array([0.0, 0.25, 1.0])
    assert pixels.to_floats(given).tolist() == given.tolist()
    assert pixels.to_unit(torch.from_numpy(given)).dtype == torch.float32
    assert pixels.to_unit(torch.arange(3, dtype=torch.uint8), torch.float64).dtype == torch.float64


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16, 32])
def test_every_depth_is_rounded_to_the_nearest_byte(bits):
    white = 2**bits - 1
    values = np.unique(np.linspace(0, white, 5000).astype(np.int64))
    truth = [round(Fraction(int(value) * 255, white)) for value in values]
    assert pixels.narrowed(values, white).tolist() == truth


def test_pictures_go_to_pillow_and_back():
    rng = np.random.default_rng(0)
    for channels in pixels.CHANNELS:
        array = rng.integers(0, 256, (channels, 9, 11)).astype(np.uint8)
        picture = pixels.to_picture(array)
        assert (picture.mode, picture.size) == (pixels.picture_mode(channels), (11, 9))
        assert (pixels.from_picture(picture) == array).all()
