"""The hooks of a training."""

from types import SimpleNamespace

import torch
from test_backbones import build

from mmbackbones.hooks import BatchNormMomentumHook


def test_batch_norms_learn_their_statistics_in_a_short_training():
    net, x = build('MaxViT').train(), 5 + torch.randn(2, 3, 32, 32)
    BatchNormMomentumHook(momentum=0.5).before_train(SimpleNamespace(model=net))
    for _ in range(20):
        net(x)
    trained = net(x)
    for training, testing in zip(trained, net.eval()(x), strict=True):
        assert (training - testing).std() < 0.05 * training.std()
