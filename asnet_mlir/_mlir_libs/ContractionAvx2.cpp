// SPDX-License-Identifier: Apache-2.0
// Contractions with AVX2: pairs of 16 bits, and rows by gathers.
#include "Contraction.h"
#include "ContractionVectors.h"

#include <algorithm>

using namespace asnet;

#if defined(__x86_64__)
#include <immintrin.h>
#define ASNET_AVX2 __attribute__((target("avx2")))

namespace {
/// Bytes of a register: pairs of codes in 16 bits each, or codes in 32; so many are a tile.
constexpr int64_t kHalfRegister = 32, kMostUnits = 4;

/// `table` at `count` codes.  Sixteen shuffles, one for each upper half of a code: its lower half, where
/// the upper one is not this, becomes an index with an upper bit, which finds 0.
ASNET_AVX2 void lookUpAll(const uint8_t *table, const uint8_t *from, int64_t count, uint8_t *to) {
  int64_t i = 0;
  for (; i + kHalfRegister <= count; i += kHalfRegister) {
    __m256i code = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + i));
    __m256i found = _mm256_setzero_si256();
    for (int upper = 0; upper < 16; ++upper) {
      __m256i part = _mm256_broadcastsi128_si256(
          _mm_loadu_si128(reinterpret_cast<const __m128i *>(table + 16 * upper)));
      __m256i index = _mm256_xor_si256(code, _mm256_set1_epi8(static_cast<char>(upper << 4)));
      index = _mm256_adds_epu8(index, _mm256_set1_epi8(0x70));
      found = _mm256_or_si256(found, _mm256_shuffle_epi8(part, index));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + i), found);
  }
  for (; i < count; ++i)
    to[i] = table[from[i]];
}

template <int Units, int Filters>
ASNET_AVX2 inline void writeSums(const __m256i (&sums)[Units][Filters], const Target &target) {
#pragma GCC unroll 4
  for (int f = 0; f < Filters; ++f) {
    __m256i constant = _mm256_set1_epi32(target.constants[f]);
#pragma GCC unroll 4
    for (int u = 0; u < Units; ++u) {
      auto *place = reinterpret_cast<__m256i *>(target.sums + target.filters[f] * target.lanes +
                                                target.pixels[u]);
      __m256i sum = _mm256_add_epi32(sums[u][f], constant);
      if (target.adds)
        sum = _mm256_add_epi32(sum, _mm256_loadu_si256(place));
      _mm256_storeu_si256(place, sum);
    }
  }
}

/// Sums of `Units` times 8 lanes and of `Filters`; a unit is a pixel's or a part of it.
template <int Units, int Filters, typename Segments>
ASNET_AVX2 void multiplyPairs(const uint8_t *panel, const int32_t *weights,
                              const Segments &segments, const Target &target) {
  __m256i sums[Units][Filters];
#pragma GCC unroll 4
  for (int u = 0; u < Units; ++u)
#pragma GCC unroll 4
    for (int f = 0; f < Filters; ++f)
      sums[u][f] = _mm256_setzero_si256();
  for (const auto &segment : segments) {
    for (int64_t word = 0; word < segment.words; ++word) {
      const auto *x = reinterpret_cast<const __m256i *>(panel);
#pragma GCC unroll 4
      for (int f = 0; f < Filters; ++f) {
        __m256i w = _mm256_set1_epi32(weights[f]);
#pragma GCC unroll 4
        for (int u = 0; u < Units; ++u)
          sums[u][f] = _mm256_add_epi32(sums[u][f], _mm256_madd_epi16(_mm256_load_si256(x + u), w));
      }
      panel += Units * kHalfRegister;
      weights += Filters;
    }
    __m128i shift = _mm_cvtsi32_si128(segment.shift);
#pragma GCC unroll 4
    for (int u = 0; u < Units; ++u)
#pragma GCC unroll 4
      for (int f = 0; f < Filters; ++f)
        sums[u][f] = _mm256_sll_epi32(sums[u][f], shift);
  }
  writeSums(sums, target);
}

/// Sums, over the terms, of the words of one filter's rows.
template <int Units>
ASNET_AVX2 void gatherRows(const __m256i *panel, const int32_t *table, const uint8_t *weights,
                           int64_t terms, const Target &target) {
  __m256i sums[Units][1];
#pragma GCC unroll 4
  for (int u = 0; u < Units; ++u)
    sums[u][0] = _mm256_setzero_si256();
  for (int64_t term = 0; term < terms; ++term, panel += Units) {
    const int32_t *row = table + 256 * static_cast<int64_t>(weights[term]);
#pragma GCC unroll 4
    for (int u = 0; u < Units; ++u)
      sums[u][0] = _mm256_add_epi32(sums[u][0], _mm256_i32gather_epi32(row, panel[u], 4));
  }
  writeSums(sums, target);
}

template <int Units, typename Segments>
void multiplyPairBlock(int64_t filters, const uint8_t *panel, const int32_t *weights,
                       const Segments &segments, const Target &target) {
  switch (filters) {
  case 1:
    return multiplyPairs<Units, 1>(panel, weights, segments, target);
  case 2:
    return multiplyPairs<Units, 2>(panel, weights, segments, target);
  default:
    return multiplyPairs<Units, 3>(panel, weights, segments, target);
  }
}
} // namespace

