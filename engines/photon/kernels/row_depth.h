// Radiological depths of the voxels of a lattice under one beam, row by row: voxels of a row share the slabs and the
// rows of cells that their rays cross, so that nothing is traced or stored voxel by voxel. CPU only; the GPU runs
// photon_math.h. Depths are exact, as those of radiological_depth there.
#pragma once
#include <algorithm>
#include <cmath>
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

// Part of a ray's way within one slab and one row of cells, for all voxels of a row.
struct Stretch {
  const float* cells;  // that row, its rim included
  float end;           // slabs from the source
  float length;        // slabs
  float per_length;
};

class RowDepths {
 public:
  // padded: density as padded_view gives it.
  RowDepths(const RowView& view, const float* padded)
      : view_(view), padded_(padded),
        parts_(std::max(1, static_cast<int>(std::ceil(steepest(view.source_a, view.n_a, view.near))))) {
    depth_.resize(static_cast<size_t>(view.n_a) + kLanes);
    way_.reserve(static_cast<size_t>(view.n_s) * (parts_ + 2));
  }

  // Radiological depth, mm, at the centres of voxels low..high - 1 of one row, at their own places of what is returned.
  const float* run(int slab, int b, int low, int high) {
    lay_way(slab, b);
    const int order = view_.rising ? slab : view_.n_s - 1 - slab;
    const double last = view_.near + order + 0.5;
    const float per_last = static_cast<float>(1.0 / last);
    const float slope_b = static_cast<float>((b + 0.5 - view_.source_b) / last) * view_.mm_b;
    const float fixed = view_.mm_s * view_.mm_s + slope_b * slope_b;
    for (int i = low; i < high; i += kLanes) {
      const Lanes slope = (count_from(static_cast<float>(i + 0.5 - view_.source_a))) * per_last;
      const Lanes sum = block(slope, last, static_cast<float>(i + 0.5 - view_.source_a) * per_last);
      const Lanes along = slope * view_.mm_a;
      for (int j = 0; j < kLanes; ++j) depth_[i + j] = sum[j] * std::sqrt(fixed + along[j] * along[j]);
    }
    return depth_.data();
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
      const Lanes rho_near = look_up(w.cells + low, near - (none + low));
      const Lanes rho_far = look_up(w.cells + low, far - (none + low));
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

  const RowView view_;
  const float* padded_;
  const int parts_;  // of a slab, so that no ray crosses more than one cell border along a in one
  int first_slab_ = 0;
  double begin_ = 0.0;
  std::vector<Stretch> way_;
  std::vector<float> depth_;
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
