// Exact Euclidean distance to a mask, up to a limit: axis after axis, the nearest along each by direct search (as
// separable as in Felzenszwalb and Huttenlocher, Theory of Computing 8:415, 2012; shorter where distances are).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace couchside {
namespace dose_features {

// A volume (z, y, x): rows of nx floats at row and plane strides.
struct View {
  float* at;
  long plane, row;
};

// Squared distance along x to the nearest voxel of a row: two sweeps.
inline void along_row(const std::uint8_t* inside, bool wanted, int n, float step, float limit2, float* out) {
  int since = n + 1;
  for (int i = 0; i < n; ++i) {
    since = (inside[i] != 0) == wanted ? 0 : since + 1;
    const float mm = step * static_cast<float>(since);
    out[i] = mm * mm;
  }
  since = n + 1;
  for (int i = n - 1; i >= 0; --i) {
    since = (inside[i] != 0) == wanted ? 0 : since + 1;
    const float mm = step * static_cast<float>(since);
    out[i] = std::min(std::min(out[i], mm * mm), limit2);
  }
}

// out[row k] = min over j of in[row j] + (step (k - j))^2 for rows 0..count at a stride, each n floats.
inline void along_rows(const float* in, long stride, int count, int k, int n, float step, float limit2, float* out) {
  std::copy_n(in + k * stride, n, out);
  const int reach = static_cast<int>(std::sqrt(limit2) / step);
  for (int d = 1; d <= reach; ++d) {
    const float added = (step * static_cast<float>(d)) * (step * static_cast<float>(d));
    if (added >= limit2) break;
    for (int side = -d; side <= d; side += 2 * d) {
      if (k + side < 0 || k + side >= count) continue;
      const float* other = in + (k + side) * stride;
      for (int i = 0; i < n; ++i) out[i] = std::min(out[i], other[i] + added);
    }
  }
}

// distance (z, y, x) of voxels where `where` is not zero, times scale, 0 elsewhere. inside: the mask, or with wanted
// false what is not the mask. spacing z, y, x. limit everywhere for an empty mask. first, second: scratch of
// nz * ny * nx.
inline void distance(const std::uint8_t* inside, bool wanted, const std::uint8_t* where, const int n[3],
                     const float spacing[3], float limit, float scale, View out, float* first, float* second,
                     int threads) {
  const int nz = n[0], ny = n[1], nx = n[2];
  const long plane = static_cast<long>(ny) * nx;
  const float limit2 = limit * limit;
  std::vector<std::uint8_t> any(nz, 0);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int z = 0; z < nz; ++z) {
    const std::uint8_t* from = inside + z * plane;
    for (long i = 0; i < plane && !any[z]; ++i) any[z] = (from[i] != 0) == wanted;
    if (!any[z]) {
      std::fill_n(second + z * plane, plane, limit2);
      continue;
    }
    for (long y = 0; y < ny; ++y)
      along_row(from + y * nx, wanted, nx, spacing[2], limit2, first + z * plane + y * nx);
    for (int y = 0; y < ny; ++y)
      along_rows(first + z * plane, nx, ny, y, nx, spacing[1], limit2, second + z * plane + static_cast<long>(y) * nx);
  }
  const int reach = static_cast<int>(limit / spacing[0]);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int z = 0; z < nz; ++z) {
    float* found = first + z * plane;
    std::copy_n(second + z * plane, plane, found);
    for (int d = 1; d <= reach; ++d) {
      const float added = (spacing[0] * static_cast<float>(d)) * (spacing[0] * static_cast<float>(d));
      for (int side = -d; side <= d; side += 2 * d) {
        const int from = z + side;
        if (added >= limit2 || from < 0 || from >= nz || !any[from]) continue;
        const float* other = second + from * plane;
        for (long i = 0; i < plane; ++i) found[i] = std::min(found[i], other[i] + added);
      }
    }
    for (int y = 0; y < ny; ++y) {
      float* to = out.at + z * out.plane + y * out.row;
      const long row = static_cast<long>(y) * nx;
      for (int x = 0; x < nx; ++x)
        to[x] = where[z * plane + row + x] ? scale * std::sqrt(std::min(found[row + x], limit2)) : 0.f;
    }
  }
}

}  // namespace dose_features
}  // namespace couchside
