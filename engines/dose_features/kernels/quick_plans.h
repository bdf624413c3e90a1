// Three quick plans of a patient on the CPU: forty steps of Adam over fluence, three trade-offs side by side in each
// pixel (models/dose/fluence.py is the definition). Dose, slope of the objective and gradient of the fluence are made
// in one pass over the points. Sums have one order whatever the number of threads.
#pragma once
#include "patient.h"
#include "spread.h"

namespace couchside {
namespace dose_features {

constexpr int kFields = 4;  // three plans and a pad
constexpr int kParts = 8;   // of the points, each with a gradient of its own
constexpr int kStreams = 4; // of a part, taken in turn: neighbours would wait for each other's sums

// Rows of a map that a part's points touch.
struct Rows {
  int first = kRow, last = -1;
};

struct Seen {
  std::vector<Sample> samples;  // (points, beams)
  std::vector<Wanted> wanted;
  std::vector<Rows> rows;       // (kParts, beams)
};

// The points that the plans are made with, part after part.
inline Seen seen_by(const Patient& p, int threads) {
  std::vector<int> kept;
  double on_target = 0.0;
  for (const int at : p.points) {
    const int line = at / p.n[2];
    const float share = share_of(p.asked[at], p.kind[at]);
    if (!(drawn_at(line % p.n[1], at - line * p.n[2], line / p.n[1], p.n[2]) < share)) continue;
    kept.push_back(at);
    if (p.asked[at] > 0.f) on_target += 1.0 / share;
  }
  const long n = static_cast<long>(kept.size()), part = (n + kParts - 1) / kParts;
  std::vector<int> order(kept.size());
  for (long first = 0, to = 0; first < n; first += part) {
    const long count = std::min(part, n - first), stream = (count + kStreams - 1) / kStreams;
    for (long i = 0; i < stream; ++i)
      for (long k = i; k < count; k += stream) order[to++] = kept[first + k];
  }
  const int beams = static_cast<int>(p.beams.size());
  Seen seen{std::vector<Sample>(kept.size() * beams), std::vector<Wanted>(kept.size()),
            std::vector<Rows>(static_cast<size_t>(kParts) * beams)};
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long first = 0; first < n; first += kBlock) {
    const int count = static_cast<int>(std::min<long>(kBlock, n - first));
    const Coordinates at = coordinates_of(p, order.data() + first, count);
    Samples made;
    for (int b = 0; b < beams; ++b) {
      samples_of(p, b, at, &made);
      for (int i = 0; i < count; ++i) seen.samples[(first + i) * beams + b] = made[i];
    }
    for (int i = 0; i < count; ++i) {
      const int voxel = order[first + i];
      const double weight = 1.0 / share_of(p.asked[voxel], p.kind[voxel]) / on_target;
      seen.wanted[first + i] = wanted_of(p.asked[voxel], p.kind[voxel], static_cast<float>(weight));
    }
  }
  for (long i = 0; i < n; ++i)
    for (int b = 0; b < beams; ++b) {
      Rows& rows = seen.rows[i / part * beams + b];
      const int row = seen.samples[i * beams + b].base / kRow;
      rows.first = std::min(rows.first, row);
      rows.last = std::max(rows.last, row + 1);
    }
  return seen;
}

// Adds the gradient of points first to last; maps and gradient (beams, kMap, kFields).
inline void add_gradient(const Seen& seen, int beams, long first, long last, const float* maps, float* gradient) {
  constexpr long kSize = static_cast<long>(kMap) * kFields, kStride = static_cast<long>(kRow) * kFields;
  for (long i = first; i < last; ++i) {
    const Sample* samples = seen.samples.data() + i * beams;
    Eight sum = {};
    for (int b = 0; b < beams; ++b) {
      const Sample& s = samples[b];
      const float* at = maps + b * kSize + static_cast<long>(s.base) * kFields;
      const float right = s.weight * s.fu, left = s.weight - right;
      const Eight across = {left, left, left, left, right, right, right, right};
      const Eight low = eight_at(at), high = eight_at(at + kStride);
      sum += across * (low + s.fw * (high - low));
    }
    Eight slope = {};
    for (int k = 0; k < kPlans; ++k) slope[k] = slope[k + 4] = slope_of(seen.wanted[i], k, sum[k] + sum[k + 4]);
    for (int b = 0; b < beams; ++b) {
      const Sample& s = samples[b];
      float* at = gradient + b * kSize + static_cast<long>(s.base) * kFields;
      const float right = s.weight * s.fu, left = s.weight - right;
      const Eight across = {left, left, left, left, right, right, right, right};
      const Eight all = across * slope, high = s.fw * all;
      const Eight low_sum = eight_at(at) + (all - high), high_sum = eight_at(at + kStride) + high;
      std::memcpy(at, &low_sum, sizeof low_sum);
      std::memcpy(at + kStride, &high_sum, sizeof high_sum);
    }
  }
}

// fluence (beams, kMap, kFields): the open fields that all plans start from on entry, the plans on return, none
// negative.
inline void optimise(const Seen& seen, int beams, std::vector<float>& fluence, int threads) {
  constexpr long kSize = static_cast<long>(kMap) * kFields;
  const Kernels kernels;
  const long n = static_cast<long>(seen.wanted.size()), part = (n + kParts - 1) / kParts, floats = beams * kSize;
  std::vector<float> maps(floats), sum(floats), slope(floats), parts(kParts * floats, 0.f);
  std::vector<Moments> moments(floats, Moments{0.f, 0.f});
  double decay = 1.0;
  for (int step = 0; step < kAdamSteps; ++step) {
    decay *= 0.9;
    const double rate = 1.0 - static_cast<double>(step) / kAdamSteps + 0.02;
    const float rate_by_correction = static_cast<float>(rate / (1.0 - decay));
    const float root_correction = static_cast<float>(std::sqrt(1.0 - decay));
#pragma omp parallel num_threads(threads)
    {
      std::vector<float> scratch;
#pragma omp for schedule(static)
      for (int b = 0; b < beams; ++b)
        spread<kFields>(kernels, fluence.data() + b * kSize, true, maps.data() + b * kSize, scratch);
#pragma omp for schedule(static)
      for (int k = 0; k < kParts; ++k) {
        add_gradient(seen, beams, std::min(n, k * part), std::min(n, (k + 1) * part), maps.data(),
                     parts.data() + k * floats);
      }
#pragma omp for schedule(static)
      for (int b = 0; b < beams; ++b) {
        float *total = sum.data() + b * kSize, *x = fluence.data() + b * kSize, *g = slope.data() + b * kSize;
        std::fill_n(total, kSize, 0.f);
        for (int k = 0; k < kParts; ++k) {
          const Rows& used = seen.rows[k * beams + b];
          float* own = parts.data() + k * floats + b * kSize;
          for (long i = used.first * static_cast<long>(kRow) * kFields; i < (used.last + 1l) * kRow * kFields; ++i) {
            total[i] += own[i];
            own[i] = 0.f;
          }
        }
        spread<kFields>(kernels, total, false, g, scratch);
        Moments* m = moments.data() + b * kSize;
        for (long i = 0; i < kSize; ++i) x[i] = adam_step(x[i], g[i], m[i], rate_by_correction, root_correction);
      }
    }
  }
  for (float& x : fluence) x = std::max(x, 0.f);
}

}  // namespace dose_features
}  // namespace couchside
