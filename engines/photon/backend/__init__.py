"""Where dose is computed: on the CPU (C++ and OpenMP), or on a GPU (the same arithmetic, compiled by nvcc)."""
