// Between an image's grid and the network's: whole blocks of voxels pooled on the way there, trilinear on the way back.
#include "grid_bindings.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;
template <typename T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <int D>
using Out = nb::ndarray<float, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
using Blocks = std::array<int, 3>;

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

void check_blocks(const std::array<long, 3>& fine, const Out<3>& out, const Blocks& blocks) {
  for (int a = 0; a < 3; ++a)
    require(blocks[a] > 0 && static_cast<long>(out.shape(a)) == (fine[a] + blocks[a] - 1) / blocks[a],
            "out must have one voxel for each block");
}

// out (zeros on entry): share of each block that a region fills. index: flat into the fine grid, ascending.
void pool_region(In<std::int32_t, 1> index, In<float, 1> fraction, std::array<long, 3> fine, Blocks blocks,
                 Out<3> out) {
  check_blocks(fine, out, blocks);
  require(index.shape(0) == fraction.shape(0), "index and fraction must have one length");
  const long n = static_cast<long>(index.shape(0)), nx = fine[2], ny = fine[1];
  const std::int32_t* at = index.data();
  require(n == 0 || (at[0] >= 0 && at[n - 1] < fine[0] * ny * nx), "index outside the grid");
  const float *part = fraction.data(), scale = 1.f / static_cast<float>(blocks[0] * blocks[1] * blocks[2]);
  float *to = out.data(), *line = to;
  const float per_block = 1.f / static_cast<float>(blocks[2]);
  nb::gil_scoped_release release;
  long first = 0, last = 0;  // of the row that `line` belongs to
  for (long i = 0; i < n; ++i) {
    const long flat = at[i];
    if (flat >= last || flat < first) {
      const long row = flat / nx, z = row / ny, y = row - z * ny;
      first = row * nx;
      last = first + nx;
      line = to + ((z / blocks[0]) * static_cast<long>(out.shape(1)) + y / blocks[1]) * static_cast<long>(out.shape(2));
    }
    // Exact for rows of less than 2^20 voxels: half a voxel is further from a block's border than rounding reaches.
    line[static_cast<long>((static_cast<float>(flat - first) + 0.5f) * per_block)] += scale * part[i];
  }
}

// out: mean of each block of an image; a last block that is not whole is the mean of what there is of it.
void pool_image(In<std::int16_t, 3> image, Blocks blocks, Out<3> out, int threads) {
  const std::array<long, 3> fine{static_cast<long>(image.shape(0)), static_cast<long>(image.shape(1)),
                                 static_cast<long>(image.shape(2))};
  check_blocks(fine, out, blocks);
  const std::int16_t* from = image.data();
  float* to = out.data();
  const long nz = static_cast<long>(out.shape(0)), ny = static_cast<long>(out.shape(1));
  const long nx = static_cast<long>(out.shape(2));
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long z = 0; z < nz; ++z) {
    std::vector<std::int32_t> sum(fine[2]);
    const long z_end = std::min(fine[0], (z + 1) * blocks[0]);
    for (long y = 0; y < ny; ++y) {
      const long y_end = std::min(fine[1], (y + 1) * blocks[1]);
      std::fill(sum.begin(), sum.end(), 0);
      for (long k = z * blocks[0]; k < z_end; ++k)
        for (long j = y * blocks[1]; j < y_end; ++j) {
          const std::int16_t* row = from + (k * fine[1] + j) * fine[2];
          for (long i = 0; i < fine[2]; ++i) sum[i] += row[i];
        }
      const long rows = (z_end - z * blocks[0]) * (y_end - y * blocks[1]);
      for (long x = 0; x < nx; ++x) {
        const long x_end = std::min(fine[2], (x + 1) * blocks[2]);
        double total = 0.0;
        for (long i = x * blocks[2]; i < x_end; ++i) total += sum[i];
        to[(z * ny + y) * nx + x] = static_cast<float>(total / static_cast<double>(rows * (x_end - x * blocks[2])));
      }
    }
  }
}

