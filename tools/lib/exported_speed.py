"""Seconds per picture of an exported file in both engines, and of the model that it was made from."""

import copy

import numpy as np
import torch
from mmengine.registry import MODELS, init_default_scope

from lib.arguments import import_quietly, read_model
from lib.exported import open_exported
from mmbackbones import load_checkpoint

ENGINES = ('onnxruntime', 'openvino')


def engines_of(path):
    """The engines that run a file."""
    return ENGINES if path.lower().endswith('.onnx') else ENGINES[1:]


def exported_run(path, engine, threads, parser):
    """A function of pictures (H, W, 3) that does all that a program with the file does.

    Pictures keep their size where the file takes any.
    """
    model = open_exported(path, parser, engine=engine, threads=threads)
    model.about['resize'] = dict(model.about['resize'], scale=None)
    return lambda picture: model(picture.numpy())


def eager_run(path, weights, parser):
    """A function of pictures (H, W, 3) that mm's model of a config runs, in PyTorch."""
    cfg = read_model(path, parser)
    import_quietly(cfg.get('default_scope'))
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    settings = copy.deepcopy(cfg.model)
    settings.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model = MODELS.build(settings).eval().requires_grad_(False)
    if weights:
        load_checkpoint(model, weights)
    of_mmdet = cfg.get('default_scope') == 'mmdet'

    def run(picture):
        image = picture.permute(2, 0, 1).flip(0)  # BGR, as mm loads it
        size = tuple(picture.shape[:2])
        about = dict(ori_shape=size, img_shape=size, scale_factor=(1.0, 1.0))
        with torch.no_grad():
            model.test_step(
                dict(inputs=[image], data_samples=[sample_class(of_mmdet)(metainfo=about)])
            )

    return run


def sample_class(of_mmdet):
    """The data samples of mmdet or of mmseg."""
    if of_mmdet:
        from mmdet.structures import DetDataSample as Sample
    else:
        from mmseg.structures import SegDataSample as Sample
    return Sample


def runs_of(args, parser):
    """{name: function of pictures}: the engines, and mm's model if there is a config."""
    runs = {each: exported_run(args.name, each, args.threads, parser) for each in args.engines}
    if args.config:
        runs['eager'] = eager_run(args.config, args.weights, parser)
    return runs


def pictures(shapes):
    """Random pictures, smooth as photographs are, of some (height, width)."""
    random = np.random.default_rng(0)
    for height, width in shapes:
        coarse = torch.from_numpy(random.random((1, 3, 9, 12))).float()
        smooth = torch.nn.functional.interpolate(coarse, (height, width), mode='bicubic')[0]
        yield smooth.mul(255).clamp(0, 255).byte().permute(1, 2, 0).contiguous()
