"""Changes that only a GPU can judge, each measured beside what the package does today.

Called by tools/gpu_check.sh; by itself: PYTHONPATH=tools python -m lib.gpu_experiments --help.

aligned       masks of attention in rows of a multiple of 8 numbers. PyTorch's memory-efficient
              kernel copies every mask that has others, and a window of 7 x 7 tokens has rows of 49.
cudnn         cuDNN's attention where there is no mask. `Backbone` switches cuDNN's off, since it
              prepares a plan for each new shape; with images of one size that happens once.
blocks        each block compiled by itself, for images of many sizes padded to a few.
bias-only     trainings in which only the bias tables learn. PyTorch's memory-efficient kernel reads
              memory that is not there (https://github.com/pytorch/pytorch/issues/148476, mended by
              pull request 188302), and a guard is tried against that.
transformers  the same networks of Hugging Face's transformers, where it has them.

Times are medians of alternating rounds under bfloat16 autocast; above 1 the change is faster.
"""

import functools
import multiprocessing
import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from statistics import median
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import mmbackbones
from lib.timing import measure, seconds
from lib.usage import make_parser
from mmbackbones.backbone import Backbone
from mmbackbones.layers import window
from mmbackbones.layers.attention import Attention
from mmbackbones.registry import MODELS

FAMILIES = [name for name, kind in MODELS.module_dict.items() if issubclass(kind, Backbone)]
HEAD = '| backbone | pass | now, ms | changed, ms | now / changed | largest difference |'
RULE = '|---|---|---|---|---|---|'
CUDNN_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def build(name, args, **kwargs):
    """A backbone at its default size, the smallest that is published."""
    return MODELS.get(name)(drop_path_rate=0.0, **kwargs).to(args.device)


def forward(net, image):
    """The maps, in mixed precision."""
    with torch.autocast(image.device.type, torch.bfloat16):
        return net(image)


def inference(net, image):
    """A forward pass without gradients."""
    net.eval()
    with torch.no_grad():
        return forward(net, image)


def training(net, image):
    """A forward and a backward pass."""
    net.train()
    sum(out.float().mean() for out in forward(net, image)).backward()
    net.zero_grad()


PASSES = (inference, training)


def medians(runs, images, rounds):
    """Milliseconds that each function of an image takes for all images."""
    times = measure(dict(enumerate(runs)), images, rounds)
    return [1e3 * median(own) for own in times.values()]


def row(name, what, now, changed, difference=None):
    """A line of the table."""
    share = '' if difference is None else f'{difference:.1e}'
    return f'| {name} | {what} | {now:.2f} | {changed:.2f} | {now / changed:.2f} | {share} |'


def difference(ours, theirs):
    """The largest difference between pairs of tensors, as a share of their largest number."""
    apart = max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))
    return apart / max(a.abs().max().item() for a in ours)


def beside(name, change, args):
    """Lines: both passes of a backbone, and the same inside the context `change`.

    The context gives a list, which is empty if the backbone has nothing that it changes.
    """
    net, image = build(name, args), torch.rand(args.batch, 3, *args.shape, device=args.device)
    with change() as used:
        maps = inference(net, image)
    if not used:
        yield f'| {name} | has no such attention | | | | |'
        return
    apart = difference(inference(net, image), maps)
    for run in PASSES:

        def changed(image, run=run):
            with change():
                run(net, image)

        now, then = medians([functools.partial(run, net), changed], [image], args.rounds)
        yield row(name, run.__name__, now, then, apart if run is inference else None)


@contextmanager
def aligned_masks():
    """Biases and masks are made in rows of a multiple of 8 numbers."""
    used, attend, make = [], Attention.attend, window.attention_mask

    def attend_aligned(self, qkv, mask=None):
        if mask is None:
            return attend(self, qkv)
        used.append(mask.shape)
        is_aligned = all(stride % 8 == 0 for stride in mask.stride()[:-1])
        return attend(self, qkv, mask if is_aligned else widened(mask, 1)[..., : mask.shape[-1]])

    def mask_aligned(bias, mask_ids, padding, *others):
        tokens = mask_ids.shape[-1]
        bias = None if bias is None else widened(bias, 2)
        if padding is not None:
            padding = widened(padding.reshape(mask_ids.shape), 1).reshape(-1, 1)
        mask = make(bias, widened(mask_ids, 1), padding, *others)
        return mask[..., :tokens, :tokens]

    patches = (
        mock.patch.object(Attention, 'attend', attend_aligned),
        mock.patch.object(window, 'attention_mask', mask_aligned),
    )
    with patches[0], patches[1]:
        yield used


