// Runs the kernels of photon.cu on the host: emulate(name, grid, block, parameters) is a launch.
#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cuda_on_host.h"
//
#include "photon.cu"

Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kStack = 64 << 10;

struct Fibre {
  ucontext_t context;
  jmp_buf here;
  std::vector<char> stack = std::vector<char>(kStack);
  bool started = false, done = true;
};

// Fibres start through ucontext and then switch with _setjmp/_longjmp, which make no system call.
ucontext_t scheduler;
jmp_buf back;
std::vector<Fibre> fibres;
std::vector<float> exchanged[2];
std::vector<unsigned> exchanges;  // of each thread: neighbouring ones use the two halves in turn
std::function<void()> body;
unsigned running = 0;
bool in_fibre = false;
bool last_first = false;  // threads of a grid run in the opposite order

void run_fibre() {
  body();
  fibres[running].done = true;
  _longjmp(back, 1);
}

void resume(Fibre& fibre) {
  if (_setjmp(back) != 0) return;
  if (fibre.started) _longjmp(fibre.here, 1);
  fibre.started = true;
  setcontext(&fibre.context);
}

void run_together(unsigned threads) {
  fibres.resize(std::max<size_t>(fibres.size(), threads));
  for (auto& half : exchanged) half.assign(threads, 0.f);
  exchanges.assign(threads, 0);
  for (unsigned t = 0; t < threads; ++t) {
    Fibre& f = fibres[t];
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = &scheduler;
    makecontext(&f.context, run_fibre, 0);
    f.started = f.done = false;
  }
  in_fibre = true;
  for (bool alive = true; alive;) {
    alive = false;
    for (running = 0; running < threads; ++running) {
      if (fibres[running].done) continue;
      threadIdx = {running, 0, 0};
      resume(fibres[running]);
      alive = alive || !fibres[running].done;
    }
  }
  in_fibre = false;
}

void run_grid(bool together) {
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
        if (together) {
          run_together(blockDim.x);
          continue;
        }
        for (unsigned t = 0; t < blockDim.x; ++t) {
          threadIdx = {t, 0, 0};
          body();
        }
      }
}

// The same grid with its last thread first: what two threads write or read of one address then comes out otherwise.
void run_grid_backwards() {
  for (blockIdx.z = gridDim.z; blockIdx.z-- > 0;)
    for (blockIdx.y = gridDim.y; blockIdx.y-- > 0;)
      for (blockIdx.x = gridDim.x; blockIdx.x-- > 0;)
        for (unsigned t = blockDim.x; t-- > 0;) {
          threadIdx = {t, 0, 0};
          body();
        }
}

template <class Params>
std::function<void()> bound(void (*kernel)(const Params), const void* bytes, size_t* size) {
  *size = sizeof(Params);
  if (bytes == nullptr) return {};
  Params p;
  std::memcpy(&p, bytes, sizeof p);
  return [kernel, p] { kernel(p); };
}

using Binder = std::function<std::function<void()>(const void*, size_t*)>;
struct Kernel {
  bool together;  // its threads wait for each other
  Binder bind;
};

template <class Params>
Kernel entry(void (*kernel)(const Params), bool together = false) {
  return {together, [kernel](const void* bytes, size_t* size) { return bound(kernel, bytes, size); }};
}

const std::map<std::string, Kernel>& kernels() {
  static const std::map<std::string, Kernel> all = {
      {"depth_of_points", entry(depth_of_points)},
      {"geometry_of_points", entry(geometry_of_points)},
      {"forward", entry(forward)},
      {"place_gradient", entry(place_gradient)},
      {"count_cells", entry(count_cells)},
      {"scan_cells", entry(scan_cells, true)},
      {"fill_cells", entry(fill_cells)},
      {"order_cells", entry(order_cells)},
      {"sum_cells", entry(sum_cells, true)},
      {"sum_nodes", entry(sum_nodes)},
      {"multiply", entry(multiply, true)},
      {"weigh", entry(weigh)},
      {"spread", entry(spread)},
      {"combine", entry(combine)},
      {"release_energy", entry(release_energy)},
      {"find_greatest", entry(find_greatest, true)},
      {"pool_energy", entry(pool_energy)},
      {"hand_over", entry(hand_over)},
      {"find_hulls", entry(find_hulls)},
      {"turn_lanes", entry(turn_lanes)},
      {"sweep_cones", entry(sweep_cones)},
      {"add_slots", entry(add_slots)},
  };
  return all;
}

}  // namespace

