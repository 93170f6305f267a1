r"""Records a published model: what its own code computes, with weights filled from their names.

    python tests/record.py timm davit_tiny out.npz --size 224 224 --size 2 61 97
    python tests/record.py torchvision swin_t out.npz --size 448 448 --channels-last \
        --levels features.1 features.3 features.5 features.7
    python tests/record.py mmdet SwinTransformer out.npz --size 200 300 --tap norm
    python tests/record.py transformers swinv2 out.npz --size 512 512 \
        --arguments '{"image_size": 512}'
    python tests/record.py MODULE:FUNCTION NAME out.npz --size 224 224

FUNCTION(NAME, **arguments) returns a network whose `state_dict()` has the names of the published
file, or this network and a function from images to its levels, each (B, C, H, W). recording.py
reads the file: an array of at most 2048 numbers per level, and a JSON string `meta` with

    keys     [name, shape, dtype, kind] of the whole checkpoint; kinds are param, stat (of a batch
             norm) and buffer, whose numbers nobody reads
    unused   the names of those that no level depends on: the classifier
    cases    shape and seed of each image, and its outputs with level, stride, shape, mean, std,
             noise (how far float64 is, in std) and the name of their array
    primary  what the levels are: raw stages, or those after a norm that the checkpoint has
"""

import argparse
import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from recording import fill, sample


def timm(name, **arguments):
    """A classifier of timm and its stages."""
    import timm

    net = timm.create_model(name, **arguments)
    return net, lambda x: net.forward_intermediates(x, intermediates_only=True, output_fmt='NCHW')


def torchvision(name, **arguments):
    """A classifier of torchvision; `--levels` names its stages."""
    import torchvision

    return torchvision.models.get_model(name, **arguments)


def mmpretrain(name, **arguments):
    """A classifier of mmpretrain and what its backbone hands out, after its norms."""
    import mmpretrain

    net = mmpretrain.get_model(name, **arguments)
    return net, lambda x: net.extract_feat(x, stage='backbone')


def mmdet(name, **arguments):
    """A backbone of mmdet by its registered name."""
    import mmdet.models  # noqa: F401  registers them
    from mmdet.registry import MODELS

    return MODELS.build(dict(type=name, **arguments))


def transformers(name, **arguments):
    """A classifier of Hugging Face, by its model type, and its stages before they are merged.

    The arguments are those of its config. What is a backbone alone, as `maskformer-swin` in
    MaskFormer, gives its own maps. record_whole.py records the whole models.
    """
    from transformers import AutoBackbone, AutoConfig, AutoModelForImageClassification

    config = AutoConfig.for_model(name, **arguments)
    try:
        net = AutoModelForImageClassification.from_config(config)
    except ValueError:  # there is no classifier with it
        net = AutoBackbone.from_config(config)
        return net, lambda x: net(x).feature_maps

    def levels(image):
        tokens, sides = net.base_model.embeddings(image)
        wanted = dict.fromkeys(
            ('output_hidden_states', 'output_hidden_states_before_downsampling', 'return_dict'),
            True,
        )
        return net.base_model.encoder(tokens, sides, **wanted).reshaped_hidden_states[1:]

    return net, levels


LIBRARIES = {each.__name__: each for each in (timm, torchvision, mmpretrain, mmdet, transformers)}


def build(source, name, arguments):
    """(network, function from images to levels) of a library or of MODULE:FUNCTION."""
    function = LIBRARIES.get(source)
    if function is None:
        module, _, function = source.partition(':')
        function = getattr(importlib.import_module(module), function)
    built = function(name, **arguments)
    net, levels = built if isinstance(built, tuple) else (built, built)
    net.eval()  # which of mmdet's own returns nothing
    return net, levels


def outputs_of(net, modules, channels_last):
    """A function from images to what these modules of a network return, as (B, C, H, W)."""

    def levels(image):
        found = []

        def keep(module, inputs, output):
            found.append(output)

        hooks = [net.get_submodule(name).register_forward_hook(keep) for name in modules]
        net(image)
        for hook in hooks:
            hook.remove()
        return [out.permute(0, 3, 1, 2) if channels_last else out for out in found]

    return levels


def keys_of(net):
    """[name, shape, dtype, kind] of all that the checkpoint holds."""
    parameters = dict(net.named_parameters(remove_duplicate=False))
    stats = ('running_mean', 'running_var', 'num_batches_tracked')
    for name, tensor in net.state_dict().items():
        kind = 'param' if name in parameters else 'stat' if name.endswith(stats) else 'buffer'
        yield [name, list(tensor.shape), str(tensor.dtype).removeprefix('torch.'), kind]


