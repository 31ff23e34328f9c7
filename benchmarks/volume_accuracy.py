"""How far the volume renderer's networks are from the golden vectors, as a results file.

    cd benchmarks && PYTHONPATH=..:../tests python volume_accuracy.py

Relative L2 errors of both forms with weights by the shared rule, and the multiplications of their
convolutions. Needs torch and the folder `shared` beside the repository; half a minute.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from volume_goldens import Goldens, relative_l2, with_rule_weights

from vasa_cam.render.volume.fast_decoder import FastDecoder
from vasa_cam.render.volume.fast_warping import FastWarping
from vasa_cam.render.volume.fold import place
from vasa_cam.render.volume.spade import SpadeDecoder
from vasa_cam.render.volume.warping import WarpingNetwork

REPOSITORY = Path(__file__).resolve().parents[1]
RESULT = REPOSITORY / "benchmarks" / "results" / "volume-accuracy.json"
DTYPES = ("float32", "float16", "bfloat16")


def gigaflops(network: nn.Module, run: Any) -> tuple[Any, float]:
    """The result of a run and twice the multiplications of all its convolutions, in 10^9."""
    counted = 0

    def count(module: Any, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal counted
        counted += 2 * output.numel() * module.in_channels * math.prod(module.kernel_size)

    kinds = (nn.Conv2d, nn.Conv3d)
    handles = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    with torch.inference_mode():
        result = run()
    for handle in handles:
        handle.remove()
    return result, counted / 1e9


def warping_rows(goldens: Goldens) -> dict[str, dict[str, float]]:
    """Form: errors and work of the warp."""
    golden = goldens.golden("W")
    volume = torch.from_numpy(goldens.input("W/feature_3d", (1, 32, 16, 64, 64)))
    source, driving = (torch.from_numpy(golden[name]) for name in ("kp_source", "kp_driving"))
    network = with_rule_weights(goldens, "W", WarpingNetwork())

    def row(warped: Any, work: float) -> dict[str, float]:
        flat = warped.features.float().reshape(-1)[:: int(golden["stride"])]
        return {
            "features": relative_l2(flat, golden["out_flat_strided"]),
            "deformation": relative_l2(warped.deformation, golden["deformation"]),
            "occlusion": relative_l2(warped.occlusion.float(), golden["occlusion_map"]),
            "gigaflops": work,
        }

    rows = {"plain float32": row(*gigaflops(network, lambda: network(volume, source, driving)))}
    for dtype in DTYPES:
        fast: Any = place(FastWarping(network), torch.device("cpu"), getattr(torch, dtype))
        with torch.inference_mode():
            prepared = fast.prepare(volume, source)
        rows[f"fast {dtype}"] = row(*gigaflops(fast, partial(fast, prepared, driving)))
    return rows


def decoder_rows(goldens: Goldens) -> dict[str, dict[str, float]]:
    """Form: error and work of the decoder."""
    golden = goldens.golden("G")
    features = torch.from_numpy(goldens.input("G/feature", (1, 256, 64, 64)))
    network = with_rule_weights(goldens, "G", SpadeDecoder())

    def row(picture: torch.Tensor, work: float) -> dict[str, float]:
        error = relative_l2(picture[..., ::4, ::4].float(), golden["out_every4"])
        return {"picture": error, "gigaflops": work}

    rows = {"plain float32": row(*gigaflops(network, lambda: network(features)))}
    for dtype in DTYPES:
        kind = getattr(torch, dtype)
        fast: Any = place(FastDecoder(network), torch.device("cpu"), kind)
        rows[f"fast {dtype}"] = row(*gigaflops(fast, partial(fast.pictures, features.to(kind))))
    return rows


def main() -> None:
    """Writes the results file and prints it."""
    goldens = Goldens(REPOSITORY.parent / "shared" / "specs" / "liveportrait")
    rows = {"warping": warping_rows(goldens), "decoder": decoder_rows(goldens)}
    short = {
        network: {
            form: {name: float(f"{value:.3g}") for name, value in row.items()}
            for form, row in table.items()
        }
        for network, table in rows.items()
    }
    RESULT.write_text(json.dumps({"torch": torch.__version__, **short}, indent=1) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
