"""What becomes of a schedule when a training is resumed, and what the log says of it."""

import logging
from itertools import count as numbers

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmbackbones import CheckpointError


class Model(BaseModel):
    """A regression with two layers."""

    def __init__(self, frozen=False):
        super().__init__()
        self.first, self.last = torch.nn.Linear(1, 4), torch.nn.Linear(4, 1)
        self.first.requires_grad_(not frozen)

    def forward(self, x, mode='loss'):
        return dict(loss=self.last(self.first(x)).square().mean())


class Data(torch.utils.data.Dataset):
    """Some numbers."""

    metainfo = dict(classes=('a',))

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return dict(x=torch.full((1,), index / self.count))


WARM = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)
STEPS = dict(type='MultiStepLR', milestones=[2, 4], by_epoch=True, begin=0, end=6)
COSINE = dict(type='CosineAnnealingLR', by_epoch=False, begin=4, end=24, eta_min=1e-3)
OPTIMIZER = dict(type='AdamW', lr=0.1, weight_decay=0.01)
NUMBERS = numbers()  # an experiment's name is global in mmengine
PARAMWISE = dict(custom_keys=dict(last=dict(lr_mult=0.5)))


class Rates:
    """Trains, and keeps what the log warned of."""

    def __init__(self):
        self.said = []

    def train(self, folder, schedule, epochs, count=8, frozen=False, optimizer=OPTIMIZER, **more):
        """The learning rate of each step of a training in a folder."""
        runner = Runner(
            model=Model(frozen),
            work_dir=str(folder),
            train_dataloader=dict(
                dataset=Data(count),
                sampler=dict(type='DefaultSampler', shuffle=False),
                batch_size=2,
                collate_fn=dict(type='default_collate'),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(optimizer), paramwise_cfg=PARAMWISE),
            param_scheduler=[dict(each) for each in schedule],
            custom_hooks=[dict(type='mmbackbones.ScheduleHook')],
            experiment_name=f'{folder}_{next(NUMBERS)}',
            log_level='WARNING',
            **more,
        )
        records = []
        handler = logging.Handler()
        handler.emit = lambda record: records.append(record.getMessage())
        runner.logger.addHandler(handler)
        rates = []
        step = runner.model.train_step

        def train_step(data, optim_wrapper):
            rates.append(optim_wrapper.get_lr()['base_lr'][0])
            return step(data, optim_wrapper)

        runner.model.train_step = train_step
        runner.train()
        self.said = records
        return rates


def resume(folder, epoch):
    """Arguments of a runner that goes on from a checkpoint of an epoch."""
    return dict(resume=True, load_from=str(folder / f'epoch_{epoch}.pth'))


@pytest.fixture
def rates():
    return Rates()


def test_an_unchanged_schedule_goes_on_as_it_was(rates, tmp_path):
    whole = rates.train(tmp_path, [WARM, STEPS], 6)
    rest = rates.train(tmp_path, [WARM, STEPS], 6, **resume(tmp_path, 3))
    assert rest == whole[12:]
    assert not [text for text in rates.said if text.startswith('the schedule')]


@pytest.mark.parametrize(
    ('schedule', 'optimizer'),
    [
        ([WARM, dict(STEPS, milestones=[4, 5])], OPTIMIZER),
        ([WARM, COSINE], OPTIMIZER),
        ([WARM, STEPS], dict(OPTIMIZER, lr=0.02)),
        ([STEPS], OPTIMIZER),
        ([dict(STEPS, convert_to_iter_based=True)], OPTIMIZER),
    ],
)
def test_a_new_schedule_holds_as_if_it_had_from_the_beginning(schedule, optimizer, rates, tmp_path):
    rates.train(tmp_path / 'old', [WARM, STEPS], 4)
    whole = rates.train(tmp_path / 'new', schedule, 6, optimizer=optimizer)
    rest = rates.train(
        tmp_path / 'rest', schedule, 6, optimizer=optimizer, **resume(tmp_path / 'old', 3)
    )
    assert rest == pytest.approx(whole[12:])
    (note,) = [text for text in rates.said if text.startswith('the schedule')]
    assert f'the learning rate is {whole[12]:.3g} now' in note


def test_other_options_of_the_optimizer_hold(rates, tmp_path):
    rates.train(tmp_path, [STEPS], 2)
    rates.train(
        tmp_path, [STEPS], 3, optimizer=dict(OPTIMIZER, weight_decay=0.5), **resume(tmp_path, 2)
    )
    saved = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)['optimizer']
    assert {group['weight_decay'] for group in saved['param_groups']} == {0.5}


def test_what_cannot_be_resumed_or_is_another_length_is_said(rates, tmp_path):
    rates.train(tmp_path, [STEPS], 3, frozen=True)
    with pytest.raises(CheckpointError, match=r'trained 2 tensors .* trains 4 .* frozen_stages'):
        rates.train(tmp_path, [STEPS], 6, **resume(tmp_path, 2))
    rates.train(tmp_path, [STEPS], 6, frozen=True, count=16, **resume(tmp_path, 2))
    (note,) = [text for text in rates.said if 'epochs of' in text]
    assert 'has 2 epochs of 4 steps, now an epoch has 8' in note


def test_schedules_that_do_not_fit_are_said(rates, tmp_path):
    rates.train(tmp_path, [dict(WARM, end=500), dict(STEPS, begin=2, end=3)], 2)
    first, second = (text for text in rates.said if text.startswith('param_scheduler'))
    assert '(LinearLR) is for the steps 0 to 500, but this training ends after 8' in first
    assert 'epochs 2 to 3, but this training ends after 2' in second
