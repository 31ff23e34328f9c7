"""The keys that our descriptions give are those of the public networks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.checkpoints import architecture
from vasa_cam.checkpoints.architecture import FLOAT, STITCHING_NETWORKS, Expected
from vasa_cam.checkpoints.report import compare


def without_prefix(keys: Iterable[tuple[str, Expected]], prefix: str) -> dict[str, Expected]:
    return {k.removeprefix(prefix): e for k, e in keys if k.startswith(prefix)}


NETWORKS = {
    "F": dict(architecture.appearance()),
    "M": dict(architecture.motion()),
    "W": dict(architecture.warping()),
    "G": dict(architecture.decoder()),
    **{
        f"S_{name}": without_prefix(architecture.stitching(), f"{name}.")
        for name in STITCHING_NETWORKS
    },
    "joyvasa_denoising_net_512": dict(architecture.joyvasa_denoiser(512, 73, 110)),
    "joyvasa_denoising_net_256": dict(architecture.joyvasa_denoiser(256, 73, 110)),
    "ditto_lmdm": dict(architecture.ditto(1103)),
    "hubert_base": dict(architecture.hubert()),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_every_key_shape_and_type_is_that_of_the_specification(network: str, shared: Path) -> None:
    page = shared / "specs" / "liveportrait" / "keys" / f"state_dict_{network}.json"
    table = json.loads(page.read_text())
    wanted = {
        key: (tuple(entry["shape"]), FLOAT if entry["dtype"] == "float32" else entry["dtype"])
        for key, entry in table.items()
    }
    assert {key: (e.shape, e.kind) for key, e in NETWORKS[network].items()} == wanted


def test_a_folded_decoder_has_one_weight_for_three() -> None:
    plain, folded = dict(architecture.decoder()), dict(architecture.decoder(folded=True))
    roots = {key.removesuffix("_orig") for key in plain if key.endswith("weight_orig")}
    assert len(roots) == 18
    assert {key for key in folded if key not in plain} == roots
    assert all(folded[root].shape == plain[f"{root}_orig"].shape for root in roots)


def test_the_report_names_every_kind_of_difference() -> None:
    state = {key: np.zeros(e.shape, np.float32) for key, e in architecture.stitching(["lip"])}
    assert compare("lip", architecture.stitching(["lip"]), state).fits
    del state["lip.mlp.0.bias"]
    state["lip.mlp.2.weight"] = np.zeros((128, 127), np.float32)
    state["lip.mlp.4.weight"] = np.zeros((64, 128), np.int8)
    state["lip.extra\n\x1b[31m"] = np.zeros(3, np.float32)
    report = compare("lip", architecture.stitching(["lip"]), state)
    assert not report.fits
    assert report.missing == ("lip.mlp.0.bias",)
    assert report.shapes == {"lip.mlp.2.weight": ("[128, 128]", "[128, 127]")}
    assert report.types == {"lip.mlp.4.weight": ("float", "int8")}
    text = report.text()
    assert "1 missing:\n    lip.mlp.0.bias" in text
    assert "expected [128, 128], got [128, 127]" in text
    assert "\x1b" not in text and "lip.extra??[31m" in text
    assert report.sentence().count("\n") == 0
    assert "of 8 tensors 1 missing (such as lip.mlp.0.bias)" in report.sentence()


def test_a_counter_of_batches_may_be_missing_but_not_be_a_weight() -> None:
    state = {k: np.zeros(e.shape, np.float16) for k, e in architecture.appearance() if e.needed}
    assert compare("F", architecture.appearance(), state).fits
    state["first.norm.num_batches_tracked"] = np.zeros((), np.float16)
    report = compare("F", architecture.appearance(), state)
    assert report.types == {"first.norm.num_batches_tracked": ("int64", "float16")}
