// CPU face of the collapsed cone: NumPy arrays in and out, OpenMP loops around the arithmetic of collapsed_cone.h.
#pragma once
#include <nanobind/nanobind.h>

void define_collapsed_cone(nanobind::module_& module);
