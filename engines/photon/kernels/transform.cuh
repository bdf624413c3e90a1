// Convolution of fluence with the three lateral kernels, without a Fourier library.
//
// The kernels are even along both axes of the raster, so the cyclic convolution with one is a symmetric circulant
// matrix along each axis, and those are diagonal in the real discrete Hartley basis cas(x) = cos x + sin x (Bracewell,
// J Opt Soc Am 73:1832, 1983): K = 1/(nu nv) H_v (L o (H_v F H_u)) H_u with L the real transfer function. Everything is
// then real matrix products with two small symmetric tables H, exact for any raster size, and its own transpose. At
// 160 x 160 it is 66 million multiplications and additions a beam for three kernels (docs/gpu.md).
#pragma once
#include "photon_params.h"

namespace {

constexpr int kTile = 64, kDeep = 16, kOwn = 4;  // block tile, depth of a step, values a thread owns along each axis

// Element of a (rows x columns) row-major matrix, zero outside.
CS_INLINE float element(const float* m, long long row, int column, long long rows, int columns) {
  return row < rows && column < columns ? m[row * columns + column] : 0.f;
}

}  // namespace

extern "C" {

// Grid: (rows / 64, columns / 64, images), 256 threads; a thread owns 4 x 4 values of the tile. The next tiles are
// fetched to registers while the present ones are multiplied. Sums run over k in ascending order.
__global__ void __launch_bounds__(256) multiply(const __grid_constant__ couchside::MultiplyParams p) {
  __shared__ float a_tile[kDeep][kTile + 4];  // transposed; padded against bank conflicts, rows stay 16-byte aligned
  __shared__ float b_tile[kDeep][kTile];
  const int t = threadIdx.x, z = blockIdx.z;
  const long long row0 = static_cast<long long>(blockIdx.x) * kTile;
  const int column0 = blockIdx.y * kTile, my_row = t / 16 * kOwn, my_column = t % 16 * kOwn;
  const float* a = p.a + z * p.a_batch;
  const float* b = p.b + z * p.b_batch;
  float sum[kOwn][kOwn] = {}, a_next[4], b_next[4];
  for (int q = 0; q < 4; ++q) {
    const int e = t + 256 * q;
    a_next[q] = element(a, row0 + e / kDeep, e % kDeep, p.rows, p.inner);
    b_next[q] = element(b, e / kTile, column0 + e % kTile, p.inner, p.columns);
  }
  for (int k0 = 0; k0 < p.inner; k0 += kDeep) {
    for (int q = 0; q < 4; ++q) {
      const int e = t + 256 * q;
      a_tile[e % kDeep][e / kDeep] = a_next[q];
      b_tile[e / kTile][e % kTile] = b_next[q];
    }
    __syncthreads();
    for (int q = 0; q < 4; ++q) {
      const int e = t + 256 * q, k = k0 + kDeep;
      a_next[q] = element(a, row0 + e / kDeep, k + e % kDeep, p.rows, p.inner);
      b_next[q] = element(b, k + e / kTile, column0 + e % kTile, p.inner, p.columns);
    }
#pragma unroll
    for (int k = 0; k < kDeep; ++k) {
      float left[kOwn], right[kOwn];
      for (int i = 0; i < kOwn; ++i) left[i] = a_tile[k][my_row + i];
      for (int j = 0; j < kOwn; ++j) right[j] = b_tile[k][my_column + j];
      for (int i = 0; i < kOwn; ++i)
        for (int j = 0; j < kOwn; ++j) sum[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
  float* c = p.c + (z / p.channels) * p.c_batch + static_cast<long long>(z % p.channels) * p.c_channel;
  for (int i = 0; i < kOwn; ++i)
    for (int j = 0; j < kOwn; ++j) {
      const long long row = row0 + my_row + i;
      const int column = column0 + my_column + j;
      if (row < p.rows && column < p.columns) c[(row * p.columns + column) * p.c_step] = p.scale * sum[i][j];
    }
}

// Grid: (pixels / 256, beams): fluence times the in-air profile.
__global__ void __launch_bounds__(256) weigh(const __grid_constant__ couchside::WeighParams p) {
  const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
  const long long i = static_cast<long long>(blockIdx.y) * p.pixels + pixel;
  if (pixel < p.pixels) p.out[i] = p.in[i] * p.factor[pixel];
}

// Grid: (pixels / 256, beams): one spectrum to the spectra of the three kernel maps.
__global__ void __launch_bounds__(256) spread(const __grid_constant__ couchside::WeighParams p) {
  const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
  const long long b = blockIdx.y, size = p.pixels;
  if (pixel >= p.pixels) return;
  const float value = p.in[b * size + pixel];
  for (int m = 0; m < 3; ++m)
    p.out[(3 * b + m) * size + pixel] = value * p.factor[(3ll * p.table[b] + m) * size + pixel];
}

// Grid: (pixels / 256, beams): transpose of spread.
__global__ void __launch_bounds__(256) combine(const __grid_constant__ couchside::WeighParams p) {
  const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
  const long long b = blockIdx.y, size = p.pixels;
  if (pixel >= p.pixels) return;
  float sum = 0.f;
  for (int m = 0; m < 3; ++m) sum += p.in[(3 * b + m) * size + pixel] * p.factor[(3ll * p.table[b] + m) * size + pixel];
  p.out[b * size + pixel] = sum;
}

}  // extern "C"