def widened(tensor, axes):
    """The tensor with zeros up to a multiple of 8 at the end of its last axes."""
    extra = -tensor.shape[-1] % 8
    return F.pad(tensor, (0, extra) * axes)


@contextmanager
def cudnn_without_mask():
    """PyTorch may take cuDNN's attention, before its other kernels, where there is no mask."""
    used, attend = [], F.scaled_dot_product_attention

    def function(q, k, v, attn_mask=None, **others):
        if attn_mask is not None:
            return attend(q, k, v, attn_mask, **others)
        used.append(q.shape)
        with sdpa_kernel(CUDNN_FIRST, set_priority=True):
            return attend(q, k, v, **others)

    with mock.patch.object(F, 'scaled_dot_product_attention', function):
        yield used


def aligned(args):
    """Lines: masks as they are, and in aligned rows."""
    for name in args.names:
        yield from beside(name, aligned_masks, args)


def cudnn(args):
    """Lines: attention without cuDNN, and with it where there is no mask."""
    for name in args.names:
        yield from beside(name, cudnn_without_mask, args)


def blocks(args):
    """Lines: images of many sizes eagerly, padded to a few, and with every block compiled."""
    if args.quick:
        options, sizes, bucket = dict(out_indices=0), [(32, 60), (30, 64)], 64
    else:  # the sizes of multi-scale training, with short sides from 480 to 800
        sizes = [(short, min(1333, short * 5 // 3)) for short in range(480, 801, 32)]
        options, bucket = {}, 128
    images = [torch.rand(args.batch, 3, *size, device=args.device) for size in sizes]
    shapes = len({pad(image, bucket).shape for image in images})
    for name in args.names:
        nets = [build(name, args, **options) for _ in range(3)]
        for module in list(nets[2].modules()):
            if mmbackbones.is_block(module):
                module.compile(dynamic=False)
        with many_graphs():
            for run in PASSES:
                runs = [functools.partial(run, nets[0])]
                runs += [functools.partial(padded, run, net, bucket) for net in nets[1:]]
                first = sum(seconds(runs[2], image) for image in images)
                eager, bucketed, compiled = medians(runs, images, args.rounds)
                what = f'{run.__name__}, {len(sizes)} sizes'
                yield row(name, f'{what}, padded to {shapes}', eager, bucketed)
                yield row(name, f'{what}, blocks compiled ({first:.0f} s)', eager, compiled)


def pad(image, multiple):
    """Images with zeros below and to the right, up to a multiple of so many pixels."""
    height, width = image.shape[2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple))


def padded(run, net, multiple, image):
    """One pass with an image that is padded first."""
    run(net, pad(image, multiple))


@contextmanager
def many_graphs():
    """PyTorch may compile one function for as many shapes and blocks as there are."""
    config = torch._dynamo.config  # which has no public name; if it moves, sizes are compiled anew
    limits = [name for name in dir(config) if name.endswith(('recompile_limit', 'size_limit'))]
    with config.patch(dict.fromkeys(limits, 100_000)):
        yield


def bias_only(args):
    """Lines: whether trainings in which only bias tables learn work, each in its own process."""
    spawn = multiprocessing.get_context('spawn')
    for name in args.names:
        tables = [m.bias for m in build(name, args).modules() if has_bias_module(m)]
        if not tables:
            yield f'| {name} | has no bias tables | | | | |'
            continue
        for what in ('now', 'guarded'):
            results = spawn.SimpleQueue()
            process = spawn.Process(target=bias_gradients, args=(name, what, args, results))
            process.start()
            process.join()
            text = f'process ended with {process.exitcode}' if results.empty() else results.get()
            yield f'| {name} | only biases learn, {what}: {text} | | | | |'


def has_bias_module(module):
    """Whether a module has a bias that is computed from a table."""
    return isinstance(getattr(module, 'bias', None), nn.Module)


def bias_gradients(name, what, args, results):
    """Put into `results` how far the gradients are from those of attention in parts."""
    torch.manual_seed(0)
    try:
        net = build(name, args).requires_grad_(False)
        for module in net.modules():
            if has_bias_module(module):
                module.bias.requires_grad_(True)
        image = torch.rand(args.batch, 3, *args.shape, device=args.device)
        with guard() if what == 'guarded' else nullcontext():
            found = gradients(net, image)
        with sdpa_kernel(SDPBackend.MATH):
            expected = gradients(net, image)
        results.put(f'gradients within {difference(expected, found):.1e}')
    except RuntimeError as error:  # of CUDA, after which this process can compute nothing
        results.put(f'{type(error).__name__}: {error}'.splitlines()[0][:200])


def gradients(net, image):
    """Those of all parameters that learn, of a random sum of the outputs."""
    torch.manual_seed(0)  # the same sum each time; that of the squares of a norm is constant
    sum((out * torch.rand_like(out)).sum() for out in net.train()(image)).backward()
    found = [p.grad for p in net.parameters() if p.grad is not None]
    net.zero_grad()
    if not all(grad.isfinite().all() for grad in found):
        raise RuntimeError('gradients with NaN or infinity')
    return found


@contextmanager
def guard():
    """Queries need a gradient wherever a mask does, so that the kernel keeps what it must."""
    attend = F.scaled_dot_product_attention

    def function(q, k, v, attn_mask=None, **others):
        learns = attn_mask is not None and attn_mask.requires_grad and torch.is_grad_enabled()
        if learns and not any(x.requires_grad for x in (q, k, v)):
            q = q.detach().requires_grad_()
        return attend(q, k, v, attn_mask, **others)

    with mock.patch.object(F, 'scaled_dot_product_attention', function):
        yield


def transformers(args):
    """Lines: transformers' network, and ours in its place."""
    if not find_spec('transformers'):
        yield '| | transformers is not installed | | | | |'
        return
    import transformers as package

    for name in args.names:
        kind = name.replace('TransformerV2', 'v2').replace('Transformer', '')  # as they write it
        config, backbone = (getattr(package, kind + end, None) for end in ('Config', 'Backbone'))
        if backbone is None:
            yield f'| {name} | transformers has none | | | | |'
            continue
        stages = [f'stage{i}' for i in range(1, 5)]
        theirs = backbone(config(out_features=stages, drop_path_rate=0.0)).to(args.device)
        image = torch.rand(args.batch, 3, *args.shape, device=args.device)
        ours = build(name, args)
        for run in PASSES:
            calls = [functools.partial(run, net) for net in (MapsOnly(theirs), ours)]
            yield row(name, run.__name__, *medians(calls, [image], args.rounds))


class MapsOnly(nn.Module):
    """A backbone of transformers that returns its maps alone."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).feature_maps


EXPERIMENTS: dict[str, Callable] = {
    'aligned': aligned,
    'cudnn': cudnn,
    'blocks': blocks,
    'bias-only': bias_only,
    'transformers': transformers,
}


def parse():
    """The arguments."""
    parser = make_parser(__doc__, epilog=None)
    parser.add_argument('names', nargs='*', metavar='BACKBONE', help='[all]')
    text = 'this experiment; may be given several times [all]'
    parser.add_argument('--only', action='append', choices=EXPERIMENTS, help=text)
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--shape', nargs=2, type=int, default=(896, 1344), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=20)
    text = 'images of 64 x 64, one round: to try the script, also on a CPU'
    parser.add_argument('--quick', action='store_true', help=text)
    args = parser.parse_args()
    args.names, args.only = args.names or FAMILIES, args.only or list(EXPERIMENTS)
    if unknown := set(args.names) - set(FAMILIES):
        sys.exit(f'there is no backbone {", ".join(unknown)}; choose from {", ".join(FAMILIES)}')
    if args.quick:
        args.shape, args.batch, args.rounds = (64, 64), 1, 1
    return args


def main():
    """Print a table for each experiment; one that fails does not stop the others."""
    args, failed = parse(), 0
    for title in args.only:
        print(f'{title}\n\n{HEAD}\n{RULE}')
        try:
            for line in EXPERIMENTS[title](args):
                print(line, flush=True)
        except Exception:  # whatever a kernel or a compiler raises: the other tables matter too
            failed += 1
            print('\nfailed:', traceback.format_exc(limit=-3))
        print()
    if failed:
        sys.exit(f'{failed} of {len(args.only)} experiments failed')


if __name__ == '__main__':
    main()
