// A patient's points under the beams, on the CPU: depths, open fields, doses of fluence maps at every point.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "beam_math.h"
#include "simd.h"

namespace couchside {
namespace dose_features {

// Volumes (c inferior, a posterior, b left) of one shape. z, y, x: voxel centres in mm from the isocentre.
struct Patient {
  const std::uint8_t *possible, *level, *kind;
  const float* asked;
  const float *z, *y, *x;
  float spacing[3];
  int n[3];
  std::vector<Beam> beams;
  std::vector<float> paths;   // (beams, kPath)
  std::vector<int> points;    // flat indices where dose is possible, ascending

  long size() const { return static_cast<long>(n[0]) * n[1] * n[2]; }
};

inline std::vector<int> points_of(const Patient& p) {
  std::vector<int> points;
  for (long i = 0; i < p.size(); ++i)
    if (p.possible[i]) points.push_back(static_cast<int>(i));
  return points;
}

// The body with zeros around it: a sample outside is read there.
struct Padded {
  std::vector<std::uint8_t> values;
  int n[3];

  explicit Padded(const Patient& p) : n{p.n[0] + 3, p.n[1] + 3, p.n[2] + 3} {
    values.assign(static_cast<size_t>(n[0]) * n[1] * n[2], 0);
    for (int c = 0; c < p.n[0]; ++c)
      for (int a = 0; a < p.n[1]; ++a)
        std::copy_n(p.possible + (static_cast<long>(c) * p.n[1] + a) * p.n[2], p.n[2],
                    values.data() + (static_cast<long>(c + 1) * n[1] + a + 1) * n[2] + 1);
  }

  // Trilinear; q in voxels of the body.
  float operator()(float qc, float qa, float qb) const {
    const float c = clamped(qc + 1.f, 0.f, n[0] - 2), a = clamped(qa + 1.f, 0.f, n[1] - 2);
    const float b = clamped(qb + 1.f, 0.f, n[2] - 2);
    const int ic = static_cast<int>(c), ia = static_cast<int>(a), ib = static_cast<int>(b);
    const float fc = c - static_cast<float>(ic), fa = a - static_cast<float>(ia), fb = b - static_cast<float>(ib);
    const long plane = static_cast<long>(n[1]) * n[2];
    const std::uint8_t* v = values.data() + ic * plane + static_cast<long>(ia) * n[2] + ib;
    const auto line = [fb](const std::uint8_t* at) {
      return static_cast<float>(at[0]) + fb * static_cast<float>(at[1] - at[0]);
    };
    const float low = line(v) + fa * (line(v + n[2]) - line(v));
    const float high = line(v + plane) + fa * (line(v + plane + n[2]) - line(v + plane));
    return low + fc * (high - low);
  }
};

// Path inside the body from the source to the nodes of each beam's volume [w][s][u].
inline void fill_paths(Patient& p, int threads) {
  const Padded body(p);
  const int count = static_cast<int>(p.beams.size());
  p.paths.assign(static_cast<size_t>(count) * kPath, 0.f);
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads)
  for (int job = 0; job < count * kAcross; ++job) {
    const Beam& beam = p.beams[job / kAcross];
    const int iw = job % kAcross;
    float* out = p.paths.data() + static_cast<long>(job) * kSteps * kAcross;
    float sum[kAcross] = {};
    for (int is = 0; is < kSteps; ++is) {
      const float s = kStep * (kSteps * 0.5f - 0.5f - static_cast<float>(is)), scale = (kSad - s) / kSad;
      const float w = kPathPixel * (static_cast<float>(iw) + 0.5f - kAcross * 0.5f) * scale;
      const float qc = (w - p.z[0]) / p.spacing[0];
      for (int iu = 0; iu < kAcross; ++iu) {
        const float u = kPathPixel * (static_cast<float>(iu) + 0.5f - kAcross * 0.5f) * scale;
        const float y = beam.towards[0] * s + beam.across[0] * u, x = beam.towards[1] * s + beam.across[1] * u;
        const float inside = body(qc, (y - p.y[0]) / p.spacing[1], (x - p.x[0]) / p.spacing[2]);
        sum[iu] += inside;
        out[is * kAcross + iu] = kStep * (sum[iu] - 0.5f * inside);
      }
    }
  }
}

constexpr int kBlock = 16;

struct Samples {
  int base[kBlock];
  float fw[kBlock], fu[kBlock], weight[kBlock];

