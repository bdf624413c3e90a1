// Just enough CUDA C++ for g++ to compile photon.cu as it stands and run its kernels one thread after the other.
// Test only: it proves indices, layouts and arithmetic, not speed, and not what a GPU's memory model would do to a race.
//
// A block's threads are fibres (ucontext) on one OS thread. __syncthreads hands over to the next fibre; a shuffle is an
// exchange around such a barrier. All blocks run one after the other, so a __shared__ variable may be a static one.
#pragma once
#include <algorithm>
#include <cmath>

#define __global__
#define __device__
#define __host__
#define __restrict__ __restrict
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__

struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct Index3 {
  unsigned x, y, z;
};
extern Index3 threadIdx, blockIdx, blockDim, gridDim;

using std::max;
using std::min;

void barrier_on_host();
float exchange_on_host(float value, int other_lane);
bool any_on_host(bool value);

inline void __syncthreads() { barrier_on_host(); }
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  return exchange_on_host(value, static_cast<int>(threadIdx.x % 32) ^ mask);
}
inline bool __any_sync(unsigned, bool value) { return any_on_host(value); }
inline int atomicAdd(int* address, int value) {
  const int before = *address;
  *address += value;
  return before;
}
