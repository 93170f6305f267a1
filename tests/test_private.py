"""Private parts of other packages: each stands in one file, is still there, and no other is used.

Whoever needs another one first looks for a public way. If there is none, the use gets a comment
that says what breaks when it moves, and a line in `KNOWN`.
"""

import ast
import inspect
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.logging import HistoryBuffer
from mmengine.model import ImgDataPreprocessor
from mmengine.runner import CheckpointLoader, Runner
from torch import nn
from torch.nn.modules import module as modules

import mmbackbones

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob('mmbackbones/**/*.py'), *ROOT.glob('tools/**/*.py')])
LAYERS = 'mmbackbones/layers'
NAME = re.compile(r'_[A-Za-z]\w*(?<!_)')  # neither __dunder__ nor _scope_
OURS = {'_demo'}  # a part of the name of a folder
OF_TUPLES = {'_asdict', '_fields', '_make', '_replace'}  # Python documents them


@dataclass
class Private:
    """Names that one file uses, what breaks if they move, and whether they are still there."""

    names: str
    file: str
    breaks: str
    is_there: Callable[[], bool]


def sets(function, names):
    """Whether a function has attributes of these names."""
    return set(names.split()) <= set(function.__code__.co_names)


def has_methods(kinds, name):
    """Whether classes, given as 'module.Class', have a method of this name."""
    pairs = (kind.rpartition('.')[::2] for kind in kinds.split())
    return all(hasattr(getattr(import_module(where), kind), name) for where, kind in pairs)