  Sample operator[](int i) const { return Sample{base[i], fw[i], fu[i], weight[i]}; }
};

struct Coordinates {
  float z[kBlock], y[kBlock], x[kBlock];
};

// Coordinates of up to kBlock points; the rest repeats the last.
inline Coordinates coordinates_of(const Patient& p, const int* index, int count) {
  Coordinates out;
  for (int i = 0; i < kBlock; ++i) {
    const int at = index[i < count ? i : count - 1], line = at / p.n[2];
    out.z[i] = p.z[line / p.n[1]];
    out.y[i] = p.y[line % p.n[1]];
    out.x[i] = p.x[at - line * p.n[2]];
  }
  return out;
}

// exp(x) for x <= 0 to 1.3e-7 of its value, 1.6e-38 below -87: 2^n e^r with |r| <= ln 2 / 2, the Taylor series to r^6.
// Without the branch that the photon kernels' exp_of takes to reach 0.
inline float exp_down(float x) {
  const float clipped = clamped(x, -87.f, 0.f);
  const std::int32_t n = static_cast<std::int32_t>(clipped * 1.44269504f - 0.5f);  // nearest whole
  const float whole = static_cast<float>(n);
  const float r = (clipped - whole * 0.693145752f) - whole * 1.42860677e-6f;       // ln 2 in two parts
  const float e = 1.f + r * (1.f + r * (0.5f + r * (1.f / 6 + r * (1.f / 24 + r * (1.f / 120 + r * (1.f / 720))))));
  const std::int32_t bits = (n + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power * e;
}

// The same as sample_of for a block of points, in loops that the compiler turns into vector code.
inline void samples_of(const Patient& p, int beam, const Coordinates& at, Samples* out) {
  const float* path = p.paths.data() + static_cast<long>(beam) * kPath;
  const Beam b = p.beams[beam];
  const float *z = at.z, *y = at.y, *x = at.x;
  float magnified[kBlock], depth[kBlock], fw[kBlock], fu[kBlock], fs[kBlock], corner[8][kBlock];
  float sw[kBlock], su[kBlock], weight[kBlock];
  int node[kBlock], base[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    const Place place = place_of(b, z[i], y[i], x[i]);
    const PathCell cell = path_cell(place);
    const Sample sample = sample_of(place, 1.f);
    magnified[i] = place.magnified;
    node[i] = cell.at;
    fw[i] = cell.fw;
    fu[i] = cell.fu;
    fs[i] = cell.fs;
    base[i] = sample.base;
    sw[i] = sample.fw;
    su[i] = sample.fu;
    weight[i] = sample.weight;
  }
  for (int i = 0; i < kBlock; ++i) {
    const float* v = path + node[i];
    for (int k = 0; k < 8; ++k) corner[k][i] = v[(k & 1) + (k >> 1 & 1) * kAcross + (k >> 2) * kSteps * kAcross];
  }
  const float *c0 = corner[0], *c1 = corner[1], *c2 = corner[2], *c3 = corner[3];
  const float *c4 = corner[4], *c5 = corner[5], *c6 = corner[6], *c7 = corner[7];
  for (int i = 0; i < kBlock; ++i)
    depth[i] = mixed(mixed(mixed(c0[i], c1[i], fu[i]), mixed(c2[i], c3[i], fu[i]), fs[i]),
                     mixed(mixed(c4[i], c5[i], fu[i]), mixed(c6[i], c7[i], fu[i]), fs[i]), fw[i]);
  for (int i = 0; i < kBlock; ++i) {
    const float far = exp_down(-kAttenuation * depth[i]), near = exp_down(-kBuildUp * (depth[i] + kSurface));
    weight[i] *= weight_of(far, near, magnified[i]);
  }
  std::memcpy(out->base, base, sizeof base);
  std::memcpy(out->fw, sw, sizeof sw);
  std::memcpy(out->fu, su, sizeof su);
  std::memcpy(out->weight, weight, sizeof weight);
}

// Open fields around each level: maps (beams, kMap, Fields) with field k for level k, 0 and 1. A pixel that a target's
// point falls into, and its neighbours, so that sampling leaves no holes.
template <int Fields>
void draw_shadows(const Patient& p, std::vector<float>& maps) {
  const int count = static_cast<int>(p.beams.size());
  std::vector<std::uint8_t> hit(static_cast<size_t>(count) * kMap, 0);  // bit k: level k
  for (const int at : p.points) {
    if (p.level[at] >= kLevels) continue;
    const std::uint8_t bits = static_cast<std::uint8_t>((7u << p.level[at]) & 7u);
    const Coordinates where = coordinates_of(p, &at, 1);
    for (int b = 0; b < count; ++b) {
      const int pixel = pixel_of(place_of(p.beams[b], where.z[0], where.y[0], where.x[0]));
      if (pixel >= 0) hit[static_cast<size_t>(b) * kMap + pixel] |= bits;
    }
  }
  maps.assign(static_cast<size_t>(count) * kMap * Fields, 0.f);
  for (int b = 0; b < count; ++b)
    for (int w = 1; w <= kPixels; ++w)
      for (int u = 1; u <= kPixels; ++u) {
        unsigned bits = 0;
        for (int dw = -1; dw <= 1; ++dw)
          for (int du = -1; du <= 1; ++du) bits |= hit[static_cast<size_t>(b) * kMap + (w + dw) * kRow + u + du];
        float* out = maps.data() + (static_cast<size_t>(b) * kMap + w * kRow + u) * Fields;
        for (int k = 0; k < kLevels; ++k) out[k] = (bits >> k) & 1u ? 1.f : 0.f;
      }
}

typedef float Eight __attribute__((vector_size(32)));

inline Eight eight_at(const float* from) {
  Eight out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

// Eight fields of a beam's map at a sample, times the dose per fluence.
inline Eight fields_at(const float* map, const Sample& s) {
  const float* at = map + static_cast<long>(s.base) * 8;
  const Eight a = eight_at(at), b = eight_at(at + 8), c = eight_at(at + kRow * 8), d = eight_at(at + kRow * 8 + 8);
  const Eight low = a + s.fu * (b - a), high = c + s.fu * (d - c);
  return s.weight * (low + s.fw * (high - low));
}

}  // namespace dose_features
}  // namespace couchside
