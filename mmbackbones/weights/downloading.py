"""Paths and URLs -> files on this machine; what is downloaded is checked, kept and found again."""

import os
import re
import time
import zipfile
from difflib import get_close_matches
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import Request, url2pathname, urlopen
from uuid import uuid4

import torch
from mmengine.dist import all_gather_object, is_distributed
from mmengine.logging import print_log
from mmengine.runner.checkpoint import get_external_models, get_torchvision_models
from rich.console import Console
from rich.progress import wrap_file

from .errors import CheckpointError

# PyTorch's names of published files end in the beginning of their SHA-256; 20201231 is a date.
HASH = re.compile(r'-(?!20\d{6}\.)([a-f0-9]{8,})\.')
WEIGHTS = ('.pth', '.pt', '.bin', '.ckpt', '.pkl', '.tar', '.safetensors')
PAGE = 'gave a web page, not weights; open it in a browser, save the file and give its path'
# Addresses that are names in a list of mmengine's, which has a URL for each.
LISTS = {
    'torchvision://': get_torchvision_models,
    'modelzoo://': get_torchvision_models,
    'open-mmlab://': get_external_models,
    'openmmlab://': get_external_models,
}
QUIET = 60  # seconds in which a server may say nothing
EVERY = 30  # seconds between lines that say how much has come


def local_file(source):
    """The path of a checkpoint that is named by a path or an address, downloaded where needed.

    Besides paths and URLs it takes the names that mmengine has URLs for, `torchvision://resnet50`.

    Raises:
        FileNotFoundError: It cannot be downloaded, or nobody here knows such an address.
        CheckpointError: What was downloaded is no checkpoint.
    """
    scheme = re.match(r'(?:[\w.+-]+:)+//', str(source))
    if not scheme:
        return Path(source)
    if scheme[0] == 'file://':
        return Path(url2pathname(urlparse(str(source)).path))
    if scheme[0] in ('http://', 'https://'):
        return download(str(source))
    if scheme[0] in LISTS:
        return download(listed(*str(source).partition('://')[::2]))
    raise FileNotFoundError(
        f'{source} is an address of {scheme[0]}, expected a path or one of http://, https:// or '
        f"file://; fetch it with mmengine's CheckpointLoader or by other means and give its path"
    )


def listed(scheme, name):
    """The URL that mmengine has for a name."""
    address = f'{scheme}://{name}'
    try:
        known = LISTS[f'{scheme}://']()
    except ImportError as error:
        raise FileNotFoundError(f'{address} needs a package: pip install torchvision') from error
    if name not in known:
        near = get_close_matches(name, known, 3)
        hint = f'did you mean {", ".join(near)}?' if near else 'give a path or a URL'
        raise FileNotFoundError(f'mmengine lists no {address}; {hint}')
    return known[name]


def download(url):
    """The path of a URL's file in PyTorch's cache; one process of each machine fetches it.

    Raises:
        FileNotFoundError: It cannot be downloaded, here or on another machine of this training.
        CheckpointError: What was downloaded is no checkpoint.
    """
    try:
        path, failure = cache_folder() / cached_name(url), None
    except ValueError as error:
        raise FileNotFoundError(f'{url} is no address of a file: {error}') from error
    if fetches():
        try:
            obtain(url, path)
        except CheckpointError as error:
            failure = error
        except (OSError, HTTPException, ValueError) as error:
            failure = FileNotFoundError(
                f'{url} cannot be downloaded ({error}); bring the file to {path} by other means'
            )
    # All wait here for all, so that no process goes on alone and waits for ever for the others.
    failures = [each for each in all_gather_object(failure) if each]
    if failures:
        raise failures[0]
    return path


def fetches():
    """Whether this process is the one of its machine to download; if nobody knows, each of them."""
    return not is_distributed() or torch.distributed.get_node_local_rank(fallback_rank=0) == 0


