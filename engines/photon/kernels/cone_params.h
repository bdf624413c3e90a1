// What the GPU kernels of the collapsed cone are told, see photon_params.h. Grids here are those of dose, (z, y, x);
// `energy` is (groups, 2, voxels), primary and scatter; a voxel's number fits 32 bits, an index into energy does not.
#pragma once
#define COUCHSIDE_ONE_LINE
#include "collapsed_cone.h"

namespace couchside {

// Energy that one exposure releases in the dose grid, added to what its group and the electrons have.
struct ReleaseParams {
  const float* density;  // (z, y, x): 0 where there is no matter
  const float* maps;     // (nv, nu, 4)
  const float* table;    // (steps, 2)
  float* depth;          // (z, y, x): 0 until it is traced for this source
  float* energy;         // of the group, (2, z, y, x)
  float* electrons;      // (z, y, x)
  Lattice lattice;
  Head head;
  float source[3];
};

// greatest (images,) of energy (images, voxels).
struct GreatestParams {
  const float* energy;
  float* greatest;
  long long voxels;
};

// Group g gives its energy where its primary is below least[g] to group wide[g].
struct HandOverParams {
  float* energy;  // (groups, 2, voxels), the wide ones behind the others
  const float* least;
  const int* wide;
  long long voxels;
  int group_count;
};

// Lanes of each row of the array (a, b, lane) that are released more than `least`, from energy (groups, 2, a, b, lane).
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
  float exponent[2];
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
