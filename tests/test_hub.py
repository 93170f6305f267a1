"""Checkpoints of the Hugging Face Hub: by its own package from a fake Hub, and without either."""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmbackbones import CheckpointError, SwinTransformer, load_checkpoint
from mmbackbones.weights import downloading, hub
from mmbackbones.weights.downloading import local_file
from mmbackbones.weights.reading import load_checked_files_only

SIZE = dict(dims=(8, 16, 32, 64), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
COMMIT = 'c' * 40


def swin(**options):
    return SwinTransformer(SIZE, **options)


@pytest.fixture
def weights(tmp_path):
    """The bytes of a checkpoint and the net that it is of."""
    net = swin()
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    return (tmp_path / 'net.pth').read_bytes(), net


# The addresses


@pytest.mark.parametrize(
    ('address', 'repo', 'revision', 'file'),
    [
        ('hf://a/b', 'a/b', None, None),
        ('hf://a/b@v1.0', 'a/b', 'v1.0', None),
        ('hf://a/b/c/d.pth', 'a/b', None, 'c/d.pth'),
        ('hf://a/b.c@refs/pr/1/d.pth', 'a/b.c', 'refs/pr/1', 'd.pth'),
        ('hf://models/b', 'models/b', None, None),
        ('hf-hub:timm/swin_t.ms_in1k', 'timm/swin_t.ms_in1k', None, None),
        ('hf_hub:timm/swin_t.ms_in1k@main', 'timm/swin_t.ms_in1k', 'main', None),
        ('timm://swin_t.ms_in1k', 'timm/swin_t.ms_in1k', None, None),
        ('timm://swin_t.ms_in1k@main', 'timm/swin_t.ms_in1k', 'main', None),
        ('https://huggingface.co/a/b/resolve/main/c.bin?download=true', 'a/b', 'main', 'c.bin'),
        ('https://huggingface.co/a/b/blob/v1/c/d%20e.bin', 'a/b', 'v1', 'c/d e.bin'),
        ('https://hf.co/a/b/resolve/refs%2Fpr%2F1/c.bin', 'a/b', 'refs/pr/1', 'c.bin'),
    ],
)
def test_addresses_of_the_hub(address, repo, revision, file):
    assert hub.parse(address) == dict(repo=repo, revision=revision, file=file)


@pytest.mark.parametrize(
    'path',
    [
        'swin_tiny_patch4_window7_224.ms_in1k',
        'timm/swin_tiny_patch4_window7_224.ms_in1k',
        'hf/a/b.pth',
        'https://huggingface.co/datasets/a/b/resolve/main/c.pth',
        'https://huggingface.co/a/b',
        'https://host.example/a/b/resolve/main/c.pth',
    ],
)
def test_what_is_no_address_of_the_hub(path):
    assert hub.parse(path) is None
    if '//' not in path:
        assert local_file(path) == Path(path)


@pytest.mark.parametrize(
    'address',
    ['hf://', 'hf://a', 'hf://datasets/a/b', 'hf://a b/c', 'hf-hub:a', 'timm://', 'hf:///a/b'],
)
def test_broken_addresses_are_one_sentence(address):
    with pytest.raises(FileNotFoundError, match=f'^{address} names no .*; expected hf://OWNER'):
        load_checkpoint(swin(), address)


def test_without_its_package_the_command_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    for address in ('hf://a/b', 'hf-hub:a/b', 'timm://a.b'):
        with pytest.raises(FileNotFoundError, match='needs a package: pip install huggingface_hub'):
            load_checkpoint(swin(), address)


# A stand-in for the package


class EntryNotFoundError(Exception):
    """By its name alone it is known."""


class RepositoryNotFoundError(Exception):
    """The same."""


class GatedRepoError(RepositoryNotFoundError):
    """The same."""


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A module with the public functions that we use; its `files` are {name: bytes} of a/b."""
    module = SimpleNamespace(files={}, asked=[], error=None)

    def list_repo_files(repo, *, revision=None):
        if module.error:
            raise module.error
        if repo.split('/')[0] not in ('a', 'timm'):
            raise RepositoryNotFoundError('404 Client Error. (Request ID: 1)\n\nno such')
        return list(module.files)

    def hf_hub_download(repo, file, *, revision=None):
        module.asked.append((repo, file, revision))
        if file not in module.files:
            raise EntryNotFoundError('404 Client Error.\nEntry not found')
        path = tmp_path / 'snapshot' / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(module.files[file])
        return str(path)

    def try_to_load_from_cache(repo, file, *, revision=None):
        path = tmp_path / 'snapshot' / file
        return str(path) if path.exists() else None

    module.list_repo_files, module.hf_hub_download = list_repo_files, hf_hub_download
    module.try_to_load_from_cache = try_to_load_from_cache
    monkeypatch.setitem(sys.modules, 'huggingface_hub', module)
    return module


def assert_same(net, other):
    assert all(torch.equal(t, other.state_dict()[name]) for name, t in net.state_dict().items())


def by_load_checkpoint(address):
    net = swin()
    load_checkpoint(net, address)
    return net


def by_init_cfg(address):
    net = swin(init_cfg=dict(type='Pretrained', checkpoint=address))
    net.init_weights()
    return net


def by_detector(address):
    model = torch.nn.ModuleDict(dict(backbone=swin()))
    model['backbone'].init_cfg = dict(type='Pretrained', checkpoint=address)
    model['backbone'].init_weights()
    return model['backbone']


@pytest.mark.parametrize('door', [by_load_checkpoint, by_init_cfg, by_detector])
@pytest.mark.parametrize('address', ['hf://a/b', 'hf-hub:a/b', 'timm://b.c', 'hf://a/b/d.pth'])
def test_every_door_takes_the_hub(door, address, package, weights):
    package.files |= {'pytorch_model.bin': weights[0], 'd.pth': weights[0], 'README.md': b''}
    assert_same(door(address), weights[1])
    ((repo, file, _),) = package.asked
    assert repo == ('timm/b.c' if 'timm' in address else 'a/b')
    assert file == ('d.pth' if 'd.pth' in address else 'pytorch_model.bin')


def test_load_from_takes_the_hub(package, weights):
    package.files['pytorch_model.bin'] = weights[0]
    load_checked_files_only()
    content = CheckpointLoader.load_checkpoint('hf://a/b')
    assert torch.equal(content['stem.proj.weight'], weights[1].stem.proj.weight)


def test_weights_of_tools_take_the_hub(package, weights, call_tool):
    """Those of a small net do not fit the published size, and nothing is exported."""
    package.files['pytorch_model.bin'] = weights[0]
    for address, words in {
        'hf://b/c': 'there is no such repository',
        'hf://a/b': 'hf://a/b (format mmbackbones) is no checkpoint of this SwinTransformer',
    }.items():
        code, _, said = call_tool('export', 'SwinTransformer', '--weights', address)
        assert code == 2
        assert words in said


@pytest.mark.parametrize(
    ('names', 'taken'),
    [
        ('pytorch_model.bin model.safetensors', 'model.safetensors'),
        ('pytorch_model.bin other.pth', 'pytorch_model.bin'),
        ('open_clip_pytorch_model.bin a.txt', 'open_clip_pytorch_model.bin'),
        ('swin.pth config.json optimizer.pt training_args.bin', 'swin.pth'),
        ('x-00001-of-00002.safetensors x.safetensors.index.json', 'x.safetensors.index.json'),
        ('sub/swin.PTH', 'sub/swin.PTH'),
    ],
)
def test_the_file_of_a_repository_is_chosen_by_its_name(names, taken, package):
    package.files = dict.fromkeys(names.split(), b'')
    assert hub.choose_file('hf://a/b', 'a/b', None) == taken


def test_files_that_cannot_be_told_apart_are_named(package):
    package.files = dict.fromkeys(['one.pth', 'two.pth', 'README.md'], b'')
    words = r'hf://a/b@v1 has several files of weights \(one.pth, two.pth\); .*hf://a/b@v1/one.pth'
    with pytest.raises(FileNotFoundError, match=words):
        load_checkpoint(swin(), 'hf://a/b@v1')
    package.files = {'README.md': b''}
    with pytest.raises(
        FileNotFoundError, match='has no file of weights; give one as hf://a/b/FILE'
    ):
        load_checkpoint(swin(), 'hf://a/b')


@pytest.mark.parametrize(
    ('address', 'error', 'words'),
    [
        ('hf://b/c', None, 'there is no such repository, or it is private: .*hf auth login'),
        ('timm://swin', RepositoryNotFoundError('404'), 'names of timm need their tag'),
        ('hf://a/b', GatedRepoError('403'), 'its owners ask for consent'),
        ('hf://a/b/none.pth', None, 'the repository has no such file'),
        ('hf://a/b', OSError(28, 'No space left on device'), 'No space left on device'),
        ('hf://a/b', RuntimeError('first\nsecond ' + 'x' * 999), 'first second x+$'),
    ],
)
def test_what_stops_a_download_is_one_sentence(address, error, words, package):
    package.error = error
    with pytest.raises(FileNotFoundError, match=words) as caught:
        load_checkpoint(swin(), address)
    assert str(caught.value).startswith(f'{address} cannot be fetched from the Hugging Face Hub; ')
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_pieces_are_fetched_with_their_index(package, tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    net, index = swin(), {}
    names = list(net.state_dict())
    for number, part in enumerate((names[::2], names[1::2]), 1):
        piece = f'model-0000{number}-of-00002.safetensors'
        content = safetensors.save({name: net.state_dict()[name].clone() for name in part})
        package.files[f'sub/{piece}'] = content
        index |= dict.fromkeys(part, piece)
    text = json.dumps(dict(weight_map=index)).encode()
    package.files['sub/model.safetensors.index.json'] = text
    assert_same(by_load_checkpoint('hf://a/b/sub/model.safetensors.index.json'), net)
    assert len(package.asked) == 3
    bad = json.dumps(dict(weight_map=dict(a='../../x'))).encode()
    package.files['model.safetensors.index.json'] = bad
    with pytest.raises(CheckpointError, match='which is not beside it'):
        load_checkpoint(swin(), 'hf://a/b')


def test_without_a_network_what_is_in_the_cache_is_found(package, weights):
    package.files['pytorch_model.bin'] = weights[0]
    by_load_checkpoint('hf://a/b')
    package.error = ConnectionError('offline')
    assert_same(by_load_checkpoint('hf://a/b'), weights[1])
    package.error = RepositoryNotFoundError('it was deleted')
    with pytest.raises(FileNotFoundError, match='there is no such repository'):
        load_checkpoint(swin(), 'hf://a/b')


def test_web_addresses_go_by_the_package_unless_the_file_is_there(package, weights, monkeypatch):
    package.files['w.bin'] = weights[0]
    url = 'https://huggingface.co/a/b/resolve/main/w.bin'
    assert_same(by_load_checkpoint(url), weights[1])
    assert package.asked == [('a/b', 'w.bin', 'main')]


def test_the_cache_of_pytorch_comes_first(package, weights, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    path = downloading.cache_folder() / 'huggingface.co/a/b/resolve/main/w.bin'
    path.parent.mkdir(parents=True)
    path.write_bytes(weights[0])
    assert_same(by_load_checkpoint('https://huggingface.co/a/b/resolve/main/w.bin'), weights[1])
    assert package.asked == []


# The package itself, from a fake Hub


class Hub(BaseHTTPRequestHandler):
    """The routes of the Hub that a download needs; `server.repos` are {name: {file: bytes}}."""

    def do_HEAD(self):
        """What a GET would say, without the content."""
        self.answer(body=False)

    def do_GET(self):
        """A file, or what is known of a repository."""
        self.answer(body=True)

    def answer(self, body):
        self.server.asked.append((self.command, self.path, self.headers.get('Authorization')))
        parts = self.path.partition('?')[0].strip('/').split('/')
        api = parts[:2] == ['api', 'models']
        repo = '/'.join(parts[2:4] if api else parts[:2])
        rest = parts[4:] if api else parts[2:]
        if repo == 'a/gated' and not api:
            return self.send(b'', 403, {'X-Error-Code': 'GatedRepo', 'X-Error-Message': 'gated'})
        files = self.server.repos.get(repo)
        if files is None:
            return self.send(b'', 401, {'X-Error-Code': 'RepoNotFound'})
        if len(rest) > 1 and rest[1] not in ('main', 'v1', COMMIT):
            return self.send(b'', 404, {'X-Error-Code': 'RevisionNotFound'})
        if api and 'tree' in rest:
            tree = [
                dict(
                    type='file', path=name, size=len(content), oid=hashlib.sha1(content).hexdigest()
                )
                for name, content in files.items()
            ]
            return self.send(json.dumps(tree).encode(), kind='application/json')
        if api:
            info = dict(id=repo, sha=COMMIT, siblings=[dict(rfilename=name) for name in files])
            return self.send(json.dumps(info).encode(), kind='application/json')
        content = files.get('/'.join(rest[2:]))
        if content is None:
            return self.send(b'', 404, {'X-Error-Code': 'EntryNotFound', 'X-Repo-Commit': COMMIT})
        tag = hashlib.sha256(content).hexdigest()
        headers = {'ETag': f'"{tag}"', 'X-Repo-Commit': COMMIT}
        return self.send(content, headers=headers, body=body)

    def send(self, content, status=200, headers=(), kind='application/octet-stream', body=True):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A fake Hub that `huggingface_hub` asks, and an empty cache."""
    constants = pytest.importorskip('huggingface_hub').constants
    server = ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    server.repos, server.asked = {'a/gated': {'model.safetensors': b''}}, []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}'
    monkeypatch.setattr(constants, 'ENDPOINT', url)
    monkeypatch.setattr('huggingface_hub.hf_api.api.endpoint', url)
    template = f'{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    yield server
    server.shutdown()
    server.server_close()


