// Energy that one beam releases in every voxel of a lattice that holds matter, row by row: neither points nor depths
// are stored. CPU only; the GPU runs `released` of collapsed_cone.h voxel by voxel.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "collapsed_cone.h"
#include "row_depth.h"

namespace couchside {

// One head, and the lattice with its density: as it is, and as padded_view gives it. Voxels without matter are left
// out.
struct ReleaseSpace {
  Lattice lattice;
  const float* density;
  const float* padded;
};

struct ReleaseHead {
  Head head;
  const float* maps;   // (nv, nu, 4)
  const float* table;  // (steps, 2)
};

class RowRelease {
 public:
  RowRelease(const RowView& view, const ReleaseSpace& space, const ReleaseHead& head)
      : view_(view), space_(space), head_(head), depths_(view, space.padded), primary_(view.n_a), scatter_(view.n_a),
        electrons_(view.n_a) {}

  // Adds to primary, scatter and electrons (all of the lattice's shape) in the voxels whose index along b is given.
  void run(int b, float* primary, float* scatter, float* electrons) {
    const long stride = view_.stride_a;
    for (int slab = 0; slab < view_.n_s; ++slab) {
      const long start = slab * view_.stride_s + b * view_.stride_b;
      const float* density = space_.density + start;
      int low = 0, high = 0;
      const Row row = row_of(slab, b, low, high);
      while (low < high && !(density[low * stride] > 0.f)) ++low;
      while (high > low && !(density[(high - 1) * stride] > 0.f)) --high;
      if (low == high) continue;
      release_row(row, depths_.run(slab, b, low, high), low, high);
      for (int i = low; i < high; ++i) {
        const long at = start + i * stride;
        if (!(density[i * stride] > 0.f)) continue;
        primary[at] += primary_[i];
        scatter[at] += scatter_[i];
        electrons[at] += electrons_[i];
      }
    }
  }

 private:
  // Of voxel i of a row: u + i du, v + i dv along the beam's axes and `along` + i `dalong` from the source.
  struct Row {
    float u, v, along, du, dv, dalong;
  };

  // The row, and the voxels of it that the raster may reach.
  Row row_of(int slab, int b, int& low, int& high) const {
    const BeamFrame& f = head_.head.frame;
    const Raster& r = head_.head.raster;
    int index[3];
    index[view_.s] = slab, index[view_.a] = 0, index[view_.b] = b;
    Row row{0.f, 0.f, f.sad, view_.mm_a * f.ex[view_.a], view_.mm_a * f.ey[view_.a], -view_.mm_a * f.ez[view_.a]};
    for (int i = 0; i < 3; ++i) {
      const float p =
          space_.lattice.origin[i] + space_.lattice.spacing[i] * static_cast<float>(index[i]) - f.isocentre[i];
      row.u += p * f.ex[i];
      row.v += p * f.ey[i];
      row.along -= p * f.ez[i];
    }
    float from = 0.f, to = static_cast<float>(view_.n_a - 1);
    // Where value + i step >= 0.
    const auto bound = [&](float value, float step) {
      if (step > 0.f) from = std::max(from, -value / step);
      else if (step < 0.f) to = std::min(to, -value / step);
      else if (value < 0.f) to = -1.f;
    };
    const float u0 = r.u0 / f.sad, u1 = (r.u0 + r.pitch * static_cast<float>(r.nu - 1)) / f.sad;
    const float v0 = r.v0 / f.sad, v1 = (r.v0 + r.pitch * static_cast<float>(r.nv - 1)) / f.sad;
    bound(row.along - 0.25f * f.sad, row.dalong);
    bound(row.u - u0 * row.along, row.du - u0 * row.dalong);
    bound(u1 * row.along - row.u, u1 * row.dalong - row.du);
    bound(row.v - v0 * row.along, row.dv - v0 * row.dalong);
    bound(v1 * row.along - row.v, v1 * row.dalong - row.dv);
    // One voxel of room for rounding: `released` decides.
    low = static_cast<int>(std::max(from - 1.f, 0.f));
    high = to + 2.f > from ? std::min(static_cast<int>(to + 2.f), view_.n_a) : low;
    high = std::max(low, high);
    return row;
  }

  void release_row(const Row& row, const float* depths, int low, int high) {
    const Head& head = head_.head;
    const float *maps = head_.maps, *table = head_.table;
    float *primary = primary_.data(), *scatter = scatter_.data(), *electrons = electrons_.data();
#pragma omp simd
    for (int i = low; i < high; ++i) {
      const float fi = static_cast<float>(i);
      released(head, maps, table, row.u + fi * row.du, row.v + fi * row.dv, row.along + fi * row.dalong, depths[i],
               primary[i], scatter[i], electrons[i]);
    }
  }

  const RowView view_;
  const ReleaseSpace& space_;
  const ReleaseHead& head_;
  RowDepths depths_;
  std::vector<float> primary_, scatter_, electrons_;
};

}  // namespace couchside
