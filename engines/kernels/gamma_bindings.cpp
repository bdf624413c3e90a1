// CPU face of the gamma index: NumPy arrays in and out, one thread a block of reference points.
// Shapes are checked here; engines/gamma.py gives them names and units.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <omp.h>

#include <array>
#include <stdexcept>

#include "gamma.h"

namespace nb = nanobind;
using namespace couchside;
using Vec3 = std::array<double, 3>;
template <typename T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

namespace {

// index: flat C-order indices into the reference grid of shape (nz, ny, nx); gamma and per_dose in its order.
void gamma_of_points(In<float, 3> reference, Vec3 reference_origin, Vec3 reference_spacing, In<float, 3> evaluated,
                     Vec3 origin, Vec3 spacing, In<int64_t, 1> index, In<float, 1> per_dose, float largest,
                     float accuracy, Out gamma, int threads) {
  const long n = static_cast<long>(index.shape(0));
  if (static_cast<long>(per_dose.shape(0)) != n || static_cast<long>(gamma.shape(0)) != n)
    throw std::invalid_argument("index, per_dose and gamma must have one length");
  Field field{evaluated.data(), {}, {}, {}};
  for (int a = 0; a < 3; ++a) {
    field.origin[a] = origin[a];
    field.spacing[a] = spacing[a];
    field.n[a] = static_cast<int>(evaluated.shape(2 - a));
  }
  const float *dose = reference.data(), *scale = per_dose.data();
  const int64_t* flat = index.data();
  const int64_t nx = reference.shape(2), ny = reference.shape(1), size = nx * ny * reference.shape(0);
  for (long i = 0; i < n; ++i)
    if (flat[i] < 0 || flat[i] >= size) throw std::invalid_argument("index outside the reference grid");
  float* out = gamma.data();
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(dynamic, 1024) num_threads(threads)
  for (long i = 0; i < n; ++i) {
    const int64_t at = flat[i], voxel[3] = {at % nx, at / nx % ny, at / (nx * ny)};
    double point[3];
    for (int a = 0; a < 3; ++a) point[a] = reference_origin[a] + static_cast<double>(voxel[a]) * reference_spacing[a];
    out[i] = gamma_at(field, point, dose[at], scale[i], largest, accuracy);
  }
}

}  // namespace

NB_MODULE(_gamma, module) {
  module.doc() = "Gamma index on the CPU (OpenMP). See engines/gamma.py for units and frames.";
  module.def("max_threads", [] { return omp_get_max_threads(); });
  module.def("gamma_of_points", &gamma_of_points, nb::arg("reference"), nb::arg("reference_origin"),
             nb::arg("reference_spacing"), nb::arg("evaluated"), nb::arg("origin"), nb::arg("spacing"),
             nb::arg("index"), nb::arg("per_dose"), nb::arg("largest"), nb::arg("accuracy"), nb::arg("gamma"),
             nb::arg("threads"));
}
