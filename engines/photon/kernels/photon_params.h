// What the GPU kernels are told: one struct by value a kernel. Python packs the same bytes (engines/photon/backend/
// parameters.py); tests compare size and offset of every field with what the C++ compiler says.
//
// Pointers are device pointers. `n` counts points; every index that multiplies by it is 64 bits wide, because
// 180 beams x 12 million points is beyond 2^31.
#pragma once
#include "photon_math.h"

namespace couchside {

// One beam as the device keeps it: 64 bytes, so that a warp reads it in one transaction.
struct DeviceBeam {
  BeamFrame frame;
  float source[3];  // rounded from float64 by the host, exactly as the CPU build gets it
};

// Radiological depth of every point for every beam: depth (beams, n).
struct DepthParams {
  const float4* points;  // x, y, z in LPS mm; w is not read
  const float* density;  // (z, y, x)
  const DeviceBeam* beams;
  float* depth;
  Lattice lattice;
  int beam_count;
  long long n;
};

// Points with their depths under a set of beams: what forward, geometry and the sorting of the points share.
struct PointParams {
  const float4* points;
  const float* depth;  // (beams, n)
  const DeviceBeam* beams;
  Attenuation attenuation;
  Raster raster;
  int beam_count;
  long long n;
};

struct GeometryParams {
  PointParams at;
  float* geometry;  // (beams, n, 5)
};

// dose = keep * dose + scale * sum over beams.
struct ForwardParams {
  PointParams at;
  const float4* maps;  // (beams, nv, nu) of three kernel maps and a pad
  float* dose;         // (n,)
  float keep, scale;
};

// Points sorted by raster cell, a group of beams at a time; `at` begins at the group's first beam.
struct SortParams {
  PointParams at;
  int* cell;    // (beams, n): scratch; -1 outside the raster
  int* cursor;  // (beams, cells): counts, then the next free place of each cell
  int* begin;   // (beams, cells + 1): where each cell's points begin in `order`
  int* order;   // (beams, n): points by cell, ascending within a cell
};

// Dose gradient to the twelve sums of each cell: (beams, cells, 4 corners x 3 kernels).
struct CellSumParams {
  PointParams at;  // the gradient stands in the w of the points
  const int* begin;
  const int* order;
  float4* sums;  // (beams, cells, 3): float4 of one kernel's four corners
};

struct NodeParams {
  const float4* sums;
  float* maps;  // (beams, 3, nv, nu)
  Raster raster;
  int beam_count;
};

struct GradientParams {
  float4* points;
  const float* gradient;
  long long n;
};

// c = scale * a . b for a batch of row-major matrices. Element (r, k) of image z of c lies at
// c[(z / channels) * c_batch + (z % channels) * c_channel + (r * columns + k) * c_step].
struct MultiplyParams {
  const float* a;
  const float* b;
  float* c;
  long long a_batch, b_batch, c_batch;  // elements from one image to the next; 0: the same matrix for all
  long long rows;
  int columns, inner;
  int channels, c_channel, c_step;
  float scale;
};

// Elementwise products of rasters; `pixels` = nv nu.
struct WeighParams {
  const float* in;       // weigh: (beams, pixels); spread: (beams, pixels); combine: (beams, 3, pixels)
  const float* factor;   // weigh: (pixels,), the in-air profile; else (tables, 3, pixels), the kernels' spectra
  const int* table;      // (beams,): which spectra a beam takes; not read by weigh
  float* out;            // weigh, combine: (beams, pixels); spread: (beams, 3, pixels)
  int pixels, beam_count;
};

}  // namespace couchside
