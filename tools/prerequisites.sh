#!/bin/sh
# Looks for what building ("build") or testing ("test") needs from the system and installs what is
# missing where this user is root on Debian or Ubuntu; otherwise names it in one line.
# Usage: tools/prerequisites.sh build|test PYTHON
set -eu
purpose=$1
python=$2
missing=

need() { # need PACKAGE COMMAND...: PACKAGE is missing unless COMMAND succeeds
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

has_library() { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1"; }

has_alsa_pulse() { ls /usr/lib*/alsa-lib/libasound_module_pcm_pulse.so /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so 2>/dev/null | grep -q .; }

has_python_header() {
  "$python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

command -v "$python" >/dev/null || { echo "vasa_cam: no $python; install Python 3.10 to 3.13" >&2; exit 1; }
"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 10))' ||
  { echo "vasa_cam: $python is too old; Python 3.10 or later is needed" >&2; exit 1; }

need python3-venv "$python" -c 'import ensurepip, venv'
need python3-dev has_python_header
need g++ command -v g++
# mediapipe and its OpenCV (enrolment, tracking) link these; bare servers lack them.
need libgl1 has_library libGL.so.1
need libegl1 has_library libEGL.so.1
need libgles2 has_library libGLESv2.so.2
need libglib2.0-0 has_library libglib-2.0.so.0
need libportaudio2 has_library libportaudio.so.2
if [ "$purpose" = test ]; then
  need git command -v git
  need ffmpeg command -v ffprobe
  need chromium has_browser
  # A private sound server, and ALSA's plug-in through which PortAudio reaches it.
  need pulseaudio command -v pulseaudio
  need pulseaudio-utils command -v pactl
  need libasound2-plugins has_alsa_pulse
  need libgtest-dev test -e /usr/include/gtest/gtest.h
  need flite command -v flite
  need libespeak-ng1 has_library libespeak-ng.so.1
fi

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  # a list of words
  apt-get install -y -q --no-install-recommends $missing ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; }
else
  echo "vasa_cam: missing system packages; run: sudo apt-get install$missing" >&2
  exit 1
fi
