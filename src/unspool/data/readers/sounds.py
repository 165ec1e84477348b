"""Sound files as samples."""

import io
import wave

import torch

from unspool.errors import DataError


def pcm(data: bytes, name: str) -> tuple[bytes, int]:
    """The 16-bit samples of a WAV file, its channels made one, and how many there are in a second."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            channels, width, rate, number = sound.getparams()[:4]
            samples = sound.readframes(number)
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise DataError(
            f"{name} is not a WAV file of plain samples: {reason}", hint="sox IN OUT.wav makes one"
        ) from None
    if width != 2 or not samples or len(samples) != number * width * channels:
        what = f"has {8 * width}-bit samples, and 16 are wanted" if width != 2 else "ends too early"
        raise DataError(f"{name} {what}", hint="sox IN.wav -b 16 OUT.wav, or leave the file out")
    if channels > 1:
        mixed = torch.frombuffer(bytearray(samples), dtype=torch.int16).view(-1, channels).float().mean(dim=1)
        samples = mixed.to(torch.int16).numpy().tobytes()
    return samples, rate
