"""Repositories of the Hugging Face Hub -> files, by `huggingface_hub`: its cache, tokens, mirrors.

`hf://OWNER/REPO[@REVISION][/FILE]` is its own way to write them, `hf-hub:OWNER/REPO[@REVISION]`
that of timm; `timm://NAME` is `hf://timm/NAME`. Its web addresses are known, too.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .errors import shorten_list, truncate
from .kinds import ENDINGS_OF_WEIGHTS, names_in_index

Address = dict[str, Any]  # repo, and revision and file or None
PLACE = r'(?P<repo>[\w.-]+/[\w.-]+)'
REVISION = r'(?P<revision>refs/[^/]+/[^/]+|[^/]+)'
NAME = re.compile(rf'{PLACE}(?:@{REVISION})?(?:/(?P<file>.+))?')
URL = re.compile(
    rf'https://(?:huggingface\.co|hf\.co)/{PLACE}/(?:resolve|blob)/{REVISION}/(?P<file>[^?#]+)'
)
SCHEMES = {'hf://': '', 'hf-hub:': '', 'hf_hub:': '', 'timm://': 'timm/'}
# The names that libraries give to the weights of a repository, the first choice first.
USUAL = (
    'model.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
    'pytorch_model.bin.index.json',
    'open_clip_model.safetensors',
    'open_clip_pytorch_model.safetensors',
    'open_clip_pytorch_model.bin',
)
ENDINGS_OF_FILES = (*ENDINGS_OF_WEIGHTS, '.index.json')
NO_WEIGHTS = re.compile(r'(optimizer|scheduler|scaler|rng_state|training_args)[^/]*$|-of-\d+\.')
TIMM_WITHOUT_TAG = re.compile(r'(^timm:/|[:/]timm)/[^/.@]+(@|$)')
# What errors of huggingface_hub mean, the more special ones first.
REASONS = {
    'GatedRepoError': 'its owners ask for consent: give it on the page of the repository, then '
    'run hf auth login or set HF_TOKEN',
    'DisabledRepoError': 'the repository is disabled',
    'RevisionNotFoundError': 'the repository has no such revision',
    'RepositoryNotFoundError': 'there is no such repository, or it is private: check the name, or '
    'run hf auth login or set HF_TOKEN',
    'HFValidationError': 'this is no name of a repository',
    **dict.fromkeys(
        ('LocalEntryNotFoundError', 'OfflineModeIsEnabled', 'TransportError', 'ConnectionError'),
        'it is not in the cache, and the Hub is out of reach: bring the file by other means and '
        'give its path, or unset HF_HUB_OFFLINE if that is set',
    ),
    'EntryNotFoundError': 'the repository has no such file',
}
REFUSALS = {'RepositoryNotFoundError', 'RevisionNotFoundError', 'HFValidationError'}


def parse(source: str) -> Address | None:
    """dict(repo, revision, file) of a name or web address of a file of the Hub, None of others.

    Raises:
        FileNotFoundError: It begins as such a name and goes on as none.
    """
    scheme = next((each for each in SCHEMES if source.startswith(each)), None)
    if not scheme:
        match = URL.match(source)
        return match and {key: unquote(text) for key, text in match.groupdict().items()}
    match = NAME.fullmatch(SCHEMES[scheme] + source.removeprefix(scheme))
    if not match or match['repo'].startswith(('datasets/', 'spaces/')):
        raise FileNotFoundError(
            f'{source} names no repository of models; expected hf://OWNER/REPO, '
            f'hf://OWNER/REPO@REVISION/FILE, hf-hub:OWNER/REPO or timm://NAME'
        )
    return match.groupdict()


def is_installed() -> bool:
    """Whether there is `huggingface_hub`."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        return False
    return True


def download(source: str, address: Address) -> Path:
    """The path of a file in the cache of `huggingface_hub`, with the pieces that an index names.

    Raises:
        FileNotFoundError: It cannot be downloaded, or which file is meant cannot be known.
        CheckpointError: It is a broken index.
    """
    if not is_installed():
        raise FileNotFoundError(
            f'{source} is on the Hugging Face Hub, which needs a package: '
            f'pip install huggingface_hub'
        )
    file = address['file'] or choose_file(source, address['repo'], address['revision'])
    path = download_file(source, address, file)
    folder = file[: file.rfind('/') + 1]
    for piece in names_in_index(path) if file.endswith('.index.json') else ():
        download_file(source, address, folder + piece)
    return path


def download_file(source: str, address: Address, file: str) -> Path:
    """The path of one file of a repository in the cache."""
    from huggingface_hub import hf_hub_download

    with in_one_sentence(source):
        return Path(hf_hub_download(address['repo'], file, revision=address['revision']))


def choose_file(source: str, repo: str, revision: str | None) -> str:
    """The file of a repository that holds its weights, by its name.

    Raises:
        FileNotFoundError: There is none, or several and none of a usual name.
    """
    names = list_files(source, repo, revision)
    usual = [name for name in USUAL if name in names]
    others = [n for n in names if n.lower().endswith(ENDINGS_OF_FILES) and not NO_WEIGHTS.search(n)]
    if usual or len(others) == 1:
        return (usual or others)[0]
    found = f'several files of weights ({shorten_list(others)})' if others else 'no file of weights'
    example = others[0] if others else 'FILE'
    version = f'@{revision}' if revision else ''
    raise FileNotFoundError(f'{source} has {found}; give one as hf://{repo}{version}/{example}')


def list_files(source: str, repo: str, revision: str | None) -> list[str]:
    """The names of the files of a repository; those of usual names in the cache, if offline."""
    import huggingface_hub

    with in_one_sentence(source):
        try:
            return huggingface_hub.list_repo_files(repo, revision=revision)
        except Exception as error:
            if names_of_kinds(error) & REFUSALS:
                raise
            find = huggingface_hub.try_to_load_from_cache
            found = [n for n in USUAL if isinstance(find(repo, n, revision=revision), str)]
            if found:
                return found
            raise


@contextmanager
def in_one_sentence(source: str) -> Iterator[None]:
    """Errors of `huggingface_hub` and of its clients for HTTP become a `FileNotFoundError`."""
    try:
        yield
    except Exception as error:  # its versions use clients whose errors have nothing in common
        kinds = names_of_kinds(error)
        reason = next((REASONS[kind] for kind in REASONS if kind in kinds), None)
        if reason == REASONS['RepositoryNotFoundError'] and TIMM_WITHOUT_TAG.search(source):
            reason = 'names of timm need their tag, as in swin_tiny_patch4_window7_224.ms_in1k'
        raise FileNotFoundError(
            f'{source} cannot be fetched from the Hugging Face Hub; {reason or truncate(error)}'
        ) from error


def names_of_kinds(error: Exception) -> set[str]:
    """The names of an error's class and of those above it; modules of them differ by version."""
    return {kind.__name__ for kind in type(error).__mro__}
