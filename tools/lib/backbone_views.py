"""What a backbone sees, as numbers: colours of its levels, its attention, its receptive field."""

import torch

from mmbackbones.layers import Attention, WindowAttention, window_reverse
from mmbackbones.models.davit import ChannelAttention


def colours(level):
    """(C, h, w) -> (h, w, 3), from 0 to 1: the three principal components of its tokens."""
    tokens = level.flatten(1).T.float()
    tokens = tokens - tokens.mean(0)
    axes = torch.linalg.svd(tokens, full_matrices=False)[2][:3]
    strongest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    parts = tokens @ (axes * strongest.sign()).T  # an axis has no sign of its own
    low, high = parts.quantile(0.01, 0), parts.quantile(0.99, 0)
    parts = ((parts - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    parts = torch.nn.functional.pad(parts, (0, 3 - parts.shape[1]))  # a token or two have fewer
    return parts.unflatten(0, level.shape[1:])


def mixers(net):
    """{description: (stage, mixer)}, one of each kind: of the stage next to stride 16 the last.

    Channel attention is none of them: it mixes the channels of a token, and no tokens.
    """
    found = {}
    for stage in sorted(range(len(net.stages)), key=lambda i: (abs(i - 2), i)):
        modules = [m for m in net.stages[stage].modules() if mixes(m)]
        kinds = {kind(m): (stage, m) for m in modules}
        found.update({name: each for name, each in kinds.items() if name not in found})
    return found


def mixes(module):
    """Whether a module gathers values from tokens and projects them."""
    gathers = hasattr(module, 'qkv') or hasattr(module, 'v')
    return gathers and hasattr(module, 'proj') and not isinstance(module, ChannelAttention)


def kind(mixer):
    """What to call a mixer."""
    name = type(mixer).__name__
    if not isinstance(mixer, WindowAttention):
        return name
    shift = f', shift {mixer.shift}' if mixer.shift else ''
    return f'{name} {mixer.size} x {mixer.size}{shift}'


def attention(net, mixer, image, query):
    """(h, w): the weights of all tokens' values in what the token at `query` gathers.

    `query` are fractions of height and width. What a token gathers is linear in the values, so its
    derivative by them is the weights: of softmaxes as of convolutions, whatever kernel computes it.
    Their sizes are averaged over heads and channels.
    """
    caught = {}

    def keep_map(module, inputs):
        caught['map'] = inputs[0]

    def keep_values(module, inputs, output):
        caught['values'] = output.detach().requires_grad_()
        return caught['values']

    def keep_gathered(module, inputs):
        caught['gathered'] = inputs[0]

    source = mixer.qkv if isinstance(mixer, Attention) else mixer.v
    hooks = [
        mixer.register_forward_pre_hook(keep_map),
        source.register_forward_hook(keep_values),
        mixer.proj.register_forward_pre_hook(keep_gathered),
    ]
    try:
        net(image)
    finally:
        for hook in hooks:
            hook.remove()
    gathered, (_, H, W, channels) = caught['gathered'], caught['map'].shape
    y, x = (int(at * side) for at, side in zip(query, (H, W), strict=True))
    place = y * W + x
    windows = isinstance(mixer, WindowAttention)
    if windows:  # the layers see tokens in window order
        order = mixer.order(caught['map'])
        place = order.places[place]
    token = gathered.reshape(-1, channels)[place]
    (grad,) = torch.autograd.grad(token.sum(), caught['values'])
    weights = grad[..., -channels:].abs().mean(-1, keepdim=True)
    shape = 1, H, W, 1
    maps = window_reverse(weights, order, shape) if windows else weights.view(shape)
    return maps[0, ..., 0]


def receptive_field(net, images, level=-1):
    """(H, W): how much the centre of a level depends on each pixel, at most 1.

    The gradient of a random sum of its channels, its size averaged over images and colours.
    A plain sum would not do: behind a layer norm it is constant.
    """
    total = 0.0
    for image in images:
        image = image[None].requires_grad_()
        out = net(image)[level]
        centre = out[0, :, out.shape[2] // 2, out.shape[3] // 2]
        signs = torch.randn(len(centre), generator=torch.Generator().manual_seed(0))
        (grad,) = torch.autograd.grad((centre * signs.to(centre)).sum(), image)
        total = total + grad[0].abs().sum(0)
    return total / total.max()


def spread(field, stride, share=0.95):
    """Side of the square about the centre token, in pixels, that holds this share of a field."""
    # The token in the middle of an even number of them lies half a stride behind the image's.
    centres = [(-(-side // stride) // 2 + 0.5) * stride - 0.5 for side in field.shape]
    rows, columns = (
        (torch.arange(side) - at).abs() for side, at in zip(field.shape, centres, strict=True)
    )
    away = torch.maximum(rows[:, None], columns).flatten()
    order = away.argsort()
    held = field.flatten()[order].cumsum(0)
    return 2 * away[order][int((held < share * held[-1]).sum())].item() + 1
