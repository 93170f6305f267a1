"""What weights need of a net, what errors say of files that PyTorch refuses, and annotations."""

import inspect
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import mmbackbones
from mmbackbones import SwinTransformer, deploy, load_checkpoint, operators
from mmbackbones.weights import Format, convert_state_dict, downloading, errors, reading
from mmbackbones.weights.net import BackboneNet, Resizable, is_backbone
from mmbackbones.weights.pickles import read_pickle

SIZE = dict(dims=(8, 16), depths=(1, 1), heads=(1, 2))


class Table(nn.Module):
    """A module that adapts a table of another length."""

    def __init__(self, length):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(length))

    def fit(self, table):
        """Repeat the table."""
        return table.repeat(len(self.table) // len(table))


class Net(nn.Module):
    """A net that is no `Backbone` of this package, and has what reading weights needs."""

    formats = (
        Format(
            'theirs', markers=(r'^first\.',), renames=((r'^first', 'stem'), (r'^b', 'stages.0'))
        ),
    )
    optional_keys = r'norm\.'

    def __init__(self, in_channels=3, length=4):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 2, 1)
        self.stages = nn.ModuleList([Table(length)])
        self.norm = nn.LayerNorm(2)


def saved(folder, content):
    """The path of a file that holds it."""
    torch.save(content, folder / 'a.pth')
    return folder / 'a.pth'


def test_any_net_with_what_the_protocol_lists_reads_weights(tmp_path):
    weight, table = torch.rand(2, 3, 1, 1), torch.rand(4)
    file = {'first.weight': weight, 'first.bias': torch.rand(2), 'b.table': table}
    net = Net(in_channels=1, length=8)
    report = load_checkpoint(net, saved(tmp_path, file))
    assert report.format == 'theirs'
    assert report.new == ['norm.weight', 'norm.bias']
    assert report.resized == ['stem.weight', 'stages.0.table']
    assert torch.equal(net.stem.weight, weight.sum(1, keepdim=True))
    assert torch.equal(net.stages[0].table, table.repeat(2))


@pytest.mark.parametrize('name', ['optional_keys', 'stem', 'stages', 'stem.in_channels'])
def test_a_net_that_lacks_something_is_told_what(name, tmp_path):
    class Other(Net):
        pass

    net = Other()
    if name == 'optional_keys':
        net = type('Other', (nn.Module,), dict(formats=Net.formats))()
        net.stem, net.stages = nn.Conv2d(3, 2, 1), nn.ModuleList()
    elif name == 'stem.in_channels':
        net.stem = nn.Identity()
    else:
        delattr(net, name)
    words = f'^Other has formats of checkpoints but no {name}, so its weights cannot be read; give'
    with pytest.raises(TypeError, match=words):
        load_checkpoint(net, saved(tmp_path, {'first.weight': torch.zeros(1)}))


def test_other_models_are_no_backbones():
    assert is_backbone(SwinTransformer(SIZE))
    assert not is_backbone(nn.Identity())
    other = nn.Identity()
    other.formats = ['png', 'jpg']
    assert not is_backbone(other)
    assert isinstance(Table(1), Resizable)
    assert not isinstance(nn.Identity(), Resizable)
    assert set(BackboneNet.__annotations__) == {'formats', 'optional_keys', 'stem', 'stages'}


def test_weights_are_converted_in_copies_and_pickles_of_a_net(tmp_path):
    """The hook of `load_state_dict` belongs to its net, not to the one that it was copied from."""
    import copy

    net = SwinTransformer(SIZE)
    state = {name.replace('stem.', 'patch_embed.'): t for name, t in net.state_dict().items()}
    state = {name.replace('stages.', 'layers.'): t + 1 for name, t in state.items()}
    state = {n.replace('attn.bias.', 'attn.'): t for n, t in state.items()}
    state = {n.replace('layers.1.downsample', 'layers.0.downsample'): t for n, t in state.items()}
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        other.load_state_dict(state)
        assert torch.equal(other.stem.proj.weight, net.stem.proj.weight + 1)


