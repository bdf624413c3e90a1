// The open time of one leaf row while its two leaves move, for one control-point interval: written once for CPU and
// GPU. Positions are in pixels from the raster's left border; pixel i spans [i, i + 1).
#pragma once

#include "photon_math.h"

namespace couchside {

// Leaves whose edge moves by less than this (pixels) stand still: the two formulas agree there to 1e-3 of a pixel.
constexpr float kStillPixels = 1e-3f;

// Integral up to x of the share of the interval during which an edge, moving evenly from a to b (a <= b), is below x.
CS_INLINE float swept(float x, float a, float b) {
  if (x <= a) return 0.f;
  if (x >= b) return x - 0.5f * (a + b);
  return 0.5f * (x - a) * (x - a) / (b - a);
}

// Derivatives of `swept` in a and b.
CS_INLINE void swept_slopes(float x, float a, float b, float& by_a, float& by_b) {
  by_a = by_b = 0.f;
  if (x <= a) return;
  if (x >= b) {
    by_a = by_b = -0.5f;
    return;
  }
  const float t = (x - a) / (b - a);
  by_b = -0.5f * t * t;
  by_a = -t - by_b;
}

// Adds `weight` times the share of (pixel, interval) beyond an edge that moves from `start` to `end`, up to pixel
// `stop`.
CS_INLINE void add_edge(float* row, int stop, float start, float end, float weight) {
  const float a = start < end ? start : end, b = start < end ? end : start;
  int i = static_cast<int>(a);
  if (b - a < kStillPixels) {
    const float middle = 0.5f * (a + b);
    i = static_cast<int>(middle);
    if (i < stop) row[i] += weight * (static_cast<float>(i + 1) - middle);
    for (++i; i < stop; ++i) row[i] += weight;
    return;
  }
  float before = swept(static_cast<float>(i), a, b);
  for (; i < stop && static_cast<float>(i) < b; ++i) {
    const float after = swept(static_cast<float>(i + 1), a, b);
    row[i] += weight * (after - before);
    before = after;
  }
  for (; i < stop; ++i) row[i] += weight;
}

// Transpose of add_edge with weight 1: the sum of `row` seen beyond the edge, and its slopes in start and end.
CS_INLINE float edge_sum(const float* row, const double* tail, int columns, float start, float end, float& by_start,
                         float& by_end) {
  const float a = start < end ? start : end, b = start < end ? end : start;
  float by_a = 0.f, by_b = 0.f;
  double sum;
  if (b - a < kStillPixels) {
    const float middle = 0.5f * (a + b);
    const int i = static_cast<int>(middle);
    if (i >= columns) {
      by_start = by_end = 0.f;
      return 0.f;
    }
    sum = tail[i + 1] + static_cast<double>(row[i] * (static_cast<float>(i + 1) - middle));
    by_a = by_b = -0.5f * row[i];
  } else {
    int i = static_cast<int>(a);
    float before = swept(static_cast<float>(i), a, b), a_before, b_before;
    swept_slopes(static_cast<float>(i), a, b, a_before, b_before);
    sum = 0.0;
    for (; i < columns && static_cast<float>(i) < b; ++i) {
      const float x = static_cast<float>(i + 1), after = swept(x, a, b);
      float a_after, b_after;
      swept_slopes(x, a, b, a_after, b_after);
      sum += static_cast<double>(row[i] * (after - before));
      by_a += row[i] * (a_after - a_before);
      by_b += row[i] * (b_after - b_before);
      before = after;
      a_before = a_after;
      b_before = b_after;
    }
    sum += tail[i];
  }
  by_start = start < end ? by_a : by_b;
  by_end = start < end ? by_b : by_a;
  return static_cast<float>(sum);
}

}  // namespace couchside