CHECKPOINT_WRAPPER = 'torch.distributed.algorithms._checkpoint.checkpoint_wrapper'
HEADS = 'mmdet.models.dense_heads'
ROI = 'mmdet.models.roi_heads'
KNOWN = [
    Private(
        '_C _are_functorch_transforms_active',
        f'{LAYERS}/context.py',
        'no backbone can run',
        lambda: torch._C._are_functorch_transforms_active() is False,
    ),
    Private(
        '_is_hf_initialized',
        'mmbackbones/adapters/transformers.py',
        'tensors that a file lacks stay empty in models of transformers',
        lambda: (
            not find_spec('transformers')
            or '_is_hf_initialized'
            in inspect.getsource(import_module('transformers.initialization').copy_)
        ),
    ),
    Private(
        '_dynamo',
        'tools/lib/gpu_experiments.py',
        'blocks are not compiled one by one at many sizes',
        lambda: hasattr(import_module('torch._dynamo').config, 'patch'),
    ),
    Private(
        '_global_forward_hooks _global_forward_pre_hooks _forward_hooks _forward_pre_hooks',
        f'{LAYERS}/context.py',
        'no backbone can be trained',
        lambda: (
            hasattr(modules, '_global_forward_hooks')
            and hasattr(modules, '_global_forward_pre_hooks')
            and hasattr(nn.Identity(), '_forward_hooks')
            and hasattr(nn.Identity(), '_forward_pre_hooks')
        ),
    ),
    Private(
        '_C _autograd _top_saved_tensors_default_hooks',
        f'{LAYERS}/recomputation.py',
        'nothing is recomputed, and training needs more memory',
        lambda: (
            hasattr(torch._C._autograd, '_top_saved_tensors_default_hooks')
            or torch.__version__ < '2.8'
        ),
    ),
    Private(
        '_version _cdata',
        f'{LAYERS}/recomputation.py',
        'no backbone can be trained',
        lambda: torch.empty(1)._version == 0 and bool(torch.empty(1).untyped_storage()._cdata),
    ),
    Private(
        '_cfg_dict',
        'mmbackbones/convert/__init__.py',
        'no config can be converted',
        lambda: '_cfg_dict' in vars(Config(dict(a=1))),
    ),
    Private(
        '_train_loop _val_loop _test_loop',
        'mmbackbones/hooks.py',
        'trainings that load a checkpoint stop there',
        lambda: sets(Runner.__init__, '_train_loop _val_loop _test_loop'),
    ),
    Private(
        '_load_from _resume',
        'mmbackbones/schedules.py',
        'trainings that load a checkpoint stop there',
        lambda: sets(Runner.__init__, '_load_from _resume'),
    ),
    Private(
        '_global_step _last_value',
        'mmbackbones/schedules.py',
        'resumed trainings say that their schedule has changed',
        lambda: (
            {'_global_step', '_last_value'}
            <= set(
                import_module('mmengine.optim')
                .ConstantLR(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1), factor=1)
                .state_dict()
            )
        ),
    ),
    Private(
        '_fsdp_flattened',
        'mmbackbones/weights/loading.py',
        'pieces of FSDP are taken for whole parameters',
        lambda: (
            import_module('torch.distributed.fsdp._common_utils').FSDP_FLATTENED
            == '_fsdp_flattened'
        ),
    ),
    Private(
        '_orig_mod _checkpoint_wrapped_module',
        'mmbackbones/weights/reading.py',
        'compiled or recomputing models and their files are not recognised',
        lambda: (
            hasattr(torch.compile(nn.Identity()), '_orig_mod')
            and import_module(CHECKPOINT_WRAPPER)._CHECKPOINT_WRAPPED_MODULE
            == '_checkpoint_wrapped_module'
        ),
    ),
    Private(
        '_schemes',
        'mmbackbones/weights/reading.py',
        'no tool can start',
        lambda: '' in CheckpointLoader._schemes,
    ),
    Private(
        '_Unpickler',
        'mmbackbones/weights/pickles.py',
        'no file of torch.save can be read',
        lambda: isinstance(pickle._Unpickler.dispatch, dict),
    ),
    Private(
        '_log_history _count_history',
        'mmbackbones/weights/pickles.py',
        'resumed trainings lose their histories of losses',
        lambda: {'_log_history', '_count_history'} <= set(vars(HistoryBuffer())),
    ),
    Private(
        '_metadata',
        'mmbackbones/weights/pickles.py',
        'old files of weights are taken for new ones',
        lambda: hasattr(nn.Identity().state_dict(), '_metadata'),
    ),
    Private(
        '_parse_iterable',
        'tools/lib/arguments.py',
        '--cfg-options takes dicts for text',
        lambda: hasattr(DictAction, '_parse_iterable'),
    ),
    Private(
        '_python_dispatch _pytree',
        'tools/lib/dispatch.py',
        'get_flops.py, benchmark.py and profile_backbone.py cannot start',
        lambda: bool(
            import_module('torch.utils._python_dispatch').TorchDispatchMode
            and import_module('torch.utils._pytree').tree_map_only
        ),
    ),
    Private(
        '_config',
        'tools/lib/engine_graphs.py',
        'export.py cannot start',
        lambda: (
            hasattr(import_module('torch.fx.experimental._config'), 'backed_size_oblivious')
            or torch.__version__ < '2.7'
        ),
    ),
    Private(
        '_assert_scalar _assert_tensor_metadata',
        'tools/lib/engine_graphs.py',
        'export.py cannot start',
        lambda: bool(
            torch.ops.aten._assert_scalar.default and torch.ops.aten._assert_tensor_metadata.default
        ),
    ),
    Private(
        '_scaled_dot_product_flash_attention_for_cpu',
        'tools/lib/flops.py',
        'get_flops.py cannot start',
        lambda: hasattr(torch.ops.aten, '_scaled_dot_product_flash_attention_for_cpu'),
    ),
    Private(
        '_check',
        'tools/lib/whole/boxes.py',
        'detectors cannot be exported',
        lambda: callable(torch._check),
    ),
    Private(
        '_predict_by_feat_single',
        'tools/lib/whole/__init__.py',
        'detectors cannot be exported',
        lambda: has_methods(
            f'{HEADS}.base_dense_head.BaseDenseHead {HEADS}.GFLHead {HEADS}.RPNHead '
            f'{HEADS}.DETRHead {ROI}.bbox_heads.BBoxHead {ROI}.mask_heads.FCNMaskHead',
            '_predict_by_feat_single',
        ),
    ),
    Private(
        '_bbox_post_process',
        'tools/lib/whole/dense_heads.py',
        'detectors cannot be exported',
        lambda: has_methods(f'{HEADS}.base_dense_head.BaseDenseHead', '_bbox_post_process'),
    ),
    Private(
        '_bbox_forward _mask_forward',
        'tools/lib/whole/two_stage.py',
        'two-stage detectors cannot be exported',
        lambda: (
            has_methods(f'{ROI}.StandardRoIHead {ROI}.CascadeRoIHead', '_bbox_forward')
            and has_methods(f'{ROI}.StandardRoIHead {ROI}.CascadeRoIHead', '_mask_forward')
        ),
    ),
    Private(
        '_channel_conversion',
        'tools/lib/whole/picture.py',
        'files read pictures of models for RGB as BGR',
        lambda: ImgDataPreprocessor(bgr_to_rgb=True)._channel_conversion is True,
    ),
]