class Harmful:
    """An object whose pickle calls a function."""

    def __reduce__(self):
        return print, ('harm',)


def test_what_pytorch_refuses_is_named_in_a_file_or_a_folder(tmp_path):
    (tmp_path / 'step').mkdir()
    torch.save({'a': torch.zeros(1)}, tmp_path / 'step/a_states.pt')
    torch.save({'a': Harmful()}, tmp_path / 'step/b_states.pt')
    for path in (tmp_path, tmp_path / 'step/b_states.pt'):
        said = str(errors.refused(path, pickle.UnpicklingError('in words that may change')))
        assert said.startswith(f'{tmp_path}/step/b_states.pt asks for')
        assert said.endswith(
            'print, which is no weight and might run code; it was not read, take another file'
        )
    (tmp_path / 'step/b_states.pt').write_bytes(b'PK\3\4 no zip')
    said = str(errors.refused(tmp_path, pickle.UnpicklingError('a reason')))
    assert 'is no whole checkpoint: a reason; expected a file of torch.save' in said


def test_conjugated_and_negated_views_are_read(tmp_path):
    values = torch.tensor([1 + 2j, 3 - 4j])
    views = dict(conj=values.conj(), neg=values.clone().conj().imag)
    assert views['conj'].is_conj()
    assert views['neg'].is_neg()
    found = read_pickle(saved(tmp_path, views))
    assert torch.equal(found['conj'], views['conj'])
    assert torch.equal(found['neg'], views['neg'])


def test_numbers_that_are_repeated_are_not_negated(tmp_path):
    """A small file would take 4 GB before its size is counted."""
    repeated = torch.tensor([1 + 2j]).conj().imag.expand(10**9)
    with pytest.raises(mmbackbones.CheckpointError, match='a tensor repeats its numbers'):
        read_pickle(saved(tmp_path, dict(a=repeated)))


@pytest.mark.parametrize('location', ['meta', torch.device('meta'), {'cpu': 'meta'}])
def test_tensors_are_put_where_map_location_says(location, tmp_path):
    path = saved(tmp_path, dict(a=torch.ones(2)))
    assert read_pickle(path, location)['a'].is_meta
    places = []
    found = read_pickle(path, lambda storage, place: places.append(place))
    assert torch.equal(found['a'], torch.ones(2))
    assert places == ['cpu']


PUBLIC = [
    *(getattr(mmbackbones, name) for name in mmbackbones.__all__),
    *(deploy.Detector, deploy.Segmenter, deploy.read_picture, deploy.as_picture),
    *(getattr(operators, name) for name in ('offer', 'compiled', 'installed', 'install', 'state')),
    *(operators.remove, Format, mmbackbones.weights.Report, convert_state_dict),
    *(reading.read_checkpoint, reading.load_from_checked_file, reading.strip_prefix),
    *(downloading.local_file, downloading.download_url, errors.truncate, errors.shorten_list),
]


def own_methods(thing):
    """A function itself, or the public functions and the constructor of a class of this package."""
    if not inspect.isclass(thing):
        return [thing] if inspect.isfunction(inspect.unwrap(thing)) else []
    found = inspect.getmembers(thing, inspect.isfunction)
    return [
        method
        for name, method in found
        if (name == '__init__' or not name.startswith('_'))
        and method.__module__.startswith('mmbackbones')
    ]


@pytest.mark.parametrize('thing', PUBLIC, ids=lambda thing: getattr(thing, '__name__', 'value'))
def test_the_public_surface_is_annotated(thing):
    for function in own_methods(thing):
        signature = inspect.signature(function)
        empty = inspect.Signature.empty
        assert signature.return_annotation is not empty, function.__qualname__
        lacking = [
            name
            for name, parameter in signature.parameters.items()
            if parameter.annotation is empty and name != 'self'
        ]
        assert lacking == [], function.__qualname__


def test_no_type_is_ignored():
    for path in Path(mmbackbones.__file__).parent.rglob('*.py'):
        assert 'type: ignore' not in path.read_text(), path
