"""The package; extras bring one of the two OpenMMLab families, never both."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'mmbackbones/__init__.py').read_text())[1]
EXPORT = ['onnx', 'onnxruntime', 'onnxscript', 'openvino']
URL = 'https://github.com/mmbackbones/mmbackbones'
# Scripts that set up or test a checkout stay out.
CARRIED = ('.mim/**/*.yml', 'configs/**/*.py', 'tools/**/*.py', 'tools/dist_*.sh')


class BuildPy(build_py):
    """Puts configs, tools and the model index into mmbackbones/.mim of a wheel, where mim looks."""

    carried = [path.relative_to(HERE) for pattern in CARRIED for path in HERE.glob(pattern)]

    def run(self):
        """Copy the package and, but for an editable install, what it carries."""
        super().run()
        folder = Path(self.build_lib, 'mmbackbones/.mim')
        shutil.rmtree(folder, ignore_errors=True)
        for path in [] if self.editable_mode else self.carried:
            target = folder / path.as_posix().removeprefix('.mim/')
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / path, target)

    def get_source_files(self):
        """What a source distribution needs to build the wheel."""
        return [*super().get_source_files(), *map(str, self.carried)]


setup(
    name='mmbackbones',
    version=VERSION,
    description='Backbones for MMDetection and MMSegmentation that take images of any size',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    author='The mmbackbones authors',
    url=URL,
    project_urls={
        'Changelog': f'{URL}/blob/main/.github/CHANGELOG.md',
        'Issues': f'{URL}/issues',
    },
    # Makes an editable install a path, which no folder of this name in the current one hides.
    package_dir={'': '.'},
    packages=find_packages(include=['mmbackbones', 'mmbackbones.*']),
    package_data={'mmbackbones': ['py.typed']},
    cmdclass={'build_py': BuildPy},
    python_requires='>=3.10',
    classifiers=[f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 15)],
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
            'mmcv-lite>=2.0.0,<2.2.0',  # mmcv itself needs a compiler
            'mmdet>=3.1',
            'mmsegmentation>=1.1',
            'ftfy',
            'regex',
            'setuptools<81',
            'opencv-python-headless',
            'pycocotools',
            'safetensors',
            'tqdm',
        ],
        # Sister libraries, see configs/SISTERS.md. onedl-mmpretrain imports model-index.
        'classification': ['onedl-mmpretrain>=1.3.6', 'model-index'],
        'rotated': ['onedl-mmrotate>=1.2.1'],
        'export': EXPORT,
        'int8': [*EXPORT, 'nncf'],
        # For addresses of the Hugging Face Hub, hf://OWNER/REPO.
        'hub': ['huggingface_hub'],
        'test': [
            *EXPORT,
            'hypothesis',
            'mypy',
            'pytest',
            'pytest-xdist',
            'ruff',
            'setuptools>=70.1',  # which builds wheels by itself
        ],
        # What mmbackbones/adapters adapts to; torchvision must be of the build that torch is of.
        'adapters': ['timm>=1.0', 'torchvision', 'transformers>=5.2'],
        # Only to measure against; on a CPU build of torch, torchvision must be one as well.
        'bench': ['timm', 'torchvision'],
        # Whose models tests compare with, see tests/README.md.
        'peers': ['einops', 'huggingface_hub', 'timm', 'torchvision', 'transformers'],
    },
)
