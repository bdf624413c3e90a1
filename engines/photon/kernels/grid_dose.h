// Dose of one beam on every wanted voxel of a lattice, row by row: neither points nor depths nor geometry are stored,
// and the voxels of a row share the slabs and the rows of cells that their rays cross. CPU only; the GPU runs
// photon_math.h voxel by voxel. Depths are exact, as those of radiological_depth there.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "photon_math.h"
#include "simd.h"

namespace couchside {

constexpr float kSteepest = 4.f;  // cells along the row for one slab; steeper rays are left to photon_math.h
constexpr int kRim = 32;          // empty cells at either end of a row: more than lanes + kSteepest + 1 (see block)

// Lattice as one beam sees it: slab axis s (that the beam crosses fastest), rows along a, rows side by side along b.
struct RowView {
  int s, a, b;          // axes
  int n_s, n_a, n_b;    // voxels along them
  long stride_s, stride_a, stride_b;
  double source_s, source_a, source_b;  // in index coordinates (cell i spans [i, i + 1))
  float mm_s, mm_a, mm_b;               // voxel sizes
  bool rising;                          // rays run towards growing s
  double near;                          // slabs from the source to the lattice; not positive: it is not before it
};

inline RowView row_view(const Lattice& g, const BeamFrame& beam) {
  RowView v{};
  float way[3];
  for (int i = 0; i < 3; ++i) way[i] = std::fabs(beam.ez[i]) / g.spacing[i];
  v.s = way[0] >= way[1] ? (way[0] >= way[2] ? 0 : 2) : (way[1] >= way[2] ? 1 : 2);
  v.a = other_axis(v.s, 0);
  v.b = other_axis(v.s, 1);
  const long stride[3] = {1, g.n[0], static_cast<long>(g.n[0]) * g.n[1]};
  const auto source = [&](int i) {
    return (static_cast<double>(beam.isocentre[i]) + static_cast<double>(beam.sad) * beam.ez[i] - g.origin[i]) /
               g.spacing[i] + 0.5;
  };
  v.n_s = g.n[v.s], v.n_a = g.n[v.a], v.n_b = g.n[v.b];
  v.stride_s = stride[v.s], v.stride_a = stride[v.a], v.stride_b = stride[v.b];
  v.source_s = source(v.s), v.source_a = source(v.a), v.source_b = source(v.b);
  v.mm_s = g.spacing[v.s], v.mm_a = g.spacing[v.a], v.mm_b = g.spacing[v.b];
  v.rising = beam.ez[v.s] < 0.f;
  v.near = v.rising ? -v.source_s : v.source_s - v.n_s;
  return v;
}

// Steepest way of any ray to the lattice along one axis, cells for one slab.
inline double steepest(double source, int n, double near) {
  return std::max(std::fabs(source), std::fabs(n - source)) / std::max(near, 1.0);
}

inline bool rows_fit(const RowView& v) {
  return v.near >= 1.0 && steepest(v.source_a, v.n_a, v.near) < kSteepest &&
         steepest(v.source_b, v.n_b, v.near) < kSteepest;
}

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

// Part of a ray's way within one slab and one row of cells, for all voxels of a row.
struct Stretch {
  const float* cells;  // that row, its rim included
  float end;           // slabs from the source
  float length;        // slabs
  float per_length;
};

class RowDose {
 public:
  RowDose(const RowView& view, const GridSpace& space, const GridBeam& beam)
      : view_(view), lattice_(space.lattice), beam_(beam), padded_(space.padded), wanted_(space.wanted),
        parts_(std::max(1, static_cast<int>(std::ceil(steepest(view.source_a, view.n_a, view.near))))) {
    const size_t padded_to = static_cast<size_t>(view.n_a) + kLanes;
    depth_.resize(padded_to), row_.resize(padded_to);
    way_.reserve(static_cast<size_t>(view.n_s) * (parts_ + 2));
  }

