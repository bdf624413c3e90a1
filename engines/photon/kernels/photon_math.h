// The arithmetic of the photon engine for one voxel and one beam, written once: compiled by the C++ compiler for the
// CPU and by nvcc for the GPU. No allocation, no library, float32 throughout.
//
// Model: pencil-beam kernel in singular-value form, Bortfeld, Schlegel and Rhein, Med Phys 20:311 (1993):
//   D(x) = (SAD/r)^2 * sum_i f_i(d) * K_i(u, v),  f_i(d) = beta_i/(beta_i - m) * (exp(-m d) - exp(-beta_i d))
#pragma once
#include <cmath>

#ifdef __CUDACC__
#define CS_INLINE __host__ __device__ __forceinline__
#else
#define CS_INLINE inline
#endif

namespace couchside {

constexpr int kKernels = 3;       // lateral kernels of the singular-value form
constexpr int kGeometry = 5;      // floats kept for each voxel and beam: u, v and the three depth factors
constexpr int kInterleave = 4;    // the three kernel maps and one pad, so that a node is one 16-byte load

// Voxel lattice: axis-aligned, LPS, mm; values in (z, y, x) order.
struct Lattice {
  float origin[3];   // centre of the first voxel, x y z
  float spacing[3];  // x y z
  int n[3];          // x y z
};

// One beam: the beam limiting device axes (IEC 61217 X_b, Y_b and Z_b, towards the source) in LPS.
struct BeamFrame {
  float isocentre[3];
  float ex[3], ey[3], ez[3];
  float sad;
};

// Attenuation m and build-up constants beta, 1/mm. softening: off the axis depths count 1 + s0 t^2 + s1 t^4 times, t the
// tangent of the ray's angle to the axis (rays further out are softer).
struct Attenuation {
  float m;
  float beta[kKernels];
  float softening[2];
};

// What a depth counts times at the squared tangent t2 of the angle to the axis.
CS_INLINE float softened(const float softening[2], float t2) { return 1.f + t2 * (softening[0] + t2 * softening[1]); }

// Raster of the isocentre plane: node (0,0) at (u0, v0) mm, square pixels.
struct Raster {
  float u0, v0, pitch;
  int nu, nv;
};

// The way of one ray through the lattice in index coordinates (cell i spans [i, i + 1)): slab by slab along the axis
// that it crosses fastest, so that in one slab it changes cell at most once along each of the two other axes.
struct Ray {
  int axis;           // the slab axis: 0 x, 1 y, 2 z
  int step;           // +1 or -1 along it
  float q[3];         // where the point lies, in index coordinates, ordered slab axis, other, other
  float slope[2];     // change along the two others for one slab
  float mm_per_slab;  // length of the ray in one slab
  float first;        // part of a slab between the point and its first slab border
  float begin;        // slabs until the ray is inside the lattice (0 for a point of the lattice)
  float reach;        // slabs until it leaves the lattice or meets the source; equal to begin if it never is inside
};

CS_INLINE int other_axis(int axis, int i) { return i == 0 ? (axis == 0 ? 1 : 0) : (axis == 2 ? 1 : 2); }

CS_INLINE Ray ray_to_source(const Lattice& g, const float source[3], const float point[3]) {
  float d[3], q[3], length2 = 0.f;
  for (int a = 0; a < 3; ++a) {
    const float mm = source[a] - point[a];
    length2 += mm * mm;
    d[a] = mm / g.spacing[a];
    q[a] = (point[a] - g.origin[a]) / g.spacing[a] + 0.5f;
  }
  Ray ray{};
  ray.axis = std::fabs(d[0]) >= std::fabs(d[1]) ? (std::fabs(d[0]) >= std::fabs(d[2]) ? 0 : 2)
                                                : (std::fabs(d[1]) >= std::fabs(d[2]) ? 1 : 2);
  const float slabs = std::fabs(d[ray.axis]);
  ray.step = d[ray.axis] >= 0.f ? 1 : -1;
  ray.mm_per_slab = std::sqrt(length2) / slabs;
  ray.q[0] = q[ray.axis];
  const float below = std::floor(ray.q[0]);
  ray.first = ray.step > 0 ? below + 1.f - ray.q[0] : ray.q[0] - below;
  // The stretch of the ray inside the lattice: from the last axis that it enters to the first that it leaves.
  float begin = 0.f, reach = slabs;
  for (int i = 0; i < 3; ++i) {
    const int a = i == 0 ? ray.axis : other_axis(ray.axis, i - 1);
    const float n = static_cast<float>(g.n[a]), rate = d[a] / slabs;
    const float to_low = rate != 0.f ? -q[a] / rate : (q[a] >= 0.f ? -3.4e38f : 3.4e38f);
    const float to_high = rate != 0.f ? (n - q[a]) / rate : (q[a] <= n ? 3.4e38f : -3.4e38f);
    const float enter = rate != 0.f ? (to_low < to_high ? to_low : to_high) : to_low;
    const float leave = rate != 0.f ? (to_low < to_high ? to_high : to_low) : to_high;
    begin = enter > begin ? enter : begin;
    reach = leave < reach ? leave : reach;
    if (i > 0) {
      ray.q[i] = q[a];
      ray.slope[i - 1] = rate;
    }
  }
  ray.begin = begin;
  ray.reach = reach > begin ? reach : begin;
  return ray;
}

CS_INLINE int cell(float q, int last) {
  const int i = static_cast<int>(q);  // truncation: below zero ends at 0 as well
  return i < 0 ? 0 : (i > last ? last : i);
}

// Radiological depth (mm of water) from the surface of the lattice to each of N points, whose rays share their slab
// axis and step. Exact for piecewise-constant density, like Siddon, Med Phys 12:252 (1985); walking from the point
// towards the source keeps the parameters short, so float32 holds to about 1e-3 mm. Without branches in the inner loop
// the compiler runs N lanes side by side; on the GPU N is 1.
template <int N>
CS_INLINE void radiological_depth(const float* density, const Lattice& g, const Ray* rays, float* depth) {
  const int axis = rays[0].axis, step = rays[0].step, a = other_axis(axis, 0), b = other_axis(axis, 1);
  const int stride[3] = {1, g.n[0], g.n[0] * g.n[1]};
  const int stride_s = stride[axis], stride_a = stride[a], stride_b = stride[b];
  const int last_s = g.n[axis] - 1, last_a = g.n[a] - 1, last_b = g.n[b] - 1;
  // One array for each quantity, so that lanes lie side by side in registers.
  float sum[N], qa[N], qb[N], slope_a[N], slope_b[N], first[N], begin[N], reach[N], furthest = 0.f;
  int slab[N];
  for (int i = 0; i < N; ++i) {
    sum[i] = 0.f;
    slab[i] = static_cast<int>(std::floor(rays[i].q[0]));
    qa[i] = rays[i].q[1];
    qb[i] = rays[i].q[2];
    slope_a[i] = rays[i].slope[0];
    slope_b[i] = rays[i].slope[1];
    first[i] = rays[i].first;
    begin[i] = rays[i].begin;
    reach[i] = rays[i].reach;
    furthest = reach[i] > furthest ? reach[i] : furthest;
  }
  for (int k = 0; static_cast<float>(k) - 1.f < furthest; ++k) {
    const float fk = static_cast<float>(k);
#ifndef __CUDACC__
#pragma omp simd
#endif
    for (int i = 0; i < N; ++i) {
      const float border = first[i] + fk;
      float start = border - 1.f > begin[i] ? border - 1.f : begin[i];
      start = start < reach[i] ? start : reach[i];
      float end = border > begin[i] ? border : begin[i];
      end = end < reach[i] ? end : reach[i];
      const float a0 = qa[i] + slope_a[i] * start, a1 = qa[i] + slope_a[i] * end;
      const float b0 = qb[i] + slope_b[i] * start, b1 = qb[i] + slope_b[i] * end;
      const float fa0 = std::floor(a0), fa1 = std::floor(a1), fb0 = std::floor(b0), fb1 = std::floor(b1);
      // Where in the slab the ray changes cell along a and b (1: it does not).
      const float cross_a = ((fa0 > fa1 ? fa0 : fa1) - a0) / (a1 - a0);
      const float cross_b = ((fb0 > fb1 ? fb0 : fb1) - b0) / (b1 - b0);
      const float at_a = fa0 != fa1 ? cross_a : 1.f, at_b = fb0 != fb1 ? cross_b : 1.f;
      const float lo = at_a < at_b ? at_a : at_b, hi = at_a < at_b ? at_b : at_a;
      // Cells are read at the middle of the three stretches: a ray that grazes a cell border at the end of a slab, as
      // exact diagonals do, then never takes the neighbour's density for a whole slab.
      const float m0 = 0.5f * lo, m1 = 0.5f * (lo + hi), m2 = 0.5f * (1.f + hi), da = a1 - a0, db = b1 - b0;
      int s = slab[i] + step * k;
      s = s < 0 ? 0 : (s > last_s ? last_s : s);
      const int base = s * stride_s;
      const float near = density[base + cell(a0 + da * m0, last_a) * stride_a + cell(b0 + db * m0, last_b) * stride_b];
      const float middle =
          density[base + cell(a0 + da * m1, last_a) * stride_a + cell(b0 + db * m1, last_b) * stride_b];
      const float far = density[base + cell(a0 + da * m2, last_a) * stride_a + cell(b0 + db * m2, last_b) * stride_b];
      sum[i] += (end - start) * (lo * near + (hi - lo) * middle + (1.f - hi) * far);
    }
  }
  for (int i = 0; i < N; ++i) depth[i] = sum[i] * rays[i].mm_per_slab;
}

// Projection of `point` to the isocentre plane and its depth factors, (SAD/r)^2 included: u, v, c_1..c_3.
CS_INLINE void voxel_geometry(const BeamFrame& b, const Attenuation& att, const float point[3], float depth,
                              float* out) {
  float p[3], u = 0.f, v = 0.f, w = 0.f;
  for (int a = 0; a < 3; ++a) {
    p[a] = point[a] - b.isocentre[a];
    u += p[a] * b.ex[a];
    v += p[a] * b.ey[a];
    w += p[a] * b.ez[a];
  }
  const float along = b.sad - w;  // distance from the source along the beam axis
  if (along <= 1.f) {             // beside or behind the source: no dose
    for (int i = 0; i < kGeometry; ++i) out[i] = 0.f;
    return;
  }
  const float off2 = u * u + v * v, r2 = off2 + along * along;
  const float inverse_square = b.sad * b.sad / r2;
  out[0] = u * b.sad / along;
  out[1] = v * b.sad / along;
  depth *= softened(att.softening, off2 / (along * along));
  const float e_m = std::exp(-att.m * depth);
  for (int i = 0; i < kKernels; ++i)
    out[2 + i] = inverse_square * att.beta[i] / (att.beta[i] - att.m) * (e_m - std::exp(-att.beta[i] * depth));
}

// Weights of the four nodes around a point at (fs, ft) in its cell: (0,0), (1,0), (0,1), (1,1) as (along u, along v).
CS_INLINE void bilinear(float fs, float ft, float w[4]) {
  w[0] = (1.f - fs) * (1.f - ft);
  w[1] = fs * (1.f - ft);
  w[2] = (1.f - fs) * ft;
  w[3] = fs * ft;
}

// Bilinear node and weights of (u, v); false outside the raster, where the dose is zero.
CS_INLINE bool raster_cell(const Raster& r, float u, float v, int& base, float w[4]) {
  const float s = (u - r.u0) / r.pitch, t = (v - r.v0) / r.pitch;
  if (!(s >= 0.f && t >= 0.f && s < static_cast<float>(r.nu - 1) && t < static_cast<float>(r.nv - 1))) return false;
  const int i = static_cast<int>(s), j = static_cast<int>(t);
  const float fs = s - static_cast<float>(i), ft = t - static_cast<float>(j);
  base = j * r.nu + i;
  bilinear(fs, ft, w);
  return true;
}

// Dose of one beam at one voxel from its kernel maps (nv, nu, 4).
CS_INLINE float gather(const float* maps, const Raster& r, const float* geometry) {
  int base;
  float w[4];
  if (!raster_cell(r, geometry[0], geometry[1], base, w)) return 0.f;
  const float* m00 = maps + static_cast<long>(base) * kInterleave;
  const float* m10 = m00 + static_cast<long>(r.nu) * kInterleave;
  float sum = 0.f;
  for (int i = 0; i < kKernels; ++i)
    sum +=
        geometry[2 + i] * (w[0] * m00[i] + w[1] * m00[kInterleave + i] + w[2] * m10[i] + w[3] * m10[kInterleave + i]);
  return sum;
}

// Exact transpose of gather: adds dose gradient `g` of one voxel to the kernel maps.
CS_INLINE void scatter(float* maps, const Raster& r, const float* geometry, float g) {
  int base;
  float w[4];
  if (!raster_cell(r, geometry[0], geometry[1], base, w)) return;
  float* m00 = maps + static_cast<long>(base) * kInterleave;
  float* m10 = m00 + static_cast<long>(r.nu) * kInterleave;
  for (int i = 0; i < kKernels; ++i) {
    const float c = g * geometry[2 + i];
    m00[i] += w[0] * c;
    m00[kInterleave + i] += w[1] * c;
    m10[i] += w[2] * c;
    m10[kInterleave + i] += w[3] * c;
  }
}

}  // namespace couchside
