// The collapsed cone on a GPU: loops around the arithmetic of collapsed_cone.h. Part of photon.cu. docs/gpu.md tells the
// layout. Every voxel of a slot is written by one thread of one cone at a time, and slots are added in a fixed order.
#pragma once
#include "cone_params.h"

namespace {

// Voxels along the three axes of `number` in an array of this shape.
CS_INLINE void place_of(int number, const int shape[3], int at[3]) {
  const int rest = number / shape[2];
  at[2] = number - rest * shape[2];
  at[0] = rest / shape[1];
  at[1] = rest - at[0] * shape[1];
}

CS_INLINE int size_of(const int shape[3]) { return shape[0] * shape[1] * shape[2]; }

CS_INLINE long long this_thread() { return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; }

}  // namespace

extern "C" {

// Grid: (voxels / 256). A voxel that the head's raster does not reach costs its projection only. Depths are kept while
// exposures come from one source: they are traced once, by the first that reaches the voxel.
__global__ void __launch_bounds__(256) release_energy(const __grid_constant__ ReleaseParams p) {
  const int shape[3] = {p.lattice.n[2], p.lattice.n[1], p.lattice.n[0]};
  const long long thread = this_thread(), voxels = size_of(shape);
  if (thread >= voxels || !(p.density[thread] > 0.f)) return;
  int zyx[3];
  place_of(static_cast<int>(thread), shape, zyx);
  const BeamFrame& f = p.head.frame;
  float point[3], u = 0.f, v = 0.f, w = 0.f;
  for (int a = 0; a < 3; ++a) {
    point[a] = p.lattice.origin[a] + p.lattice.spacing[a] * static_cast<float>(zyx[2 - a]);
    const float from = point[a] - f.isocentre[a];
    u += from * f.ex[a];
    v += from * f.ey[a];
    w += from * f.ez[a];
  }
  const float along = f.sad - w;
  if (!reaches(p.head, u, v, along)) return;
  float depth = p.depth[thread];
  if (depth == 0.f) {
    const Ray ray = ray_to_source(p.lattice, p.source, point);
    radiological_depth<1>(p.density, p.lattice, &ray, &depth);
    p.depth[thread] = depth;
  }
  float primary, scatter, electrons;
  released(p.head, p.maps, p.table, u, v, along, depth, primary, scatter, electrons);
  p.primary[thread] += primary;
  p.scatter[thread] += scatter;
  p.electrons[thread] += electrons;
}

// Grid: (coarse voxels / 256). Every fine voxel lies in one coarse voxel at most.
__global__ void __launch_bounds__(256) pool_energy(const __grid_constant__ PoolParams p) {
  const long long thread = this_thread();
  if (thread >= size_of(p.shape)) return;
  int zyx[3], begin[3], end[3];
  place_of(static_cast<int>(thread), p.shape, zyx);
  for (int a = 0; a < 3; ++a) {
    const int first = p.first[a] + zyx[a] * p.factor[a], last = first + p.factor[a];
    begin[a] = first > 0 ? first : 0;
    end[a] = last < p.fine_shape[a] ? last : p.fine_shape[a];
  }
  float sum = 0.f;
  for (int z = begin[0]; z < end[0]; ++z)
    for (int y = begin[1]; y < end[1]; ++y)
      for (int x = begin[2]; x < end[2]; ++x) {
        const int at = (z * p.fine_shape[1] + y) * p.fine_shape[2] + x;
        sum += p.fine[at] * p.density[at];
        p.fine[at] = 0.f;
      }
  const float held = static_cast<float>(p.factor[0] * p.factor[1] * p.factor[2]);
  p.energy[thread] += sum / (held * p.coarse_density[thread]);
}

// Grid: (images), 256 threads: the largest value of each image of energy.
__global__ void __launch_bounds__(256) find_greatest(const __grid_constant__ GreatestParams p) {
  __shared__ float shared_greatest[256];
  const int t = threadIdx.x;
  const float* image = p.energy + blockIdx.x * p.voxels;
  float most = 0.f;
  for (long long i = t; i < p.voxels; i += 256) most = image[i] > most ? image[i] : most;
  shared_greatest[t] = most;
  __syncthreads();
  for (int step = 128; step > 0; step /= 2) {
    if (t < step && shared_greatest[t + step] > shared_greatest[t]) shared_greatest[t] = shared_greatest[t + step];
    __syncthreads();
  }
  if (t == 0) p.greatest[blockIdx.x] = shared_greatest[0];
}

// Grid: (voxels / 256). Groups hand over in ascending order, whatever wide group they share.
__global__ void __launch_bounds__(256) hand_over(const __grid_constant__ HandOverParams p) {
  const long long i = this_thread();
  if (i >= p.voxels) return;
  for (int g = 0; g < p.group_count; ++g) {
    float* own = p.energy + g * p.voxels + i;
    if (!(*own <= p.least[g])) continue;
    p.energy[p.wide[g] * p.voxels + i] += *own;
    *own = 0.f;
  }
}

// Grid: (rows / 256, groups). Rows are walked from both ends.
__global__ void __launch_bounds__(256) find_hulls(const __grid_constant__ HullParams p) {
  const long long thread = this_thread(), rows = static_cast<long long>(p.shape[0]) * p.shape[1];
  if (thread >= rows) return;
  const long long voxels = size_of(p.shape), group = blockIdx.y;
  const float* row = p.energy + group * voxels + thread * p.shape[2];
  int first = 0, last = p.shape[2];
  while (last > 0 && !(row[last - 1] > p.least)) --last;
  while (first < last && !(row[first] > p.least)) ++first;
  const long long a = thread / p.shape[1], b = thread % p.shape[1];
  short* one = p.by_first + 2 * (group * rows + thread);
  short* other = p.by_second + 2 * (group * rows + b * p.shape[0] + a);
  one[0] = other[0] = static_cast<short>(first);
  one[1] = other[1] = static_cast<short>(last);
}

// Grid: (voxels / 256, images). Once a calculation: writes lie side by side, reads do not.
__global__ void __launch_bounds__(256) turn_lanes(const __grid_constant__ TurnParams p) {
  const long long thread = this_thread(), voxels = size_of(p.shape);
  if (thread >= voxels) return;
  const int turned[3] = {p.shape[0], p.shape[2], p.shape[1]};
  int acb[3];
  place_of(static_cast<int>(thread), turned, acb);
  const long long from = (static_cast<long long>(acb[0]) * p.shape[1] + acb[2]) * p.shape[2] + acb[1];
  p.out[blockIdx.y * voxels + thread] = p.in[blockIdx.y * voxels + from];
}

// Grid: (lines / 256, cones of the batch). One line a thread; neighbouring threads have neighbouring lanes, so that what
// a warp reads and writes in a slab lies side by side. A cone alone would leave most of a large GPU idle: several are
// swept at once, each into a slot of its own.
__global__ void __launch_bounds__(256) sweep_cones(const __grid_constant__ SweepParams p) {
  const int cone = p.first + static_cast<int>(blockIdx.y);
  const ConeLattice c = lattice_of(p.shape, p.origin, p.spacing, p.directions + 3 * cone, p.exponent, p.number[cone]);
  const ConeStarts lines = starts_of(c);
  const long long thread = this_thread();
  const int wide = lines.last_lane - lines.first_lane, row = lines.first_row + static_cast<int>(thread / wide);
  if (row >= lines.last_row) return;
  const int lane = lines.first_lane + static_cast<int>(thread % wide);
  const ConeGroup* groups = c.slab_axis == 0 ? p.by_first : p.by_second;
  const ConeWeights* weights = p.weights + static_cast<long long>(cone) * p.group_count;
  cone_lines<1>(c, p.density, groups, weights, p.group_count, row, lane,
                p.slots + static_cast<long long>(blockIdx.y) * size_of(p.shape));
}

// Grid: (voxels / 256).
__global__ void __launch_bounds__(256) add_slots(const __grid_constant__ SlotParams p) {
  const long long thread = this_thread(), voxels = size_of(p.shape);
  if (thread >= voxels) return;
  long long from = thread;
  if (p.turned) {
    int abc[3];
    place_of(static_cast<int>(thread), p.shape, abc);
    from = (static_cast<long long>(abc[0]) * p.shape[2] + abc[2]) * p.shape[1] + abc[1];
  }
  float sum = 0.f;
  for (int slot = 0; slot < p.slot_count; ++slot) sum += p.slots[slot * voxels + from];
  p.dose[thread] += sum;
}

}  // extern "C"
