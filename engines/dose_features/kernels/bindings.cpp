// CPU face of the dose network's features: NumPy arrays in and out, OpenMP loops around the arithmetic of beam_math.h.
// Shapes are checked here; engines/dose_features/features.py gives them names and units.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <omp.h>

#include <memory>
#include <stdexcept>

#include "distance.h"
#include "grid_bindings.h"
#include "quick_plans.h"

namespace nb = nanobind;
using namespace couchside;
using namespace couchside::dose_features;
using Vec3 = std::array<float, 3>;
template <typename T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
// Channels of a padded tensor: rows are contiguous, planes are not.
template <int D>
using Out = nb::ndarray<float, nb::ndim<D>, nb::device::cpu>;

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

template <typename A, typename B>
bool same_shape(const A& a, const B& b, int from = 0) {
  for (int axis = 0; axis < 3; ++axis)
    if (a.shape(axis) != b.shape(axis + from)) return false;
  return true;
}

// distance of `inside` (or, with wanted false, of what is not inside), times scale, where `possible`; 0 elsewhere.
void distances(In<std::uint8_t, 3> inside, bool wanted, In<std::uint8_t, 3> possible, Vec3 spacing, float limit,
               float scale, Out<3> out, int threads) {
  require(same_shape(inside, possible) && same_shape(inside, out), "volumes must have one shape");
  require(out.stride(2) == 1, "rows of out must be contiguous");
  require(limit > 0.f && spacing[0] > 0.f && spacing[1] > 0.f && spacing[2] > 0.f, "lengths must be positive");
  int n[3];
  for (int axis = 0; axis < 3; ++axis) n[axis] = static_cast<int>(inside.shape(axis));
  const View view{out.data(), static_cast<long>(out.stride(0)), static_cast<long>(out.stride(1))};
  const std::uint8_t *from = inside.data(), *where = possible.data();
  nb::gil_scoped_release release;
  const size_t size = static_cast<size_t>(n[0]) * n[1] * n[2];
  const std::unique_ptr<float[]> first(new float[size]), second(new float[size]);
  distance(from, wanted, where, n, spacing.data(), limit, scale, view, first.get(), second.get(), threads);
}

// Sums over target points of each level's open field, and over all of them what they ask for.
struct OpenSums {
  double dose[kLevels] = {}, count[kLevels] = {}, asked = 0.0;
};

OpenSums open_sums(const Patient& p, const std::vector<float>& maps, int threads) {
  std::vector<int> target;
  for (const int at : p.points)
    if (p.level[at] < kLevels) target.push_back(at);
  const long n = static_cast<long>(target.size()), blocks = (n + kBlock - 1) / kBlock;
  std::vector<std::array<double, kLevels>> found(blocks);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long block = 0; block < blocks; ++block) {
    const int count = static_cast<int>(std::min<long>(kBlock, n - block * kBlock));
    const int* index = target.data() + block * kBlock;
    const Coordinates at = coordinates_of(p, index, count);
    Eight total[kBlock] = {};
    Samples made;
    for (int b = 0; b < static_cast<int>(p.beams.size()); ++b) {
      samples_of(p, b, at, &made);
      for (int i = 0; i < count; ++i) total[i] += fields_at(maps.data() + static_cast<long>(b) * kMap * 8, made[i]);
    }
    std::array<double, kLevels> sum{};
    for (int i = 0; i < count; ++i)
      for (int k = p.level[index[i]]; k < kLevels; ++k) sum[k] += static_cast<double>(total[i][k]);
    found[block] = sum;
  }
  OpenSums sums;
  for (const auto& sum : found)
    for (int k = 0; k < kLevels; ++k) sums.dose[k] += sum[k];
  for (const int at : target) {
    sums.asked += static_cast<double>(p.asked[at]);
    for (int k = p.level[at]; k < kLevels; ++k) sums.count[k] += 1.0;
  }
  return sums;
}

// Channels of every point: open fields, beams seen, plans, largest beam. maps: fields 0..2 open fields, 3..5 plans.
void write_channels(const Patient& p, const std::vector<float>& maps, const float open_scale[kLevels], float plan_scale,
                    const View* out, int threads) {
  const long n = static_cast<long>(p.points.size());
  const int beams = static_cast<int>(p.beams.size());
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long first = 0; first < n; first += kBlock) {
    const int count = static_cast<int>(std::min<long>(kBlock, n - first));
    const int* index = p.points.data() + first;
    const Coordinates at = coordinates_of(p, index, count);
    Eight total[kBlock] = {};
    Samples made;
    float largest[kBlock] = {};
    int seen[kBlock] = {};
    for (int b = 0; b < beams; ++b) {
      samples_of(p, b, at, &made);
      for (int i = 0; i < count; ++i) {
        const Eight dose = fields_at(maps.data() + static_cast<long>(b) * kMap * 8, made[i]);
        total[i] += dose;
        seen[i] += dose[2] > 0.5f * made.weight[i];
        largest[i] = std::max(largest[i], dose[4]);
      }
    }
    for (int i = 0; i < count; ++i) {
      const int line = index[i] / p.n[2], c = line / p.n[1], a = line % p.n[1], x = index[i] - line * p.n[2];
      const float values[8] = {
          total[i][0] * open_scale[0], total[i][1] * open_scale[1], total[i][2] * open_scale[2],
          static_cast<float>(seen[i]) / static_cast<float>(beams), total[i][3] * plan_scale,
          total[i][4] * plan_scale, total[i][5] * plan_scale,
          largest[i] * plan_scale * (static_cast<float>(beams) / 3.f)};
      for (int k = 0; k < 8; ++k) out[k].at[c * out[k].plane + a * out[k].row + x] = values[k];
    }
  }
}

