// Dose of one beam on every wanted voxel of a lattice, row by row: neither points nor depths nor geometry are stored.
// CPU only; the GPU runs photon_math.h voxel by voxel.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "photon_math.h"
#include "row_depth.h"
#include "simd.h"

namespace couchside {

// What is done where: lattice, its density as padded_view gives it, and the voxels wanted.
struct GridSpace {
  Lattice lattice;
  const float* padded;
  const std::uint8_t* wanted;
};

// Everything of one beam that its voxels need.
struct GridBeam {
  BeamFrame frame;
  Attenuation attenuation;
  Raster raster;
  const float* maps;  // (nv, nu, 4)
  float scale;        // of the dose
};

class RowDose {
 public:
  RowDose(const RowView& view, const GridSpace& space, const GridBeam& beam)
      : view_(view), lattice_(space.lattice), beam_(beam), wanted_(space.wanted), depths_(view, space.padded),
        row_(static_cast<size_t>(view.n_a) + kLanes) {}

  // Adds the dose of the wanted voxels whose index along b is given.
  void run(int b, float* dose) {
    for (int slab = 0; slab < view_.n_s; ++slab) {
      const long start = slab * view_.stride_s + b * view_.stride_b;
      int low = 0, high = view_.n_a;
      while (low < high && !wanted_[start + low * view_.stride_a]) ++low;
      while (high > low && !wanted_[start + (high - 1) * view_.stride_a]) --high;
      if (low == high) continue;
      dose_of_row(slab, b, low, high, depths_.run(slab, b, low, high));
      for (int i = low; i < high; ++i) {
        const long at = start + i * view_.stride_a;
        if (wanted_[at]) dose[at] += row_[i];
      }
    }
  }

 private:
  // Dose of voxels low..high - 1 of one row into row_.
  void dose_of_row(int slab, int b, int low, int high, const float* depths) {
    const BeamFrame& f = beam_.frame;
    // Along a row every coordinate of the beam grows by the same step from voxel to voxel.
    int index[3];
    index[view_.s] = slab, index[view_.a] = 0, index[view_.b] = b;
    float u0 = 0.f, v0 = 0.f, w0 = 0.f;
    for (int i = 0; i < 3; ++i) {
      const float p = lattice_.origin[i] + lattice_.spacing[i] * static_cast<float>(index[i]) - f.isocentre[i];
      u0 += p * f.ex[i];
      v0 += p * f.ey[i];
      w0 += p * f.ez[i];
    }
    const float du = view_.mm_a * f.ex[view_.a], dv = view_.mm_a * f.ey[view_.a], dw = view_.mm_a * f.ez[view_.a];
    const float sad = f.sad, square_scale = beam_.scale * sad * sad, per_pitch = 1.f / beam_.raster.pitch;
    const float m = beam_.attenuation.m, *beta = beam_.attenuation.beta, *maps = beam_.maps;
    const Raster r = beam_.raster;
    const float wide = static_cast<float>(r.nu - 1), tall = static_cast<float>(r.nv - 1);
    const int line = r.nu * kInterleave;
    const float share0 = beta[0] / (beta[0] - m), share1 = beta[1] / (beta[1] - m), share2 = beta[2] / (beta[2] - m);
    const float softening[2] = {beam_.attenuation.softening[0], beam_.attenuation.softening[1]};
    const float beta0 = beta[0], beta1 = beta[1], beta2 = beta[2];
    float* out = row_.data();
#pragma omp simd
    for (int i = low; i < high; ++i) {
      const float fi = static_cast<float>(i);
      const float u = u0 + fi * du, v = v0 + fi * dv, along = sad - (w0 + fi * dw);
      const float magnified = sad * per_pitch / along;
      const float off2 = u * u + v * v, square = square_scale / (off2 + along * along);
      const float depth = depths[i] * softened(softening, off2 / (along * along));
      const float x = u * magnified - r.u0 * per_pitch, y = v * magnified - r.v0 * per_pitch;
      const bool inside = x >= 0.f && y >= 0.f && x < wide && y < tall;
      const float xi = inside ? x : 0.f, yi = inside ? y : 0.f;
      const int ix = static_cast<int>(xi), iy = static_cast<int>(yi);
      const float fx = xi - static_cast<float>(ix), fy = yi - static_cast<float>(iy);
      const float* node = maps + iy * line + ix * kInterleave;
      const float e_m = exp_of(-m * depth);
      const float c0 = share0 * (e_m - exp_of(-beta0 * depth)), c1 = share1 * (e_m - exp_of(-beta1 * depth)),
                  c2 = share2 * (e_m - exp_of(-beta2 * depth));
      const float k00 = c0 * node[0] + c1 * node[1] + c2 * node[2];
      const float k01 = c0 * node[4] + c1 * node[5] + c2 * node[6];
      const float k10 = c0 * node[line] + c1 * node[line + 1] + c2 * node[line + 2];
      const float k11 = c0 * node[line + 4] + c1 * node[line + 5] + c2 * node[line + 6];
      const float near_row = k00 + fx * (k01 - k00), far_row = k10 + fx * (k11 - k10);
      out[i] = inside ? square * (near_row + fy * (far_row - near_row)) : 0.f;
    }
  }

  const RowView view_;
  const Lattice lattice_;
  const GridBeam& beam_;
  const std::uint8_t* wanted_;
  RowDepths depths_;
  std::vector<float> row_;
};

}  // namespace couchside
