"""Tools are scripts, so tests find them on the path; one thread keeps small tests quick."""

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / 'tools'))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
