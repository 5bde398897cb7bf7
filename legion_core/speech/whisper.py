"""Recognition with a Whisper model on disk, through faster-whisper; nothing is ever downloaded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from legion_core.errors import ConfigurationError
from legion_core.speech.audio import Pcm
from legion_core.speech.recogniser import Heard


class WhisperRecogniser:
    """Hears any English.

    Args:
        model: folder of a model in CTranslate2's format (model.bin).
        hint: words that are likely.

    Raises:
        ConfigurationError: the folder holds no model, or faster-whisper is not installed.
    """

    def __init__(self, model: str, hint: str = "") -> None:
        folder = Path(model)
        if not model or not (folder / "model.bin").is_file():
            raise ConfigurationError(f"model = {model!r}; expected the folder of a Whisper model (model.bin)")
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise ConfigurationError(
                "faster-whisper is missing; install it with: pip install faster-whisper"
            ) from error
        self._hint = hint
        try:
            self._model = WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigurationError(f"cannot load the Whisper model in {folder}: {error}") from error

    def recognise(self, utterance: Pcm) -> Heard:
        """The words, and the geometric mean of the probabilities of their tokens."""
        samples = utterance.astype(np.float32) / 32768
        segments, _ = self._model.transcribe(samples, language="en", beam_size=5, initial_prompt=self._hint or None)
        parts = [(segment.text.strip(), segment.avg_logprob) for segment in segments]
        if not parts:
            return Heard("", 0.0)
        return Heard(" ".join(text for text, _ in parts), math.exp(min(sum(p for _, p in parts) / len(parts), 0.0)))