void barrier_on_host() {
  if (!in_fibre) std::abort();  // a kernel that waits must be entered as `together`
  if (_setjmp(fibres[running].here) == 0) _longjmp(back, 1);
}

float exchange_on_host(float value, int other_lane) {
  const unsigned me = threadIdx.x;
  std::vector<float>& half = exchanged[exchanges[me]++ % 2];
  half[me] = value;
  barrier_on_host();
  return half[me / 32 * 32 + static_cast<unsigned>(other_lane)];
}

bool any_on_host(bool value) {
  const unsigned me = threadIdx.x;
  std::vector<float>& half = exchanged[exchanges[me]++ % 2];
  half[me] = value ? 1.f : 0.f;
  barrier_on_host();
  bool any = false;
  for (unsigned t = me / 32 * 32; t < me / 32 * 32 + 32; ++t) any = any || half[t] != 0.f;
  return any;
}

extern "C" {

// 0; 1 for an unknown kernel, 2 for parameters of another size.
int emulate(const char* name, const unsigned* grid, const unsigned* block, const void* parameters, size_t size) {
  const auto found = kernels().find(name);
  if (found == kernels().end()) return 1;
  size_t wanted = 0;
  body = found->second.bind(parameters, &wanted);
  if (wanted != size) return 2;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  if (last_first && !found->second.together) run_grid_backwards();
  else run_grid(found->second.together);
  return 0;
}

void emulate_last_first(int chosen) { last_first = chosen != 0; }

// Bytes of a kernel's parameters; 0 for an unknown kernel.
size_t parameter_bytes(const char* name) {
  const auto found = kernels().find(name);
  size_t size = 0;
  if (found != kernels().end()) found->second.bind(nullptr, &size);
  return size;
}

}  // extern "C"

