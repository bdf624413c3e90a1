// Fluence maps with the beam's two Gaussians, on the CPU. Maps hold several fields side by side in each pixel, so that
// neighbours are contiguous floats whatever the direction.
#pragma once
#include <vector>

#include "beam_math.h"
#include "simd.h"

namespace couchside {
namespace dose_features {

constexpr int kNarrowReach = 2, kWideReach = 14;  // pixels: 3 sigma and a pixel (models/dose/beams.py, _gaussian)

// What a pixel gives to one so many pixels away, along one axis; the wide one with its share of all, the narrow with
// the rest (the share belongs to the product of both axes and is kept on the second).
struct Kernels {
  float narrow[kNarrowReach + 1], wide[kWideReach + 1];
  static constexpr float kWideShare = 0.12f;

  Kernels() {
    fill(narrow, kNarrowReach, 3.0);
    fill(wide, kWideReach, 22.0);
  }

 private:
  static void fill(float* out, int reach, double sigma) {
    double sum = 0.0;
    for (int n = -kPixels; n <= kPixels; ++n) sum += at(n, sigma);
    for (int n = 0; n <= reach; ++n) out[n] = static_cast<float>(at(n, sigma) / sum);
  }
  static double at(int n, double sigma) { return std::exp(-0.5 * (n * 5.0 / sigma) * (n * 5.0 / sigma)); }
};

inline Lanes loaded(const float* from) {
  Lanes out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

inline void stored(float* to, const Lanes& value) { std::memcpy(to, &value, sizeof value); }

// One beam's fields: source and out are maps with border, kRow x kRow x Fields floats; out's border becomes zero.
// clipped: what is negative in the source counts as zero. scratch is the caller's, kept between calls.
template <int Fields>
void spread(const Kernels& kernels, const float* source, bool clipped, float* out, std::vector<float>& scratch) {
  constexpr int kLine = kPixels * Fields, kBlock = 4 * kLanes, kEnds = kWideReach * Fields;
  static_assert(kLine % kBlock == 0, "a row must be whole blocks of lanes");
  constexpr int kPadded = kLine + 2 * kEnds, kStride = kRow * Fields;
  scratch.assign(static_cast<size_t>(kPixels) * kLine + 2 * kPadded, 0.f);
  float *plain = scratch.data(), *narrow = plain + kPixels * kLine, *wide = narrow + kPadded;
  for (int w = 0; w < kPixels; ++w) {
    const float* row = source + (w + 1) * kStride + Fields;
    for (int i = 0; i < kLine; ++i) plain[w * kLine + i] = clipped && row[i] < 0.f ? 0.f : row[i];
  }
  std::fill_n(out, kStride, 0.f);
  std::fill_n(out + (kRow - 1) * kStride, kStride, 0.f);
  for (int w = 0; w < kPixels; ++w) {
    const int first = w < kWideReach ? -w : -kWideReach;
    const int last = w + kWideReach < kPixels ? kWideReach : kPixels - 1 - w;
    for (int block = 0; block < kLine; block += kBlock) {
      Lanes n[4] = {}, v[4] = {};
      for (int d = first; d <= last; ++d) {
        const int far = d < 0 ? -d : d;
        const float* row = plain + (w + d) * kLine + block;
        const float k = kernels.wide[far];
        for (int i = 0; i < 4; ++i) v[i] += k * loaded(row + i * kLanes);
        if (far > kNarrowReach) continue;
        const float q = kernels.narrow[far];
        for (int i = 0; i < 4; ++i) n[i] += q * loaded(row + i * kLanes);
      }
      for (int i = 0; i < 4; ++i) {
        stored(narrow + kEnds + block + i * kLanes, n[i]);
        stored(wide + kEnds + block + i * kLanes, v[i]);
      }
    }
    float* made = out + (w + 1) * kStride;
    std::fill_n(made, Fields, 0.f);
    std::fill_n(made + (kRow - 1) * Fields, Fields, 0.f);
    for (int block = 0; block < kLine; block += kBlock) {
      Lanes n[4] = {}, v[4] = {};
      for (int d = -kWideReach; d <= kWideReach; ++d) {
        const int far = d < 0 ? -d : d, at = kEnds + block + d * Fields;
        const float k = kernels.wide[far];
        for (int i = 0; i < 4; ++i) v[i] += k * loaded(wide + at + i * kLanes);
        if (far > kNarrowReach) continue;
        const float q = kernels.narrow[far];
        for (int i = 0; i < 4; ++i) n[i] += q * loaded(narrow + at + i * kLanes);
      }
      for (int i = 0; i < 4; ++i)
        stored(made + Fields + block + i * kLanes, (1.f - Kernels::kWideShare) * n[i] + Kernels::kWideShare * v[i]);
    }
  }
}

}  // namespace dose_features
}  // namespace couchside
