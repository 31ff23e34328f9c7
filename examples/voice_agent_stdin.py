"""A voice agent that starts the avatar itself and speaks into its standard input.

Usage: voice_agent_stdin.py OPTIONS_OF_VASA_CAM_LIVE...     (needs espeak-ng and ffmpeg)
"""

import subprocess
import sys

avatar = subprocess.Popen(
    [sys.executable, "-m", "vasa_cam", "live", "--source", "pcm:-", "--stop-at-end", *sys.argv[1:]],
    stdin=subprocess.PIPE,
)
for sentence in ("Good morning.", "I am a voice agent, and this is my face."):
    speech = subprocess.run(["espeak-ng", "--stdout", sentence], capture_output=True, check=True)
    to_pcm = ["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-ar", "16000", "-ac", "1", "-"]
    pcm = subprocess.run(to_pcm, input=speech.stdout, capture_output=True, check=True)
    avatar.stdin.write(pcm.stdout)  # raw 16 kHz s16le mono, as fast as it is made
avatar.stdin.close()
avatar.wait()
