"""The arithmetic header is CUDA C++ too: it compiles for the architectures that the photon kernels are built for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
KERNELS = ROOT / "engines" / "dose_features" / "kernels"

USE = """
#include "beam_math.h"
using namespace couchside::dose_features;
__global__ void one(const Beam* beams, const float* path, const float* points, Sample* samples, float* x, Moments* m) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const Place place = place_of(beams[blockIdx.y], points[3 * i], points[3 * i + 1], points[3 * i + 2]);
  const PathCell cell = path_cell(place);
  const float depth = mixed(path[cell.at], path[cell.at + 1], cell.fu);
  const float weight = weight_of(expf(-kAttenuation * depth), expf(-kBuildUp * (depth + kSurface)), place.magnified);
  samples[i] = sample_of(place, weight);
  const Wanted wanted = wanted_of(points[i], kOrgan, drawn_at(i, i, i, pixel_of(place)));
  x[i] = adam_step(x[i], slope_of(wanted, blockIdx.y % kPlans, x[i]), m[i], 1.f, 1.f);
}
"""


def test_the_arithmetic_compiles_for_gpus(tmp_path):
    sys.path.insert(0, str(ROOT))
    from tools.build_cuda import CUBINS, find_nvcc

    nvcc, why = find_nvcc()
    if nvcc is None:
        pytest.skip(f"the GPU code cannot be compiled here: {why}")
    source = tmp_path / "one.cu"
    source.write_text(USE, "utf-8")
    targets = [f"-gencode=arch=compute_{c},code=sm_{c}" for c in CUBINS]
    told = subprocess.run(
        [str(nvcc), "-std=c++17", "-O3", "-fatbin", "-Werror=all-warnings", f"-I{KERNELS}", *targets, str(source),
         "-o", str(tmp_path / "one.fatbin")], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-3000:]
    assert (tmp_path / "one.fatbin").stat().st_size > 0
