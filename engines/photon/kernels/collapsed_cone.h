// The arithmetic of the collapsed cone, written once for the C++ compiler and nvcc: energy that beams release in a voxel,
// and its transport along parallel lines. No allocation, no library, float32 throughout.
//
// Collapsed cone: Ahnesjo, Med Phys 16:577 (1989). Primary and scatter kernel are sums of exponentials whose exponents do
// not depend on the polar angle (lambda_k = lambda_0 * 2^k), so energy of all beams that crosses a voxel along one cone
// travels together and a cone is swept once for all beams. Each part, primary and scatter, has a grid and cones of its own.
#pragma once
#include <cmath>

#include "photon_math.h"
#ifndef COUCHSIDE_ONE_LINE
#include "simd.h"
#endif

namespace couchside {

// Neighbouring lines that are carried side by side: one in a thread of the GPU (cone_params.h says so, for nvcc and for
// the compiler that emulates it), a register full on the CPU.
#ifdef COUCHSIDE_ONE_LINE
typedef float Wide;
constexpr int kWide = 1;
CS_INLINE Wide least(Wide a, float b) { return a < b ? a : b; }
CS_INLINE Wide largest(Wide a, float b) { return a > b ? a : b; }
CS_INLINE Wide inverse_root(Wide a) { return 1.f / std::sqrt(a); }
CS_INLINE Wide count_up(float first, float) { return first; }
CS_INLINE Wide load(const float* at, int, int, float) { return *at; }
CS_INLINE void add(float* to, int, int, Wide what) { *to += what; }
#else
typedef Lanes Wide;
constexpr int kWide = kLanes;
inline Wide least(Wide a, float b) { return a < b ? a : Wide{} + b; }
inline Wide largest(Wide a, float b) { return a > b ? a : Wide{} + b; }
inline Wide count_up(float first, float step) { return first + step * count_from(0.f); }
inline Wide inverse_root(Wide a) {
  Wide out;
  for (int i = 0; i < kWide; ++i) out[i] = 1.f / std::sqrt(a[i]);
  return out;
}
// Lanes begin..end - 1; what lies outside is not touched.
inline Wide load(const float* at, int begin, int end, float otherwise) {
  Wide out;
  if (begin <= 0 && end >= kWide) {
    std::memcpy(&out, at, sizeof out);
    return out;
  }
  for (int i = 0; i < kWide; ++i) out[i] = i >= begin && i < end ? at[i] : otherwise;
  return out;
}
inline void add(float* to, int begin, int end, Wide what) {
  if (begin <= 0 && end >= kWide) {
    Wide sum;
    std::memcpy(&sum, to, sizeof sum);
    sum += what;
    std::memcpy(to, &sum, sizeof sum);
    return;
  }
  for (int i = begin > 0 ? begin : 0; i < end && i < kWide; ++i) to[i] += what[i];
}
#endif

constexpr int kTerms = 3;                     // exponentials of the kernel of primary or scatter
constexpr int kWeights = 1 + 2 + kTerms * 3;  // of one cone and beam group, see ConeWeights

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

// Angle in degrees of a ratio in 0..1: Abramowitz and Stegun (1964), 4.4.47, within 1e-5 rad.
CS_INLINE float degrees_of(float ratio) {
  const float x = ratio < 1.f ? ratio : 1.f, x2 = x * x;
  return 57.29578f * x *
         (0.9998660f + x2 * (-0.3302995f + x2 * (0.1801410f + x2 * (-0.0851330f + x2 * 0.0208351f))));
}

#ifdef COUCHSIDE_ONE_LINE
CS_INLINE float falling(float x) { return std::exp(x); }
#else
inline float falling(float x) { return exp_of(x); }
#endif

// Whether the head's raster reaches a point, see `released`: where it does not, its depth need not be known.
CS_INLINE bool reaches(const Head& head, float u, float v, float along) {
  const Raster& r = head.raster;
  const float near = head.frame.sad / along, per_pitch = 1.f / r.pitch;
  const float x = (u * near - r.u0) * per_pitch, y = (v * near - r.v0) * per_pitch;
  return along > 0.25f * head.frame.sad && x >= 0.f && y >= 0.f && x < static_cast<float>(r.nu - 1) &&
         y < static_cast<float>(r.nv - 1);
}

// Primary, scatter and electrons (relative Gy) released at (u, v) of the beam's axes, `along` mm from the source along its
// axis, under radiological depth `depth`; nothing where the head's raster does not reach. Without branches and structs, so
// that loops around it become vector code.
CS_INLINE void released(const Head& head, const float* maps, const float* table, float u, float v, float along,
                        float depth, float& primary, float& scatter, float& electrons) {
  const Raster& r = head.raster;
  const float sad = head.frame.sad, away = along > 0.25f * sad ? along : sad, near = sad / away, per_pitch = 1.f / r.pitch;
  const float x = (u * near - r.u0) * per_pitch, y = (v * near - r.v0) * per_pitch;
  const float wide = static_cast<float>(r.nu - 1), tall = static_cast<float>(r.nv - 1);
  // Neither in nor beside the head. Not &&, which is a branch.
  const bool inside = (along > 0.25f * sad) & (x >= 0.f) & (y >= 0.f) & (x < wide) & (y < tall);
  const float xi = inside ? x : 0.f, yi = inside ? y : 0.f;
  const int ix = static_cast<int>(xi), iy = static_cast<int>(yi), line = r.nu * kInterleave;
  const float fx = xi - static_cast<float>(ix), fy = yi - static_cast<float>(iy);
  const float* node = maps + iy * line + ix * kInterleave;
  const float w00 = (1.f - fx) * (1.f - fy), w01 = fx * (1.f - fy), w10 = (1.f - fx) * fy, w11 = fx * fy;
  const float direct = w00 * node[0] + w01 * node[4] + w10 * node[line] + w11 * node[line + 4];
  const float extra = w00 * node[1] + w01 * node[5] + w10 * node[line + 1] + w11 * node[line + 5];
  const float thin = w00 * node[2] + w01 * node[6] + w10 * node[line + 2] + w11 * node[line + 6];
  const float theta = degrees_of(std::sqrt(u * u + v * v) / away);
  const float softer = 1.f + theta * (head.softening[0] + theta * (head.softening[1] + theta * head.softening[2]));
  const float position = depth * softer / head.table_step, last = static_cast<float>(head.table_last - 1);
  // Far off axis, beyond what the model checks, softening may fall below zero.
  const float above = position > 0.f ? position : 0.f, bounded = above < last ? above : last;
  const int row = static_cast<int>(bounded);
  const float over = above - static_cast<float>(row), t = over < 1.f ? over : 1.f;
  const float* low = table + 2 * row;
  const float far = (sad - head.extra_distance) / (away - head.extra_distance), open = inside ? 1.f : 0.f;
  const float total = open * (direct * near * near + extra * far * far);
  primary = total * (low[0] + t * (low[2] - low[0]));
  scatter = total * (low[1] + t * (low[3] - low[1]));
  electrons = open * thin * near * near * falling(-head.electrons_per_mm * depth);
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
  float row_phase, lane_phase;
  float length;                     // of the line in one slab, mm
  float origin[3], spacing[3];      // of voxel (0, 0, 0) along slab, row, lane, mm
  float direction[3];               // unit vector along slab, row, lane
  float first_exponent;             // lambda_0 of the part, 1/mm
};

// A group of beams that share one source position (slab, row, lane; mm), with the energy of the part that they release in
// each voxel. hull[2 * (slab * rows + row)]: first lane that is released anything, and one past the last.
struct ConeGroup {
  float source[3];
  const float* energy;
  const short* hull;
};

// Weights of one cone and group: the cosine about which they are expanded, its smallest and largest difference, then each
// term's three coefficients of the quadratic in (cosine - centre).
struct ConeWeights {
  float centre, low, high;
  float term[kTerms][3];
};
static_assert(sizeof(ConeWeights) == kWeights * sizeof(float), "ConeWeights is read from a float array");

// Voxels that a line has moved sideways by a slab. The phase (0..1, of the cone) says where in a voxel lines begin, so
// that not all cones change columns at the same depth. Fused by name, so that no two compilers round it differently.
CS_INLINE int shift_of(float per_slab, float phase, int slab) {
  return static_cast<int>(std::floor(std::fma(per_slab, static_cast<float>(slab), phase)));
}

// Fraction of i * step: even in 0..1 for an irrational step.
CS_INLINE float spread_of(float step, int i) {
  const float count = static_cast<float>(i);
  return std::fma(step, count, -std::floor(step * count));
}

// The lattice of cone number `cone` with unit vector w through an array whose axes are (0, 1, lane): lines step along the
// steeper of axes 0 and 1. Neither may be less steep than the lanes.
CS_INLINE ConeLattice lattice_of(const int shape[3], const float origin[3], const float spacing[3], const float w[3],
                                 float first_exponent, int cone) {
  const bool first = std::fabs(w[0]) / spacing[0] >= std::fabs(w[1]) / spacing[1];
  const float along = first ? w[0] : w[1], across = first ? w[1] : w[0];
  const float slab_mm = first ? spacing[0] : spacing[1], row_mm = first ? spacing[1] : spacing[0];
  const long stride = static_cast<long>(shape[1]) * shape[2];
  ConeLattice c{};
  c.slab_axis = first ? 0 : 1;
  c.slabs = first ? shape[0] : shape[1];
  c.rows = first ? shape[1] : shape[0];
  c.lanes = shape[2];
  c.slab_stride = first ? stride : shape[2];
  c.row_stride = first ? shape[2] : stride;
  c.backwards = along < 0.f;
  const float slabs_per_mm = std::fabs(along) / slab_mm;
  c.row_shift = across / row_mm / slabs_per_mm;
  c.lane_shift = w[2] / spacing[2] / slabs_per_mm;
  c.row_phase = spread_of(0.7548777f, cone);  // 1/p and 1/p^2 of the plastic number: even in the square
  c.lane_phase = spread_of(0.5698403f, cone);
  c.length = 1.f / slabs_per_mm;
  c.origin[0] = first ? origin[0] : origin[1];
  c.origin[1] = first ? origin[1] : origin[0];
  c.origin[2] = origin[2];
  c.spacing[0] = slab_mm;
  c.spacing[1] = row_mm;
  c.spacing[2] = spacing[2];
  c.direction[0] = along;
  c.direction[1] = across;
  c.direction[2] = w[2];
  c.first_exponent = first_exponent;
  return c;
}

// Lines that cover every voxel: rows first_row..last_row - 1 and lanes first_lane..last_lane - 1 before slab 0.
struct ConeStarts {
  int first_row, last_row, first_lane, last_lane;
};

CS_INLINE ConeStarts starts_of(const ConeLattice& c) {
  const int row = shift_of(c.row_shift, c.row_phase, c.slabs - 1), lane = shift_of(c.lane_shift, c.lane_phase, c.slabs - 1);
  return ConeStarts{row > 0 ? -row : 0, c.rows - (row < 0 ? row : 0), lane > 0 ? -lane : 0, c.lanes - (lane < 0 ? lane : 0)};
}

// Energy that a group releases into the cone's terms in one voxel.
CS_INLINE void release(const ConeWeights& w, Wide cosine, Wide energy, Wide out[kTerms]) {
  const Wide t = least(largest(cosine - w.centre, w.low), w.high);
  for (int k = 0; k < kTerms; ++k) out[k] += energy * (w.term[k][0] + t * (w.term[k][1] + t * w.term[k][2]));
}

// One voxel of a line: `carried` is what arrives and then what leaves, `own` what is released;
// x is the smallest exponent times the radiological length, inverse one over it. Energy is released evenly along the
// line's piece and attenuated exponentially; what is not deposited goes on, so nothing is lost. Returns what is
// deposited. g = 1 - exp(-x) by its series at x / 4 and 1 - e^2 = g (2 - g), which has no cancellation at small x.
CS_INLINE Wide deposit(Wide x, Wide inverse, const Wide own[kTerms], Wide carried[kTerms]) {
  const Wide y = least(0.25f * x, 2.5f);  // exp(-10): beyond, all is deposited
  Wide g = y * (1.f - y * (0.5f - y * (1.f / 6 - y * (1.f / 24 - y * (1.f / 120 - y * (1.f / 720 - y * (1.f / 5040)))))));
  g = g * (2.f - g);
  g = g * (2.f - g);
  Wide deposited = 0.f * x;
  for (int k = 0; k < kTerms; ++k) {
    const Wide stays = carried[k] * g + own[k] * (1.f - g * inverse);
    carried[k] += own[k] - stays;
    deposited += stays;
    g = g * (2.f - g);
    inverse = 0.5f * inverse;
  }
  return deposited;
}

// N neighbouring lines, whose first starts before slab 0 at (row, lane) - possibly outside the array, which it then
// enters sideways - added to `dose`. Density must be positive everywhere. On the GPU N is 1. Lanes beside the array
// compute with nothing released in a density of one: what has not yet entered stays zero, what has left is never stored.
template <int N>
CS_INLINE void cone_lines(const ConeLattice& c, const float* density, const ConeGroup* groups, const ConeWeights* weights,
                          int count, int row, int lane, float* dose) {
  static_assert(N % kWide == 0, "lines are carried kWide at a time");
  constexpr int kBlocks = N / kWide;
  Wide carried[kBlocks][kTerms];
  for (int q = 0; q < kBlocks; ++q)
    for (int k = 0; k < kTerms; ++k) carried[q][k] = Wide{};
  const float length = c.length * c.first_exponent, per_length = 1.f / length;
  bool some = false;  // of the lines has met energy
  for (int n = 0; n < c.slabs; ++n) {
    const int r = row + shift_of(c.row_shift, c.row_phase, n), l = lane + shift_of(c.lane_shift, c.lane_phase, n);
    if (r < 0 || r >= c.rows || l + N <= 0 || l >= c.lanes) continue;
    const int slab = c.backwards ? c.slabs - 1 - n : n;
    const long base = slab * c.slab_stride + r * c.row_stride + l;
    Wide source[kBlocks][kTerms];
    for (int q = 0; q < kBlocks; ++q)
      for (int k = 0; k < kTerms; ++k) source[q][k] = Wide{};
    for (int b = 0; b < count; ++b) {
      const short* hull = groups[b].hull + 2 * (static_cast<long>(slab) * c.rows + r);
      const int from = hull[0] - l, to = hull[1] - l;  // within the array as hulls are
      if (from >= to || from >= N || to <= 0) continue;
      some = true;
      const ConeWeights& w = weights[b];
      const float ds = c.origin[0] + c.spacing[0] * static_cast<float>(slab) - groups[b].source[0];
      const float dr = c.origin[1] + c.spacing[1] * static_cast<float>(r) - groups[b].source[1];
      const float across2 = ds * ds + dr * dr, across = ds * c.direction[0] + dr * c.direction[1];
      const float first = c.origin[2] + c.spacing[2] * static_cast<float>(l) - groups[b].source[2];
      const int last = to < N ? (to - 1) / kWide : kBlocks - 1;
      for (int q = from > 0 ? from / kWide : 0; q <= last; ++q) {
        const int at = q * kWide;
        const Wide dl = count_up(first + c.spacing[2] * static_cast<float>(at), c.spacing[2]);
        const Wide cosine = (across + dl * c.direction[2]) * inverse_root(across2 + dl * dl);
        release(w, cosine, load(groups[b].energy + base + at, from - at, to - at, 0.f), source[q]);
      }
    }
    if (!some) continue;
    for (int q = 0; q < kBlocks; ++q) {
      const int at = q * kWide, begin = -l - at, end = c.lanes - l - at;
      if (begin >= kWide || end <= 0) continue;
      const Wide rho = load(density + base + at, begin, end, 1.f), per_rho = 1.f / rho;
      for (int k = 0; k < kTerms; ++k) source[q][k] *= rho;
      const Wide stays = deposit(rho * length, per_rho * per_length, source[q], carried[q]);
      add(dose + base + at, begin, end, stays * per_rho);
    }
  }
}

}  // namespace couchside
