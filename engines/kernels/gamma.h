// Gamma index of one reference point against a trilinear dose, to a guaranteed accuracy.
//
// Units inside: lengths in distance criteria, doses in dose criteria, both relative to the reference point. So gamma is
// the distance from the origin to the surface (x, d(x)), d trilinear in each cell between eight voxel centres
// (Low et al., Med Phys 25:656, 1998). The minimum is found by branch and bound instead of by sampling: a box is left
// when a lower bound of |x|^2 + d(x)^2 in it cannot better what was found by more than the accuracy asked for.
#pragma once
#include <algorithm>
#include <cmath>

namespace couchside {

// The evaluated dose: values[z][y][x] at origin + index * spacing, lengths in distance criteria.
struct Field {
  const float* values;
  double origin[3], spacing[3];
  int n[3];
};

// An axis-aligned box in coordinates relative to the reference point, with the dose difference at its corners: bit a of
// the corner's number says upper end along axis a. A flat axis (one voxel) has lower == upper.
struct Box {
  float lower[3], upper[3], corner[8];
};

// d in a box as sums and products: mean + slope.s + pair terms + all * sx sy sz, s in -1..1 along each axis.
struct Terms {
  float centre[3], half[3], mean, slope[3], pair[3], all;  // pair[a] belongs to the two axes that are not a
};

inline Terms terms_of(const Box& box) {
  Terms terms;
  float even[4], odd[4];
  for (int k = 0; k < 4; ++k) {
    even[k] = 0.5f * (box.corner[2 * k] + box.corner[2 * k + 1]);
    odd[k] = 0.5f * (box.corner[2 * k + 1] - box.corner[2 * k]);
  }
  const auto mean = [](const float* v) { return 0.25f * ((v[0] + v[1]) + (v[2] + v[3])); };
  const auto second = [](const float* v) { return 0.25f * ((v[1] - v[0]) + (v[3] - v[2])); };
  const auto third = [](const float* v) { return 0.25f * ((v[2] + v[3]) - (v[0] + v[1])); };
  const auto both = [](const float* v) { return 0.25f * ((v[0] + v[3]) - (v[1] + v[2])); };
  terms.mean = mean(even);
  terms.slope[0] = mean(odd);
  terms.slope[1] = second(even);
  terms.slope[2] = third(even);
  terms.pair[0] = both(even);
  terms.pair[1] = third(odd);
  terms.pair[2] = second(odd);
  terms.all = both(odd);
  for (int a = 0; a < 3; ++a) {
    terms.half[a] = 0.5f * (box.upper[a] - box.lower[a]);
    terms.centre[a] = 0.5f * (box.upper[a] + box.lower[a]);
  }
  return terms;
}

// d and its gradient at x.
inline float value_at(const Terms& terms, const float* x, float* gradient) {
  float s[3];
  for (int a = 0; a < 3; ++a) s[a] = terms.half[a] > 0.f ? (x[a] - terms.centre[a]) / terms.half[a] : 0.f;
  for (int a = 0; a < 3; ++a) {
    const int b = (a + 1) % 3, c = (a + 2) % 3;
    const float rise = terms.slope[a] + terms.pair[c] * s[b] + terms.pair[b] * s[c] + terms.all * s[b] * s[c];
    gradient[a] = terms.half[a] > 0.f ? rise / terms.half[a] : 0.f;
  }
  return terms.mean + s[0] * (terms.slope[0] + terms.pair[2] * s[1]) + s[1] * (terms.slope[1] + terms.pair[0] * s[2]) +
         s[2] * (terms.slope[2] + terms.pair[1] * s[0]) + terms.all * s[0] * s[1] * s[2];
}

inline float clamped(float value, float lower, float upper) { return std::min(std::max(value, lower), upper); }

// The least |x|^2 + max(0, |offset + g.x| - rest)^2 over the box, or a little less; x is where.
//
// Convex with one coupling. Its dual in the multiplier t is q(t) in the last lines, and every q(t) with t >= 0 is a
// lower bound (weak duality), so the few steps of the search for the best t need not end exactly.
inline float flat_minimum(const Box& box, const float* g, float offset, float rest, float* x) {
  float squared = 0.f, start = offset;
  for (int a = 0; a < 3; ++a) {
    x[a] = clamped(0.f, box.lower[a], box.upper[a]);
    squared += x[a] * x[a];
    start += g[a] * x[a];
  }
  if (std::fabs(start) <= rest) return squared;
  const float sign = start > 0.f ? 1.f : -1.f;
  offset = sign * offset - rest;
  // h(t) = offset + sign g.x(t) - t falls with t from h(0) > 0; its zero is the best multiplier.
  float low = 0.f, high = sign * start - rest, t = 0.f;
  for (int step = 0; step < 8; ++step) {
    float h = offset - t, fall = 1.f;
    for (int a = 0; a < 3; ++a) {
      const float free = -t * sign * g[a];
      x[a] = clamped(free, box.lower[a], box.upper[a]);
      h += sign * g[a] * x[a];
      if (free >= box.lower[a] && free <= box.upper[a]) fall += g[a] * g[a];
    }
    if (std::fabs(h) < 1e-5f) break;
    (h > 0.f ? low : high) = t;
    const float next = t + h / fall;
    t = next > low && next < high ? next : 0.5f * (low + high);
  }
  float bound = 2.f * t * offset - t * t;
  for (int a = 0; a < 3; ++a) {
    x[a] = clamped(-t * sign * g[a], box.lower[a], box.upper[a]);
    bound += x[a] * (x[a] + 2.f * t * sign * g[a]);
  }
  return std::max(bound, squared);
}

// Lower bound over the box of |x|^2 + d(x)^2 with d = linear part + a rest that its corners limit exactly, because the
// difference of a trilinear and a linear function is trilinear and has its extremes at corners.
inline float linear_bound(const Box& box, const Terms& terms, float* x) {
  float gradient[3], offset = terms.mean;
  for (int a = 0; a < 3; ++a) {
    gradient[a] = terms.half[a] > 0.f ? terms.slope[a] / terms.half[a] : 0.f;
    offset -= gradient[a] * terms.centre[a];
  }
  const float p = terms.pair[0], q = terms.pair[1], r = terms.pair[2], w = std::fabs(terms.all);
  const float rest = w + std::max(std::max(std::fabs(p + q + r), std::fabs(p - q - r)),
                                  std::max(std::fabs(-p + q - r), std::fabs(-p - q + r)));
  return flat_minimum(box, gradient, offset, rest, x);
}

// How far |x|^2 + d(x)^2 is from convex: its Hessian is at least 2 (1 - bend) everywhere in the box. d's own Hessian
// has no diagonal, and |d| is largest at a corner.
inline float bend_of(const Box& box, const Terms& terms) {
  float highest = 0.f, row[3] = {0.f, 0.f, 0.f};
  for (float value : box.corner) highest = std::max(highest, std::fabs(value));
  for (int a = 0; a < 3; ++a) {
    const int b = (a + 1) % 3, c = (a + 2) % 3;
    const float area = terms.half[b] * terms.half[c];
    const float twist = area > 0.f ? (std::fabs(terms.pair[a]) + std::fabs(terms.all)) / area : 0.f;
    row[b] += twist;
    row[c] += twist;
  }
  return highest * std::max(row[0], std::max(row[1], row[2]));
}

// The smallest gamma found so far and what a box must be able to better.
struct Search {
  float best2, wanted2, accuracy;

