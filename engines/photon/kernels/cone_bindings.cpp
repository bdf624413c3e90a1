// CPU face of the collapsed cone: NumPy arrays in and out, OpenMP loops around the arithmetic of collapsed_cone.h.
// Shapes are checked here; the Python layer above (engines/photon/superposition) gives them names and units.
#include "cone_bindings.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>
#include <omp.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "collapsed_cone.h"
#include "grid_release.h"

namespace nb = nanobind;
using namespace couchside;
using Vec3 = std::array<float, 3>;
template <int D>
using In = nb::ndarray<const float, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <int D>
using Out = nb::ndarray<float, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
using Hulls = nb::ndarray<const short, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

namespace {

constexpr int kSide = 64;  // lines that one loop carries side by side: 3 KiB of state, well inside the first cache

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

template <typename A, typename B>
bool same_shape(const A& a, const B& b) {
  return a.shape(0) == b.shape(0) && a.shape(1) == b.shape(1) && a.shape(2) == b.shape(2);
}

// frame: isocentre, ex, ey, ez. raster: u0, v0, pitch. head: softening (3), extra distance, electron attenuation, step.
ReleaseHead head_of(const std::array<Vec3, 4>& frame, float sad, const In<3>& maps, const Vec3& raster,
                    const In<2>& table, const std::array<float, 6>& head) {
  require(maps.shape(2) == kInterleave && maps.shape(0) >= 2 && maps.shape(1) >= 2, "maps must be (nv, nu, 4)");
  require(table.shape(1) == 2 && table.shape(0) >= 2, "table must be (steps, 2)");
  Head h{};
  for (int a = 0; a < 3; ++a) {
    h.frame.isocentre[a] = frame[0][a];
    h.frame.ex[a] = frame[1][a];
    h.frame.ey[a] = frame[2][a];
    h.frame.ez[a] = frame[3][a];
    h.softening[a] = head[a];
  }
  h.frame.sad = sad;
  h.raster = Raster{raster[0], raster[1], raster[2], static_cast<int>(maps.shape(1)), static_cast<int>(maps.shape(0))};
  h.extra_distance = head[3];
  h.electrons_per_mm = head[4];
  h.table_step = head[5];
  h.table_last = static_cast<int>(table.shape(0)) - 1;
  return ReleaseHead{h, maps.data(), table.data()};
}

// Primary, scatter and electron dose released at points (n, 3) under radiological depths (n,), into out (n, 3).
void release_energy(In<2> points, In<1> depth, std::array<Vec3, 4> frame, float sad, In<3> maps, Vec3 raster,
                    In<2> table, std::array<float, 6> head, Out<2> out, int threads) {
  const long n = static_cast<long>(points.shape(0));
  require(points.shape(1) == 3 && static_cast<long>(depth.shape(0)) == n, "points must be (n, 3) and depth (n,)");
  require(out.shape(0) == points.shape(0) && out.shape(1) == 3, "out must be (n, 3)");
  const ReleaseHead h = head_of(frame, sad, maps, raster, table, head);
  const BeamFrame& f = h.head.frame;
  const float *p = points.data(), *d = depth.data();
  float* o = out.data();
  nb::gil_scoped_release release;
#pragma omp parallel for schedule(static, 4096) num_threads(threads)
  for (long i = 0; i < n; ++i) {
    float u = 0.f, v = 0.f, w = 0.f;
    for (int a = 0; a < 3; ++a) {
      const float from = p[3 * i + a] - f.isocentre[a];
      u += from * f.ex[a];
      v += from * f.ey[a];
      w += from * f.ez[a];
    }
    released(h.head, h.maps, h.table, u, v, f.sad - w, d[i], o[3 * i], o[3 * i + 1], o[3 * i + 2]);
  }
}

// Adds what one beam releases in all voxels with matter to three arrays of the shape of density. False, with nothing
// done, where the source lies so near to the lattice that rows of voxels cannot share their way.
bool release_on_grid(In<3> density, Vec3 origin, Vec3 spacing, std::array<Vec3, 4> frame, float sad, In<3> maps,
                     Vec3 raster, In<2> table, std::array<float, 6> head, Out<3> primary, Out<3> scatter,
                     Out<3> electrons, int threads) {
  require(same_shape(density, primary) && same_shape(density, scatter) && same_shape(density, electrons),
          "density, primary, scatter and electrons must have one shape");
  const ReleaseHead h = head_of(frame, sad, maps, raster, table, head);
  Lattice lattice{};
  for (int a = 0; a < 3; ++a) {
    lattice.origin[a] = origin[a];
    lattice.spacing[a] = spacing[a];
    lattice.n[a] = static_cast<int>(density.shape(2 - a));
  }
  const RowView view = row_view(lattice, h.head.frame);
  if (!rows_fit(view)) return false;
  nb::gil_scoped_release release;
  const std::vector<float> padded = padded_view(density.data(), view, threads);
  const ReleaseSpace space{lattice, density.data(), padded.data()};
  float *p = primary.data(), *s = scatter.data(), *e = electrons.data();
#pragma omp parallel num_threads(threads)
  {
    RowRelease rows(view, space, h);
#pragma omp for schedule(dynamic, 1)
    for (int b = 0; b < view.n_b; ++b) rows.run(b, p, s, e);
  }
  return true;
}

// Adds to dose (a, b, c) what all groups send along each direction (directions, 3), given in the array's axes. energy:
// one array (a, b, c) a group; hulls: lanes that are released anything, as (groups, a, b, 2); sources (groups, 3);
// weights (directions, groups, CONE_WEIGHTS).
void transport(In<3> density, Vec3 origin, Vec3 spacing, std::vector<In<3>> energy, Hulls hulls, In<2> sources,
               In<2> directions, In<3> weights, float first_exponent, Out<3> dose, int threads) {
  const int shape[3] = {static_cast<int>(density.shape(0)), static_cast<int>(density.shape(1)),
                        static_cast<int>(density.shape(2))};
  const long rows = static_cast<long>(shape[0]) * shape[1];
  const int count = static_cast<int>(energy.size()), cones = static_cast<int>(directions.shape(0));
  require(same_shape(density, dose), "dose must have the shape of density");
  for (const auto& one : energy) require(same_shape(density, one), "each group's energy must have the shape of density");
  require(hulls.size() == static_cast<size_t>(2 * count * rows), "hulls must be (groups, a, b, 2)");
  require(sources.shape(0) == energy.size() && sources.shape(1) == 3, "sources must be (groups, 3)");
  require(directions.shape(1) == 3 && weights.shape(0) == directions.shape(0) && weights.shape(1) == energy.size() &&
              weights.shape(2) == kWeights,
          "weights must be (directions, groups, CONE_WEIGHTS)");
  const float* rho = density.data();
  float* out = dose.data();
  nb::gil_scoped_release release;
  std::vector<short> turned(hulls.size());  // hulls as (groups, b, a, 2) for lines that step along the second axis
  for (long g = 0; g < count; ++g)
    for (long a = 0; a < shape[0]; ++a)
      for (long b = 0; b < shape[1]; ++b)
        std::memcpy(&turned[2 * (g * rows + b * shape[0] + a)], hulls.data() + 2 * (g * rows + a * shape[1] + b),
                    2 * sizeof(short));
  for (int cone = 0; cone < cones; ++cone) {
    const float* w = directions.data() + 3 * cone;
    const ConeLattice c = lattice_of(shape, origin.data(), spacing.data(), w, first_exponent, cone);
    const bool second = c.slab_axis == 1;
    std::vector<ConeGroup> groups(count);
    for (int g = 0; g < count; ++g) {
      const float* s = sources.data() + 3 * g;
      const short* own = (second ? turned.data() : hulls.data()) + 2 * g * rows;
      groups[g] = ConeGroup{{second ? s[1] : s[0], second ? s[0] : s[1], s[2]}, energy[g].data(), own};
    }
    std::vector<ConeWeights> own(count);
    std::memcpy(own.data(), weights.data() + static_cast<long>(cone) * count * kWeights, count * sizeof(ConeWeights));
    const ConeStarts lines = starts_of(c);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads)
    for (int row = lines.first_row; row < lines.last_row; ++row)
      for (int lane = lines.first_lane; lane < lines.last_lane; lane += kSide)
        cone_lines<kSide>(c, rho, groups.data(), own.data(), count, row, lane, out);
  }
}

}  // namespace

void define_collapsed_cone(nb::module_& module) {
  module.attr("TERMS") = kTerms;
  module.attr("CONE_WEIGHTS") = kWeights;
  module.def("release_energy", &release_energy, nb::arg("points"), nb::arg("depth"), nb::arg("frame"), nb::arg("sad"),
             nb::arg("maps"), nb::arg("raster"), nb::arg("table"), nb::arg("head"), nb::arg("out"), nb::arg("threads"));
  module.def("release_on_grid", &release_on_grid, nb::arg("density"), nb::arg("origin"), nb::arg("spacing"),
             nb::arg("frame"), nb::arg("sad"), nb::arg("maps"), nb::arg("raster"), nb::arg("table"), nb::arg("head"),
             nb::arg("primary"), nb::arg("scatter"), nb::arg("electrons"), nb::arg("threads"));
  module.def("transport", &transport, nb::arg("density"), nb::arg("origin"), nb::arg("spacing"), nb::arg("energy"),
             nb::arg("hulls"), nb::arg("sources"), nb::arg("directions"), nb::arg("weights"), nb::arg("first_exponent"),
             nb::arg("dose"), nb::arg("threads"));
}
