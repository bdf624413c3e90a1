// The arithmetic of the collapsed cone, written once for the C++ compiler and nvcc: energy that beams release in a voxel,
// and its transport along parallel lines. No allocation, no library, float32 throughout.
//
// Collapsed cone: Ahnesjo, Med Phys 16:577 (1989). The kernel is a sum of exponentials whose exponents do not depend on
// the polar angle (lambda_k = lambda_0 * 3^k), so energy of all beams that crosses a voxel along one cone travels
// together and a cone is swept once for all beams.
#pragma once
#include <cmath>

#include "photon_math.h"

namespace couchside {

constexpr int kTerms = 6;      // exponentials of the kernel
constexpr int kReleased = 3;   // of one voxel and beam: primary, scatter, electron contamination
constexpr int kWeights = 1 + 2 + 2 * kTerms * 3;  // of one cone and beam group, see ConeWeights

// ---- Energy released ------------------------------------------------------------------------------------------------

// What one beam's head sends out. Maps (nv, nu, 4): primary fluence with its in-air profile, extra-focal fluence,
// electron fluence, pad. Tables (n, 2): primary and scatter energy released per fluence at radiological depth i * step.
struct Head {
  BeamFrame frame;
  Raster raster;
  float softening[3];     // of the attenuation, by degrees off axis
  float extra_distance;   // extra-focal source from the target, mm
  float electrons_per_mm; // attenuation of the contamination
  float table_step;
  int table_last;
};

// Primary, scatter and contamination (relative Gy) at `point` under radiological depth `depth`; false where the head's
// raster does not reach.
CS_INLINE bool released(const Head& head, const float* maps, const float* table, const float point[3], float depth,
                        float out[kReleased]) {
  const BeamFrame& b = head.frame;
  float u = 0.f, v = 0.f, w = 0.f;
  for (int a = 0; a < 3; ++a) {
    const float p = point[a] - b.isocentre[a];
    u += p * b.ex[a];
    v += p * b.ey[a];
    w += p * b.ez[a];
  }
  const float along = b.sad - w;
  for (int i = 0; i < kReleased; ++i) out[i] = 0.f;
  if (along <= 0.25f * b.sad) return false;  // in or beside the head
  int base;
  float weight[4];
  if (!raster_cell(head.raster, u * b.sad / along, v * b.sad / along, base, weight)) return false;
  const float* m00 = maps + static_cast<long>(base) * kInterleave;
  const float* m10 = m00 + static_cast<long>(head.raster.nu) * kInterleave;
  float fluence[3];
  for (int i = 0; i < 3; ++i)
    fluence[i] = weight[0] * m00[i] + weight[1] * m00[kInterleave + i] + weight[2] * m10[i] + weight[3] * m10[kInterleave + i];
  const float theta = std::atan(std::sqrt(u * u + v * v) / along) * 57.29578f;
  const float softer = 1.f + theta * (head.softening[0] + theta * (head.softening[1] + theta * head.softening[2]));
  const float position = depth * softer / head.table_step;
  int i = static_cast<int>(position);
  i = i < 0 ? 0 : (i > head.table_last - 1 ? head.table_last - 1 : i);
  const float t = position - static_cast<float>(i) < 1.f ? position - static_cast<float>(i) : 1.f;
  const float *low = table + 2 * i, *high = low + 2;
  const float near = b.sad / along, far = (b.sad - head.extra_distance) / (along - head.extra_distance);
  const float total = fluence[0] * near * near + fluence[1] * far * far;
  out[0] = total * (low[0] + t * (high[0] - low[0]));
  out[1] = total * (low[1] + t * (high[1] - low[1]));
  out[2] = fluence[2] * near * near * std::exp(-head.electrons_per_mm * depth);
  return total > 0.f || out[2] > 0.f;
}

// ---- Transport ------------------------------------------------------------------------------------------------------

// Parallel lines of one direction through an array (slab, row, lane) or (row, slab, lane): lines go one slab at a time
// and keep to the nearest voxel, so each voxel is on exactly one line and lines never meet.
struct ConeLattice {
  int slab_axis;                    // of the array: 0 or 1
  int slabs, rows, lanes;           // voxels along the axes
  long slab_stride, row_stride;     // of the array; lanes lie side by side
  int backwards;                    // travels from the last slab to the first
  float row_shift, lane_shift;      // voxels for one slab
  float length;                     // of the line in one slab, mm
  float origin[3], spacing[3];      // of voxel (0, 0, 0) along slab, row, lane, mm
  float direction[3];               // unit vector along slab, row, lane
  float first_exponent;             // lambda_0, 1/mm
};

// A group of beams that share one source position (slab, row, lane; mm), with the primary and scatter energy that they
// release in each voxel. hull[2 * (slab * rows + row)]: first lane that is released anything, and one past the last.
struct ConeGroup {
  float source[3];
  const float* primary;
  const float* scatter;
  const short* hull;
};

// Weights of one cone and group: the cosine about which they are expanded, its smallest and largest difference, then for
// primary and scatter each term's three coefficients of the quadratic in (cosine - centre).
struct ConeWeights {
  float centre, low, high;
  float primary[kTerms][3];
  float scatter[kTerms][3];
};
static_assert(sizeof(ConeWeights) == kWeights * sizeof(float), "ConeWeights is read from a float array");

CS_INLINE int shift_of(float per_slab, int slab) { return static_cast<int>(std::floor(per_slab * static_cast<float>(slab) + 0.5f)); }

// Energy that a group releases into the cone's terms in one voxel at `offset` from the group's source.
CS_INLINE void release(const ConeWeights& w, float cosine, float primary, float scatter, float out[kTerms]) {
  float t = cosine - w.centre;
  t = t < w.low ? w.low : (t > w.high ? w.high : t);
  const float pt = primary * t, ptt = pt * t, st = scatter * t, stt = st * t;
  for (int k = 0; k < kTerms; ++k) {
    out[k] += primary * w.primary[k][0] + pt * w.primary[k][1] + ptt * w.primary[k][2] + scatter * w.scatter[k][0] +
              st * w.scatter[k][1] + stt * w.scatter[k][2];
  }
}

// One voxel of a line: `carried` is what arrives and then what leaves, `source` what is released per mass. Energy is
// released evenly along the line's piece and attenuated exponentially, so that what is not deposited goes on: nothing is
// lost. Returns the dose. 1 - exp(-x) is expanded for the smallest exponent and tripled for the others:
// 1 - e^3 = g (3 - 3 g + g^2) with g = 1 - e, which has no cancellation.
CS_INLINE float step(float density, float length_exponent, const float source[kTerms], float carried[kTerms]) {
  float x = density * length_exponent;
  x = x < 1.f ? x : 1.f;
  float g = x * (1.f - x * (0.5f - x * (1.f / 6 - x * (1.f / 24 - x * (1.f / 120 - x * (1.f / 720))))));
  float inverse = 1.f / x, deposited = 0.f;
  for (int k = 0; k < kTerms; ++k) {
    const float share = g * inverse, own = source[k] * density;
    const float stays = carried[k] * g + own * (1.f - share);
    carried[k] += own - stays;
    deposited += stays;
    g = g * (3.f - g * (3.f - g));
    inverse *= 1.f / 3;
  }
  return deposited / density;
}

// N neighbouring lines, whose first starts before slab 0 at (row, lane) - possibly outside the array, which it then
// enters sideways - added to `dose`. Density must be positive everywhere. On the GPU N is 1.
template <int N>
CS_INLINE void cone_lines(const ConeLattice& c, const float* density, const ConeGroup* groups, const ConeWeights* weights,
                          int count, int row, int lane, float* dose) {
  float carried[kTerms][N], source[kTerms][N];
  for (int k = 0; k < kTerms; ++k)
    for (int i = 0; i < N; ++i) carried[k][i] = 0.f;
  const float length_exponent = c.length * c.first_exponent;
  for (int n = 0; n < c.slabs; ++n) {
    const int r = row + shift_of(c.row_shift, n), l = lane + shift_of(c.lane_shift, n);
    if (r < 0 || r >= c.rows || l + N <= 0 || l >= c.lanes) continue;
    const int slab = c.backwards ? c.slabs - 1 - n : n;
    const int begin = l < 0 ? -l : 0, end = l + N > c.lanes ? c.lanes - l : N;
    const long base = slab * c.slab_stride + r * c.row_stride + l;
    for (int k = 0; k < kTerms; ++k)
      for (int i = 0; i < N; ++i) source[k][i] = 0.f;
    for (int b = 0; b < count; ++b) {
      const short* hull = groups[b].hull + 2 * (static_cast<long>(slab) * c.rows + r);
      const int from = hull[0] - l > begin ? hull[0] - l : begin, to = hull[1] - l < end ? hull[1] - l : end;
      if (from >= to) continue;
      const float* primary = groups[b].primary + base;
      const float* scatter = groups[b].scatter + base;
      const ConeWeights w = weights[b];
      const float ds = c.origin[0] + c.spacing[0] * static_cast<float>(slab) - groups[b].source[0];
      const float dr = c.origin[1] + c.spacing[1] * static_cast<float>(r) - groups[b].source[1];
      const float across2 = ds * ds + dr * dr, across = ds * c.direction[0] + dr * c.direction[1];
      const float first = c.origin[2] + c.spacing[2] * static_cast<float>(l) - groups[b].source[2];
#ifndef __CUDACC__
#pragma omp simd
#endif
      for (int i = from; i < to; ++i) {
        const float dl = first + c.spacing[2] * static_cast<float>(i);
        const float cosine = (across + dl * c.direction[2]) / std::sqrt(across2 + dl * dl);
        float own[kTerms];
        for (int k = 0; k < kTerms; ++k) own[k] = source[k][i];
        release(w, cosine, primary[i], scatter[i], own);
        for (int k = 0; k < kTerms; ++k) source[k][i] = own[k];
      }
    }
    const float* rho = density + base;
    float* out = dose + base;
#ifndef __CUDACC__
#pragma omp simd
#endif
    for (int i = begin; i < end; ++i) {
      float in[kTerms], own[kTerms];
      for (int k = 0; k < kTerms; ++k) {
        in[k] = carried[k][i];
        own[k] = source[k][i];
      }
      out[i] += step(rho[i], length_exponent, own, in);
      for (int k = 0; k < kTerms; ++k) carried[k][i] = in[k];
    }
  }
}

}  // namespace couchside
