// CPU face of the warp: NumPy arrays in and out. Shapes are checked here; engines/grid/warp.py gives them names,
// units and frames. Arrays are (z, y, x), everything else goes x, y, z.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <omp.h>

#include <array>
#include <optional>
#include <stdexcept>

#include "warp.h"

namespace nb = nanobind;
using namespace couchside;
template <typename T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Vec3 = std::array<double, 3>;

namespace {

template <typename Array>
std::array<int64_t, 3> shape_of(const Array& array) {
  return {static_cast<int64_t>(array.shape(2)), static_cast<int64_t>(array.shape(1)),
          static_cast<int64_t>(array.shape(0))};
}

template <typename T>
void warped(In<T, 3> values, std::array<double, 12> matrix, std::optional<In<float, 4>> field, Vec3 first, Vec3 step,
            Vec3 per_mm, float outside, Out out, int threads) {
  const auto own = shape_of(values), shape = shape_of(out);
  if (values.size() == 0) throw std::invalid_argument("there are no values");
  const Image<T> source{values.data(), {int(own[0]), int(own[1]), int(own[2])}};
  Displacements moves{};
  if (field) {
    if (field->shape(3) != 3 || field->size() == 0) throw std::invalid_argument("a field has three components");
    moves.mm = field->data();
    for (int a = 0; a < 3; ++a) {
      moves.n[a] = static_cast<int>(field->shape(2 - a));
      moves.first[a] = first[a];
      moves.step[a] = step[a];
    }
  }
  const bool has_field = field.has_value();
  nb::gil_scoped_release release;
  warp(source, matrix.data(), has_field ? &moves : nullptr, per_mm.data(), shape.data(), outside, out.data(), threads);
}

template <typename T>
void block_means_of(In<T, 3> values, std::array<int64_t, 3> count, float low, float high, Out out, int threads) {
  const auto shape = shape_of(values), size = shape_of(out);
  for (int a = 0; a < 3; ++a)
    if (count[a] < 1 || size[a] * count[a] > shape[a]) throw std::invalid_argument("blocks beyond the values");
  nb::gil_scoped_release release;
  block_means(values.data(), shape.data(), count.data(), size.data(), low, high, out.data(), threads);
}

template <typename T>
void add(nb::module_& module) {
  module.def("warped", &warped<T>, nb::arg("values"), nb::arg("matrix"), nb::arg("field").none(), nb::arg("first"),
             nb::arg("step"), nb::arg("per_mm"), nb::arg("outside"), nb::arg("out"), nb::arg("threads"));
  module.def("block_means", &block_means_of<T>, nb::arg("values"), nb::arg("count"), nb::arg("low"), nb::arg("high"),
             nb::arg("out"), nb::arg("threads"));
}

}  // namespace

NB_MODULE(_warp, module) {
  module.doc() = "Images read through maps, and averaged, on the CPU (OpenMP). See engines/grid/warp.py.";
  module.def("max_threads", [] { return omp_get_max_threads(); });
  add<float>(module);
  add<int16_t>(module);
  add<bool>(module);
}