def test_the_package_itself(server, weights, monkeypatch):
    server.repos |= {'a/b': {'README.md': b'', 'pytorch_model.bin': weights[0]}}
    for address in ('hf://a/b', 'hf-hub:a/b@v1', 'https://huggingface.co/a/b/resolve/main/'):
        file = 'pytorch_model.bin' if 'http' in address else ''
        assert_same(by_load_checkpoint(address + file), weights[1])
    assert sum(command == 'GET' and 'resolve' in path for command, path, _ in server.asked) == 1
    for address, words in {
        'hf://a/none': 'there is no such repository',
        'hf://a/b@v2': 'no such revision',
        'hf://a/b/none.pth': 'no such file',
        'hf://a/gated': 'its owners ask for consent',
    }.items():
        with pytest.raises(FileNotFoundError, match=f'^{address} cannot be fetched .*; .*{words}'):
            load_checkpoint(swin(), address)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    assert_same(by_load_checkpoint('hf://a/b'), weights[1])
    with pytest.raises(FileNotFoundError, match=r'is not in the cache, and .*: bring the'):
        load_checkpoint(swin(), 'hf://a/c')


@pytest.mark.slow  # huggingface_hub tries for 23 seconds
def test_the_package_itself_without_a_network(server, weights):
    server.repos |= {'a/b': {'pytorch_model.bin': weights[0]}}
    by_load_checkpoint('hf://a/b')
    server.shutdown()
    server.server_close()
    assert_same(by_load_checkpoint('hf://a/b'), weights[1])
    with pytest.raises(FileNotFoundError, match=r'^hf://a/c cannot .* is out of reach: '):
        load_checkpoint(swin(), 'hf://a/c')
