"""Downloads, from a server of this machine that cuts, damages, renames and counts."""

import hashlib
import io
import multiprocessing
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import mmbackbones
from mmbackbones import CheckpointError, SwinTransformer
from mmbackbones.weights import downloading, web
from mmbackbones.weights.downloading import cached_name, download_url, local_file

SIZE = dict(dims=(8, 16, 32, 64), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
PAGE = b' \n<!DoctYPE html><html>Sign in</html>'
HTML = 'text/html; charset=utf-8'


def checkpoint(value=0.0):
    """The bytes of a file of weights."""
    file = io.BytesIO()
    torch.save({'weight': torch.full((3000,), value)}, file)
    return file.getvalue()


def named(content, name='net'):
    """A path that ends in the beginning of the SHA-256, as PyTorch names files."""
    return f'/{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth'


class Handler(BaseHTTPRequestHandler):
    """Answers with what the server has for a path, which can be less than it says."""

    def do_GET(self):
        """Send (content, content type, how much of it); lists are used up to their last."""
        self.server.asked.append(self.path)
        answers = self.server.answers.get(self.path.partition('?')[0])
        if not answers:
            self.send_error(404)
            return
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        content, kind, length = (*answer, None, None)[:3]
        self.send_response(200)
        self.send_header('Content-Type', kind or 'application/octet-stream')
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content[:length])

    def log_message(self, *args):
        """Say nothing."""


