"""Sound in: files decoded to speech for the motion model and to stereo for the finished video."""

from __future__ import annotations

from vasa_cam.audio.file import (
    SPEECH_RATE_HZ,
    AudioInfo,
    probe_audio,
    read_speech,
    stereo_blocks,
)

__all__ = ["SPEECH_RATE_HZ", "AudioInfo", "probe_audio", "read_speech", "stereo_blocks"]
