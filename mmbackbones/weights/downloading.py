"""Files of weights by path or address, on this machine; what is remote is downloaded once."""

import platform
import re
from collections.abc import Callable
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

import torch
from mmengine.dist import all_gather_object, is_distributed
from mmengine.runner.checkpoint import get_external_models, get_torchvision_models

from . import hub, web
from .errors import CheckpointError
from .kinds import ENDINGS_OF_WEIGHTS

# Addresses that are names in a list of mmengine's, which has a URL for each.
LISTS = {
    'torchvision://': get_torchvision_models,
    'modelzoo://': get_torchvision_models,
    'open-mmlab://': get_external_models,
    'openmmlab://': get_external_models,
}


def local_file(source: str | Path) -> Path:
    """The path of a checkpoint that is named by a path or an address, downloaded where needed.

    Besides paths and URLs it takes the names that mmengine has URLs for, `torchvision://resnet50`,
    and repositories of the Hugging Face Hub, see `hub.parse`.

    Raises:
        FileNotFoundError: It cannot be downloaded, or nobody here knows such an address.
        CheckpointError: What was downloaded is no checkpoint.
    """
    text = str(source)
    scheme = re.match(r'(?:[\w.+-]+:)+//', text)
    if scheme and scheme[0] == 'file://':
        return Path(url2pathname(urlparse(text).path))
    if scheme and scheme[0] in ('http://', 'https://'):
        return download_url(text)
    if scheme and scheme[0] in LISTS:
        return download_url(listed_url(text, scheme[0]))
    if address := hub.parse(text):
        return once_per_machine(lambda: hub.download(text, address))
    if not scheme:
        return Path(source)
    raise FileNotFoundError(
        f'{source} is an address of {scheme[0]}, expected a path or one of http://, https://, '
        f"hf:// or file://; fetch it with mmengine's CheckpointLoader or by other means and give "
        f'its path'
    )


def listed_url(address: str, scheme: str) -> str:
    """The URL that mmengine has for a name."""
    try:
        known = LISTS[scheme]()
    except ImportError as error:
        raise FileNotFoundError(f'{address} needs a package: pip install torchvision') from error
    name = address.removeprefix(scheme)
    if name not in known:
        near = get_close_matches(name, known, 3)
        hint = f'did you mean {", ".join(near)}?' if near else 'give a path or a URL'
        raise FileNotFoundError(f'mmengine lists no {address}; {hint}')
    return known[name]


def download_url(url: str) -> Path:
    """The path of a URL's file in the cache, to which one process of each machine downloads it.

    Files of the Hugging Face Hub are downloaded by its own package if that is installed.

    Raises:
        FileNotFoundError: It cannot be downloaded, here or on another machine of this training.
        CheckpointError: What was downloaded is no checkpoint.
    """
    try:
        path = cache_folder() / cached_name(url)
    except ValueError as error:
        raise FileNotFoundError(f'{url} is no address of a file: {error}') from error
    address = hub.parse(url) if hub.is_installed() and not path.exists() else None
    if address:
        return once_per_machine(lambda: hub.download(url, address))
    return once_per_machine(lambda: web.download(url, path, cache_folder()))


def once_per_machine(function: Callable[[], Path]) -> Path:
    """Call a function in one process of each machine; its path or its error goes to all of them.

    Where the first process of a machine is not known, each of them calls it.
    """
    here, path, failure = platform.node(), None, None
    if not is_distributed() or torch.distributed.get_node_local_rank(fallback_rank=0) == 0:
        try:
            path = function()
        except (FileNotFoundError, CheckpointError) as error:
            failure = error
    # Here each process waits for all others, so that after an error none goes on alone and hangs.
    gathered = all_gather_object((here, path, failure))
    if failures := [failure for *_, failure in gathered if failure]:
        raise failures[0]
    paths = {node: path for node, path, _ in gathered if path}
    return paths.get(here) or next(iter(paths.values()))


def cache_folder() -> Path:
    """Where PyTorch keeps what it downloads."""
    return Path(torch.hub.get_dir(), 'checkpoints')


def cached_name(url: str) -> str:
    """Where in the cache the file of a URL lies: host/folders/name, without the query.

    Where the path does not end in a name of weights, the query may say which file is meant.

    Raises:
        ValueError: The URL has no host.
    """
    parts = urlparse(url)
    query = '' if parts.path.lower().endswith(ENDINGS_OF_WEIGHTS) else parts.query
    host = parts.netloc.rpartition('@')[2].lower().replace(':', '_')
    if not host.strip('.'):
        raise ValueError('it has no host; expected http://host/folder/file')
    names = [host, *(part for part in parts.path.split('/') if part.strip('.'))]
    names[-1] += f'_{query}' if query else ''
    return '/'.join(shortened(quote(name, safe='%[]')) for name in names)


def shortened(name: str) -> str:
    """A name that any disk takes: of a longer one a hash of it and its end."""
    return name if len(name) < 200 else f'{sha256(name.encode()).hexdigest()[:16]}_{name[-150:]}'