def serve(**answers):
    """A running server; its `answers` are {path: [(content, type, length sent)]}."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.answers, server.asked = dict(answers), []
    server.url = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    return tmp_path / 'hub/checkpoints'


@pytest.fixture
def server(cache):
    """A server without files, and an empty cache."""
    server = serve()
    yield server
    server.shutdown()
    server.server_close()


def kept(cache):
    """The files of a cache."""
    return sorted(path for path in cache.rglob('*') if path.is_file())


def test_a_file_is_asked_for_once_and_loads(server, cache):
    net = SwinTransformer(SIZE)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    server.answers['/a/swin.pth'] = [(file.getvalue(),)]
    other = SwinTransformer(SIZE)
    for _ in range(2):
        mmbackbones.load_checkpoint(other, f'{server.url}/a/swin.pth?download=true')
    assert server.asked == ['/a/swin.pth?download=true']
    assert torch.equal(other.stem.proj.weight, net.stem.proj.weight)
    assert kept(cache) == [cache / f'127.0.0.1_{server.server_port}/a/swin.pth']


def test_files_of_one_name_are_kept_apart(server):
    other = serve(**{'/a/model.safetensors': [(b'3',)]})
    server.answers |= {f'/{f}/model.safetensors': [(f.encode(),)] for f in 'ab'}
    urls = [f'{server.url}/{folder}/model.safetensors' for folder in 'ab']
    urls += [f'{other.url}/a/model.safetensors']
    assert [download_url(url).read_bytes() for url in urls * 2] == [b'a', b'b', b'3'] * 2
    assert {download_url(url).name for url in urls} == {'model.safetensors'}
    other.shutdown()
    other.server_close()


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('https://Host.example/a/swin.pth?download=true', 'host.example/a/swin.pth'),
        ('https://me:secret@host.example:81/x.pth.tar', 'host.example_81/x.pth.tar'),
        ('https://host.example/../../etc/a%2Fb.pth', 'host.example/etc/a%2Fb.pth'),
        ('https://host.example/uc?id=1', 'host.example/uc_id%3D1'),
        ('https://host.example/uc?id=../2', 'host.example/uc_id%3D..%2F2'),
    ],
)
def test_the_name_in_the_cache_says_where_a_file_is_from(url, name):
    assert cached_name(url) == name


@pytest.mark.parametrize(
    'url',
    [
        'http:///{}',
        'http://./{}',
        'http://../{}',
        'http://me@/{}',
        'http://me@../{}',
        'http://[/{}',
        'http://\udce4/{}',
    ],
)
def test_nothing_outside_of_the_cache_is_touched(url, cache, tmp_path):
    for name in ('host.pth', 'hub/host.pth', 'hub/checkpoints/host.pth'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')  # which looks flawed
    before = sorted(tmp_path.rglob('*'))
    for path in (f'{tmp_path}/host.pth', 'host.pth', '../host.pth', '%2e%2e/host.pth'):
        with pytest.raises(FileNotFoundError, match='is no address of a file'):
            download_url(url.format(path.lstrip('/')))
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
    'url',
    [
        'http://host/..%5C..%5Ca',
        'http://host/..\\..\\a',
        'http://..\\..\\a/b',
        'http://c:/windows/a',
        'http://..:80/../a',
        'http://host/%2e%2e/%2E%2E/a',
        'http://host//etc/a',
        'http://host/uc?id=../../a',
        'http://host/' + 'a' * 500 + '.pth',
        'http://' + 'a' * 500 + '/b',
        'http://host/\x00\x1b[31m',
        'http://[::1]:80/a',
    ],
)
def test_names_in_the_cache_are_names_on_every_disk(url):
    parts = cached_name(url).split('/')
    assert parts
    assert all(part.strip('.') and len(part) < 200 for part in parts)
    assert not set(cached_name(url)) & set('\\:*?"<>|\x00\x1b ')


def test_long_names_stay_apart(server):
    paths = [f'/{"a" * 300}{end}.pth' for end in 'bc']
    server.answers |= {path: [(path.encode(),)] for path in paths}
    files = [download_url(server.url + path) for path in paths]
    assert [file.read_bytes() for file in files] == [path.encode() for path in paths]


def test_a_link_out_of_the_cache_is_not_followed(server, cache, tmp_path):
    content = checkpoint()
    server.answers['/net.pth'] = [(content,)]
    (tmp_path / 'others').mkdir()
    (tmp_path / 'others/net.pth').write_bytes(b'')
    cache.mkdir(parents=True)
    (cache / f'127.0.0.1_{server.server_port}').symlink_to(tmp_path / 'others')
    with pytest.raises(FileNotFoundError, match='a link leads from'):
        download_url(f'{server.url}/net.pth')
    assert (tmp_path / 'others/net.pth').read_bytes() == b''


def test_a_connection_that_is_cut_once_is_tried_again(server):
    content = checkpoint()
    server.answers['/net.pth'] = [(content, None, 1000), (content,)]
    assert download_url(f'{server.url}/net.pth').read_bytes() == content
    assert len(server.asked) == 2


def test_a_connection_that_is_always_cut_leaves_no_file(server, cache):
    server.answers['/net.pth'] = [(checkpoint(), None, 1000)]
    with pytest.raises(FileNotFoundError, match=r'\(1,000 of .* bytes came\); bring the file to '):
        download_url(f'{server.url}/net.pth')
    assert len(server.asked) == 2
    assert kept(cache) == []


def test_the_hash_in_a_name_is_verified(server, cache):
    right, wrong = checkpoint(1), checkpoint(2)
    path = named(right)
    server.answers[path] = [(wrong,), (right,)]
    assert download_url(server.url + path).read_bytes() == right
    server.answers[path] = [(wrong,)]
    download_url(server.url + path)
    assert len(server.asked) == 2
    kept(cache)[0].write_bytes(wrong)  # by whatever means: it is not trusted
    with pytest.raises(CheckpointError, match=rf'has the SHA-256 .* says {path[5:13]}; take anoth'):
        download_url(server.url + path)
    assert [file.read_bytes() for file in kept(cache)] == [wrong]  # until there is a better one
    server.answers['/net-20201231.pth'] = [(wrong,)]  # a date
    assert download_url(f'{server.url}/net-20201231.pth').read_bytes() == wrong


@pytest.mark.parametrize(
    ('answer', 'words'),
    [
        ((PAGE,), 'gave a web page, not weights; open it in a browser, save the file and give'),
        ((b'%', HTML), 'gave a web page'),
        ((b'\xef\xbb\xbf<HTML>',), 'gave a web page'),
        ((b'',), 'is empty'),
        ((checkpoint()[:3000],), 'is only the beginning of a file'),
    ],
)
def test_what_is_no_checkpoint_is_not_kept(server, cache, answer, words):
    server.answers['/net.pth'] = [answer]
    with pytest.raises(CheckpointError, match=words):
        download_url(f'{server.url}/net.pth')
    assert kept(cache) == []
    cut = cache / cached_name(f'{server.url}/net.pth')
    cut.write_bytes(PAGE)  # as an older version left it
    with pytest.raises(CheckpointError, match=words):
        download_url(f'{server.url}/net.pth')
    assert cut.read_bytes() == PAGE
    server.answers['/net.pth'] = [(checkpoint(),)]
    assert download_url(f'{server.url}/net.pth').read_bytes() == checkpoint()


def test_what_cannot_be_reached_is_named_with_the_way_out(server, cache):
    with pytest.raises(FileNotFoundError, match=r'cannot be downloaded \(HTTP Error 404') as caught:
        mmbackbones.load_checkpoint(SwinTransformer(SIZE), f'{server.url}/missing.pth')
    assert str(cache / cached_name(f'{server.url}/missing.pth')) in str(caught.value)
    assert server.asked == ['/missing.pth']
    with pytest.raises(FileNotFoundError, match=r'refused.*bring the file to .*w\.pth'):
        download_url('http://127.0.0.1:1/w.pth')
    with pytest.raises(FileNotFoundError, match='cannot be downloaded'):
        download_url('http://host:port/w.pth')


@pytest.mark.parametrize(
    'address',
    [
        'mmcls://a',
        'pavi://a',
        's3://b/a',
        'cluster:s3://b/a',
        'petrel://a',
    ],
)
def test_addresses_of_other_loaders_are_one_sentence(address):
    scheme = address[: address.index('//') + 2]
    words = f'is an address of {scheme}, expected a path or one of http://.*give its path'
    with pytest.raises(FileNotFoundError, match=words):
        mmbackbones.load_checkpoint(SwinTransformer(SIZE), address)


@pytest.mark.parametrize('scheme', ['open-mmlab', 'openmmlab', 'torchvision', 'modelzoo'])
def test_names_that_mmengine_has_urls_for_are_looked_up(scheme, server, cache, monkeypatch):
    server.answers['/r.pth'] = [(checkpoint(),)]
    known = {'resnet50': f'{server.url}/r.pth'}
    monkeypatch.setitem(downloading.LISTS, f'{scheme}://', lambda: known)
    assert local_file(f'{scheme}://resnet50').read_bytes() == checkpoint()
    with pytest.raises(FileNotFoundError, match=r'no \S+://resnet5; did you mean resnet50'):
        local_file(f'{scheme}://resnet5')


def test_the_lists_of_mmengine_are_there():
    assert downloading.listed_url('open-mmlab://resnet50_v1c', 'open-mmlab://').startswith(
        'https://'
    )
    if find_spec('torchvision'):
        assert downloading.listed_url('torchvision://resnet50', 'torchvision://').startswith(
            'https://'
        )
    else:
        with pytest.raises(FileNotFoundError, match='pip install torchvision'):
            downloading.listed_url('torchvision://resnet50', 'torchvision://')


def test_addresses_of_files_work(tmp_path):
    path = tmp_path / 'a net.pth'
    torch.save(SwinTransformer(SIZE).state_dict(), path)
    assert local_file(path.as_uri()) == path
    mmbackbones.load_checkpoint(SwinTransformer(SIZE), path.as_uri())
    assert local_file(path) == local_file(str(path)) == path


def fetch(url, folder, barrier, results):
    """What one of several processes does, all at the same time."""
    torch.hub.get_dir = lambda: folder
    barrier.wait()
    results.put(download_url(url).read_bytes())


def test_processes_that_meet_in_the_cache_all_get_the_whole_file(server, cache):
    context = multiprocessing.get_context('fork')
    content = checkpoint()
    path = named(content)
    server.answers[path] = [(content,)]
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (server.url + path, str(cache.parent), barrier, results)
    processes = [context.Process(target=fetch, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [content] * 2
    for process in processes:
        process.join()
    assert [file.name for file in kept(cache)] == [path[1:]]


def train(rank, url, folder, results):
    """What a process of a training says after two downloads, of which the second fails."""
    torch.hub.get_dir = lambda: folder
    dist.get_node_local_rank = lambda fallback_rank: rank
    store = dist.FileStore(f'{folder}_store', 2)
    dist.init_process_group('gloo', store=store, rank=rank, world_size=2)
    said = [download_url(f'{url}/net.pth').name]
    try:
        download_url(f'{url}/missing.pth')
    except FileNotFoundError as error:
        said.append(str(error))
    results.put(said)
    dist.destroy_process_group()


def test_one_process_of_a_training_downloads_and_all_get_its_error(server, cache):
    context = multiprocessing.get_context('fork')
    server.answers['/net.pth'] = [(checkpoint(),)]
    results = context.Queue()
    arguments = (server.url, str(cache.parent), results)
    processes = [context.Process(target=train, args=(rank, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    said = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert said[0] == said[1]
    assert 'missing.pth cannot be downloaded (HTTP Error 404' in said[0][1]
    assert sorted(server.asked) == ['/missing.pth', '/net.pth']


def test_progress_is_shown(server, capsys):
    file = checkpoint()
    server.answers['/net.pth'] = [(file,)]
    download_url(f'{server.url}/net.pth')
    err = capsys.readouterr().err
    assert 'net.pth' in err
    size = f'{len(file) / 1000:.1f}'
    assert f'{size}/{size} kB' in err


def test_without_a_training_each_process_downloads():
    assert downloading.once_per_machine(lambda: 'path') == 'path'
    assert downloading.cache_folder() == Path(torch.hub.get_dir(), 'checkpoints')


def test_a_long_download_says_how_much_has_come(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(web, 'LOG_INTERVAL', 0)
    monkeypatch.setattr(web, 'print_log', lambda text, logger: lines.append(text))
    content = bytes(3 * 2**19)
    with open(tmp_path / 'a.pth', 'wb') as file:
        web.copy_with_progress(io.BytesIO(content), file, 'a.pth', len(content))
    assert (tmp_path / 'a.pth').read_bytes() == content
    assert lines == [f'a.pth: {n:,} of 1,572,864 bytes' for n in (2**20, 3 * 2**19)]
