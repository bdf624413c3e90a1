// CPU face of the photon kernels: NumPy arrays in and out, OpenMP loops around the arithmetic of photon_math.h.
// Shapes are checked here; the Python layer above (engines/photon) gives them names and units.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <omp.h>

#include <array>
#include <stdexcept>
#include <vector>

#include "cone_bindings.h"
#include "leaf_rows.h"
#include "grid_dose.h"
#include "photon_math.h"
#include "sampled_dose.h"

namespace nb = nanobind;
using namespace couchside;
using Vec3 = std::array<float, 3>;
using Vec2 = std::array<float, 2>;
template <int D>
using In = nb::ndarray<const float, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <int D>
using Out = nb::ndarray<float, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
using Wanted = nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

BeamFrame frame_of(const Vec3& isocentre, const Vec3& ex, const Vec3& ey, const Vec3& ez, float sad) {
  BeamFrame frame{};
  for (int a = 0; a < 3; ++a) {
    frame.isocentre[a] = isocentre[a];
    frame.ex[a] = ex[a];
    frame.ey[a] = ey[a];
    frame.ez[a] = ez[a];
  }
  frame.sad = sad;
  return frame;
}

void depth_of_points(In<3> density, Vec3 origin, Vec3 spacing, Vec3 source, In<2> points, Out<1> out, int threads) {
  require(points.shape(1) == 3 && out.shape(0) == points.shape(0), "points must be (n, 3) and out (n,)");
  Lattice lattice{};
  for (int a = 0; a < 3; ++a) {
    lattice.origin[a] = origin[a];
    lattice.spacing[a] = spacing[a];
    lattice.n[a] = static_cast<int>(density.shape(2 - a));
  }
  const float* rho = density.data();
  const float* p = points.data();
  float* depth = out.data();
  const long n = static_cast<long>(points.shape(0));
  constexpr int lanes = 8;
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(dynamic, 512) num_threads(threads)
  for (long block = 0; block < (n + lanes - 1) / lanes; ++block) {
    const long first = block * lanes;
    const int count = static_cast<int>(n - first < lanes ? n - first : lanes);
    Ray rays[lanes];
    bool together = count == lanes;
    for (int i = 0; i < count; ++i) {
      rays[i] = ray_to_source(lattice, source.data(), p + 3 * (first + i));
      together = together && rays[i].axis == rays[0].axis && rays[i].step == rays[0].step;
    }
    if (together) {
      radiological_depth<lanes>(rho, lattice, rays, depth + first);
    } else {
      for (int i = 0; i < count; ++i) radiological_depth<1>(rho, lattice, rays + i, depth + first + i);
    }
  }
}

void geometry_of_points(In<2> points, In<1> depth, Vec3 isocentre, Vec3 ex, Vec3 ey, Vec3 ez, float sad, float m,
                        Vec3 beta, Vec2 softening, Out<2> out, int threads) {
  require(points.shape(1) == 3 && depth.shape(0) == points.shape(0), "points must be (n, 3) and depth (n,)");
  require(out.shape(0) == points.shape(0) && out.shape(1) == kGeometry, "out must be (n, 5)");
  const BeamFrame frame = frame_of(isocentre, ex, ey, ez, sad);
  const Attenuation att{m, {beta[0], beta[1], beta[2]}, {softening[0], softening[1]}};
  const float *p = points.data(), *d = depth.data();
  float* g = out.data();
  const long n = static_cast<long>(points.shape(0));
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long i = 0; i < n; ++i) voxel_geometry(frame, att, p + 3 * i, d[i], g + kGeometry * i);
}

Raster raster_of(float u0, float v0, float pitch, size_t nu, size_t nv) {
  require(pitch > 0.f && nu >= 2 && nv >= 2, "raster needs a positive pitch and at least 2 x 2 nodes");
  return Raster{u0, v0, pitch, static_cast<int>(nu), static_cast<int>(nv)};
}

void check_maps(const size_t beams, const size_t interleave, const size_t geometry_beams, const size_t columns) {
  require(interleave == kInterleave, "maps must be (beams, nv, nu, 4)");
  require(geometry_beams == beams && columns == kGeometry, "geometry must be (beams, n, 5)");
}

