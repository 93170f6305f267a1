"""Downloads the file of a URL to a path, checked; a failed download leaves nothing there."""

import mmap
import re
import time
import zipfile
from hashlib import sha256
from http.client import HTTPException
from urllib.request import Request, urlopen
from uuid import uuid4

from mmengine.logging import print_log
from rich.console import Console
from rich.progress import wrap_file

from .errors import CheckpointError
from .kinds import is_web_page

# PyTorch's names of published files end in the beginning of their SHA-256; 20201231 is a date.
HASH = re.compile(r'-(?!20\d{6}\.)([a-f0-9]{8,})\.')
PAGE = 'gave a web page, not weights; open it in a browser, save the file and give its path'
SILENCE = 60  # seconds in which a server may say nothing
EVERY = 30  # seconds between lines that say how much has come


def fetch(url, path, cache):
    """The path of a URL's file, fetched unless a sound one is there; a bad one gets one more try.

    What is there stays until the new file is whole.

    Raises:
        FileNotFoundError: It cannot be downloaded.
        CheckpointError: What was downloaded is no checkpoint; nothing of it is kept.
    """
    if path.exists() and not find_damage(path):
        return path
    try:
        if not path.parent.resolve().is_relative_to(cache.resolve()):
            raise ValueError(f'a link leads from {path.parent} out of the cache; remove it')
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return replace_by_download(url, path)
        except (CheckpointError, ConnectionError, TimeoutError, HTTPException):
            return replace_by_download(url, path)
    except CheckpointError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise FileNotFoundError(
            f'{url} cannot be downloaded ({error}); bring the file to {path} by other means'
        ) from error


def replace_by_download(url, path):
    """The path, where the file of a URL is put when it is whole.

    `torch.hub.download_url_to_file` would wait for ever, and keep half a file or a web page.
    """
    part = path.with_name(f'{path.name}.{uuid4().hex}.part')
    request = Request(url, headers={'User-Agent': 'mmbackbones'})
    try:
        with urlopen(request, timeout=SILENCE) as answer, open(part, 'wb') as file:
            if answer.headers.get_content_type() == 'text/html':
                raise CheckpointError(f'{url} {PAGE}')
            size = int(answer.headers.get('Content-Length') or 0)
            copy_with_progress(answer, file, path.name, size)
            if size and file.tell() != size:
                raise ConnectionError(f'{file.tell():,} of {size:,} bytes came')
        if damage := find_damage(part, path.name):
            raise CheckpointError(f'{url} {damage}')
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def copy_with_progress(answer, file, title, size):
    """Copy a download to a file, with a bar on a terminal, or a line of the log now and then."""
    console, said = Console(stderr=True), time.monotonic()
    with wrap_file(answer, size, description=title, console=console) as body:
        while block := body.read(2**20):
            file.write(block)
            if not console.is_terminal and time.monotonic() - said >= EVERY:
                said = time.monotonic()
                print_log(f'{title}: {file.tell():,} of {size:,} bytes', logger='current')


def find_damage(path, name=None):
    """What shows that a file is no whole checkpoint of its name, or None."""
    with open(path, 'rb') as file:
        start = file.read(1024)
        if is_web_page(start):
            return PAGE
        if not start.strip():
            return 'is empty; take another source'
        if start.startswith(b'PK') and not zipfile.is_zipfile(path):
            return 'is only the beginning of a file; take another source'
        wanted = HASH.search(name or path.name)
        if not wanted:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = sha256(content).hexdigest()
    if found.startswith(wanted[1]):
        return None
    return (
        f'has the SHA-256 {found[: len(wanted[1])]}..., and its name says {wanted[1]}; take '
        f'another source, or save the file and give its path if you trust it'
    )
