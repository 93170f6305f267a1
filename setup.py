"""The package; extras bring one of the two OpenMMLab families, never both."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'mmbackbones/__init__.py').read_text())[1]
EXPORT = ['onnx', 'onnxruntime', 'onnxscript']

setup(
    name='mmbackbones',
    version=VERSION,
    description='Swin, Swin V2, MaxViT, DaViT, VOLO, CONTAINER for MMDetection and MMSegmentation',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['mmbackbones', 'mmbackbones.*']),
    python_requires='>=3.10',
    # mmengine comes with an extra: the two families are packages of different names that
    # overwrite each other's files.
    install_requires=['torch>=2.6'],
    extras_require={
        'onedl': [
            'onedl-mmengine>=0.10.10',
            'onedl-mmcv>=2.3.4',
            'onedl-mmdetection>=3.5',
            'onedl-mmsegmentation>=1.4',
            'opencv-python-headless',
            'pycocotools',
            'safetensors',
            'tqdm',
        ],
        'openmmlab': [
            'mmengine>=0.10.7',
            'mmcv>=2.0.0,<2.2.0',
            'mmdet>=3.1',
            'mmsegmentation>=1.1',
            'ftfy',
            'regex',
            'setuptools<81',
            'safetensors',
            'tqdm',
        ],
        'export': EXPORT,
        'test': [*EXPORT, 'pytest', 'ruff'],
        # Only to measure against; on a CPU build of torch, torchvision must be one as well.
        'bench': ['timm', 'torchvision'],
    },
)
