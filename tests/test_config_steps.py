"""Every shipped config takes a training step on the demo set."""

import re

import pytest
from conftest import CONFIGS

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import torch
from demo.mode import adapt, draw_set
from mmengine.config import Config
from mmengine.runner import Runner

from mmbackbones.registry import MODELS

SMALL = dict(train=8, val=2, size=64, batch_size=2, epochs=2)
# Every family with Mask R-CNN and UPerNet, every other method once.
QUICK = re.compile(
    r'(mask_rcnn|upernet)_.*_(t|d1|light)|detr_container_light'
    r'|(retinanet|cascade_mask_rcnn|mask2former_panoptic|dino.*|rtmdet)_swin_t'
)
STEPS = [
    pytest.param(path, id=path.stem, marks=[] if QUICK.fullmatch(path.stem) else pytest.mark.slow)
    for path in CONFIGS
]


@pytest.mark.parametrize('path', STEPS)
def test_every_config_takes_a_step_on_the_demo_set(path, tmp_path_factory):
    cfg = Config.fromfile(path)
    cfg.demo = dict(SMALL, root=str(tmp_path_factory.getbasetemp() / 'demo'))
    adapt(cfg)
    draw_set(cfg)
    cfg.update(work_dir=str(tmp_path_factory.mktemp('step')), log_level='ERROR')
    shorten(cfg.model.backbone)
    runner = Runner.from_cfg(cfg)
    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    optimizer = runner.build_optim_wrapper(cfg.optim_wrapper)
    model = runner.model.train()
    model.init_weights()  # some heads are not even numbers before
    weight = next(model.backbone.stem.parameters())
    before, idle = weight.clone(), {n for n, p in model.named_parameters() if p.requires_grad}
    for parameter, p in model.named_parameters():
        if p.requires_grad:
            p.register_post_accumulate_grad_hook(lambda _, n=parameter: idle.discard(n))
    losses = model.train_step(batch, optimizer)
    assert not idle  # distributed training waits for every gradient
    assert all(value.isfinite().all() for value in losses.values())
    assert not torch.equal(before, weight)


def shorten(backbone):
    """One block per stage, of the widths that the config asks for."""
    archs, own = MODELS.get(backbone.type).archs, isinstance(backbone.arch, dict)
    numbers = backbone.arch if own else archs[backbone.arch]
    backbone.arch = dict(numbers, depths=(1,) * len(numbers['depths']))