def is_private(name):
    """Whether a name belongs to another package alone."""
    return bool(NAME.fullmatch(name)) and name not in OURS | OF_TUPLES


def private_names(path):
    """The private names of others in a file: attributes, imports, arguments and whole strings.

    A file's own functions count as its own only where they are attributes of `self` or `cls`.
    """
    tree = ast.parse(path.read_text())
    own = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
    # Docstrings and parts of f-strings are texts.
    texts = [each.value for each in ast.walk(tree) if isinstance(each, ast.Expr)]
    for each in ast.walk(tree):
        texts += each.values if isinstance(each, ast.JoinedStr) else []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute):
            is_own = ast.unparse(node.value) in ('self', 'cls') and node.attr in own
            names = [] if is_own else [node.attr]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [*node.module.split('.'), *(each.name for each in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for each in node.names for part in each.name.split('.')]
        elif isinstance(node, ast.keyword):
            names = [node.arg or '']
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in texts:
            names = [word for word in node.value.split() if word == word.lower()]
        yield from filter(is_private, names)


@pytest.mark.parametrize('each', KNOWN, ids=lambda each: each.names)
def test_private_parts_are_still_there(each):
    message = f'{each.names} of another package has moved: {each.breaks}; see {each.file}'
    try:
        assert each.is_there(), message
    except (AttributeError, ImportError) as error:
        pytest.fail(f'{message} ({error})')


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_private_parts_are_used(path):
    file = str(path.relative_to(ROOT))
    known = {name for each in KNOWN if each.file == file for name in each.names.split()}
    assert set(private_names(path)) == known


def test_each_private_part_is_used_in_one_file():
    names = [name for each in KNOWN for name in each.names.split() if name != '_C']
    assert sorted(names) == sorted(set(names))


def test_the_search_finds_every_kind_of_use(tmp_path):
    file = tmp_path / 'a.py'
    file.write_text(
        'import a._b\nfrom a import _c\nfrom _d import e\nf._g(_h=1)\ngetattr(f, "_i")\n'
        'class K:\n    def _j(self):\n        self._j()\n        other._j()\n'
        'x._replace(y=__name__)\n"""A text of _words_ and\n_others."""\n'
    )
    assert sorted(private_names(file)) == ['_b', '_c', '_d', '_g', '_h', '_i', '_j']


def test_no_class_overrides_a_private_method_of_another_package():
    found = []
    for path in (ROOT / 'mmbackbones').rglob('*.py'):
        name = '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
        if name.endswith('__main__') or '.adapters' in name or '.mim' in name:
            continue
        for kind in vars(import_module(name)).values():
            if inspect.isclass(kind) and kind.__module__ == name:
                others = [base for base in kind.__mro__ if not base.__module__.startswith('mmback')]
                inherited = {each for base in others for each in vars(base)}
                own = [each for each, value in vars(kind).items() if inspect.isfunction(value)]
                found += [each for each in own if is_private(each) and each in inherited]
    assert found == []


def test_public_ways_that_replace_private_ones_are_in_the_oldest_supported_pytorch():
    """All of these came with PyTorch 2.6 or before; this test runs with the oldest as well."""
    assert mmbackbones.__version__
    assert callable(torch.serialization.get_unsafe_globals_in_checkpoint)
    assert callable(torch.serialization.default_restore_location)
    assert callable(nn.Module.register_load_state_dict_pre_hook)
