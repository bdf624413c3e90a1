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

// Attenuation m and build-up constants beta, 1/mm.
struct Attenuation {
  float m;
  float beta[kKernels];
};

// Raster of the isocentre plane: node (0,0) at (u0, v0) mm, square pixels.
struct Raster {
  float u0, v0, pitch;
  int nu, nv;
};

// Radiological depth (mm of water) from the surface of the lattice to `point`, by walking from the point towards the
// source through every voxel that the ray crosses (Amanatides and Woo, Eurographics 1987; exact like Siddon, Med Phys
// 12:252, 1985). Starting at the point keeps the parameters short, so float32 holds to about 1e-4 mm.
CS_INLINE float radiological_depth(const float* density, const Lattice& g, const float source[3], const float point[3]) {
  float dir[3], length2 = 0.f;
  for (int a = 0; a < 3; ++a) {
    dir[a] = source[a] - point[a];
    length2 += dir[a] * dir[a];
  }
  const float length = std::sqrt(length2);
  int idx[3], step[3];
  float t_next[3], t_delta[3];
  for (int a = 0; a < 3; ++a) {
    dir[a] /= length;
    const float q = (point[a] - g.origin[a]) / g.spacing[a] + 0.5f;
    idx[a] = static_cast<int>(std::floor(q));
    if (dir[a] > 1e-9f) {
      step[a] = 1;
      t_delta[a] = g.spacing[a] / dir[a];
      t_next[a] = (static_cast<float>(idx[a]) + 1.f - q) * t_delta[a];
    } else if (dir[a] < -1e-9f) {
      step[a] = -1;
      t_delta[a] = -g.spacing[a] / dir[a];
      t_next[a] = (q - static_cast<float>(idx[a])) * t_delta[a];
    } else {
      step[a] = 0;
      t_delta[a] = 3.4e38f;
      t_next[a] = 3.4e38f;
    }
  }
  // A point outside the lattice first flies to it; what lies outside is empty.
  const int stride[3] = {1, g.n[0], g.n[0] * g.n[1]};
  float t = 0.f, depth = 0.f;
  bool inside = idx[0] >= 0 && idx[0] < g.n[0] && idx[1] >= 0 && idx[1] < g.n[1] && idx[2] >= 0 && idx[2] < g.n[2];
  while (t < length) {
    const int a = t_next[0] < t_next[1] ? (t_next[0] < t_next[2] ? 0 : 2) : (t_next[1] < t_next[2] ? 1 : 2);
    const float t_exit = t_next[a] < length ? t_next[a] : length;
    if (inside) depth += density[idx[0] + idx[1] * stride[1] + idx[2] * stride[2]] * (t_exit - t);
    t = t_exit;
    idx[a] += step[a];
    t_next[a] += t_delta[a];
    if (idx[a] < 0 || idx[a] >= g.n[a]) {
      // Left this slab: finished if moving away from the lattice.
      if ((step[a] > 0 && idx[a] >= g.n[a]) || (step[a] < 0 && idx[a] < 0)) break;
      inside = false;
    } else if (!inside) {
      inside = idx[0] >= 0 && idx[0] < g.n[0] && idx[1] >= 0 && idx[1] < g.n[1] && idx[2] >= 0 && idx[2] < g.n[2];
    }
  }
  return depth;
}

// Projection of `point` to the isocentre plane and its depth factors, (SAD/r)^2 included: u, v, c_1..c_3.
CS_INLINE void voxel_geometry(const BeamFrame& b, const Attenuation& att, const float point[3], float depth, float* out) {
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
  const float r2 = u * u + v * v + along * along;
  const float inverse_square = b.sad * b.sad / r2;
  out[0] = u * b.sad / along;
  out[1] = v * b.sad / along;
  const float e_m = std::exp(-att.m * depth);
  for (int i = 0; i < kKernels; ++i)
    out[2 + i] = inverse_square * att.beta[i] / (att.beta[i] - att.m) * (e_m - std::exp(-att.beta[i] * depth));
}

// Bilinear node and weights of (u, v); false outside the raster, where the dose is zero.
CS_INLINE bool raster_cell(const Raster& r, float u, float v, int& base, float w[4]) {
  const float s = (u - r.u0) / r.pitch, t = (v - r.v0) / r.pitch;
  if (!(s >= 0.f && t >= 0.f && s < static_cast<float>(r.nu - 1) && t < static_cast<float>(r.nv - 1))) return false;
  const int i = static_cast<int>(s), j = static_cast<int>(t);
  const float fs = s - static_cast<float>(i), ft = t - static_cast<float>(j);
  base = j * r.nu + i;
  w[0] = (1.f - fs) * (1.f - ft);
  w[1] = fs * (1.f - ft);
  w[2] = (1.f - fs) * ft;
  w[3] = fs * ft;
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
    sum += geometry[2 + i] * (w[0] * m00[i] + w[1] * m00[kInterleave + i] + w[2] * m10[i] + w[3] * m10[kInterleave + i]);
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
