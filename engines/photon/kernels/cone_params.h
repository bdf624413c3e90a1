// What the GPU kernels of the collapsed cone are told, see photon_params.h. Grids are those of dose, (z, y, x), a fine one
// for primary and a coarse one for scatter. `energy` of one of the two is (groups, voxels) of its grid; a voxel's number
// fits 32 bits, an index into energy does not.
#pragma once
#define COUCHSIDE_ONE_LINE
#include "collapsed_cone.h"

namespace couchside {

// Energy that one exposure releases in the fine grid, added to what its group and the electrons have.
struct ReleaseParams {
  const float* density;  // (z, y, x): 0 where there is no matter
  const float* maps;     // (nv, nu, 4)
  const float* table;    // (steps, 2)
  float* depth;          // (z, y, x): 0 until it is traced for this source
  float* primary;        // of the group, (z, y, x)
  float* scatter;        // (z, y, x), until it is pooled
  float* electrons;      // (z, y, x)
  Lattice lattice;
  Head head;
  float source[3];
};

// Scatter of the fine grid, energy per mass in matter of that density, goes to the coarse voxel that holds it, which adds
// the same energy per its own mass; `fine` is zero afterwards. Voxel i of the coarse grid along an axis begins at fine
// voxel first + i * factor, possibly outside.
struct PoolParams {
  float* fine;
  const float* density;         // of the fine grid: 0 where there is no matter
  const float* coarse_density;  // above 0
  float* energy;                // of the group, coarse (z, y, x)
  int fine_shape[3], shape[3], first[3], factor[3];
};

// greatest (images,) of energy (images, voxels).
struct GreatestParams {
  const float* energy;
  float* greatest;
  long long voxels;
};

// Group g gives its energy where it is not above least[g] to group wide[g].
struct HandOverParams {
  float* energy;  // (groups, voxels), the wide ones behind the others
  const float* least;
  const int* wide;
  long long voxels;
  int group_count;
};

// Lanes of each row of the array (a, b, lane) that are released more than `least`, from energy (groups, a, b, lane).
struct HullParams {
  const float* energy;
  short* by_first;   // (groups, a, b, 2): for lines that step along the first axis
  short* by_second;  // (groups, b, a, 2)
  int shape[3];      // a, b, lanes
  int group_count;
  float least;
};

// out (images, a, c, b) = in (images, a, b, c).
struct TurnParams {
  const float* in;
  float* out;
  int shape[3];  // a, b, c
  int images;
};

// Cones `first`..`first` + `count` - 1 through the array (a, b, lane): cone first + i adds to slot i. They come sorted,
// so that those swept at once travel alike and read the same slabs; `number` is what each is called on the CPU, which
// its phases follow from.
struct SweepParams {
  const float* density;
  const ConeGroup* by_first;   // (groups,): source and hull for lines that step along the first axis
  const ConeGroup* by_second;
  const ConeWeights* weights;  // (cones, groups)
  const float* directions;     // (cones, 3) along a, b, lane
  const int* number;           // (cones,)
  float* slots;                // (slots, a, b, lane)
  float origin[3], spacing[3]; // along a, b, lane
  float exponent;
  int shape[3];
  int group_count, first, count;
};

// dose (a, b, c) += the slots in ascending order; these are (slots, a, b, c), or (slots, a, c, b) where `turned`.
struct SlotParams {
  const float* slots;
  float* dose;
  int shape[3];  // a, b, c
  int slot_count, turned;
};

}  // namespace couchside
