"""Downloads the file of a URL to a path, checked; a failed download leaves nothing there.

Why no library does it: `torch.hub` has no timeout and keeps half a file or a web page, mmengine
reads all of a file into memory, and requests and huggingface_hub need not be installed.
"""

import mmap
import re
import time
import zipfile
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
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
TIMEOUT = 60  # seconds in which a server may send nothing
LOG_INTERVAL = 30  # seconds between lines of the log about progress


def download(url: str, path: Path, cache: Path) -> Path:
    """The path, after the file of a URL was downloaded to it, unless a whole one was there.

    A failed download is tried once more. What is there stays until the new file is whole.

    Raises:
        FileNotFoundError: It cannot be downloaded.
        CheckpointError: What was downloaded is no checkpoint; nothing of it is kept.
    """
    if path.exists() and not find_damage(path):
        return path
    try:
        if not path.parent.resolve().is_relative_to(cache.resolve()):
            raise OSError(f'a link leads from {path.parent} out of the cache; remove it')
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return download_once(url, path)
        except (CheckpointError, ConnectionError, TimeoutError, HTTPException):
            return download_once(url, path)
    except (OSError, HTTPException) as error:
        raise FileNotFoundError(
            f'{url} cannot be downloaded ({error}); bring the file to {path} by other means'
        ) from error


def download_once(url: str, path: Path) -> Path:
    """The path, to which the file of a URL is moved when it is whole."""
    part = path.with_name(f'{path.name}.{uuid4().hex}.part')
    request = Request(url, headers={'User-Agent': 'mmbackbones'})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer, open(part, 'wb') as file:
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


def copy_with_progress(answer: Any, file: BinaryIO, title: str, size: int) -> None:
    """Copy a download to a file, with a bar on a terminal, or a line of the log now and then."""
    console, logged = Console(stderr=True), time.monotonic()
    with wrap_file(answer, size, description=title, console=console) as body:
        while block := body.read(2**20):
            file.write(block)
            if not console.is_terminal and time.monotonic() - logged >= LOG_INTERVAL:
                logged = time.monotonic()
                print_log(f'{title}: {file.tell():,} of {size:,} bytes', logger='current')


def find_damage(path: Path, name: str | None = None) -> str | None:
    """How a file differs from a whole checkpoint of its name, in words; None if it does not."""
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
