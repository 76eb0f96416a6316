"""bfloat16: its error in a correct layer, and detection of a wrong one."""

import pytest
import torch
from torch import nn

from latens.errors import DeviceUnavailable
from latens.training.precision import allowed_precision, bfloat16_error, check_bfloat16, lowered

CPU = torch.device("cpu")


class Wrong(nn.Linear):
    """Right in float32, and wrong where it is computed in bfloat16, as defects of convolutions were."""

    def forward(self, x):
        y = super().forward(x)
        return y / 2 if y.dtype == torch.bfloat16 else y


def loss_of(layer):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), layer)
    x = torch.rand(16, 20)
    return lambda: network(x).float().square().mean(), list(network.parameters())


def test_sound_layers_pass():
    loss, parameters = loss_of(nn.Linear(30, 10))
    assert 0 < bfloat16_error(loss, parameters, CPU) < 0.1
    check_bfloat16(loss, parameters, CPU)
    assert all(parameter.grad is None for parameter in parameters)


def test_wrong_gradients_are_refused_in_a_line():
    loss, parameters = loss_of(Wrong(30, 10))
    with pytest.raises(DeviceUnavailable, match=r"^bfloat16 gives wrong gradients on cpu .*; use --precision float32$"):
        check_bfloat16(loss, parameters, CPU)


def test_a_loss_that_is_not_a_number_is_refused():
    parameter = nn.Parameter(torch.ones(3))
    with pytest.raises(DeviceUnavailable, match="inf% from float32's"):
        check_bfloat16(lambda: (parameter * torch.nan).sum(), [parameter], CPU)


def test_only_bfloat16_lowers():
    x = torch.rand(2, 3)
    dtypes = []
    for name in ("float32", "tf32", "bfloat16"):
        with lowered(name, CPU):
            dtypes.append((x @ x.T).dtype)
    assert dtypes == [torch.float32, torch.float32, torch.bfloat16]


def allowed():
    return torch.get_float32_matmul_precision() != "highest", torch.backends.cudnn.allow_tf32


def test_float32_is_float32_in_convolutions_too():
    before = allowed()
    assert before == (False, True)  # torch's own choice
    for precision, expected in (("float32", False), ("tf32", True), ("bfloat16", False)):
        with allowed_precision(precision):
            assert allowed() == (expected, expected)
        assert allowed() == before
    with pytest.raises(KeyError), allowed_precision("float32"):
        raise KeyError
    assert allowed() == before


def test_threads_that_overlap_leave_the_settings_as_they_were():
    before = allowed()
    first, second = allowed_precision("tf32"), allowed_precision("float32")
    first.__enter__()
    assert allowed() == (True, True)
    second.__enter__()
    assert allowed() == (False, False)  # never less precision than asked for
    first.__exit__(None, None, None)  # the first to come is the first to leave, as no nesting would have it
    assert allowed() == (False, False)
    second.__exit__(None, None, None)
    assert allowed() == before
