#pragma once
#include <nanobind/nanobind.h>

void define_grid_changes(nanobind::module_& module);
