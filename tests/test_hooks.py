"""The hooks of a training, and what its screen shows."""

import io
from types import SimpleNamespace

import pytest
import torch
from families import build
from lib import arguments, short_log
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper

from mmbackbones.hooks import BatchNormMomentumHook, BFloat16Hook, CompileHook, DetectNanHook


def difference(hook):
    """How far evaluation is from training after 20 steps, in deviations of the coarsest map."""
    net, x = build('MaxViT').train(), 5 + torch.randn(4, 3, 128, 128)
    if hook:
        hook.before_train(SimpleNamespace(model=net))
    for _ in range(20):
        training = net(x)[-1]
    return ((training - net.eval()(x)[-1]).std() / training.std()).item()


def test_batch_norms_learn_their_statistics_in_a_short_training():
    assert difference(BatchNormMomentumHook(momentum=0.5)) < 0.05 < difference(None)


def test_operators_of_mmcv_get_float32():
    parts = dict(bbox_head=torch.nn.Linear(4, 4), neck=torch.nn.Linear(4, 4))
    model = torch.nn.ModuleDict(dict(parts, mask_roi_extractor=torch.nn.Identity()))
    BFloat16Hook().before_run(SimpleNamespace(model=model))
    with torch.autocast('cpu', torch.bfloat16):
        maps = model['neck'](torch.ones(4))
        regions, boxes = model['mask_roi_extractor'](maps), model['bbox_head'](maps)
    assert [t.dtype for t in (maps, regions, boxes)] == [torch.bfloat16, *[torch.float32] * 2]


class Model(torch.nn.Module):
    """Gives the losses that it was told to."""

    def __init__(self, losses):
        super().__init__()
        self.losses = losses

    def forward(self, inputs, data_samples, mode):
        return self.losses if mode == 'loss' else data_samples


def step(model, inputs, mode='loss'):
    """A step of a training with the hook on, and one after it."""
    hook, runner = DetectNanHook(), SimpleNamespace(model=model)
    samples = [SimpleNamespace(metainfo=dict(img_path=f'{i}.jpg')) for i in range(len(inputs))]
    hook.before_train(runner)
    try:
        model(inputs=inputs, data_samples=samples, mode=mode)
    finally:
        hook.after_train(runner)
    model(inputs=inputs, data_samples=samples, mode=mode)


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_what_is_not_finite_is_named(value):
    images, fine = torch.ones(3, 2), dict(loss_cls=torch.ones(()), loss_bbox=[torch.ones(2)])
    step(Model(fine), images)
    step(Model({}), images, 'predict')
    bad = torch.tensor([1.0, value])
    images[1, 1] = value
    with pytest.raises(FloatingPointError, match=r'NaN or infinity in the image 1\.jpg$'):
        step(Model(fine), images)
    for losses in (dict(fine, loss_mask=bad), dict(fine, loss_mask=[bad[:1], bad])):
        with pytest.raises(FloatingPointError, match=r'in loss_mask of the images 0\.jpg, 1\.jpg$'):
            step(Model(losses), torch.ones(2, 2))


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    pytest.importorskip('mmcv')
    from mmcv.transforms import LoadImageFromFile

    (tmp_path / 'cut.jpg').write_bytes(b'\xff\xd8\xff')
    with pytest.raises(Exception, match=r'cut\.jpg'):
        LoadImageFromFile()(dict(img_path=str(tmp_path / 'cut.jpg')))
    with pytest.raises(Exception, match=r'none\.jpg'):
        LoadImageFromFile()(dict(img_path=str(tmp_path / 'none.jpg')))


class Terminal(io.StringIO):
    """Text that was written on a terminal."""

    def isatty(self):
        return True


class OneWeight(BaseModel):
    """A model with one weight, for trainings of no time."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, mode):
        print('said by a model')
        return dict(loss=self.weight * inputs[0])


@pytest.mark.parametrize('terminal', [True, False])
def test_steps_are_one_line_of_a_terminal(tmp_path, monkeypatch, terminal):
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr('sys.stdout', screen)
    sampler = dict(type='DefaultSampler', shuffle=False)
    short_log.ShortLogRunner(
        OneWeight(),
        str(tmp_path),
        dict(dataset=[dict(inputs=torch.ones(()))] * 7, sampler=sampler, batch_size=1),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        experiment_name=f'terminal{terminal}',
    ).train()
    shown, (log,) = screen.getvalue(), tmp_path.glob('*/*.log')
    assert log.read_text().count('Epoch(train)') == 14
    assert shown.count('Epoch(train)') == (0 if terminal else 14)
    assert ('14/14' in shown and 'loss 1.000' in shown) == terminal
    assert shown.count('said by a model\n') == 14
    assert 'Saving checkpoint at 2 epochs' in shown


def test_the_step_of_an_optimizer_compiles():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    optimizer = dict(type='AdamW', lr=0.1, weight_decay=0.1)
    cfg = ConfigDict(optimizer=optimizer, paramwise_cfg=dict(norm_decay_mult=0.0))
    wrapper = build_optim_wrapper(model, cfg)
    CompileHook().before_train(SimpleNamespace(optim_wrapper=wrapper))
    before = model[0].weight.clone()

    @torch.compile(backend='eager')
    def step(x):
        wrapper.update_params(model(x).square().sum())

    step(torch.ones(1, 2))
    assert not model[0].weight.equal(before)
    decays = {group['weight_decay'] for group in wrapper.optimizer.param_groups}
    assert decays == {0.0, 0.1}


class Screen(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


def test_a_pipe_gets_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(arguments, 'EVERY', 0)
    screen = Screen(terminal=False)
    monkeypatch.setattr('sys.stderr', screen)
    assert list(arguments.progress(range(3), 'images')) == [0, 1, 2]
    assert screen.getvalue().splitlines() == [f'images: {i} of 3' for i in range(3)]
    screen.truncate(0)
    assert list(arguments.progress(iter('ab'), 'frames', 4.0)) == ['a', 'b']
    assert 'frames: 1 of 4' in screen.getvalue()
    assert list(arguments.progress((x for x in 'ab'), 'frames')) == ['a', 'b']
    assert screen.getvalue().endswith('frames: 1\n')


def test_a_silent_log_says_how_far_it_is(monkeypatch):
    screen, lines = short_log.ShortScreen(), []
    hook = short_log.SignOfLifeHook(screen)
    runner = SimpleNamespace(
        iter=4, max_iters=9, logger=SimpleNamespace(info=lines.append), test_dataloader=[0] * 3
    )
    hook.after_train_iter(runner, 0)
    assert lines == []
    screen.said -= short_log.EVERY
    hook.after_train_iter(runner, 0)
    hook.after_test_iter(runner, 1)
    assert lines == ['training: step 5 of 9', 'test: step 2 of 3']


def test_the_line_of_a_terminal_fits_into_60_columns():
    hook = short_log.ProgressHook()
    hook.progress.live.console.width = 60
    hook.progress.add_task('', total=90_000, completed=45_678, loss='12.345')
    text = ''.join(each.text for each in hook.progress.live.console.render(hook.progress))
    assert [len(line) for line in text.splitlines()] == [60]
    assert '45678/90000 loss 12.345' in text
