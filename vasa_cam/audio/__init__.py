"""Sound: files decoded for motion and video, live sources with capture times, the delayed voice."""

from __future__ import annotations

from vasa_cam.audio.blocks import AudioBlock, SourceLostError
from vasa_cam.audio.file import (
    SPEECH_RATE_HZ,
    AudioInfo,
    probe_audio,
    read_speech,
    stereo_blocks,
)
from vasa_cam.audio.sources import AudioSource, audio_source

__all__ = [
    "SPEECH_RATE_HZ",
    "AudioBlock",
    "AudioInfo",
    "AudioSource",
    "SourceLostError",
    "audio_source",
    "probe_audio",
    "read_speech",
    "stereo_blocks",
]
