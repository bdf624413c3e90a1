// GPU face of the photon kernels. The arithmetic is that of photon_math.h, which the CPU build compiles too; here are
// only the loops, laid out for a GPU. Written in plain CUDA C++, so that tests compile this very file for the host as
// well (tests/engines/photon/cuda/emulation). docs/gpu.md tells layout, memory and determinism.
//
// Every kernel is deterministic: floats are added in an order that is fixed by the problem, and the only atomic
// operations count integers.
#include "photon_params.h"

using namespace couchside;

namespace {

constexpr int kLanes = 8;  // threads that share one raster cell in the adjoint; a power of two that divides a warp

// One coordinate pair and the three depth factors of point i under beam b, from its position and stored depth alone:
// 4 bytes read for each point and beam instead of 20, for four exponentials that the memory system hides.
CS_INLINE void geometry_of(const PointParams& p, const float4& point, int b, long long i, float g[kGeometry]) {
  const float at[3] = {point.x, point.y, point.z};
  voxel_geometry(p.beams[b].frame, p.attenuation, at, p.depth[b * p.n + i], g);
}

}  // namespace

extern "C" {

// Grid: (points / 256, beams). One ray a thread; neighbouring points have neighbouring, nearly parallel rays.
__global__ void __launch_bounds__(256) depth_of_points(const __grid_constant__ DepthParams p) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = blockIdx.y;
  if (i >= p.n) return;
  const float4 point = p.points[i];
  const float at[3] = {point.x, point.y, point.z};
  const Ray ray = ray_to_source(p.lattice, p.beams[b].source, at);
  radiological_depth<1>(p.density, p.lattice, &ray, p.depth + b * p.n + i);
}

// Grid: (points / 256, beams).
__global__ void __launch_bounds__(256) geometry_of_points(const __grid_constant__ GeometryParams p) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = blockIdx.y;
  if (i >= p.at.n) return;
  float g[kGeometry];
  geometry_of(p.at, p.at.points[i], b, i, g);
  for (int k = 0; k < kGeometry; ++k) p.geometry[(b * p.at.n + i) * kGeometry + k] = g[k];
}

// Grid: (points / 256). All threads walk the beams in the same order, so that one beam's maps (400 KB at 160 x 160)
// are what the caches hold; a node is one 16-byte load. Texture units are not used: their linear filter works with
// 8-bit fractions, which is neither 1e-4 nor the transpose of anything.
__global__ void __launch_bounds__(256) forward(const __grid_constant__ ForwardParams p) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.at.n) return;
  const Raster& r = p.at.raster;
  const float4 point = p.at.points[i];
  const long long pixels = static_cast<long long>(r.nu) * r.nv;
  float dose = 0.f;
  for (int b = 0; b < p.at.beam_count; ++b) {
    float g[kGeometry], w[4];
    int base;
    geometry_of(p.at, point, b, i, g);
    if (!raster_cell(r, g[0], g[1], base, w)) continue;
    const float4* m = p.maps + b * pixels + base;
    const float4 m00 = m[0], m01 = m[1], m10 = m[r.nu], m11 = m[r.nu + 1];
    dose += g[2] * (w[0] * m00.x + w[1] * m01.x + w[2] * m10.x + w[3] * m11.x) +
            g[3] * (w[0] * m00.y + w[1] * m01.y + w[2] * m10.y + w[3] * m11.y) +
            g[4] * (w[0] * m00.z + w[1] * m01.z + w[2] * m10.z + w[3] * m11.z);
  }
  p.dose[i] = p.keep == 0.f ? p.scale * dose : p.keep * p.dose[i] + p.scale * dose;
}

// Grid: (points / 256). The gradient of the merit joins the point it belongs to: the adjoint then needs one load.
__global__ void __launch_bounds__(256) place_gradient(const __grid_constant__ GradientParams p) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < p.n) p.points[i].w = p.gradient[i];
}

// --- Sorting the points of each beam by raster cell: once for a set of points, a stable counting sort ----------------

// Grid: (points / 256, beams of the group). Counts are integers: any order of adding gives the same.
__global__ void __launch_bounds__(256) count_cells(const __grid_constant__ SortParams p) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = blockIdx.y;
  if (i >= p.at.n) return;
  float g[kGeometry], w[4];
  int base;
  geometry_of(p.at, p.at.points[i], b, i, g);
  if (!raster_cell(p.at.raster, g[0], g[1], base, w)) base = -1;
  p.cell[b * p.at.n + i] = base;
  const long long cells = static_cast<long long>(p.at.raster.nu) * p.at.raster.nv;
  if (base >= 0) atomicAdd(p.cursor + b * cells + base, 1);
}

// Grid: (beams of the group), 256 threads: exclusive sums of the counts; `cursor` becomes a copy of `begin`.
__global__ void __launch_bounds__(256) scan_cells(const __grid_constant__ SortParams p) {
  __shared__ int shared[256];
  const int cells = p.at.raster.nu * p.at.raster.nv, t = threadIdx.x;
  const int share = (cells + 255) / 256, first = min(t * share, cells), last = min(first + share, cells);
  int* cursor = p.cursor + static_cast<long long>(blockIdx.x) * cells;
  int* begin = p.begin + static_cast<long long>(blockIdx.x) * (cells + 1);
  int sum = 0;
  for (int c = first; c < last; ++c) sum += cursor[c];
  shared[t] = sum;
  __syncthreads();
  for (int step = 1; step < 256; step *= 2) {
    const int left = t >= step ? shared[t - step] : 0;
    __syncthreads();
    shared[t] += left;
    __syncthreads();
  }
  int before = shared[t] - sum;
  for (int c = first; c < last; ++c) {
    const int count = cursor[c];
    begin[c] = cursor[c] = before;
    before += count;
  }
  if (t == 255) begin[cells] = shared[255];
}