// asked: prescription in Gy of the plans' own scale, 0 outside targets; level: 0..2, above outside targets. z, y, x: mm
// from the isocentre. axes (beams, 4): towards (y, x), across (y, x). out: open fields, beams seen, plans, largest
// beam.
void beam_channels(In<std::uint8_t, 3> possible, In<float, 3> asked, In<std::uint8_t, 3> level,
                   In<std::uint8_t, 3> kind, In<float, 1> z, In<float, 1> y, In<float, 1> x, Vec3 spacing,
                   In<float, 2> axes, float plan_scale, Out<4> out, int threads) {
  require(same_shape(possible, asked) && same_shape(possible, level) && same_shape(possible, kind) &&
              same_shape(possible, out, 1) && out.shape(0) == 8,
          "volumes must have one shape, out eight of them");
  require(z.shape(0) == possible.shape(0) && y.shape(0) == possible.shape(1) && x.shape(0) == possible.shape(2),
          "z, y and x must be as long as the axes");
  require(axes.shape(1) == 4 && axes.shape(0) > 0 && out.stride(3) == 1, "axes must be (beams, 4), rows contiguous");
  require(possible.size() < (1u << 31), "a volume must have less than 2^31 voxels");
  Patient p{possible.data(), level.data(), kind.data(), asked.data(), z.data(), y.data(), x.data(),
            {spacing[0], spacing[1], spacing[2]}, {}, {}, {}, {}};
  for (int axis = 0; axis < 3; ++axis) p.n[axis] = static_cast<int>(possible.shape(axis));
  const int beams = static_cast<int>(axes.shape(0));
  for (int b = 0; b < beams; ++b) {
    const float* v = axes.data() + 4 * b;
    p.beams.push_back(Beam{{v[0], v[1]}, {v[2], v[3]}});
  }
  View views[8];
  for (int k = 0; k < 8; ++k)
    views[k] = View{out.data() + k * out.stride(0), static_cast<long>(out.stride(1)), static_cast<long>(out.stride(2))};
  nb::gil_scoped_release release;
  p.points = points_of(p);
  fill_paths(p, threads);
  const Kernels kernels;
  std::vector<float> fields, maps(static_cast<size_t>(beams) * kMap * 8), scratch;
  draw_shadows<8>(p, fields);
  const auto spread_all = [&] {
    for (long b = 0; b < beams; ++b)
      spread<8>(kernels, fields.data() + b * kMap * 8, false, maps.data() + b * kMap * 8, scratch);
  };
  spread_all();
  const OpenSums sums = open_sums(p, maps, threads);
  float open_scale[kLevels];
  for (int k = 0; k < kLevels; ++k)
    open_scale[k] = sums.dose[k] > 0.0 ? static_cast<float>(sums.count[k] / sums.dose[k]) : 0.f;
  // All plans start from the widest open field, at the dose that is asked for on average.
  const float start = sums.count[2] > 0.0 ? static_cast<float>(sums.asked / sums.dose[2]) : 0.f;
  std::vector<float> fluence(static_cast<size_t>(beams) * kMap * kFields, 0.f);
  for (long i = 0; i < static_cast<long>(beams) * kMap; ++i)
    for (int k = 0; k < kPlans; ++k) fluence[i * kFields + k] = start * fields[i * 8 + 2];
  optimise(seen_by(p, threads), beams, fluence, threads);
  for (long i = 0; i < static_cast<long>(beams) * kMap; ++i)
    for (int k = 0; k < kPlans; ++k) fields[i * 8 + kLevels + k] = fluence[i * kFields + k];
  spread_all();
  write_channels(p, maps, open_scale, plan_scale, views, threads);
}

}  // namespace

NB_MODULE(_dose_features, module) {
  module.doc() = "Features of the dose network on the CPU (OpenMP). See engines/dose_features for units and frames.";
  module.def("max_threads", [] { return omp_get_max_threads(); });
  module.def("distances", &distances, nb::arg("inside"), nb::arg("wanted"), nb::arg("possible"), nb::arg("spacing"),
             nb::arg("limit"), nb::arg("scale"), nb::arg("out"), nb::arg("threads"));
  module.def("beam_channels", &beam_channels, nb::arg("possible"), nb::arg("asked"), nb::arg("level"), nb::arg("kind"),
             nb::arg("z"), nb::arg("y"), nb::arg("x"), nb::arg("spacing"), nb::arg("axes"), nb::arg("plan_scale"),
             nb::arg("out"), nb::arg("threads"));
  define_grid_changes(module);
}
