"""Nets of the publishers' own libraries against ours with random numbers, where installed."""

import pytest
import torch
from recording import TOLERANCE
from torch import nn

from mmbackbones import DaViT, MaxViT, SwinTransformer, SwinTransformerV2, load_checkpoint

FEATURES = {
    'swin_tiny_patch4_window7_224': (SwinTransformer, 448, dict(img_size=448)),
    'swinv2_tiny_window8_256': (SwinTransformerV2, 512, dict(img_size=512)),
    'maxvit_tiny_tf_224': (MaxViT, 224, {}),
    'davit_tiny': (DaViT, 224, {}),
}


def assert_close(ours, theirs):
    for level, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        error = (mine - other).abs().max() / other.std()
        assert error < TOLERANCE, (level, error)


@pytest.mark.parametrize('name', FEATURES)
def test_features_of_timm(name, tmp_path):
    timm = pytest.importorskip('timm')
    make, side, options = FEATURES[name]
    theirs = timm.create_model(name, features_only=True, pretrained=False, **options).eval()
    torch.save(theirs.state_dict(), tmp_path / 'file.pth')
    load_checkpoint(net := make('tiny').eval(), tmp_path / 'file.pth')
    for level in range(4):
        if hasattr(net, f'norm{level}'):  # of which timm has none
            setattr(net, f'norm{level}', nn.Identity())
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        ours, maps = net(image), theirs(image)[-4:]
    last = [out.shape[1] == mine.shape[1] for out, mine in zip(maps, ours, strict=True)]
    assert_close(ours, [m if f else m.permute(0, 3, 1, 2) for m, f in zip(maps, last, strict=True)])


def tiny_swin(transformers):
    """Hugging Face's config of a small Swin with four outputs."""
    return transformers.SwinConfig(
        embed_dim=4,
        depths=[2, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        image_size=64,
        window_size=2,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
    )


LAYERS = dict(encoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8, num_queries=4)
HEADS = dict(encoder_attention_heads=2, decoder_attention_heads=2)
MODELS = {
    'OneFormerForUniversalSegmentation': (
        'OneFormerConfig',
        dict(encoder_layers=1, decoder_layers=1, hidden_dim=32, conv_dim=32, mask_dim=8),
        'model.pixel_level_module.encoder',
    ),
    'Mask2FormerForUniversalSegmentation': (
        'Mask2FormerConfig',
        dict(encoder_layers=1, decoder_layers=1, hidden_dim=32, feature_size=32),
        'model.pixel_level_module.encoder',
    ),
    'GroundingDinoForObjectDetection': (
        'GroundingDinoConfig',
        dict(d_model=32, decoder_layers=2, **LAYERS, **HEADS),
        'model.backbone.conv_encoder.model',
    ),
}


@pytest.mark.parametrize('name', MODELS)
def test_swin_in_models_of_hugging_face(name, tmp_path):
    transformers = pytest.importorskip('transformers')
    config, options, place = MODELS[name]
    config = getattr(transformers, config)(backbone_config=tiny_swin(transformers), **options)
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.get_submodule(place).parameters():
            parameter += torch.randn_like(parameter) / 4
    model.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / 'memory.pth')
    image = torch.randn(1, 3, 50, 70)
    arch = dict(dims=(4, 8, 16, 32), depths=(2, 1, 1, 1), heads=(1, 1, 1, 1))
    for file in ('model.safetensors', 'memory.pth'):
        net = SwinTransformer(arch, window_size=2).eval()
        assert load_checkpoint(net, tmp_path / file).new == []
        with torch.no_grad():
            assert_close(net(image), model.get_submodule(place)(image).feature_maps)
