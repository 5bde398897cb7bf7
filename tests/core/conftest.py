"""The shipped bundle and the packaged sentence encoder, loaded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from legion_core.bundle import PolicyBundle
from legion_core.embedding import InstructionEncoder


@pytest.fixture(scope="session")
def shipped_bundle() -> PolicyBundle:
    return PolicyBundle.load()


@pytest.fixture(scope="session")
def encoder() -> InstructionEncoder:
    pytest.importorskip("sentence_transformers")
    return InstructionEncoder()


@pytest.fixture(scope="session")
def encode(encoder: InstructionEncoder) -> Callable[[Sequence[str]], np.ndarray]:
    return encoder.encode
