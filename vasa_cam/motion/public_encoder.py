"""A larger public encoder beside our own: HuBERT or wav2vec 2.0, from the user's own download.

Our encoder goes on to give mouth controls, events and loudness; the public model's hidden states
are added to its own (`HeardFrames.hidden`), so that a generator can be trained with them. These
models hear the whole sound, before and after: they are for recordings, never for live use.

They give 50 states a second, each of 25 ms of sound. The sound is cut so that every second state is
centred on a frame, at 0.04 k s, and each frame takes a quarter, half and quarter of three.

Weights are read as safetensors only. Needs torch and transformers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError, MissingDependencyError
from vasa_cam.motion.encoder import (
    Encoder,
    EncoderStream,
    HeardFrames,
    VoiceEncoder,
    features_size,
    packaged_encoder,
)
from vasa_cam.motion.generator import Generator
from vasa_cam.motion.lips import SAMPLES_A_FRAME

Floats = npt.NDArray[np.float32]

PUBLIC_INFO: Final = "public_encoder"
"""Where a generator's header says which public model it was trained with."""

_CLASSES: Final = {"hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model"}
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_HUB_NAME: Final = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})")

# Phones are clear there in both families; wav2vec 2.0's last layers turn back to the sound
# (Pasad, Chou and Livescu 2021; Pasad, Shi and Livescu 2023).
_DEPTH: Final = 0.75
_STEP: Final = SAMPLES_A_FRAME // 2
_BLEND: Final = (0.25, 0.5, 0.25)
# A long recording is heard in pieces: attention grows with the square of their length. Frames.
_PIECE: Final = 375
_MARGIN: Final = 50


@dataclass(frozen=True, eq=False)
class PublicEncoder:
    """Our encoder with a public model beside it; takes its place for whole recordings.

    own: our encoder. model: a torch HubertModel or Wav2Vec2Model, cut off above the layer that is
    used. reach: samples that a state is made of. public: name, revision, sha256, layer and width of
    the model, as a weight file's header holds them.
    """

    own: VoiceEncoder
    model: Any
    reach: int
    public: dict[str, Any]

    @property
    def opening(self) -> Floats:
        """Our encoder's, see VoiceEncoder."""
        return self.own.opening

    @property
    def width(self) -> int:
        """Numbers in the public model's state."""
        return int(self.public["width"])

    @property
    def audio_size(self) -> int:
        """Numbers a frame that the generator is conditioned on."""
        return features_size(self.own.channels + self.width)

    def ears(self, level_db: float | None = None, recording: Floats | None = None) -> PublicEars:
        """Ears for one recording, float32 [n] at 16 kHz. Raises InputError without it."""
        if recording is None:
            raise InputError(
                "a public encoder hears whole recordings only, not live sound: "
                "make a file with it, or use weights that were trained without one."
            )
        return PublicEars(self, recording, level_db)

    def states(self, sound: Floats, first: int, last: int) -> Floats:
        """States centred on frames first..last-1 of `sound`, float32 [last - first, width].

        Each has mean 0 and variance 1, so that models and layers of any scale train alike.
        """
        import torch

        begin = SAMPLES_A_FRAME * first - _STEP - self.reach // 2
        end = begin + 2 * _STEP * (last - first) + self.reach
        inside = sound[max(0, begin) : max(0, end)]
        heard = np.pad(inside, (max(0, -begin), 0))
        heard = np.pad(heard, (0, end - begin - len(heard)))
        with torch.inference_mode():
            rows = self.model(torch.from_numpy(heard[None]).to(self.model.device))
        halves = rows.last_hidden_state[0].float().cpu().numpy()
        count = last - first
        blended = sum(part * halves[k:][: 2 * count : 2] for k, part in enumerate(_BLEND))
        centred = blended - blended.mean(axis=1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-8)
        return np.asarray(centred / scale, np.float32)