// Grid: (points / 256, beams of the group). The place within a cell is arbitrary; order_cells puts that right.
__global__ void __launch_bounds__(256) fill_cells(const __grid_constant__ SortParams p) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = blockIdx.y;
  if (i >= p.at.n) return;
  const long long cells = static_cast<long long>(p.at.raster.nu) * p.at.raster.nv;
  const int cell = p.cell[b * p.at.n + i];
  if (cell >= 0) p.order[b * p.at.n + atomicAdd(p.cursor + b * cells + cell, 1)] = static_cast<int>(i);
}

// Grid: (cells / 256, beams of the group). One thread sorts one cell's points in place (heap sort, so that a cell that
// holds thousands of them is not quadratic); from here on the order of summation is fixed.
__global__ void __launch_bounds__(256) order_cells(const __grid_constant__ SortParams p) {
  const int cells = p.at.raster.nu * p.at.raster.nv, c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= cells) return;
  const int* begin = p.begin + static_cast<long long>(blockIdx.y) * (cells + 1);
  int* item = p.order + blockIdx.y * p.at.n + begin[c];
  int end = begin[c + 1] - begin[c];
  for (int start = end / 2; end > 1;) {
    int value;
    if (start > 0) {
      value = item[--start];
    } else {
      value = item[--end];
      item[end] = item[0];
    }
    int root = start;
    for (int child = 2 * root + 1; child < end; child = 2 * root + 1) {
      if (child + 1 < end && item[child + 1] > item[child]) ++child;
      if (item[child] <= value) break;
      item[root] = item[child];
      root = child;
    }
    item[root] = value;
  }
}

// --- Adjoint ---------------------------------------------------------------------------------------------------------

// Grid: (cells x 8 / 256, beams). Eight threads share a cell: each adds its points in ascending order, then the eight
// sums are added as a fixed tree. No float is added atomically.
__global__ void __launch_bounds__(256) sum_cells(const __grid_constant__ CellSumParams p) {
  const Raster& r = p.at.raster;
  const int cells = r.nu * r.nv, thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int c = thread / kLanes, lane = thread % kLanes, b = blockIdx.y;
  float sum[3][4] = {};
  const int* begin = p.begin + static_cast<long long>(b) * (cells + 1);
  const int first = c < cells ? begin[c] : 0, last = c < cells ? begin[c + 1] : 0;
  if (__any_sync(0xffffffffu, first < last)) {  // most of a raster sees no point
    const int* order = p.order + b * p.at.n;
    const float column = static_cast<float>(c % r.nu), row = static_cast<float>(c / r.nu);
    for (int k = first + lane; k < last; k += kLanes) {
      const int i = order[k];
      const float4 point = p.at.points[i];
      if (point.w == 0.f) continue;
      float g[kGeometry], w[4];
      geometry_of(p.at, point, b, i, g);
      // The cell is known: a last-bit difference to the rounding in count_cells cannot move a point to its neighbour.
      bilinear((g[0] - r.u0) / r.pitch - column, (g[1] - r.v0) / r.pitch - row, w);
      for (int m = 0; m < 3; ++m)
        for (int q = 0; q < 4; ++q) sum[m][q] += w[q] * (point.w * g[2 + m]);
    }
    for (int m = 0; m < 3; ++m)
      for (int q = 0; q < 4; ++q)
        for (int step = kLanes / 2; step > 0; step /= 2) sum[m][q] += __shfl_xor_sync(0xffffffffu, sum[m][q], step);
  }
  if (c >= cells || lane != 0) return;
  float4* out = p.sums + (static_cast<long long>(b) * cells + c) * 3;
  for (int m = 0; m < 3; ++m) out[m] = make_float4(sum[m][0], sum[m][1], sum[m][2], sum[m][3]);
}

// Grid: (pixels / 256, beams). A node gets one corner of each of the four cells around it.
__global__ void __launch_bounds__(256) sum_nodes(const __grid_constant__ NodeParams p) {
  const int nu = p.raster.nu, pixels = nu * p.raster.nv, node = blockIdx.x * blockDim.x + threadIdx.x;
  if (node >= pixels) return;
  const int column = node % nu, row = node / nu;
  const float4* sums = p.sums + static_cast<long long>(blockIdx.y) * pixels * 3;
  float* out = p.maps + static_cast<long long>(blockIdx.y) * 3 * pixels + node;
  for (int m = 0; m < 3; ++m) {
    float sum = sums[3ll * node + m].x;
    if (column > 0) sum += sums[3ll * (node - 1) + m].y;
    if (row > 0) sum += sums[3ll * (node - nu) + m].z;
    if (column > 0 && row > 0) sum += sums[3ll * (node - nu - 1) + m].w;
    out[static_cast<long long>(m) * pixels] = sum;
  }
}

}  // extern "C"

#include "cones.cuh"
#include "transform.cuh"
