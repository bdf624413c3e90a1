// The arithmetic of quick plans for one point and one beam, written once: compiled for the CPU and by nvcc.
//
// Model (models/dose/beams.py, which says where its constants come from): exponential attenuation with build-up,
// inverse square, two Gaussians in the fluence plane.
// Lengths in mm from the isocentre; x towards patient left, y posterior, z
// inferior. A beam at gantry angle t looks from (y, x) = (-cos t, sin t). Places are computed in the order of
// operations of the training's code, so that a target's point falls into the same pixel of an open field.
#pragma once
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define CS_INLINE __host__ __device__ __forceinline__
#else
#define CS_INLINE inline
#endif

namespace couchside {
namespace dose_features {

constexpr float kSad = 1000.f, kPixel = 5.f, kHalf = 200.f;  // mm; half the width of a fluence map
constexpr int kPixels = 80, kRow = kPixels + 2;              // a map with a border of zeros has kRow x kRow pixels
constexpr int kMap = kRow * kRow;
constexpr float kStep = 5.f, kPathPixel = 10.f;              // mm: of the volume of depths along a beam, across it
constexpr int kSteps = 128, kAcross = 40, kPath = kAcross * kSteps * kAcross;
constexpr int kLevels = 3, kPlans = 3;

struct Beam {
  float towards[2], across[2];  // (y, x): from the isocentre to the source, and the map's u axis
};

struct Place {
  float s, u, w, magnified;  // towards the source; in the isocentre's plane
};

// a b + c, rounded once.
CS_INLINE float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c));
#endif
}

CS_INLINE Place place_of(const Beam& beam, float z, float y, float x) {
  Place place;
  place.s = fused(beam.towards[1], x, beam.towards[0] * y);
  const float u = fused(beam.across[1], x, beam.across[0] * y);
  place.magnified = (1.f / (kSad - place.s)) * kSad;
  place.u = u * place.magnified;
  place.w = z * place.magnified;
  return place;
}

// Position in a map: pixel n covers n to n + 1.
CS_INLINE float column_of(float mm) { return (mm / kHalf + 1.f) * (kPixels / 2); }

CS_INLINE float clamped(float value, float low, float high) {
  return value < low ? low : (value > high ? high : value);
}

// Where a point lies in a beam's volume of depths [w][s][u], s from the source on: lower node, shares of the next ones.
struct PathCell {
  int at;
  float fw, fs, fu;
};

// Constant beyond the border; the last cell serves its upper border too.
CS_INLINE PathCell path_cell(const Place& place) {
  const float w = clamped(place.w * (1.f / kPathPixel) + (kAcross - 1) * 0.5f, 0.f, kAcross - 1);
  const float u = clamped(place.u * (1.f / kPathPixel) + (kAcross - 1) * 0.5f, 0.f, kAcross - 1);
  const float s = clamped((kSteps - 1) * 0.5f - place.s * (1.f / kStep), 0.f, kSteps - 1);
  const int iw = static_cast<int>(clamped(w, 0.f, kAcross - 2)), iu = static_cast<int>(clamped(u, 0.f, kAcross - 2));
  const int is = static_cast<int>(clamped(s, 0.f, kSteps - 2));
  return PathCell{(iw * kSteps + is) * kAcross + iu, w - static_cast<float>(iw), s - static_cast<float>(is),
                  u - static_cast<float>(iu)};
}

CS_INLINE float mixed(float low, float high, float part) { return low + part * (high - low); }

// Where a point reads and writes a beam's map with border: its lower pixel, the share of the next, dose per fluence.
struct Sample {
  int base;
  float fw, fu, weight;
};

CS_INLINE Sample sample_of(const Place& place, float weight) {
  const float w = column_of(place.w) + 0.5f, u = column_of(place.u) + 0.5f;
  // No short cut: loops over this become vector code.
  const int inside = (w > 0.f) & (w < kPixels + 1) & (u > 0.f) & (u < kPixels + 1);
  const float cw = clamped(w, 0.f, kPixels + 0.9999f), cu = clamped(u, 0.f, kPixels + 0.9999f);
  const int iw = static_cast<int>(cw), iu = static_cast<int>(cu);
  return Sample{iw * kRow + iu, cw - static_cast<float>(iw), cu - static_cast<float>(iu), inside ? weight : 0.f};
}

constexpr float kAttenuation = 0.0045f, kBuildUp = 0.25f, kSurface = 2.f;  // 1/mm, 1/mm, mm