def fill_all(net, keys):
    """Fill a network from the names of its keys, all but buffers; (sum, sum of squares)."""
    state = {key[0]: torch.from_numpy(fill(*key)) for key in keys}
    buffers = {name for name, _, _, kind in keys if kind == 'buffer'}
    net.load_state_dict({n: t for n, t in state.items() if n not in buffers}, strict=False)
    return [sum((t.double() ** power).sum().item() for t in state.values()) for power in (1, 2)]


def unused(net, levels, image, keys):
    """The names of those that no level depends on; of statistics, those whose weight is unused."""
    sum(level.square().mean() for level in levels(image)).backward()
    idle = {n for n, p in net.named_parameters(remove_duplicate=False) if p.grad is None}
    return [
        name
        for name, _, _, kind in keys
        if name in idle or (kind == 'stat' and f'{name.rpartition(".")[0]}.weight' in idle)
    ]


def pyramid(levels, image):
    """{level: map} of a network at strides 4, 8 ..., the last map of each stride."""
    with torch.no_grad():
        maps = levels(image)
    strides = [round(math.log2(max(image.shape[2:]) / max(each.shape[2:]))) for each in maps]
    return {stride - 2: each for stride, each in zip(strides, maps, strict=True) if stride >= 2}


def record(net, levels, shapes, tap):
    """(cases, {name: sampled values}) of images of these shapes."""
    images = [np.random.RandomState(seed).standard_normal(s) for seed, s in enumerate(shapes)]
    images = [torch.from_numpy(image.astype(np.float32)) for image in images]
    found = [pyramid(levels, image) for image in images]
    net.double()
    cases, values = [], {}
    for seed, (image, maps) in enumerate(zip(images, found, strict=True)):
        exact, outputs = pyramid(levels, image.double()), []
        for level, out in maps.items():
            name, std = f'case{seed}/level{level}/{tap}', out.double().std(correction=0).item()
            noise = float(f'{(out - exact[level]).abs().max().item() / std:.1e}')
            row = dict(level=level, stride=4 * 2**level, tap=tap, shape=list(out.shape))
            row.update(mean=out.double().mean().item(), std=std, noise=noise, values=name)
            outputs.append(row)
            values[name] = sample(out, level)
        cases.append(dict(shape=list(image.shape), seed=seed, outputs=outputs))
    return cases, values


def parse(arguments):
    """The command line."""
    as_it_is = argparse.RawDescriptionHelpFormatter  # with the examples as they stand
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    add = parser.add_argument
    add('source', help=f'{", ".join(LIBRARIES)} or MODULE:FUNCTION')
    add('model', help='its name there')
    add('out', type=Path, help='the file to write, NAME.npz')
    add('--size', type=int, nargs='+', action='append', required=True, help='[images] height width')
    add('--levels', nargs='+', help='names of modules whose outputs are the levels')
    add('--channels-last', action='store_true', help='these outputs are (B, H, W, C)')
    add('--tap', choices=('raw', 'norm'), default='raw', help='raw stages, or after output norms')
    add('--arguments', type=json.loads, default={}, help='for the constructor, as JSON')
    add('--note', action='append', default=[], help='what the numbers depend on')
    args = parser.parse_args(arguments)
    args.shapes = [[*size[:-2], 3, *size[-2:]] for size in args.size]
    args.shapes = [shape if len(shape) == 4 else [1, *shape] for shape in args.shapes]
    return args


def main(arguments=None):
    """Record the model that the command line names."""
    args = parse(arguments)
    net, levels = build(args.source, args.model, args.arguments)
    if args.levels:
        levels = outputs_of(net, args.levels, args.channels_last)
    keys, package = list(keys_of(net)), sys.modules.get(args.source)
    meta = dict(
        format=1,
        name=args.out.stem,
        model=args.model,
        source=dict(name=args.source, version=getattr(package, '__version__', None)),
        arguments=args.arguments,
        notes=args.note,
        primary=args.tap,
        keys=keys,
        checksum=dict(zip(('sum', 'sum_of_squares'), fill_all(net, keys), strict=True)),
        unused=unused(net, levels, torch.zeros(args.shapes[0]), keys),
        precision=dict(dtype='float32', torch=torch.__version__, device='cpu'),
    )
    meta['cases'], values = record(net, levels, args.shapes, args.tap)
    np.savez_compressed(args.out, meta=json.dumps(meta), **values)
    for case in meta['cases']:
        for out in case['outputs']:
            print(case['shape'], 'level {level} {tap} {shape} noise {noise}'.format(**out))


if __name__ == '__main__':
    sys.path.append('')  # for modules of one's own
    main()
