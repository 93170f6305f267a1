"""The weights that authors published: class -> arch -> label -> (URL, ImageNet-1K top-1 or None).

A label says what they were trained on (1K, 22K), the size of the images, the window (w16). Top-1
is what their authors report. A size that is missing has no public weights.
"""

SWIN = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin'
SWIN_V2 = 'https://github.com/SwinTransformer/storage/releases/download/v2.0.0/swinv2'
TIMM = 'https://huggingface.co/timm'
FLORENCE = 'https://huggingface.co/microsoft/Florence-2'
VOLO = 'https://github.com/sail-sg/volo/releases/download/volo_1'
SAFE = 'resolve/main/model.safetensors'
BIN = 'resolve/main/pytorch_model.bin'

PUBLISHED = {
    'SwinTransformer': {
        'tiny': {'1K': (f'{SWIN}_tiny_patch4_window7_224.pth', 81.2)},
        'small': {'1K': (f'{SWIN}_small_patch4_window7_224.pth', 83.2)},
        'base': {
            '1K': (f'{SWIN}_base_patch4_window7_224.pth', 83.5),
            '1K 384': (f'{SWIN}_base_patch4_window12_384.pth', 84.5),
            '22K': (f'{SWIN}_base_patch4_window7_224_22k.pth', None),
            '22K 384': (f'{SWIN}_base_patch4_window12_384_22k.pth', None),
        },
        'large': {
            '22K': (f'{SWIN}_large_patch4_window7_224_22k.pth', None),
            '22K 384': (f'{SWIN}_large_patch4_window12_384_22k.pth', None),
        },
    },
    'SwinTransformerV2': {
        'tiny': {
            'w8': (f'{SWIN_V2}_tiny_patch4_window8_256.pth', 81.8),
            'w16': (f'{SWIN_V2}_tiny_patch4_window16_256.pth', 82.8),
        },
        'small': {
            'w8': (f'{SWIN_V2}_small_patch4_window8_256.pth', 83.7),
            'w16': (f'{SWIN_V2}_small_patch4_window16_256.pth', 84.1),
        },
        'base': {
            'w8': (f'{SWIN_V2}_base_patch4_window8_256.pth', 84.2),
            'w16': (f'{SWIN_V2}_base_patch4_window16_256.pth', 84.6),
            '22K w12': (f'{SWIN_V2}_base_patch4_window12_192_22k.pth', None),
        },
        'large': {'22K w12': (f'{SWIN_V2}_large_patch4_window12_192_22k.pth', None)},
    },
    'MaxViT': {
        'tiny': {'1K': (f'{TIMM}/maxvit_tiny_tf_224.in1k/{SAFE}', 83.62)},
        'small': {'1K': (f'{TIMM}/maxvit_small_tf_224.in1k/{SAFE}', 84.45)},
        'base': {'1K': (f'{TIMM}/maxvit_base_tf_224.in1k/{SAFE}', 84.95)},
        'large': {'1K': (f'{TIMM}/maxvit_large_tf_224.in1k/{SAFE}', 85.17)},
        'xlarge': {'21K': (f'{TIMM}/maxvit_xlarge_tf_224.in21k/{SAFE}', None)},
        'tiny_tv': {
            '1K torchvision': ('https://download.pytorch.org/models/maxvit_t-bc5ab103.pth', 83.7)
        },
    },
    'DaViT': {
        'tiny': {'1K': (f'{TIMM}/davit_tiny.msft_in1k/{SAFE}', 82.8)},
        'small': {'1K': (f'{TIMM}/davit_small.msft_in1k/{SAFE}', 84.2)},
        'base': {'1K': (f'{TIMM}/davit_base.msft_in1k/{SAFE}', 84.6)},
        'base_fl': {
            'Florence-2': (f'{FLORENCE}-base/{BIN}', None),
            'Florence-2 fine-tuned': (f'{FLORENCE}-base-ft/{BIN}', None),
        },
        'huge_fl': {
            'Florence-2': (f'{FLORENCE}-large/{BIN}', None),
            'Florence-2 fine-tuned': (f'{FLORENCE}-large-ft/{BIN}', None),
        },
    },
    'VOLO': {
        'd1': {
            '1K': (f'{VOLO}/d1_224_84.2.pth.tar', 84.2),
            '384': (f'{VOLO}/d1_384_85.2.pth.tar', 85.2),
        },
        'd2': {
            '1K': (f'{VOLO}/d2_224_85.2.pth.tar', 85.2),
            '384': (f'{VOLO}/d2_384_86.0.pth.tar', 86.0),
        },
        'd3': {
            '1K': (f'{VOLO}/d3_224_85.4.pth.tar', 85.4),
            '448': (f'{VOLO}/d3_448_86.3.pth.tar', 86.3),
        },
        'd4': {
            '1K': (f'{VOLO}/d4_224_85.7.pth.tar', 85.7),
            '448': (f'{VOLO}/d4_448_86.79.pth.tar', 86.8),
        },
        'd5': {
            '1K': (f'{VOLO}/d5_224_86.10.pth.tar', 86.1),
            '448': (f'{VOLO}/d5_448_87.0.pth.tar', 87.0),
        },
    },
    'Container': {
        # A page to download from with a browser: its drive has no direct address.
        'light': {
            '1K': ('https://drive.google.com/file/d/1WMOWoxTX7AQDCbfMYh7naqIHube3K85A/view', 82.3)
        },
    },
}