// attenuated = exp(-kAttenuation depth), built = exp(-kBuildUp (depth + kSurface)): exponentials are the caller's,
// whose machine has its own.
CS_INLINE float weight_of(float attenuated, float built, float magnified) {
  return attenuated * (1.f - built) * (magnified * magnified);
}

// The pixel of a map with border that a target's point falls into, -1 outside.
CS_INLINE int pixel_of(const Place& place) {
  // Truncated towards zero, as the training does it: the first pixel takes a strip beyond the edge as well.
  const int w = static_cast<int>(column_of(place.w)), u = static_cast<int>(column_of(place.u));
  return w >= 0 && w < kPixels && u >= 0 && u < kPixels ? (w + 1) * kRow + u + 1 : -1;
}

// A number in 0..1 for each voxel, the same for both sides of the patient. Indices: a posterior, b left, c inferior of
// a volume with nb voxels from right to left.
CS_INLINE float drawn_at(int a, int b, int c, int nb) {
  const int side = 2 * b - (nb - 1);
  const std::uint64_t folded = static_cast<std::uint64_t>(side < 0 ? -side : side);
  std::uint64_t mixed = static_cast<std::uint64_t>(a) * 73856093u ^ folded * 19349663u ^
                        static_cast<std::uint64_t>(c) * 83492791u;
  mixed = (mixed ^ (mixed >> 13)) * 1274126177u;
  return static_cast<float>((mixed ^ (mixed >> 16)) & 0xFFFFFFu) / 16777216.f;
}

enum Kind : std::uint8_t { kOrgan = 1, kByMean = 2, kByMaximum = 4 };

// Share of points that a quick plan looks at.
CS_INLINE float share_of(float asked, std::uint8_t kind) {
  return asked > 0.f ? 0.5f : ((kind & kOrgan) ? 0.3f : 0.1f);
}

// What a plan pays for squared dose: outside targets, more in organs judged by their mean, and above 30 Gy (of 70) in
// those judged by their maximum (models/dose/fluence.py, PLANS).
struct Wishes {
  float tissue, mean_organs, maximum_organs;
};
#ifdef __CUDACC__
#define CS_TABLE __device__ constexpr
#else
#define CS_TABLE constexpr
#endif
CS_TABLE Wishes kWishes[kPlans] = {{0.005f, 0.02f, 1.f}, {0.02f, 0.05f, 1.f}, {0.008f, 0.4f, 2.f}};
constexpr float kMaximum = 30.f, kCold = 2.f, kAskedShare = 1.02f;
constexpr int kAdamSteps = 40;

// What a point asks for: the dose (0 outside targets), twice its weight, and its prices in each plan.
struct Wanted {
  float dose, twice, outside[kPlans], above[kPlans];
};

CS_INLINE Wanted wanted_of(float asked, std::uint8_t kind, float weight) {
  Wanted wanted{asked * kAskedShare, 2.f * weight, {}, {}};
  for (int k = 0; k < kPlans; ++k) {
    const Wishes wishes = kWishes[k];
    wanted.outside[k] = asked > 0.f ? 0.f : wishes.tissue + ((kind & kByMean) ? wishes.mean_organs : 0.f);
    wanted.above[k] = (kind & kByMaximum) ? wishes.maximum_organs : 0.f;
  }
  return wanted;
}

// Derivative of a plan's objective in the point's dose.
CS_INLINE float slope_of(const Wanted& wanted, int plan, float dose) {
  const float off = dose - wanted.dose, over = dose - kMaximum;
  const float cold = wanted.dose > 0.f ? (off > 0.f ? 1.f : kCold) * off : 0.f;
  return wanted.twice * (cold + wanted.outside[plan] * dose + wanted.above[plan] * (over > 0.f ? over : 0.f));
}

// One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1) with both decays 0.9, on a pixel that counts as 0 below 0.
// correction = 1 - 0.9^(step + 1).
struct Moments {
  float first, second;
};

CS_INLINE float adam_step(float x, float gradient, Moments& moments, float rate_by_correction, float root_correction) {
  const float g = x >= 0.f ? gradient : 0.f;
  moments.first += 0.1f * (g - moments.first);
  moments.second = 0.9f * moments.second + 0.1f * g * g;
  return x - rate_by_correction * moments.first / (sqrtf(moments.second) / root_correction + 1e-8f);
}

}  // namespace dose_features
}  // namespace couchside