  // Adds the dose of the wanted voxels whose index along b is given.
  void run(int b, float* dose) {
    for (int slab = 0; slab < view_.n_s; ++slab) {
      const long start = slab * view_.stride_s + b * view_.stride_b;
      int low = 0, high = view_.n_a;
      while (low < high && !wanted_[start + low * view_.stride_a]) ++low;
      while (high > low && !wanted_[start + (high - 1) * view_.stride_a]) --high;
      if (low == high) continue;
      depth_of_row(slab, b, low, high);
      dose_of_row(slab, b, low, high);
      for (int i = low; i < high; ++i) {
        const long at = start + i * view_.stride_a;
        if (wanted_[at]) dose[at] += row_[i];
      }
    }
  }

 private:
  // The way of the rays of one row of voxels through slabs and rows of cells, up to the voxels' centres.
  void lay_way(int slab, int b) {
    way_.clear();
    const int order = view_.rising ? slab : view_.n_s - 1 - slab;
    const double last = view_.near + order + 0.5, slope = (b + 0.5 - view_.source_b) / last;
    // From where the rays are between the lattice's sides along b.
    const double side = slope > 0 ? -view_.source_b : view_.n_b - view_.source_b;
    const double inside = slope != 0.0 ? std::max(0.0, side / slope - view_.near) : 0.0;
    first_slab_ = std::min(order, static_cast<int>(inside));
    double from = view_.near + std::max(inside, 0.0), row_end = 0.0;
    int row = 0;
    const auto next_row = [&](double t) {  // the row of cells at t and where the rays leave it
      row = std::clamp(static_cast<int>(std::floor(view_.source_b + slope * t)), 0, view_.n_b - 1);
      const double border = slope > 0 ? row + 1 - view_.source_b : row - view_.source_b;
      row_end = slope != 0.0 ? border / slope : 1e30;
    };
    next_row(from + 1e-9);
    const double part = 1.0 / parts_;
    for (int k = first_slab_; k <= order; ++k) {
      const int at = view_.rising ? k : view_.n_s - 1 - k;
      for (int p = 0; p < parts_; ++p) {
        const double end = std::min(view_.near + k + part * (p + 1), last);
        while (row_end < end) {
          stretch(at, row, from, row_end);
          from = std::max(from, row_end);
          next_row(row_end + 1e-9);
        }
        stretch(at, row, from, end);
        from = std::max(from, end);
      }
    }
  }

  void stretch(int slab, int row, double from, double end) {
    const double length = end - from;
    if (length <= 1e-7) return;
    const float* cells = padded_ + (static_cast<long>(slab) * view_.n_b + row) * (view_.n_a + 2 * kRim);
    way_.push_back({cells, static_cast<float>(end), static_cast<float>(length), static_cast<float>(1.0 / length)});
    if (way_.size() == 1) begin_ = from;
  }

  // Radiological depth, mm, of voxels low..high - 1 of one row into depth_.
  void depth_of_row(int slab, int b, int low, int high) {
    lay_way(slab, b);
    const int order = view_.rising ? slab : view_.n_s - 1 - slab;
    const double last = view_.near + order + 0.5;
    const float per_last = static_cast<float>(1.0 / last);
    const float slope_b = static_cast<float>((b + 0.5 - view_.source_b) / last) * view_.mm_b;
    const float fixed = view_.mm_s * view_.mm_s + slope_b * slope_b;
    for (int i = low; i < high; i += kLanes) {
      const Lanes slope = (count_from(static_cast<float>(i + 0.5 - view_.source_a))) * per_last;
      const Lanes sum = block(slope, last, static_cast<float>(i + 0.5 - view_.source_a) * per_last), along = slope * view_.mm_a;
      for (int j = 0; j < kLanes; ++j) depth_[i + j] = sum[j] * std::sqrt(fixed + along[j] * along[j]);
    }
  }