// out (z, y, x): values between the coarse voxels that are inside, where these make up at least half, else 0.
// For each axis of out: lower coarse index, -1 where the coarse grid does not reach, and the share of the next.
void refine(In<float, 3> volume, In<std::uint8_t, 3> inside, std::array<In<std::int32_t, 1>, 3> low,
            std::array<In<float, 1>, 3> part, Out<3> out, int threads) {
  long n[3], m[3];
  for (int a = 0; a < 3; ++a) {
    n[a] = static_cast<long>(volume.shape(a));
    m[a] = static_cast<long>(out.shape(a));
    require(static_cast<long>(inside.shape(a)) == n[a], "volume and inside must have one shape");
    require(static_cast<long>(low[a].shape(0)) == m[a] && static_cast<long>(part[a].shape(0)) == m[a],
            "low and part must be as long as the axes of out");
    for (long i = 0; i < m[a]; ++i) require(low[a].data()[i] >= -1 && low[a].data()[i] < n[a], "low outside the grid");
  }
  const float* v = volume.data();
  const std::uint8_t* mask = inside.data();
  const std::int32_t *lz = low[0].data(), *ly = low[1].data(), *lx = low[2].data();
  const float *pz = part[0].data(), *py = part[1].data(), *px = part[2].data();
  float* to = out.data();
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long z = 0; z < m[0]; ++z) {
    float* plane = to + z * m[1] * m[2];
    std::fill_n(plane, m[1] * m[2], 0.f);
    if (lz[z] < 0) continue;
    // Value and share side by side; one more column repeats the last, which has no next.
    std::vector<float> mixed(2 * n[1] * n[2]), row(2 * (n[2] + 1));
    const long a = lz[z] * n[1] * n[2], b = std::min<long>(lz[z] + 1, n[0] - 1) * n[1] * n[2];
    for (long i = 0; i < n[1] * n[2]; ++i) {
      const float p = mask[a + i] ? 1.f - pz[z] : 0.f, q = mask[b + i] ? pz[z] : 0.f;
      mixed[2 * i] = p * v[a + i] + q * v[b + i];
      mixed[2 * i + 1] = p + q;
    }
    for (long y = 0; y < m[1]; ++y) {
      if (ly[y] < 0) continue;
      const float* r = mixed.data() + 2 * ly[y] * n[2];
      const float* s = mixed.data() + 2 * std::min<long>(ly[y] + 1, n[1] - 1) * n[2];
      float most = 0.f;
      for (long i = 0; i < 2 * n[2]; ++i) row[i] = r[i] + py[y] * (s[i] - r[i]);
      for (long i = 0; i < n[2]; ++i) most = std::max(most, row[2 * i + 1]);
      if (most < 0.5f) continue;
      row[2 * n[2]] = row[2 * n[2] - 2];
      row[2 * n[2] + 1] = row[2 * n[2] - 1];
      float* line = plane + y * m[2];
      for (long x = 0; x < m[2]; ++x) {
        if (lx[x] < 0) continue;
        const float* c = row.data() + 2 * lx[x];
        const float value = c[0] + px[x] * (c[2] - c[0]), share = c[1] + px[x] * (c[3] - c[1]);
        line[x] = share >= 0.5f ? value / share : 0.f;
      }
    }
  }
}

}  // namespace

void define_grid_changes(nb::module_& module) {
  module.def("pool_region", &pool_region, nb::arg("index"), nb::arg("fraction"), nb::arg("fine"), nb::arg("blocks"),
             nb::arg("out"));
  module.def("pool_image", &pool_image, nb::arg("image"), nb::arg("blocks"), nb::arg("out"), nb::arg("threads"));
  module.def("refine", &refine, nb::arg("volume"), nb::arg("inside"), nb::arg("low"), nb::arg("part"), nb::arg("out"),
             nb::arg("threads"));
}
