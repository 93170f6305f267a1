"""Records a whole model of another library: the names of its file, and what its heads give.

    python tests/record_whole.py mask2former out.npz --size 1 3 61 97
    python tests/record_whole.py MODULE:FUNCTION out.npz --size 1 3 61 97

Models of transformers have the names under which it saves them. FUNCTION() returns another one,
which gives objects with `class_queries_logits` and `masks_queries_logits`, as theirs. recording.py
reads the file, as it reads those of record.py; level 0 is of classes and level 1 of masks.
"""

import argparse
import importlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from recording import fill, sample

SWIN = dict(
    embed_dim=8,
    depths=[1, 2, 1, 1],
    num_heads=[1, 1, 2, 2],
    window_size=3,
    image_size=32,
    out_features=['stage1', 'stage2', 'stage3', 'stage4'],
)


def mask2former(classes=7):
    """Mask2Former with Swin."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    widths = ('feature_size', 'mask_feature_size', 'hidden_dim')
    widths = dict.fromkeys((*widths, 'encoder_feedforward_dim', 'dim_feedforward'), 32)
    layers = dict(encoder_layers=2, decoder_layers=4, num_attention_heads=4, num_queries=5)
    backbone = SwinConfig(**SWIN)
    labels = dict(id2label={i: str(i) for i in range(classes)})
    config = Mask2FormerConfig(backbone_config=backbone, **widths, **layers, **labels)
    return Mask2FormerForUniversalSegmentation(config)


def maskformer(classes=7):
    """MaskFormer with Swin."""
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation
    from transformers.models.maskformer.configuration_maskformer_swin import MaskFormerSwinConfig

    heads = dict(encoder_attention_heads=4, decoder_attention_heads=4, num_queries=5)
    layers = dict(encoder_layers=0, decoder_layers=2, decoder_ffn_dim=32, d_model=32)
    config = MaskFormerConfig(
        backbone_config=MaskFormerSwinConfig(**SWIN),
        decoder_config=DetrConfig(**heads, **layers),
        fpn_feature_size=32,
        mask_feature_size=32,
        id2label={i: str(i) for i in range(classes)},
    )
    return MaskFormerForInstanceSegmentation(config)


def saved(model, folder):
    """{name: tensor} of the file that transformers writes, or of a state dict."""
    from safetensors.torch import load_file

    if not hasattr(model, 'save_pretrained'):
        return model.state_dict()
    model.save_pretrained(folder)
    return load_file(Path(folder, 'model.safetensors'))


def loaded(model, tensors, folder):
    """The model with all tensors of the file of one."""
    from safetensors.torch import save_file

    if not hasattr(model, 'save_pretrained'):
        model.load_state_dict(tensors)
        return model
    save_file(tensors, Path(folder, 'model.safetensors'), metadata=dict(format='pt'))
    return type(model).from_pretrained(folder, config=model.config)


def filled(model):
    """The names, shapes, dtypes and kinds of a model's file, and the model with such numbers."""
    buffers = ('relative_position_index', 'empty_weight')
    with TemporaryDirectory() as folder:
        tensors = saved(model, folder)
        keys = [
            [n, list(t.shape), str(t.dtype)[6:], 'buffer' if n.endswith(buffers) else 'param']
            for n, t in tensors.items()
        ]
        numbers = {key[0]: torch.from_numpy(fill(*key)) for key in keys if key[3] == 'param'}
        return keys, loaded(model, tensors | numbers, folder).eval()


def outputs_of(model, image):
    """The logits of classes (B, queries, classes + 1) and of masks (B, queries, H, W)."""
    with torch.no_grad():
        found = model(pixel_values=image)
    return found.class_queries_logits, found.masks_queries_logits


def record(model, shapes):
    """(cases, {name: sampled values}) of images of these shapes."""
    images = [np.random.RandomState(seed).standard_normal(s) for seed, s in enumerate(shapes)]
    images = [torch.from_numpy(image.astype(np.float32)) for image in images]
    found = [outputs_of(model, image) for image in images]
    model.double()
    cases, values = [], {}
    for seed, (image, outputs) in enumerate(zip(images, found, strict=True)):
        rows = []
        for level, (out, exact) in enumerate(
            zip(outputs, outputs_of(model, image.double()), strict=True)
        ):
            name, std = f'case{seed}/level{level}', out.double().std(correction=0).item()
            noise = float(f'{(out - exact).abs().max().item() / std:.1e}')
            rows.append(dict(level=level, tap='heads', shape=list(out.shape), std=std))
            rows[-1].update(noise=noise, values=name)
            values[name] = sample(out, level)
        cases.append(dict(shape=list(image.shape), seed=seed, outputs=rows))
    return cases, values


def main(arguments=None):
    """Record the model that the command line names."""
    as_it_is = argparse.RawDescriptionHelpFormatter  # with the examples as they stand
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    models = {each.__name__: each for each in (mask2former, maskformer)}
    parser.add_argument('model', help=f'{", ".join(models)} or MODULE:FUNCTION')
    parser.add_argument('out', type=Path, help='the file to write, NAME.npz')
    parser.add_argument(
        '--size', type=int, nargs=4, action='append', required=True, help='of a batch of images'
    )
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    function = models.get(args.model)
    if function is None:
        module, _, name = args.model.partition(':')
        function = getattr(importlib.import_module(module), name)
    keys, model = filled(function())
    cases, values = record(model, args.size)
    meta = json.dumps(dict(model=args.model, keys=keys, primary='heads', cases=cases))
    np.savez_compressed(args.out, meta=np.array(meta), **values)
    for case in cases:
        print(case['shape'], *[f'noise {out["noise"]}' for out in case['outputs']])


if __name__ == '__main__':
    main()