/// Writes bytes of `count` units, which are as far from `codes` as `units` says, as
/// [pass][pair][unit][lane][2], 16 bits each.
ASNET_AVX2 void Contraction::packPairs(const uint8_t *codes, const int64_t *units, int64_t count,
                                       uint8_t *panel) const {
  auto terms = static_cast<int64_t>(termsX.size());
  for (size_t pass = 0; pass < passes.size(); ++pass, codes += this->codes * lanes)
    for (int64_t term = 0; term < terms; term += 2)
      for (int64_t u = 0; u < count; ++u, panel += kHalfRegister) {
        auto load = [&](int64_t at) __attribute__((always_inline, target("avx2"))) {
          return _mm_loadl_epi64(
              reinterpret_cast<const __m128i *>(codes + units[u] + termsX[at] * lanes));
        };
        // What is beyond the last one meets weights of 0.
        __m128i pair = _mm_unpacklo_epi8(load(term), load(std::min(term + 1, terms - 1)));
        _mm256_store_si256(reinterpret_cast<__m256i *>(panel), _mm256_cvtepu8_epi16(pair));
      }
}

/// Calls `body(group, count, from, to)` for 1, 2 or 4 units at once: how far their codes are from the
/// array's first one, and their sums from the group's.
template <typename Body>
void Contraction::forUnits(Body body) const {
  int64_t parts = lanes / kHalfLanes;
  int64_t units = static_cast<int64_t>(pixelsX.size()) * parts;
  for (size_t group = 0; group < groupsX.size(); ++group)
    for (int64_t first = 0, count; first < units; first += count) {
      count = units - first < 2 ? 1 : units - first < kMostUnits ? 2 : kMostUnits;
      int64_t from[kMostUnits], to[kMostUnits];
      for (int64_t u = 0; u < count; ++u) {
        int64_t pixel = (first + u) / parts, part = (first + u) % parts * kHalfLanes;
        from[u] = (groupsX[group] + pixelsX[pixel]) * lanes + part;
        to[u] = pixelsY[pixel] * lanes + part;
      }
      body(group, count, from, to);
    }
}

/// Lifted, by exact products of pairs of 16 bits; every code is looked up once for each pass.
void Contraction::runPairs(const uint8_t *x, int32_t *y) const {
  auto filters = static_cast<int64_t>(filtersW.size());
  auto passCount = static_cast<int64_t>(passes.size());
  int64_t words = roundUp(termsX.size(), 2) / 2 * passCount;
  int64_t panelSize = words * kMostUnits * kHalfRegister;
  uint8_t *panel = scratch(panelSize + passCount * codes * lanes);
  uint8_t *found = panel + panelSize;
  const uint8_t *read = x + firstCode * lanes;
  for (int64_t pass = 0; pass < passCount; ++pass) {
    uint8_t *bytes = found + pass * codes * lanes;
    if (flips[pass] < 0)
      lookUpAll(passes[pass].left.data(), read, codes * lanes, bytes);
    else
      std::transform(read, read + codes * lanes, bytes,
                     [flip = static_cast<uint8_t>(flips[pass])](uint8_t code) -> uint8_t {
                       return code ^ flip;
                     });
  }
  forUnits([&](size_t group, int64_t count, const int64_t *from, const int64_t *to) {
    packPairs(found - firstCode * lanes, from, count, panel);
    for (size_t block = 0; block + 1 < blocks.size(); ++block) {
      int64_t filter = blocks[block], wide = blocks[block + 1] - filter;
      const int32_t *weights = packed.data() + (group * filters + filter) * words;
      Target target{constantSums.data() + group * filters + filter,
                    filtersY.data() + filter,
                    to,
                    y + groupsY[group] * lanes,
                    adds,
                    lanes};
      if (count == 4)
        multiplyPairBlock<4>(wide, panel, weights, segments, target);
      else if (count == 2)
        multiplyPairBlock<2>(wide, panel, weights, segments, target);
      else
        multiplyPairBlock<1>(wide, panel, weights, segments, target);
    }
  });
}

/// Rows of a table of words of 32 bits.
ASNET_AVX2 void Contraction::runGathers(const uint8_t *x, int32_t *y) const {
  auto filters = static_cast<int64_t>(filtersW.size());
  auto terms = static_cast<int64_t>(termsX.size());
  auto *panel = reinterpret_cast<__m256i *>(scratch(terms * kMostUnits * kHalfRegister));
  forUnits([&](size_t group, int64_t count, const int64_t *from,
               const int64_t *to) __attribute__((target("avx2"))) {
    for (int64_t term = 0; term < terms; ++term)
      for (int64_t u = 0; u < count; ++u)
        panel[term * count + u] = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64(reinterpret_cast<const __m128i *>(x + from[u] + termsX[term] * lanes)));
    for (int64_t filter = 0; filter < filters; ++filter) {
      const uint8_t *weights = weightCodes.data() + (group * filters + filter) * terms;
      const int32_t *constants = constantSums.data() + group * filters + filter;
      Target target{constants, filtersY.data() + filter, to, y + groupsY[group] * lanes, adds,
                    lanes};
      if (count == 4)
        gatherRows<4>(panel, table.data(), weights, terms, target);
      else if (count == 2)
        gatherRows<2>(panel, table.data(), weights, terms, target);
      else
        gatherRows<1>(panel, table.data(), weights, terms, target);
    }
  });
}
#else
void Contraction::packPairs(const uint8_t *, const int64_t *, int64_t, uint8_t *) const {}
void Contraction::runPairs(const uint8_t *x, int32_t *y) const { runPortable(x, y); }
void Contraction::runGathers(const uint8_t *x, int32_t *y) const { runPortable(x, y); }
#endif