def cache_folder():
    """Where PyTorch keeps what it downloads."""
    return Path(torch.hub.get_dir(), 'checkpoints')


def cached_name(url):
    """Where in the cache the file of a URL lies: host/folders/name, without the query.

    Where the path does not end in a name of weights, the query may say which file is meant.

    Raises:
        ValueError: The URL has no host.
    """
    parts = urlparse(url)
    query = '' if parts.path.lower().endswith(WEIGHTS) else parts.query
    host = parts.netloc.rpartition('@')[2].lower().replace(':', '_')
    if not host.strip('.'):
        raise ValueError('it has no host; expected http://host/folder/file')
    names = [host, *(part for part in parts.path.split('/') if part.strip('.'))]
    names[-1] += f'_{query}' if query else ''
    return '/'.join(short(quote(name, safe='%[]')) for name in names)


def short(name):
    """A name that any disk takes; of a longer one the end, after what tells it from others."""
    return name if len(name) < 200 else f'{sha256(name.encode()).hexdigest()[:16]}_{name[-150:]}'


def obtain(url, path):
    """Bring the file of a URL to a path, unless a sound one is there; a bad one gets one more try.

    What is there stays until the new file is whole.

    Raises:
        OSError, HTTPException, ValueError: What stopped the download.
        CheckpointError: What was downloaded is no checkpoint; nothing of it is kept.
    """
    if path.exists() and not flaw(path):
        return
    if not path.parent.resolve().is_relative_to(cache_folder().resolve()):
        raise ValueError(f'a link leads from {path.parent} out of the cache; remove it')
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetch(url, path)
    except (CheckpointError, ConnectionError, TimeoutError, HTTPException):
        fetch(url, path)


def fetch(url, path):
    """Download to a file of this process alone, and put it in its place when it is whole."""
    own = path.with_name(f'{path.name}.{uuid4().hex}.part')
    request = Request(url, headers={'User-Agent': 'mmbackbones'})
    try:
        with urlopen(request, timeout=QUIET) as answer, open(own, 'wb') as file:
            if answer.headers.get_content_type() == 'text/html':
                raise CheckpointError(f'{url} {PAGE}')
            size = int(answer.headers.get('Content-Length') or 0)
            copy(answer, file, path.name, size)
            if size and file.tell() != size:
                raise ConnectionError(f'{file.tell():,} of {size:,} bytes came')
        found = flaw(own, path.name)
        if found:
            raise CheckpointError(f'{url} {found}')
        os.replace(own, path)
    finally:
        own.unlink(missing_ok=True)


def copy(answer, file, title, size):
    """Copy a download to a file, with a bar on a terminal, or a line of the log now and then."""
    console, said = Console(stderr=True), time.monotonic()
    with wrap_file(answer, size, description=title, console=console) as body:
        while block := body.read(2**20):
            file.write(block)
            if not console.is_terminal and time.monotonic() - said >= EVERY:
                said = time.monotonic()
                print_log(f'{title}: {file.tell():,} of {size:,} bytes', logger='current')


def flaw(path, name=None):
    """What shows that a file is no whole checkpoint of its name, or None."""
    with open(path, 'rb') as file:
        start = file.read(1024).lstrip(b'\xef\xbb\xbf \t\r\n')
    if start.lower().startswith((b'<!doctype', b'<html')):
        return PAGE
    if not start:
        return 'is empty; take another source'
    if start.startswith(b'PK') and not zipfile.is_zipfile(path):
        return 'is only the beginning of a file; take another source'
    wanted = HASH.search(name or path.name)
    found = digest(path) if wanted else ''
    if wanted and not found.startswith(wanted[1]):
        return (
            f'has the SHA-256 {found[: len(wanted[1])]}..., and its name says {wanted[1]}; take '
            f'another source, or save the file and give its path if you trust it'
        )
    return None


def digest(path):
    """The SHA-256 of a file."""
    total = sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            total.update(block)
    return total.hexdigest()