namespace {

struct Offset {
  const char* type;
  const char* field;
  size_t offset;
};

#define FIELD(type, field) {#type, #field, offsetof(couchside::type, field)}
#define SIZE(type) {#type, "", sizeof(couchside::type)}
const Offset offsets[] = {
    SIZE(Lattice), FIELD(Lattice, origin), FIELD(Lattice, spacing), FIELD(Lattice, n),
    SIZE(BeamFrame), FIELD(BeamFrame, isocentre), FIELD(BeamFrame, ex), FIELD(BeamFrame, ey), FIELD(BeamFrame, ez),
    FIELD(BeamFrame, sad),
    SIZE(Attenuation), FIELD(Attenuation, m), FIELD(Attenuation, beta),
    FIELD(Attenuation, softening),
    SIZE(Raster), FIELD(Raster, u0), FIELD(Raster, v0), FIELD(Raster, pitch), FIELD(Raster, nu), FIELD(Raster, nv),
    SIZE(DeviceBeam), FIELD(DeviceBeam, frame), FIELD(DeviceBeam, source),
    SIZE(DepthParams), FIELD(DepthParams, points), FIELD(DepthParams, density), FIELD(DepthParams, beams),
    FIELD(DepthParams, depth), FIELD(DepthParams, lattice), FIELD(DepthParams, beam_count), FIELD(DepthParams, n),
    SIZE(PointParams), FIELD(PointParams, points), FIELD(PointParams, depth), FIELD(PointParams, beams),
    FIELD(PointParams, attenuation), FIELD(PointParams, raster), FIELD(PointParams, beam_count), FIELD(PointParams, n),
    SIZE(GeometryParams), FIELD(GeometryParams, at), FIELD(GeometryParams, geometry),
    SIZE(ForwardParams), FIELD(ForwardParams, at), FIELD(ForwardParams, maps), FIELD(ForwardParams, dose),
    FIELD(ForwardParams, keep), FIELD(ForwardParams, scale),
    SIZE(SortParams), FIELD(SortParams, at), FIELD(SortParams, cell), FIELD(SortParams, cursor),
    FIELD(SortParams, begin), FIELD(SortParams, order),
    SIZE(CellSumParams), FIELD(CellSumParams, at), FIELD(CellSumParams, begin), FIELD(CellSumParams, order),
    FIELD(CellSumParams, sums),
    SIZE(NodeParams), FIELD(NodeParams, sums), FIELD(NodeParams, maps), FIELD(NodeParams, raster),
    FIELD(NodeParams, beam_count),
    SIZE(GradientParams), FIELD(GradientParams, points), FIELD(GradientParams, gradient), FIELD(GradientParams, n),
    SIZE(MultiplyParams), FIELD(MultiplyParams, a), FIELD(MultiplyParams, b), FIELD(MultiplyParams, c),
    FIELD(MultiplyParams, a_batch), FIELD(MultiplyParams, b_batch), FIELD(MultiplyParams, c_batch),
    FIELD(MultiplyParams, rows), FIELD(MultiplyParams, columns), FIELD(MultiplyParams, inner),
    FIELD(MultiplyParams, channels), FIELD(MultiplyParams, c_channel), FIELD(MultiplyParams, c_step),
    FIELD(MultiplyParams, scale),
    SIZE(WeighParams), FIELD(WeighParams, in), FIELD(WeighParams, factor), FIELD(WeighParams, table),
    FIELD(WeighParams, out), FIELD(WeighParams, pixels), FIELD(WeighParams, beam_count),
    SIZE(Head), FIELD(Head, frame), FIELD(Head, raster), FIELD(Head, softening), FIELD(Head, extra_distance),
    FIELD(Head, electrons_per_mm), FIELD(Head, table_step), FIELD(Head, table_last),
    SIZE(ConeGroup), FIELD(ConeGroup, source), FIELD(ConeGroup, energy), FIELD(ConeGroup, hull),
    SIZE(ReleaseParams), FIELD(ReleaseParams, density), FIELD(ReleaseParams, maps), FIELD(ReleaseParams, table),
    FIELD(ReleaseParams, depth), FIELD(ReleaseParams, primary), FIELD(ReleaseParams, scatter),
    FIELD(ReleaseParams, electrons),
    FIELD(ReleaseParams, lattice), FIELD(ReleaseParams, head), FIELD(ReleaseParams, source),
    SIZE(PoolParams), FIELD(PoolParams, fine), FIELD(PoolParams, density), FIELD(PoolParams, coarse_density),
    FIELD(PoolParams, energy), FIELD(PoolParams, fine_shape), FIELD(PoolParams, shape), FIELD(PoolParams, first),
    FIELD(PoolParams, factor),
    SIZE(HullParams), FIELD(HullParams, energy), FIELD(HullParams, by_first), FIELD(HullParams, by_second),
    FIELD(HullParams, shape), FIELD(HullParams, group_count), FIELD(HullParams, least),
    SIZE(GreatestParams), FIELD(GreatestParams, energy), FIELD(GreatestParams, greatest),
    FIELD(GreatestParams, voxels),
    SIZE(HandOverParams), FIELD(HandOverParams, energy), FIELD(HandOverParams, least), FIELD(HandOverParams, wide),
    FIELD(HandOverParams, voxels), FIELD(HandOverParams, group_count),
    SIZE(TurnParams), FIELD(TurnParams, in), FIELD(TurnParams, out), FIELD(TurnParams, shape),
    FIELD(TurnParams, images),
    SIZE(SweepParams), FIELD(SweepParams, density), FIELD(SweepParams, by_first), FIELD(SweepParams, by_second),
    FIELD(SweepParams, weights), FIELD(SweepParams, directions), FIELD(SweepParams, number),
    FIELD(SweepParams, slots),
    FIELD(SweepParams, origin), FIELD(SweepParams, spacing), FIELD(SweepParams, exponent), FIELD(SweepParams, shape),
    FIELD(SweepParams, group_count), FIELD(SweepParams, first), FIELD(SweepParams, count),
    SIZE(SlotParams), FIELD(SlotParams, slots), FIELD(SlotParams, dose), FIELD(SlotParams, shape),
    FIELD(SlotParams, slot_count), FIELD(SlotParams, turned),
};

}  // namespace

// Row i of the layout the compiler chose: type, field ('' for the type's size) and offset. 0 past the end.
extern "C" int layout(size_t i, const char** type, const char** field, size_t* offset) {
  if (i >= sizeof offsets / sizeof *offsets) return 0;
  *type = offsets[i].type;
  *field = offsets[i].field;
  *offset = offsets[i].offset;
  return 1;
}