  // Depth sum of kLanes neighbouring voxels: density times slabs along the way. Neighbouring rays are at most one cell
  // apart, so the cells of all lanes lie in one window of the row.
  Lanes block(const Lanes slope, double last, float lowest_slope) const {
    const float source = static_cast<float>(view_.source_a + kRim);
    const Whole none{};
    // The stretches before any lane is between the lattice's sides are skipped: with the rim, no lane needs a test.
    const double first = lowest_slope, highest = first + (kLanes - 1) / last;
    const double enter = std::min(entry(first), entry(highest));
    size_t k = 0;
    float from = static_cast<float>(begin_);
    while (k + 1 < way_.size() && way_[k].end < enter) from = way_[k++].end;
    Lanes sum{}, at = source + slope * from;
    const Lanes per_slope = 1.f / slope;
    Whole cell = __builtin_convertvector(at, Whole);
    for (; k < way_.size(); ++k) {
      const Stretch& w = way_[k];
      const Lanes next = source + slope * w.end, way = next - at;
      const Whole next_cell = __builtin_convertvector(next, Whole);
      const Whole upper = next_cell > cell ? next_cell : cell;
      // Where on the stretch the ray changes cell (1: it does not). Cells are read at the middle of either part, see
      // radiological_depth.
      const Lanes border = __builtin_convertvector(upper, Lanes);
      const Lanes share = next_cell != cell ? (border - at) * (per_slope * w.per_length) : 1.f + 0.f * at;
      const Whole near = __builtin_convertvector(at + 0.5f * share * way, Whole);
      const Whole far = __builtin_convertvector(at + (0.5f + 0.5f * share) * way, Whole);
      const int low = cell[0] < next_cell[0] ? cell[0] : next_cell[0];
      const Lanes rho_near = look_up(w.cells + low, near - (none + low)), rho_far = look_up(w.cells + low, far - (none + low));
      sum += w.length * (rho_far + share * (rho_near - rho_far));
      at = next;
      cell = next_cell;
    }
    return sum;
  }

  // Slabs from the source to where a ray comes between the lattice's sides along a.
  double entry(double slope) const {
    if (view_.source_a < 0.0) return slope > 0.0 ? -view_.source_a / slope : 0.0;
    if (view_.source_a > view_.n_a) return slope < 0.0 ? (view_.n_a - view_.source_a) / slope : 0.0;
    return 0.0;
  }

  // Dose of voxels low..high - 1 of one row into row_.
  void dose_of_row(int slab, int b, int low, int high) {
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
    const float m = beam_.attenuation.m, *beta = beam_.attenuation.beta, *maps = beam_.maps, *depths = depth_.data();
    const Raster r = beam_.raster;
    const float wide = static_cast<float>(r.nu - 1), tall = static_cast<float>(r.nv - 1);
    const int line = r.nu * kInterleave;
    const float share0 = beta[0] / (beta[0] - m), share1 = beta[1] / (beta[1] - m), share2 = beta[2] / (beta[2] - m);
    const float beta0 = beta[0], beta1 = beta[1], beta2 = beta[2];
    float* out = row_.data();
#pragma omp simd
    for (int i = low; i < high; ++i) {
      const float fi = static_cast<float>(i), depth = depths[i];
      const float u = u0 + fi * du, v = v0 + fi * dv, along = sad - (w0 + fi * dw);
      const float magnified = sad * per_pitch / along;
      const float square = square_scale / (u * u + v * v + along * along);
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
  const float* padded_;
  const std::uint8_t* wanted_;
  const int parts_;  // of a slab, so that no ray crosses more than one cell border along a in one
  int first_slab_ = 0;
  double begin_ = 0.0;
  std::vector<Stretch> way_;
  std::vector<float> depth_, row_;
};

// Density as (s, b, kRim + a + kRim): rays beside the lattice meet empty cells and need no test.
inline std::vector<float> padded_view(const float* density, const RowView& v, int threads) {
  const long row = v.n_a + 2 * kRim, slab = row * v.n_b;
  // A window may begin in the last rim: the floats behind it are read, and never used.
  std::vector<float> out(static_cast<size_t>(slab) * v.n_s + 2 * kLanes, 0.f);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int b = 0; b < v.n_b; ++b) {
    constexpr int tile = 16;  // either side of a transposition stays in the first-level cache
    for (int s0 = 0; s0 < v.n_s; s0 += tile)
      for (int a0 = 0; a0 < v.n_a; a0 += tile)
        for (int s = s0; s < std::min(s0 + tile, v.n_s); ++s)
          for (int a = a0; a < std::min(a0 + tile, v.n_a); ++a)
            out[s * slab + b * row + kRim + a] = density[s * v.stride_s + b * v.stride_b + a * v.stride_a];
  }
  return out;
}

}  // namespace couchside
