"""The hooks of a training."""

from types import SimpleNamespace

import torch
from test_backbones import build

from mmbackbones.hooks import BatchNormMomentumHook


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
