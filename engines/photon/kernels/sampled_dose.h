// Gather and scatter of photon_math.h for lists of voxels on the CPU: the same bilinear weights, one 16-byte vector for
// the three kernel maps of a node. CPU only.
#pragma once
#include <algorithm>

#include "photon_math.h"
#include "simd.h"

namespace couchside {

constexpr long kSamples = 1024;  // voxels of one block: its sums and cells stay in the first-level cache

typedef float Node __attribute__((vector_size(16), aligned(4), may_alias));

// Cells of a block of voxels: node offset (in floats) and bilinear parts; `open` is 0 outside the raster, else 1.
struct Cells {
  int node[kSamples];
  float s[kSamples], t[kSamples], open[kSamples];
};

inline void find_cells(const Raster& r, const float* geometry, long count, Cells& out) {
  const float per_pitch = 1.f / r.pitch, wide = static_cast<float>(r.nu - 1), tall = static_cast<float>(r.nv - 1);
  const float u0 = r.u0, v0 = r.v0;
  const int nu = r.nu;
#pragma omp simd
  for (long i = 0; i < count; ++i) {
    const float s = (geometry[i * kGeometry] - u0) * per_pitch, t = (geometry[i * kGeometry + 1] - v0) * per_pitch;
    const bool inside = s >= 0.f && t >= 0.f && s < wide && t < tall;
    const float si = inside ? s : 0.f, ti = inside ? t : 0.f;
    const int x = static_cast<int>(si), y = static_cast<int>(ti);
    out.node[i] = (y * nu + x) * kInterleave;
    out.s[i] = si - static_cast<float>(x);
    out.t[i] = ti - static_cast<float>(y);
    out.open[i] = inside ? 1.f : 0.f;
  }
}

inline Node splat(float x) { return Node{x, x, x, x}; }

// Dose of voxels first..last - 1, summed over beams in their order.
inline void gather_samples(const float* maps, const Raster& r, const float* geometry, long beams, long n, long first,
                           long last, float* dose) {
  const long count = last - first, map_size = static_cast<long>(r.nu) * r.nv * kInterleave, line = r.nu * kInterleave;
  Node sums[kSamples];
  Cells cells;
  for (long i = 0; i < count; ++i) sums[i] = splat(0.f);
  for (long b = 0; b < beams; ++b) {
    const float *g = geometry + (b * n + first) * kGeometry, *map = maps + b * map_size;
    find_cells(r, g, count, cells);
    for (long i = 0; i < count; ++i) {
      const Node *near = reinterpret_cast<const Node*>(map + cells.node[i]),
                 *far = reinterpret_cast<const Node*>(map + cells.node[i] + line);
      const Node s = splat(cells.s[i]), t = splat(cells.t[i]);
      const Node low = near[0] + s * (near[1] - near[0]), high = far[0] + s * (far[1] - far[0]);
      const float* c = g + i * kGeometry + 2;
      sums[i] += Node{c[0], c[1], c[2], 0.f} * splat(cells.open[i]) * (low + t * (high - low));
    }
  }
  for (long i = 0; i < count; ++i) dose[first + i] = sums[i][0] + sums[i][1] + sums[i][2];
}

// Exact transpose for one beam: adds the dose gradients of n voxels to its maps. Voxels without gradient are skipped.
inline void scatter_samples(float* map, const Raster& r, const float* geometry, long n, const float* gradient) {
  const long line = r.nu * kInterleave;
  Cells cells;
  for (long first = 0; first < n; first += kSamples) {
    const long count = std::min(kSamples, n - first);
    const float* g = geometry + first * kGeometry;
    find_cells(r, g, count, cells);
    for (long i = 0; i < count; ++i) {
      const float weight = gradient[first + i] * cells.open[i];
      if (weight == 0.f) continue;
      Node *near = reinterpret_cast<Node*>(map + cells.node[i]),
           *far = reinterpret_cast<Node*>(map + cells.node[i] + line);
      const float* c = g + i * kGeometry + 2;
      const Node all = Node{c[0], c[1], c[2], 0.f} * splat(weight);
      const Node high = all * splat(cells.t[i]), low = all - high, s = splat(cells.s[i]);
      const Node low_right = low * s, high_right = high * s;
      near[0] += low - low_right;
      near[1] += low_right;
      far[0] += high - high_right;
      far[1] += high_right;
    }
  }
}

}  // namespace couchside
