"""What tools/visualize.py draws: the numbers behind the pictures, and the pictures."""

import sys

import cv2
import numpy as np
import pytest
import torch
import visualize
from families import FAMILIES, TINY, build, every_class
from lib import backbone_views
from matplotlib.text import Text

from mmbackbones.layers.attention import probabilities

IMAGE = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(0))


def test_attention_in_a_window_is_its_softmax():
    net = build('SwinTransformer').eval()
    name, (stage, mixer) = next(iter(backbone_views.mixers(net).items()))
    assert (name, stage) == ('WindowAttention 7 x 7', 2)
    inputs = []
    mixer.register_forward_pre_hook(lambda _, args: inputs.append(args))
    found = backbone_views.attention(net, mixer, IMAGE, (0, 0))
    (tokens,) = inputs[0]
    q, k, _ = mixer.heads(mixer.qkv(tokens[:, :7, :7].flatten(1, 2)))
    want = probabilities(q, k, mixer.bias(), mixer.scale)[0, :, 0].mean(0).view(7, 7)
    assert torch.allclose(found[:7, :7], want, atol=1e-6)
    assert found.sum() == pytest.approx(1, abs=1e-5)


@every_class
def test_a_token_gathers_from_its_neighbourhood(name):
    """The one in the middle, of 8 x 10 tokens at stride 16 and of 16 x 20 at stride 8."""
    net, found = build(name).eval(), []
    for stage, mixer in backbone_views.mixers(net).values():
        weights = backbone_views.attention(net, mixer, IMAGE, (0.5, 0.5))
        found.append((int((weights > 1e-9).sum()), stage))
        if hasattr(mixer, 'qkv') and not hasattr(mixer, 'static'):  # no padding among its tokens
            assert weights.sum() <= 1 + 1e-5
    assert tuple(found) == FAMILIES[name].attends


def test_a_receptive_field_ends_where_gradients_do():
    """A convolution of 5 x 5 behind one of stride 2 sees 11 pixels."""
    conv = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.Conv2d(4, 4, 5, padding=2))
    field = backbone_views.receptive_field(lambda x: [conv(x)], IMAGE)
    assert int((field.amax(0) > 0).sum()) == int((field.amax(1) > 0).sum()) == 11
    assert field.max() == 1


def test_a_spread_is_about_the_token_in_the_middle():
    square = torch.zeros(9, 9)
    square[2:7, 2:7] = 1
    assert backbone_views.spread(square, 1, 1) == backbone_views.spread(square, 1) == 5
    assert backbone_views.spread(square, 1, 0.04) == 1
    token = torch.zeros(64, 96)
    token[32:48, 48:64] = 1  # of 4 x 6 of stride 16 the one that is looked at
    assert backbone_views.spread(token, 16) == 16


def test_colours_tell_tokens_apart():
    level = torch.zeros(8, 6, 6)
    level[3, :, 3:], level[5, 2:4] = 1, 2
    found = backbone_views.colours(level)
    assert found.shape == (6, 6, 3)
    assert len(found.flatten(0, 1).unique(dim=0)) == 4
    assert backbone_views.colours(torch.rand(8, 1, 1)).shape == (1, 1, 3)


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Runs the tool on small networks; {picture: (pixels, its texts)}."""
    cv2.imwrite(str(tmp_path / 'image.png'), np.random.default_rng(0).integers(0, 255, (64, 96, 3)))
    for name in ('SwinTransformer', 'Container'):
        settings = dict(TINY[name], type=f'mmbackbones.{name}')
        preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)
        config = f'model = dict(data_preprocessor={preprocessor}, backbone={settings})'
        (tmp_path / f'{name}.py').write_text(config)
    monkeypatch.chdir(tmp_path)
    texts = []

    def keep(figure):
        found = [text.get_text() for text in figure.findobj(Text)]
        texts.append('\n'.join(found))

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['visualize.py', *map(str, arguments)])
        visualize.main()
        pictures = [path for name in visualize.PICTURES for path in tmp_path.glob(f'*/{name}.png')]
        pixels = [cv2.imread(str(path)) for path in pictures]
        return dict(zip(visualize.PICTURES, zip(pixels, texts, strict=True), strict=True))

    monkeypatch.setattr(visualize.plt, 'close', keep)
    return run


def test_pictures_of_two_backbones_side_by_side(draw, tmp_path):
    weights = tmp_path / 'trained $x_{$.pth'  # which matplotlib would read as a formula
    torch.save(build('Container').state_dict(), weights)
    two = ['SwinTransformer.py', 'Container.py', '--weights', 'none', weights]
    pictures = draw('image.png', *two, '--samples', 2, '--out-dir', 'drawn')
    assert list(pictures) == ['levels', 'attention', 'field']
    for pixels, text in pictures.values():
        assert pixels.shape[0] > 200
        assert pixels.shape[1] > 500
        assert pixels.std() > 20
        assert 'SwinTransformer\nrandom weights' in text
        assert 'Container\ntrained $x_{$.pth' in text
    assert 'stride 32: 128 x 2 x 3' in pictures['levels'][1]
    assert 'stage 3\nWindowAttention 7 x 7, shift 3' in pictures['attention'][1]
    assert '95 % within' in pictures['field'][1]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['none.png', 'DaViT'], 'none.png is no picture that can be read'),
        (['image.png', 'ResNet'], 'ResNet is neither a config file nor one of'),
        (['image.png', 'DaViT', '--weights', 'a', 'b'], '2 --weights for 1 models'),
        (['image.png', 'Container.py', '--weights', 'none.pth'], 'none.pth'),
        (['image.png', 'DaViT', '--query', 96, 0], '--query 96 0 is outside the image of 96 x 64'),
        (['image.png', 'DaViT', '--size', 0, 8], '--samples and --size take numbers from 1 up'),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(draw, capsys, arguments, words):
    with pytest.raises(SystemExit):
        draw(*arguments)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith('visualize.py: error: ')
    assert words in error
