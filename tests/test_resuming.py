"""Checkpoints of trainings: read with PyTorch's safety on, and only those that are sound."""

import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer

pytest.importorskip('mmdet')

from lib import run_config
from lib.usage import UsageError

from mmbackbones import trust_trainings
from mmbackbones.weights import pickles


class Runs:
    """What a pickle would call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def ran(path):
    path.write_text('code ran')


@pytest.fixture
def training():
    """What mmengine saves beside the weights."""
    history = HistoryBuffer()
    for value in (1.0, 2.0, 3.0):
        history.update(value)
    logs = {'train/loss': history}
    return dict(
        meta=dict(epoch=1, cfg='a = 1'),
        state_dict={'backbone.weight': torch.ones(2)},
        message_hub=dict(log_scalars=logs, runtime_info=dict(loss=history.mean())),
        optimizer=dict(state={0: dict(step=torch.tensor(1.0))}, param_groups=[dict(lr=0.1)]),
    )


@pytest.fixture
def trusting():
    """PyTorch trusts trainings until the test ends."""
    before = torch.serialization.get_safe_globals()
    trust_trainings()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


def test_histories_of_losses_are_read_with_the_safety_on(training, tmp_path, trusting):
    torch.save(training, tmp_path / 'epoch_1.pth')
    read = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    history = read['message_hub']['log_scalars']['train/loss']
    assert (history.mean(), history.min(), history.current()) == (2.0, 1.0, 3.0)
    assert history.statistics('max') == 3.0
    assert read['message_hub']['runtime_info']['loss'] == 2.0


@pytest.mark.parametrize('name', ['__init__', '__globals__', '_set_default_statistics'])
def test_getattr_finds_statistics_alone(name, tmp_path, trusting):
    assert pickles.statistic(HistoryBuffer, 'mean') is HistoryBuffer.mean
    torch.save(dict(x=Runs(getattr, HistoryBuffer, name)), tmp_path / 'x.pth')
    with pytest.raises(pickle.UnpicklingError, match='no statistic of a history'):
        torch.load(tmp_path / 'x.pth', weights_only=True)
    with pytest.raises(pickle.UnpicklingError):
        pickles.statistic(torch, 'load')


def test_a_checkpoint_that_would_run_code_does_not(training, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(training, extra=Runs(ran, tmp_path / 'proof')), path)
    words = 'test_resuming.ran, which is no weight and might run code'
    with pytest.raises(UsageError, match=words):
        run_config.check_checkpoint(str(path))
    assert not (tmp_path / 'proof').exists()


@pytest.mark.parametrize('size', [0, 100, 1000, -10])
def test_the_one_before_a_damaged_checkpoint_is_used(training, tmp_path, capsys, size):
    assert run_config.last_checkpoint(tmp_path / 'nothing') is None
    for name in ('iter_9', 'iter_10'):
        torch.save(training, tmp_path / f'{name}.pth')
    assert run_config.last_checkpoint(tmp_path) == str(tmp_path / 'iter_10.pth')
    assert capsys.readouterr().err == ''
    last = tmp_path / 'iter_10.pth'
    last.write_bytes(last.read_bytes()[:size])
    assert run_config.last_checkpoint(tmp_path) == str(tmp_path / 'iter_9.pth')
    message = capsys.readouterr().err
    assert message.startswith(f'passed over: {last}')
    assert len(message.splitlines()) == 1
    (tmp_path / 'iter_9.pth').write_bytes(b'')
    with pytest.raises(UsageError, match='none is whole'):
        run_config.last_checkpoint(tmp_path)