  void found(float value2) {
    if (value2 >= best2) return;
    best2 = value2;
    const float wanted = std::sqrt(value2) - accuracy;
    wanted2 = wanted > 0.f ? wanted * wanted : 0.f;
  }
};

constexpr int kDeepest = 64;  // boxes waiting; a box halves 20 times along each axis before float32 ends
constexpr int kSteps = 5;
constexpr float kBent = 0.8f;  // below this a box is convex enough for the descent to converge in a few steps

// Descent in a convex box from x. True when nothing in the box can better the search: where the Hessian is at least
// 2 (1 - bend), F(y) >= F(x) + grad.(y - x) + (1 - bend) |y - x|^2.
inline bool settled(const Box& box, const Terms& terms, float bend, float* x, Search& search) {
  for (int step = 0; step < kSteps; ++step) {
    float g[3];
    const float d = value_at(terms, x, g);
    float bound = d * d, offset = d;
    for (int a = 0; a < 3; ++a) {
      bound += x[a] * x[a];
      offset -= g[a] * x[a];
    }
    search.found(bound);
    for (int a = 0; a < 3; ++a) {
      const float slope = 2.f * (x[a] + d * g[a]);
      const float away = clamped(-0.5f * slope / (1.f - bend), box.lower[a] - x[a], box.upper[a] - x[a]);
      bound += away * (slope + (1.f - bend) * away);
    }
    if (bound >= search.wanted2) return true;
    flat_minimum(box, g, offset, 0.f, x);
  }
  return false;
}

inline void halve(const Box& box, int axis, Box& first, Box& second) {
  first = second = box;
  first.upper[axis] = second.lower[axis] = 0.5f * (box.lower[axis] + box.upper[axis]);
  for (int k = 0; k < 8; ++k) {
    if (k >> axis & 1) continue;
    const int other = k | 1 << axis;
    first.corner[other] = second.corner[k] = 0.5f * (box.corner[k] + box.corner[other]);
  }
}

inline void search_box(const Box& whole, Search& search) {
  Box waiting[kDeepest];
  int count = 1;
  waiting[0] = whole;
  while (count > 0) {
    const Box box = waiting[--count];
    const Terms terms = terms_of(box);
    float x[3], g[3];
    if (linear_bound(box, terms, x) >= search.wanted2) continue;
    const float bend = bend_of(box, terms);
    if (bend < kBent && settled(box, terms, bend, x, search)) continue;
    const float d = value_at(terms, x, g);
    search.found(x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + d * d);
    // Along the axis with the most of what is not linear.
    int axis = 0;
    float most = -1.f;
    for (int a = 0; a < 3; ++a) {
      const float part = std::fabs(terms.pair[(a + 1) % 3]) + std::fabs(terms.pair[(a + 2) % 3]);
      if (terms.half[a] > 0.f && part > most) {
        most = part;
        axis = a;
      }
    }
    const float middle = 0.5f * (box.lower[axis] + box.upper[axis]);
    if (!(box.lower[axis] < middle && middle < box.upper[axis]) || count + 2 > kDeepest) continue;
    const bool first_is_nearer = x[axis] <= middle;  // the last one waiting is the next one looked at
    halve(box, axis, waiting[first_is_nearer ? count + 1 : count], waiting[first_is_nearer ? count : count + 1]);
    count += 2;
  }
}

// The cell whose lower corner has index (i, j, k), relative to `point`; false where it cannot better the search.
inline bool cell_box(const Field& field, const int* index, const double* point, float dose, float per_dose,
                     const Search& search, Box& box) {
  float squared = 0.f;
  long step[3];
  for (int a = 0; a < 3; ++a) {
    const double lower = field.origin[a] + index[a] * field.spacing[a] - point[a];
    box.lower[a] = static_cast<float>(lower);
    box.upper[a] = static_cast<float>(field.n[a] > 1 ? lower + field.spacing[a] : lower);
    const float gap = std::max(std::max(box.lower[a], -box.upper[a]), 0.f);
    squared += gap * gap;
  }
  if (squared >= search.wanted2) return false;
  step[0] = field.n[0] > 1 ? 1 : 0;
  step[1] = field.n[1] > 1 ? field.n[0] : 0;
  step[2] = field.n[2] > 1 ? static_cast<long>(field.n[0]) * field.n[1] : 0;
  const float* first = field.values + (static_cast<long>(index[2]) * field.n[1] + index[1]) * field.n[0] + index[0];
  float low = INFINITY, high = -INFINITY;
  for (int k = 0; k < 8; ++k) {
    const float value = first[(k & 1 ? step[0] : 0) + (k & 2 ? step[1] : 0) + (k & 4 ? step[2] : 0)];
    box.corner[k] = (value - dose) * per_dose;
    low = std::min(low, box.corner[k]);
    high = std::max(high, box.corner[k]);
  }
  const float gap = std::max(std::max(low, -high), 0.f);
  return squared + gap * gap < search.wanted2;
}

// Gamma at `point` (distance criteria) with reference dose `dose` (Gy); per_dose is one over the dose criterion (Gy).
// At most `largest`; true gamma lies between the result and the result less `accuracy`.
inline float gamma_at(const Field& field, const double* point, float dose, float per_dose, float largest,
                      float accuracy) {
  Search search{largest * largest, 0.f, accuracy};
  search.wanted2 = largest > accuracy ? (largest - accuracy) * (largest - accuracy) : 0.f;
  int home[3], low[3], high[3], index[3];
  for (int a = 0; a < 3; ++a) {
    const double at = (point[a] - field.origin[a]) / field.spacing[a];
    home[a] = static_cast<int>(std::min(std::max(std::floor(at), 0.0), std::max(field.n[a] - 2.0, 0.0)));
  }
  Box box;
  if (cell_box(field, home, point, dose, per_dose, search, box)) search_box(box, search);
  const double reach = std::sqrt(static_cast<double>(search.wanted2));
  for (int a = 0; a < 3; ++a) {
    const double at = (point[a] - field.origin[a]) / field.spacing[a], cells = reach / field.spacing[a];
    const double last = std::max(field.n[a] - 2.0, 0.0);
    low[a] = static_cast<int>(std::min(std::max(std::floor(at - cells), 0.0), last));
    high[a] = static_cast<int>(std::min(std::max(std::floor(at + cells), 0.0), last));
  }
  for (index[2] = low[2]; index[2] <= high[2]; ++index[2])
    for (index[1] = low[1]; index[1] <= high[1]; ++index[1])
      for (index[0] = low[0]; index[0] <= high[0]; ++index[0]) {
        if (index[0] == home[0] && index[1] == home[1] && index[2] == home[2]) continue;
        if (cell_box(field, index, point, dose, per_dose, search, box)) search_box(box, search);
      }
  return std::sqrt(search.best2);
}

}  // namespace couchside
