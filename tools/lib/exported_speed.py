"""What runs exported files in both engines, and the models that they were made from, for timing."""

from importlib.util import find_spec

import numpy as np
import torch
from mmengine.config import Config

from lib.flops import build, sample
from mmbackbones import load_checkpoint
from mmbackbones.deploy import Model

ENGINES = ('onnxruntime', 'openvino')


def engines_of(path):
    """The engines that run a file."""
    return ENGINES if path.lower().endswith('.onnx') else ENGINES[1:]


def exported_run(path, engine, threads, batch):
    """A function of a picture (H, W, 3) that does what a program with the file does `batch` times.

    The picture keeps its size where the file takes any.
    """
    model = Model(path, engine=engine, threads=threads)
    model.about['resize'] = dict(model.about['resize'], scale=None)
    return lambda picture: model([picture.numpy()] * batch)


def eager_run(path, weights, batch):
    """A function of a picture (H, W, 3) that a batch of mm's model of a config is made of."""
    cfg = Config.fromfile(path)
    model = build(cfg).requires_grad_(False)
    if weights:
        load_checkpoint(model, weights)

    def run(picture):
        image = picture.permute(2, 0, 1).flip(0)  # BGR, as mm loads it
        size = tuple(picture.shape[:2])
        samples = [sample(cfg.default_scope, size) for _ in range(batch)]
        with torch.no_grad():
            model.test_step(dict(inputs=[image] * batch, data_samples=samples))

    return run


def runs_of(args):
    """{name: function of a picture}: the engines, and mm's model if there is a config."""
    engines = args.engines or [each for each in engines_of(args.name) if find_spec(each)]
    runs = {each: exported_run(args.name, each, args.threads, args.batch) for each in engines}
    if args.config:
        runs['eager'] = eager_run(args.config, args.weights, args.batch)
    return runs


def pictures(shapes):
    """Random pictures, smooth as photographs are, of some (height, width)."""
    random = np.random.default_rng(0)
    for height, width in shapes:
        coarse = torch.from_numpy(random.random((1, 3, 9, 12))).float()
        smooth = torch.nn.functional.interpolate(coarse, (height, width), mode='bicubic')[0]
        yield smooth.mul(255).clamp(0, 255).byte().permute(1, 2, 0).contiguous()
