// A CUDA driver without a GPU: the functions of libcuda that pycuda calls for us, over host memory and emulate(). With it
// the real pycuda runs the real backend/cuda.py: parameter marshalling, streams, pools, threads, clean-up.
//
// Stricter than a driver where that finds faults: a call in a thread without a current context fails, memory that is
// copied to must be allocated, and what was never freed can be counted.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

extern "C" int emulate(const char*, const unsigned*, const unsigned*, const void*, size_t);
extern "C" size_t parameter_bytes(const char*);

namespace {

enum Code { kOk = 0, kInvalid = 1, kNoMemory = 2, kNoContext = 201, kNotFound = 500 };
using Pointer = unsigned long long;

std::mutex guard;
std::map<Pointer, size_t> device_memory;
std::map<void*, size_t> host_memory;
size_t used = 0, limit = size_t{1} << 30;
int retained = 0, streams = 0, modules = 0;
thread_local std::vector<void*> stack;
int context_token, stream_token, event_token;

int needs_context() { return stack.empty() ? kNoContext : kOk; }

// True where [address, address + bytes) lies in one allocation.
bool inside(Pointer address, size_t bytes) {
  std::lock_guard<std::mutex> lock(guard);
  auto next = device_memory.upper_bound(address);
  if (next == device_memory.begin()) return false;
  --next;
  return address + bytes <= next->first + next->second;
}

int copy(void* to, const void* from, size_t bytes, Pointer device) {
  if (const int code = needs_context()) return code;
  if (!inside(device, bytes)) return kInvalid;
  std::memcpy(to, from, bytes);
  return kOk;
}

void* at(Pointer p) { return reinterpret_cast<void*>(p); }

}  // namespace

extern "C" {

int cuInit(unsigned) {
  if (const char* bytes = std::getenv("COUCHSIDE_EMULATED_MEMORY")) limit = std::strtoull(bytes, nullptr, 10);
  return kOk;
}
int cuDriverGetVersion(int* version) { return *version = 13000, kOk; }
int cuDeviceGetCount(int* count) { return *count = 1, kOk; }
int cuDeviceGet(int* device, int) { return *device = 0, kOk; }
int cuDeviceGetName(char* name, int length, int) { return std::strncpy(name, "emulated device", length), kOk; }
int cuDeviceComputeCapability(int* major, int* minor, int) { return *major = 9, *minor = 0, kOk; }
int cuDeviceGetAttribute(int* value, int, int) { return *value = 0, kOk; }
int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = limit, kOk; }
int cuGetErrorString(int code, const char** text) {
  *text = code == kNoMemory ? "out of memory" : code == kNoContext ? "invalid device context" : "error";
  return kOk;
}

int cuDevicePrimaryCtxRetain(void** context, int) { return ++retained, *context = &context_token, kOk; }
int cuDevicePrimaryCtxRelease_v2(int) { return --retained, kOk; }
int cuCtxPushCurrent_v2(void* context) { return stack.push_back(context), kOk; }
int cuCtxPopCurrent_v2(void** context) {
  if (stack.empty()) return kNoContext;
  if (context != nullptr) *context = stack.back();
  return stack.pop_back(), kOk;
}
int cuCtxGetDevice(int* device) { return *device = 0, needs_context(); }
int cuCtxSynchronize() { return needs_context(); }

