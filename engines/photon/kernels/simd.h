// Helpers that the compiler turns into vector code on the CPU. Not for the GPU: photon_math.h is the arithmetic of
// both.
#pragma once
#include <cstdint>
#include <cstring>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace couchside {

#ifndef __GNUC__
#error "the CPU kernels need the vector extension of GCC or Clang"
#endif
constexpr int kLanes = 16;
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Whole __attribute__((vector_size(4 * kLanes)));

// first, first + 1, ...
inline Lanes count_from(float first) {
  Lanes out;
  for (int i = 0; i < kLanes; ++i) out[i] = first + static_cast<float>(i);
  return out;
}

// table[index] of each lane; indices lie in 0..2 kLanes - 1 and all of those floats may be read.
inline Lanes look_up(const float* table, const Whole index) {
#ifdef __AVX512F__
  const __m512 low = _mm512_loadu_ps(table), high = _mm512_loadu_ps(table + kLanes);
  return reinterpret_cast<Lanes>(_mm512_permutex2var_ps(low, reinterpret_cast<__m512i>(index), high));
#else
  Lanes out;
  for (int i = 0; i < kLanes; ++i) out[i] = table[index[i]];
  return out;
#endif
}

// exp(x) for x <= 0, without branch or library call, so that loops around it vectorise: 2^n * e^r with |r| <= ln 2 / 2
// and the Taylor series of e^r to r^6 (remainder below 1.3e-7 of the value); 0 below -87, where float32 ends.
inline float exp_of(float x) {
  const float clipped = x < -87.f ? -87.f : x;
  const float n = static_cast<float>(static_cast<int>(clipped * 1.44269504f - 0.5f));  // nearest whole, x <= 0
  const float r = (clipped - n * 0.693145752f) - n * 1.42860677e-6f;                   // ln 2 in two parts
  const float e =
      1.f + r * (1.f + r * (0.5f + r * (1.f / 6 + r * (1.f / 24 + r * (1.f / 120 + r * (1.f / 720))))));
  const std::int32_t bits = (static_cast<std::int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.f ? 0.f : power * e;
}

}  // namespace couchside