// dose[i] = sum over beams. Each voxel is written by one thread: no races, and the sum has one fixed order.
void forward(In<4> maps, float u0, float v0, float pitch, In<3> geometry, Out<1> dose, int threads) {
  check_maps(maps.shape(0), maps.shape(3), geometry.shape(0), geometry.shape(2));
  require(dose.shape(0) == geometry.shape(1), "dose must be (n,)");
  const Raster raster = raster_of(u0, v0, pitch, maps.shape(2), maps.shape(1));
  const long beams = static_cast<long>(maps.shape(0)), n = static_cast<long>(geometry.shape(1));
  const float *k = maps.data(), *g = geometry.data();
  float* d = dose.data();
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long first = 0; first < n; first += kSamples)
    gather_samples(k, raster, g, beams, n, first, first + kSamples < n ? first + kSamples : n, d);
}

// Transpose of forward. Each beam's maps are written by one thread: no races, one fixed order of summation.
void adjoint(In<1> dose_gradient, In<3> geometry, float u0, float v0, float pitch, Out<4> maps, int threads) {
  check_maps(maps.shape(0), maps.shape(3), geometry.shape(0), geometry.shape(2));
  require(dose_gradient.shape(0) == geometry.shape(1), "dose gradient must be (n,)");
  const Raster raster = raster_of(u0, v0, pitch, maps.shape(2), maps.shape(1));
  const long beams = static_cast<long>(maps.shape(0)), n = static_cast<long>(geometry.shape(1));
  const long map_size = static_cast<long>(raster.nu) * raster.nv * kInterleave;
  const float *dg = dose_gradient.data(), *g = geometry.data();
  float* k = maps.data();
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (long b = 0; b < beams; ++b) {
    std::fill_n(k + b * map_size, map_size, 0.f);
    scatter_samples(k + b * map_size, raster, g + b * n * kGeometry, n, dg);
  }
}

// edges (intervals, rows, 4): low edge at start and end, high edge at start and end, in pixels within 0..columns.
void leaf_rows(In<3> edges, In<2> weight, Out<3> out, int threads) {
  const long intervals = static_cast<long>(edges.shape(0)), rows = static_cast<long>(edges.shape(1));
  const int columns = static_cast<int>(out.shape(2));
  require(edges.shape(2) == 4 && weight.shape(0) == edges.shape(0) && weight.shape(1) == edges.shape(1),
          "edges must be (k, rows, 4) and weight (k, rows)");
  require(out.shape(0) == edges.shape(0) && out.shape(1) == edges.shape(1), "out must be (k, rows, columns)");
  const float *e = edges.data(), *w = weight.data();
  float* f = out.data();
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long k = 0; k < intervals * rows; ++k) {
    float* row = f + k * columns;
    const float* edge = e + 4 * k;
    for (int i = 0; i < columns; ++i) row[i] = 0.f;
    const float last = edge[2] > edge[3] ? edge[2] : edge[3];
    const int stop = static_cast<int>(last) + 1 < columns ? static_cast<int>(last) + 1 : columns;
    add_edge(row, stop, edge[0], edge[1], w[k]);
    add_edge(row, stop, edge[2], edge[3], -w[k]);
  }
}

// Transpose of leaf_rows: slopes (k, rows, 4) in the edges for weight 1, and seen (k, rows), the slope in the weight.
void leaf_rows_adjoint(In<3> edges, In<3> gradient, Out<3> slopes, Out<2> seen, int threads) {
  const long intervals = static_cast<long>(edges.shape(0)), rows = static_cast<long>(edges.shape(1));
  const int columns = static_cast<int>(gradient.shape(2));
  require(edges.shape(2) == 4 && slopes.shape(2) == 4, "edges and slopes must be (k, rows, 4)");
  require(gradient.shape(0) == edges.shape(0) && gradient.shape(1) == edges.shape(1) &&
              slopes.shape(0) == edges.shape(0) && slopes.shape(1) == edges.shape(1) &&
              seen.shape(0) == edges.shape(0) && seen.shape(1) == edges.shape(1),
          "gradient must be (k, rows, columns), slopes (k, rows, 4) and seen (k, rows)");
  const float *e = edges.data(), *g = gradient.data();
  float *s = slopes.data(), *sum = seen.data();
  nb::gil_scoped_release release;
#pragma omp parallel num_threads(threads)
  {
    std::vector<double> tail(static_cast<size_t>(columns) + 1);
#pragma omp for schedule(static)
    for (long k = 0; k < intervals * rows; ++k) {
      const float *row = g + k * columns, *edge = e + 4 * k;
      float* slope = s + 4 * k;
      tail[columns] = 0.0;
      for (int i = columns - 1; i >= 0; --i) tail[i] = tail[i + 1] + static_cast<double>(row[i]);
      sum[k] = edge_sum(row, tail.data(), columns, edge[0], edge[1], slope[0], slope[1]);
      sum[k] -= edge_sum(row, tail.data(), columns, edge[2], edge[3], slope[2], slope[3]);
      slope[2] = -slope[2];
      slope[3] = -slope[3];
    }
  }
}

