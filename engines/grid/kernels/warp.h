// Values of one grid read at the voxel centres of another, through an affine map and perhaps a displacement field.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace couchside {

// Part of a voxel by which rounding may put a point beyond the outer border of an image.
constexpr double kBorderSlack = 1e-4;

// Trilinear between the voxel centres of an image of n[2] x n[1] x n[0] (z, y, x) voxels.
template <typename T>
struct Image {
  const T* values;
  int n[3];  // x, y, z

  // at: index along x, y, z. False beyond the outer border; in the outer half of a border voxel its value holds on.
  bool read(const double at[3], float& value) const {
    int64_t low[3], high[3];
    float part[3];
    for (int a = 0; a < 3; ++a) {
      const double last = n[a] - 1;
      if (!(at[a] >= -0.5 - kBorderSlack && at[a] <= last + 0.5 + kBorderSlack)) return false;
      const double within = std::min(std::max(at[a], 0.0), last);
      low[a] = static_cast<int64_t>(within);
      high[a] = std::min<int64_t>(low[a] + 1, n[a] - 1);
      part[a] = static_cast<float>(within - static_cast<double>(low[a]));
    }
    const int64_t row = n[0], plane = row * n[1];
    float level[2];
    for (int k = 0; k < 2; ++k) {
      const T* const slice = values + (k ? high[2] : low[2]) * plane;
      const T *const near = slice + low[1] * row, *const far = slice + high[1] * row;
      const float first = mixed(near[low[0]], near[high[0]], part[0]);
      const float second = mixed(far[low[0]], far[high[0]], part[0]);
      level[k] = mixed(first, second, part[1]);
    }
    value = mixed(level[0], level[1], part[2]);
    return true;
  }

  static float mixed(float low, float high, float part) { return low + part * (high - low); }
};

// Displacements in mm, three components (x, y, z) at each voxel; between centres trilinear, beyond them the border's
// value. index of the field = first + step * index of the target, along x, y, z.
struct Displacements {
  const float* mm;
  int n[3];
  double first[3], step[3];

  // One row of the target: three components for each of `count` voxels.
  void row(int64_t y, int64_t z, int64_t count, std::vector<float>& line, float* out) const {
    int64_t at[2][2];
    float part[2];
    for (int a = 1; a < 3; ++a) place(first[a] + step[a] * static_cast<double>(a == 1 ? y : z), a, at[a - 1], part[a - 1]);
    const int64_t width = 3 * static_cast<int64_t>(n[0]), plane = width * n[1];
    const float* const corner[4] = {mm + at[1][0] * plane + at[0][0] * width, mm + at[1][0] * plane + at[0][1] * width,
                                    mm + at[1][1] * plane + at[0][0] * width, mm + at[1][1] * plane + at[0][1] * width};
    for (int64_t i = 0; i < width; ++i) {
      const float near = corner[0][i] + part[0] * (corner[1][i] - corner[0][i]);
      const float far = corner[2][i] + part[0] * (corner[3][i] - corner[2][i]);
      line[i] = near + part[1] * (far - near);
    }
    for (int64_t x = 0; x < count; ++x) {
      int64_t along[2];
      float share;
      place(first[0] + step[0] * static_cast<double>(x), 0, along, share);
      const float *const low = line.data() + 3 * along[0], *const high = line.data() + 3 * along[1];
      for (int c = 0; c < 3; ++c) out[3 * x + c] = low[c] + share * (high[c] - low[c]);
    }
  }

  void place(double index, int axis, int64_t at[2], float& part) const {
    const double within = std::min(std::max(index, 0.0), static_cast<double>(n[axis] - 1));
    at[0] = static_cast<int64_t>(within);
    at[1] = std::min<int64_t>(at[0] + 1, n[axis] - 1);
    part = static_cast<float>(within - static_cast<double>(at[0]));
  }
};

// Index of the source = matrix (3 x 4, rows x, y, z) of the target's index, and per_mm of a displacement. shape: of the
// target, x, y, z.
template <typename T>
void warp(const Image<T>& source, const double matrix[12], const Displacements* field, const double per_mm[3],
          const int64_t shape[3], float outside, float* out, int threads) {
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> line(field ? 3 * static_cast<size_t>(field->n[0]) : 0), shift(field ? 3 * shape[0] : 0);
#pragma omp for schedule(dynamic, 8)
    for (int64_t row = 0; row < shape[1] * shape[2]; ++row) {
      const int64_t y = row % shape[1], z = row / shape[1];
      if (field) field->row(y, z, shape[0], line, shift.data());
      double start[3];
      for (int a = 0; a < 3; ++a)
        start[a] = matrix[4 * a + 1] * static_cast<double>(y) + matrix[4 * a + 2] * static_cast<double>(z) + matrix[4 * a + 3];
      float* const line_out = out + row * shape[0];
      for (int64_t x = 0; x < shape[0]; ++x) {
        double at[3];
        for (int a = 0; a < 3; ++a) {
          at[a] = start[a] + matrix[4 * a] * static_cast<double>(x);
          if (field) at[a] += per_mm[a] * static_cast<double>(shift[3 * x + a]);
        }
        float value;
        line_out[x] = source.read(at, value) ? value : outside;
      }
    }
  }
}

// Means over blocks of count (x, y, z) voxels of values cut to low..high; what is left over at an end is left out.
// shape: of the values, size: of the means, both x, y, z.
template <typename T>
void block_means(const T* values, const int64_t shape[3], const int64_t count[3], const int64_t size[3], float low,
                 float high, float* out, int threads) {
  const double share = 1.0 / static_cast<double>(count[0] * count[1] * count[2]);
#pragma omp parallel num_threads(threads)
  {
    std::vector<double> sums(static_cast<size_t>(size[0]));
#pragma omp for schedule(dynamic, 8)
    for (int64_t row = 0; row < size[1] * size[2]; ++row) {
      const int64_t first_y = row % size[1] * count[1], first_z = row / size[1] * count[2];
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t z = first_z; z < first_z + count[2]; ++z)
        for (int64_t y = first_y; y < first_y + count[1]; ++y) {
          const T* from = values + (z * shape[1] + y) * shape[0];
          for (int64_t x = 0; x < size[0]; ++x)
            for (int64_t i = 0; i < count[0]; ++i) {
              const float value = static_cast<float>(*from++);
              // Written so that a value that is not a number stays one.
              sums[x] += value < low ? low : value > high ? high : value;
            }
        }
      for (int64_t x = 0; x < size[0]; ++x) out[row * size[0] + x] = static_cast<float>(share * sums[x]);
    }
  }
}

}  // namespace couchside