int cuMemAlloc_v2(Pointer* address, size_t bytes) {
  if (const int code = needs_context()) return code;
  std::lock_guard<std::mutex> lock(guard);
  if (used + bytes > limit) return kNoMemory;
  void* block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(block, 0xAB, bytes);
  used += bytes;
  *address = reinterpret_cast<Pointer>(block);
  device_memory[*address] = bytes;
  return kOk;
}
int cuMemFree_v2(Pointer address) {
  if (const int code = needs_context()) return code;
  std::lock_guard<std::mutex> lock(guard);
  const auto found = device_memory.find(address);
  if (found == device_memory.end()) return kInvalid;
  used -= found->second;
  device_memory.erase(found);
  std::free(at(address));
  return kOk;
}
int cuMemGetInfo_v2(size_t* free, size_t* total) { return *free = limit - used, *total = limit, needs_context(); }
int cuMemHostAlloc(void** block, size_t bytes, unsigned) {
  if (const int code = needs_context()) return code;
  *block = std::malloc(bytes);
  std::lock_guard<std::mutex> lock(guard);
  host_memory[*block] = bytes;
  return kOk;
}
int cuMemFreeHost(void* block) {
  if (const int code = needs_context()) return code;
  std::lock_guard<std::mutex> lock(guard);
  if (host_memory.erase(block) == 0) return kInvalid;
  return std::free(block), kOk;
}
int cuMemcpyHtoDAsync_v2(Pointer to, const void* from, size_t bytes, void*) { return copy(at(to), from, bytes, to); }
int cuMemcpyDtoHAsync_v2(void* to, Pointer from, size_t bytes, void*) { return copy(to, at(from), bytes, from); }
int cuMemsetD8Async(Pointer to, unsigned char value, size_t count, void*) {
  if (!inside(to, count)) return kInvalid;
  return std::memset(at(to), value, count), needs_context();
}

int cuStreamCreate(void** stream, unsigned) { return ++streams, *stream = &stream_token, needs_context(); }
int cuStreamDestroy_v2(void*) { return --streams, needs_context(); }
int cuStreamSynchronize(void*) { return needs_context(); }
int cuEventCreate(void** event, unsigned) { return *event = &event_token, needs_context(); }
int cuEventRecord(void*, void*) { return needs_context(); }
int cuEventSynchronize(void*) { return needs_context(); }
int cuEventElapsedTime(float* ms, void*, void*) { return *ms = 1.f, needs_context(); }
int cuEventElapsedTime_v2(float* ms, void*, void*) { return *ms = 1.f, needs_context(); }
int cuEventDestroy_v2(void*) { return needs_context(); }

int cuModuleLoadDataEx(void** module, const void*, unsigned, void*, void**) {
  return ++modules, *module = &modules, needs_context();
}
int cuModuleLoadData(void** module, const void*) { return ++modules, *module = &modules, needs_context(); }
int cuModuleUnload(void*) { return --modules, needs_context(); }
int cuModuleGetFunction(void** function, void*, const char* name) {
  static std::map<std::string, std::string> names;
  if (parameter_bytes(name) == 0) return kNotFound;
  std::lock_guard<std::mutex> lock(guard);
  return *function = &names.emplace(name, name).first->second, needs_context();
}
int cuFuncGetAttribute(int* value, int, void*) { return *value = 0, kOk; }
int cuFuncSetBlockShape(void*, int, int, int) { return kOk; }
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned, void*, void** parameters, void** extra) {
  if (const int code = needs_context()) return code;
  const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
  const std::string& name = *static_cast<std::string*>(function);
  if (parameters != nullptr) return emulate(name.c_str(), grid, block, parameters[0], parameter_bytes(name.c_str()));
  const void* bytes = nullptr;
  size_t size = 0;
  for (void** e = extra; e != nullptr && *e != nullptr; e += 2) {
    const auto key = reinterpret_cast<std::uintptr_t>(e[0]);
    if (key == 1) bytes = e[1];                          // CU_LAUNCH_PARAM_BUFFER_POINTER
    if (key == 2) size = *static_cast<size_t*>(e[1]);    // CU_LAUNCH_PARAM_BUFFER_SIZE
  }
  return emulate(name.c_str(), grid, block, bytes, size) == 0 ? kOk : kInvalid;
}

// What is left: device blocks, page-locked blocks, streams, modules, retained contexts.
void emulated_leftovers(int* counts) {
  std::lock_guard<std::mutex> lock(guard);
  const int now[] = {static_cast<int>(device_memory.size()), static_cast<int>(host_memory.size()), streams, modules,
                     retained};
  std::memcpy(counts, now, sizeof now);
}

}  // extern "C"