// Adds one beam's dose, times scale, to the wanted voxels of a lattice whose density is given. False, with nothing
// done, where the source lies so near to the lattice that rows of voxels cannot share their way.
bool add_on_grid(In<3> density, Vec3 origin, Vec3 spacing, Vec3 isocentre, Vec3 ex, Vec3 ey, Vec3 ez, float sad,
                 float m, Vec3 beta, Vec2 softening, In<4> maps, float u0, float v0, float pitch, Wanted wanted,
                 float scale, Out<3> dose, int threads) {
  check_maps(maps.shape(0), maps.shape(3), 1, kGeometry);
  Lattice lattice{};
  for (int a = 0; a < 3; ++a) {
    require(wanted.shape(a) == density.shape(a) && dose.shape(a) == density.shape(a),
            "density, wanted and dose must have one shape");
    lattice.origin[a] = origin[a];
    lattice.spacing[a] = spacing[a];
    lattice.n[a] = static_cast<int>(density.shape(2 - a));
  }
  const GridBeam beam{frame_of(isocentre, ex, ey, ez, sad),
                      Attenuation{m, {beta[0], beta[1], beta[2]}, {softening[0], softening[1]}},
                      raster_of(u0, v0, pitch, maps.shape(2), maps.shape(1)), maps.data(), scale};
  const RowView view = row_view(lattice, beam.frame);
  if (!rows_fit(view)) return false;
  nb::gil_scoped_release release;
  const std::vector<float> padded = padded_view(density.data(), view, threads);
  const GridSpace space{lattice, padded.data(), wanted.data()};
  float* out = dose.data();
#pragma omp parallel num_threads(threads)
  {
    RowDose rows(view, space, beam);
#pragma omp for schedule(dynamic, 1)
    for (int b = 0; b < view.n_b; ++b) rows.run(b, out);
  }
  return true;
}

}  // namespace

NB_MODULE(_kernels, module) {
  module.doc() = "Photon dose kernels on the CPU (OpenMP). See engines/photon for units and frames.";
  module.attr("KERNELS") = kKernels;
  module.attr("GEOMETRY") = kGeometry;
  module.attr("INTERLEAVE") = kInterleave;
  module.def("max_threads", [] { return omp_get_max_threads(); });
  module.def("depth_of_points", &depth_of_points, nb::arg("density"), nb::arg("origin"), nb::arg("spacing"),
             nb::arg("source"), nb::arg("points"), nb::arg("out"), nb::arg("threads"));
  module.def("geometry_of_points", &geometry_of_points, nb::arg("points"), nb::arg("depth"), nb::arg("isocentre"),
             nb::arg("ex"), nb::arg("ey"), nb::arg("ez"), nb::arg("sad"), nb::arg("m"), nb::arg("beta"),
             nb::arg("softening"), nb::arg("out"), nb::arg("threads"));
  module.def("forward", &forward, nb::arg("maps"), nb::arg("u0"), nb::arg("v0"), nb::arg("pitch"), nb::arg("geometry"),
             nb::arg("dose"), nb::arg("threads"));
  module.def("adjoint", &adjoint, nb::arg("dose_gradient"), nb::arg("geometry"), nb::arg("u0"), nb::arg("v0"),
             nb::arg("pitch"), nb::arg("maps"), nb::arg("threads"));
  define_collapsed_cone(module);
  module.def("leaf_rows", &leaf_rows, nb::arg("edges"), nb::arg("weight"), nb::arg("out"), nb::arg("threads"));
  module.def("leaf_rows_adjoint", &leaf_rows_adjoint, nb::arg("edges"), nb::arg("gradient"), nb::arg("slopes"),
             nb::arg("seen"), nb::arg("threads"));
  module.def("add_on_grid", &add_on_grid, nb::arg("density"), nb::arg("origin"), nb::arg("spacing"),
             nb::arg("isocentre"), nb::arg("ex"), nb::arg("ey"), nb::arg("ez"), nb::arg("sad"), nb::arg("m"),
             nb::arg("beta"), nb::arg("softening"), nb::arg("maps"), nb::arg("u0"), nb::arg("v0"), nb::arg("pitch"),
             nb::arg("wanted"), nb::arg("scale"), nb::arg("dose"), nb::arg("threads"));
}