class PublicEars:
    """Hears a recording block by block, as EncoderStream does, with the public model's states.

    What is pushed must be the recording itself, from its start; silence may follow.
    """

    def __init__(
        self, encoder: PublicEncoder, recording: Floats, level_db: float | None = None
    ) -> None:
        self._own = EncoderStream(encoder.own, level_db)
        self._encoder = encoder
        # As these models were trained: the whole recording has mean 0 and variance 1.
        scale = np.float32(np.sqrt(recording.var(dtype=np.float64) + 1e-7))
        self._sound = ((recording - recording.mean(dtype=np.float64)) / scale).astype(np.float32)
        self._count = max(1, -(-len(recording) // SAMPLES_A_FRAME))
        self._at = 0
        self._piece, self._states = -1, np.zeros((0, encoder.width), np.float32)

    def push(self, samples: Floats) -> HeardFrames:
        """Take samples float32 [n] at 16 kHz; return the frames that they complete."""
        heard = self._own.push(samples)
        frames = np.arange(self._at, self._at + len(heard))
        self._at += len(heard)
        # After the recording's end its last state goes on.
        frames = np.minimum(frames, self._count - 1)
        rows = np.zeros((len(frames), self._encoder.width), np.float32)
        for piece in np.unique(frames // _PIECE):
            here = frames // _PIECE == piece
            rows[here] = self._hear(int(piece))[frames[here] - piece * _PIECE]
        return dataclasses.replace(heard, hidden=np.concatenate([heard.hidden, rows], axis=1))

    def _hear(self, piece: int) -> Floats:
        """States of a piece's frames; the last piece is kept, and heard once."""
        if piece != self._piece:
            first, last = piece * _PIECE, min((piece + 1) * _PIECE, self._count)
            begin, end = max(0, first - _MARGIN), min(self._count, last + _MARGIN)
            states = self._encoder.states(self._sound, begin, end)
            self._piece, self._states = piece, states[first - begin : last - begin]
        return self._states


def with_public(own: VoiceEncoder, place: str | None) -> Encoder:
    """`own` with the public model at `place` beside it (see load_public_encoder), or alone."""
    return own if place is None else load_public_encoder(place, own)


def load_public_encoder(
    place: str | Path, own: VoiceEncoder | None = None, device: str | None = None
) -> PublicEncoder:
    """Open a HuBERT or wav2vec 2.0 model.

    place: a folder with config.json and model.safetensors, or OWNER/NAME@COMMIT on the hub, which
    is fetched unless it already lies in the hub's cache. own: our encoder, else the packaged one.
    device: torch's name of one, else the first GPU, else the CPU. Raises InputError when the model
    cannot be used, MissingDependencyError without torch and transformers.
    """
    folder, name, revision = _found(place)
    config = _config(folder)
    strides = [math.prod(config["conv_stride"][:k]) for k in range(len(config["conv_stride"]) + 1)]
    if strides[-1] != _STEP:
        raise InputError(
            f"the model in {folder} takes steps of {strides[-1]} samples: expected {_STEP}, "
            "50 states a second, as HuBERT and wav2vec 2.0 have."
        )
    kernels = config["conv_kernel"]
    reach = 1 + sum((kernel - 1) * step for kernel, step in zip(kernels, strides, strict=False))
    layer = max(1, round(_DEPTH * config["num_hidden_layers"]))
    model = _model(folder, config["model_type"], layer, device)
    public = {
        "name": name,
        "revision": revision,
        "sha256": _sha256(folder / _WEIGHTS),
        "layer": layer,
        "width": config["hidden_size"],
    }
    return PublicEncoder(own or packaged_encoder(), model, reach, public)


def check_fits(encoder: Encoder, generator: Generator) -> None:
    """Raise InputError unless the generator was trained with what the encoder hears."""
    wanted, given = generator.info.get(PUBLIC_INFO), encoder.public
    if wanted and _identity(wanted) != _identity(given):
        found = "another was given" if given else "none was given"
        at = f"@{wanted['revision']}" if wanted["revision"] else ""
        raise InputError(
            f"these weights were trained with the public encoder {wanted['name']}{at} "
            f"(sha256 of its weights {wanted['sha256']}) and {found}: "
            "download it and name it with --public-encoder."
        )
    if given and not wanted:
        raise InputError(
            f"these weights were trained without a public encoder and {given['name']} was given: "
            "leave --public-encoder out, or train with it first."
        )
    if encoder.audio_size != generator.config.audio_size:
        raise InputError(
            f"the generator expects {generator.config.audio_size} numbers a frame of sound and the "
            f"encoder gives {encoder.audio_size}: use weight files that were trained together."
        )


def _identity(public: dict[str, Any] | None) -> tuple[Any, Any] | None:
    return None if public is None else (public["sha256"], public["layer"])


def _found(place: str | Path) -> tuple[Path, str, str | None]:
    """The folder of a model, its name, and its commit where that is known."""
    folder = Path(place)
    if folder.is_dir():
        *_, cached, kind, last = ("", "", *folder.resolve().parts)
        if kind == "snapshots" and cached.startswith("models--"):  # the hub's own cache
            return folder, cached.removeprefix("models--").replace("--", "/", 1), last
        return folder, last, None
    match = _HUB_NAME.fullmatch(str(place))
    if match is None:
        raise InputError(
            f"{place} is neither a folder nor a name on the hub with its commit "
            "(OWNER/NAME@COMMIT, 40 hexadecimal digits): download a model, or name one so."
        )
    name, commit = match["name"], match["commit"]
    return fetched(name, commit), name, commit


def fetched(name: str, commit: str) -> Path:
    """The folder of a hub's model in the hub's own cache; what lies there is not fetched again.

    Raises InputError when it cannot be fetched, MissingDependencyError without huggingface_hub.
    """
    # Read when the library is first imported: a fetch tells nobody what else is installed here.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise _missing() from error
    for file in (_CONFIG, _WEIGHTS):
        found = try_to_load_from_cache(name, file, revision=commit)
        if isinstance(found, str):
            continue
        try:
            found = hf_hub_download(name, file, revision=commit)
        except Exception as error:
            unreachable = isinstance(error, LocalEntryNotFoundError)
            if isinstance(error, EntryNotFoundError) and not unreachable:
                raise _incomplete(f"{name}@{commit}", file) from error
            raise InputError(
                f"{name}@{commit} could not be fetched ({error}): check the name and the network, "
                "or download the model elsewhere and name its folder."
            ) from error
    return Path(found).parent


def _incomplete(place: str | Path, file: str) -> InputError:
    return InputError(
        f"{place} holds no {file}: expected a HuBERT or wav2vec 2.0 model as transformers saves "
        "it; pickled weights (pytorch_model.bin) are never read, take a revision with safetensors."
    )


def _config(folder: Path) -> dict[str, Any]:
    for file in (_CONFIG, _WEIGHTS):
        if not (folder / file).is_file():
            raise _incomplete(folder, file)
    try:
        config: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        if config["model_type"] not in _CLASSES:
            raise InputError(
                f"the model in {folder} is a {config['model_type']}: expected one of "
                f"{', '.join(_CLASSES)}."
            )
        sizes = ("conv_stride", "conv_kernel", "num_hidden_layers", "hidden_size")
        return {name: config[name] for name in ("model_type", *sizes)}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / _CONFIG} could not be read ({error!r}): download the model again."
        ) from error


def _model(folder: Path, kind: str, layer: int, device: str | None) -> Any:
    """The torch model up to a layer, in eval mode."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise _missing() from error
    try:
        with _quiet(transformers.logging):
            model, loaded = getattr(transformers, _CLASSES[kind]).from_pretrained(
                str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except Exception as error:
        raise InputError(
            f"{folder / _WEIGHTS} could not be read ({error}): download the model again."
        ) from error
    # Only training masks sound with this one; some files do not have it.
    missing = sorted(set(loaded["missing_keys"]) - {"masked_spec_embed"})
    if missing or loaded["mismatched_keys"]:
        raise InputError(
            f"{folder / _WEIGHTS} does not fit its {_CONFIG} ({len(missing)} tensors are missing, "
            f"{len(loaded['mismatched_keys'])} have another shape): download the model again."
        )
    model.encoder.layers = model.encoder.layers[:layer]
    cuda = torch.cuda.is_available()
    return model.to(device or ("cuda" if cuda else "cpu")).eval()


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without transformers' progress bar and report of heads that we do not use."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _missing() -> MissingDependencyError:
    return MissingDependencyError(
        "a public encoder needs torch and transformers: pip install 'vasa-cam[volume]'."
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
