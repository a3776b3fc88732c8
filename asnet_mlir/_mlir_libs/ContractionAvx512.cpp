// SPDX-License-Identifier: Apache-2.0
// Contractions with AVX-512, VNNI and VBMI: quads of bytes, and rows by shuffles.
#include "Contraction.h"
#include "ContractionVectors.h"

#include <algorithm>
#include <cstring>

using namespace asnet;

#if defined(__x86_64__)
#include <immintrin.h>
#define ASNET_VECTORS __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")))

namespace {
/// Bytes of codes of a tile: well inside the second-level cache.
constexpr int64_t kMostPanel = 256 << 10;
/// Groups of 4 pixels that look up a row together.
constexpr int64_t kRowTiles = 4;

/// A table of 256 bytes at 64 places.
ASNET_VECTORS inline __m512i look(const uint8_t *table, __m512i index, __mmask64 isUpper) {
  __m512i lower = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), index,
                                           _mm512_loadu_si512(table + 64));
  __m512i upper = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), index,
                                           _mm512_loadu_si512(table + 192));
  return _mm512_mask_blend_epi8(isUpper, lower, upper);
}

template <int Pixels, int Filters, typename Segments>
ASNET_VECTORS void multiply(const uint8_t *const *codes, const int64_t *offsets,
                            const int32_t *weights, const Segments &segments,
                            const Target &target) {
  __m512i sums[Pixels][Filters];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 8
    for (int f = 0; f < Filters; ++f)
      sums[p][f] = _mm512_setzero_si512();
  for (const auto &segment : segments) {
    for (int64_t word = 0; word < segment.words; ++word) {
      __m512i x[Pixels];
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p)
        x[p] = _mm512_load_si512(codes[p] + *offsets);
#pragma GCC unroll 8
      for (int f = 0; f < Filters; ++f) {
        __m512i w = _mm512_set1_epi32(weights[f]);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p)
          sums[p][f] = _mm512_dpbusd_epi32(sums[p][f], x[p], w);
      }
      ++offsets;
      weights += Filters;
    }
    if (segment.shift) {
      __m128i shift = _mm_cvtsi32_si128(segment.shift);
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 8
        for (int f = 0; f < Filters; ++f)
          sums[p][f] = _mm512_sll_epi32(sums[p][f], shift);
    }
  }
#pragma GCC unroll 8
  for (int f = 0; f < Filters; ++f) {
    __m512i constant = _mm512_set1_epi32(target.constants[f]);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
      int32_t *place = target.sums + (target.filters[f] + target.pixels[p]) * kVectorLanes;
      __m512i sum = _mm512_add_epi32(sums[p][f], constant);
      if (target.adds)
        sum = _mm512_add_epi32(sum, _mm512_loadu_si512(place));
      _mm512_storeu_si512(place, sum);
    }
  }
}

template <int Pixels, typename Segments>
void multiplyBlock(int64_t filters, const uint8_t *const *codes, const int64_t *offsets,
                   const int32_t *weights, const Segments &segments, const Target &target) {
  switch (filters) {
  case 1:
    return multiply<Pixels, 1>(codes, offsets, weights, segments, target);
  case 2:
    return multiply<Pixels, 2>(codes, offsets, weights, segments, target);
  case 3:
    return multiply<Pixels, 3>(codes, offsets, weights, segments, target);
  case 4:
    return multiply<Pixels, 4>(codes, offsets, weights, segments, target);
  case 5:
    return multiply<Pixels, 5>(codes, offsets, weights, segments, target);
  default:
    return multiply<Pixels, 6>(codes, offsets, weights, segments, target);
  }
}

/// 4 pixels of 16 lanes each, in one register.
ASNET_VECTORS inline __m512i gather(const uint8_t *const at[4]) {
  auto load = [](const uint8_t *place) __attribute__((always_inline, target("avx512f"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i *>(place));
  };
  __m512i result = _mm512_castsi128_si512(load(at[0]));
  result = _mm512_inserti32x4(result, load(at[1]), 1);
  result = _mm512_inserti32x4(result, load(at[2]), 2);
  return _mm512_inserti32x4(result, load(at[3]), 3);
}

/// Sums of 16 bits of the bytes at even and at odd places.
struct ByteSums {
  __m512i all, odd; // modulo 2^16: even + 2^8 odd, odd
};

/// Adds them, less `kSignOfSums`, to `sums`, whose i-th register has in its j-th quarter the i-th
/// quarter of pixel j.
ASNET_VECTORS inline void addSums(const ByteSums &low, const ByteSums &high, __m512i (&sums)[4]) {
  auto parts = [](const ByteSums &of, __m512i(&words)[2])
                   __attribute__((always_inline, target("avx512f,avx512bw"))) {
                     __m512i sign = _mm512_set1_epi16(-32768);
                     __m512i even = _mm512_sub_epi16(of.all, _mm512_slli_epi16(of.odd, 8));
                     even = _mm512_xor_si512(even, sign);
                     __m512i odd = _mm512_xor_si512(of.odd, sign);
                     words[0] = _mm512_unpacklo_epi16(even, odd);
                     words[1] = _mm512_unpackhi_epi16(even, odd);
                   };
  __m512i lows[2], highs[2];
  parts(low, lows);
  parts(high, highs);
  const __m512i scales = _mm512_set1_epi32(1 + (256 << 16));
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    __m512i words = _mm512_unpacklo_epi16(lows[i], highs[i]);
    sums[2 * i] = _mm512_dpwssd_epi32(sums[2 * i], words, scales);
    words = _mm512_unpackhi_epi16(lows[i], highs[i]);
    sums[2 * i + 1] = _mm512_dpwssd_epi32(sums[2 * i + 1], words, scales);
  }
}

/// Sums, over the terms, rows of the table at the codes of `Tiles` groups of 4 pixels.
template <int Tiles>
ASNET_VECTORS void lookRows(const uint8_t *codes, const uint8_t *rows, const uint16_t *numbers,
                            int64_t terms, __m512i (&sums)[Tiles][4]) {
#pragma GCC unroll 4
  for (int t = 0; t < Tiles; ++t)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      sums[t][i] = _mm512_setzero_si512();
  for (int64_t first = 0; first < terms; first += kMostBytes) {
    int64_t count = std::min(terms - first, kMostBytes);
    ByteSums low[Tiles], high[Tiles];
#pragma GCC unroll 4
    for (int t = 0; t < Tiles; ++t)
      low[t].all = low[t].odd = high[t].all = high[t].odd = _mm512_setzero_si512();
    for (int64_t term = 0; term < count; ++term, codes += Tiles * kRegister) {
      const uint8_t *row = rows + 512 * *numbers++;
#pragma GCC unroll 4
      for (int t = 0; t < Tiles; ++t) {
        __m512i x = _mm512_load_si512(codes + kRegister * t);
        __mmask64 isUpper = _mm512_movepi8_mask(x);
        __m512i found = look(row, x, isUpper);
        low[t].all = _mm512_add_epi16(low[t].all, found);
        low[t].odd = _mm512_add_epi16(low[t].odd, _mm512_srli_epi16(found, 8));
        found = look(row + 256, x, isUpper);
        high[t].all = _mm512_add_epi16(high[t].all, found);
        high[t].odd = _mm512_add_epi16(high[t].odd, _mm512_srli_epi16(found, 8));
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < Tiles; ++t)
      addSums(low[t], high[t], sums[t]);
  }
}

/// Four registers, of which the i-th has in its j-th quarter the i-th quarter of pixel j, by pixels.
ASNET_VECTORS inline void transposeQuarters(__m512i (&rows)[4]) {
  __m512i ab0 = _mm512_shuffle_i32x4(rows[0], rows[1], 0x44);
  __m512i ab1 = _mm512_shuffle_i32x4(rows[0], rows[1], 0xee);
  __m512i cd0 = _mm512_shuffle_i32x4(rows[2], rows[3], 0x44);
  __m512i cd1 = _mm512_shuffle_i32x4(rows[2], rows[3], 0xee);
  rows[0] = _mm512_shuffle_i32x4(ab0, cd0, 0x88);
  rows[1] = _mm512_shuffle_i32x4(ab0, cd0, 0xdd);
  rows[2] = _mm512_shuffle_i32x4(ab1, cd1, 0x88);
  rows[3] = _mm512_shuffle_i32x4(ab1, cd1, 0xdd);
}

template <int Tiles>
ASNET_VECTORS void rowsOfFilter(const uint8_t *codes, const uint8_t *rows, const uint16_t *numbers,
                                int64_t terms, const Target &target, int64_t pixels) {
  __m512i sums[Tiles][4];
  lookRows<Tiles>(codes, rows, numbers, terms, sums);
  __m512i constant = _mm512_set1_epi32(*target.constants);
#pragma GCC unroll 4
  for (int t = 0; t < Tiles; ++t) {
    transposeQuarters(sums[t]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (4 * t + i >= pixels)
        return;
      int32_t *place = target.sums + (*target.filters + target.pixels[4 * t + i]) * kVectorLanes;
      __m512i sum = _mm512_add_epi32(sums[t][i], constant);
      if (target.adds)
        sum = _mm512_add_epi32(sum, _mm512_loadu_si512(place));
      _mm512_storeu_si512(place, sum);
    }
  }
}
} // namespace

/// The order that makes [16 lanes][4 codes] of [4 codes][16 lanes].
ASNET_VECTORS static __m512i lanesFirst() {
  alignas(64) uint8_t order[64];
  for (int lane = 0; lane < 16; ++lane)
    for (int i = 0; i < 4; ++i)
      order[4 * lane + i] = 16 * i + lane;
  return _mm512_load_si512(order);
}

/// The bytes of a quad as a pass has them.
ASNET_VECTORS static inline __m512i lookUp(const LiftedPass &pass, int flip, __m512i quad,
                                           __mmask64 isUpper) {
  if (flip >= 0)
    return _mm512_xor_si512(quad, _mm512_set1_epi8(static_cast<char>(flip)));
  return look(pass.left.data(), quad, isUpper);
}

/// Writes all quads of codes that are read as [pass][quad][lane][4], looked up for each pass.
ASNET_VECTORS void Contraction::packAll(const uint8_t *x, uint8_t *place) const {
  const __m512i turn = lanesFirst();
  const uint8_t *from = x + firstCode * kVectorLanes;
  int64_t size = codes * kRegister / step;
  for (int64_t code = 0; code < codes; code += step) {
    // The last quads may reach beyond the array.
    int64_t left = std::min<int64_t>(codes - code, 4) * kVectorLanes;
    __mmask64 isThere = ~__mmask64(0) >> (kRegister - left);
    __m512i quad = _mm512_maskz_loadu_epi8(isThere, from + code * kVectorLanes);
    quad = _mm512_permutexvar_epi8(turn, quad);
    __mmask64 isUpper = _mm512_movepi8_mask(quad);
    uint8_t *to = place + code * kRegister / step;
    for (size_t pass = 0; pass < passes.size(); ++pass, to += size)
      _mm512_store_si512(to, lookUp(passes[pass], flips[pass], quad, isUpper));
  }
}

/// Writes the codes of `count` pixels as [pass][quad][pixel][lane][4], looked up for each pass.
ASNET_VECTORS void Contraction::packCodes(const uint8_t *x, const int64_t *pixels, int64_t count,
                                          uint8_t *panel) const {
  const __m512i turn = lanesFirst();
  auto quads = static_cast<int64_t>(quadTerms.size());
  for (int64_t quad = 0; quad < quads; ++quad)
    for (int64_t p = 0; p < count; ++p) {
      const uint8_t *base = x + pixels[p] * kVectorLanes;
      __m512i found;
      if (adjacent[quad]) {
        found = _mm512_loadu_si512(base + termsX[quadTerms[quad][0]] * kVectorLanes);
      } else {
        const uint8_t *at[4];
        for (int64_t i = 0; i < 4; ++i) { // what is beyond the last one meets weights of 0
          int64_t term = quadTerms[quad][quadTerms[quad][i] < 0 ? 0 : i];
          at[i] = base + termsX[term] * kVectorLanes;
        }
        found = gather(at);
      }
      found = _mm512_permutexvar_epi8(turn, found);
      __mmask64 isUpper = _mm512_movepi8_mask(found);
      uint8_t *place = panel + (quad * count + p) * kRegister;
      for (size_t pass = 0; pass < passes.size(); ++pass, place += quads * count * kRegister)
        _mm512_store_si512(place, lookUp(passes[pass], flips[pass], found, isUpper));
    }
}

void Contraction::runLifted(const uint8_t *x, int32_t *y) const {
  auto pixels = static_cast<int64_t>(pixelsX.size()),
       filters = static_cast<int64_t>(filtersW.size());
  int64_t quads = static_cast<int64_t>(quadTerms.size() * passes.size());
  int64_t widest = 4;
  while (!step && widest > 1 && quads * widest * kRegister > kMostPanel)
    widest /= 2;
  // Codes looked up: all, or those of a tile; behind these, how far each quad is from the first.
  int64_t size = step ? codes * kRegister / step * static_cast<int64_t>(passes.size())
                      : quads * widest * kRegister;
  uint8_t *place = scratch(size + quads * static_cast<int64_t>(sizeof(int64_t)));
  auto *panelOffsets = reinterpret_cast<int64_t *>(place + size);
  const int64_t *offsets = step ? quadOffsets.data() : panelOffsets;
  if (step)
    packAll(x, place);
  int64_t offsetsFor = 0;
  for (size_t group = 0; group < groupsX.size(); ++group)
    for (int64_t first = 0; first < pixels;) {
      int64_t count = widest;
      while (count > pixels - first)
        count /= 2;
      const uint8_t *at[4];
      for (int64_t p = 0; p < count; ++p) {
        int64_t code = groupsX[group] + pixelsX[first + p] - firstPixel;
        at[p] = place + (step ? code * kRegister / step : p * kRegister);
      }
      if (!step) {
        packCodes(x + groupsX[group] * kVectorLanes, pixelsX.data() + first, count, place);
        for (int64_t quad = 0; offsetsFor != count && quad < quads; ++quad)
          panelOffsets[quad] = quad * count * kRegister;
        offsetsFor = count;
      }
      for (size_t block = 0; block + 1 < blocks.size(); ++block) {
        int64_t filter = blocks[block], wide = blocks[block + 1] - filter;
        const int32_t *weights = packed.data() + (group * filters + filter) * quads;
        Target target{constantSums.data() + group * filters + filter, filtersY.data() + filter,
                      pixelsY.data() + first, y + groupsY[group] * kVectorLanes, adds};
        if (count == 4)
          multiplyBlock<4>(wide, at, offsets, weights, segments, target);
        else if (count == 2)
          multiplyBlock<2>(wide, at, offsets, weights, segments, target);
        else
          multiplyBlock<1>(wide, at, offsets, weights, segments, target);
      }
      first += count;
    }
}

ASNET_VECTORS void Contraction::runRows(const uint8_t *x, int32_t *y) const {
  auto pixels = static_cast<int64_t>(pixelsX.size()),
       filters = static_cast<int64_t>(filtersW.size());
  auto terms = static_cast<int64_t>(termsX.size());
  uint8_t *panel = scratch(terms * kRowTiles * kRegister);
  for (size_t group = 0; group < groupsX.size(); ++group)
    for (int64_t first = 0; first < pixels; first += 4 * kRowTiles) {
      int64_t count = std::min(pixels - first, 4 * kRowTiles);
      int64_t tiles = count > 8 ? 4 : count > 4 ? 2 : 1;
      for (int64_t term = 0; term < terms; ++term)
        for (int64_t tile = 0; tile < tiles; ++tile) {
          const uint8_t *at[4];
          for (int64_t i = 0; i < 4; ++i)
            at[i] = x + (groupsX[group] + pixelsX[std::min(first + 4 * tile + i, pixels - 1)] +
                         termsX[term]) *
                            kVectorLanes;
          _mm512_store_si512(panel + (term * tiles + tile) * kRegister, gather(at));
        }
      for (int64_t filter = 0; filter < filters; ++filter) {
        const uint16_t *numbers = rowNumbers.data() + (group * filters + filter) * terms;
        Target target{constantSums.data() + group * filters + filter, filtersY.data() + filter,
                      pixelsY.data() + first, y + groupsY[group] * kVectorLanes, adds};
        if (tiles == 4)
          rowsOfFilter<4>(panel, rows.data(), numbers, terms, target, count);
        else if (tiles == 2)
          rowsOfFilter<2>(panel, rows.data(), numbers, terms, target, count);
        else
          rowsOfFilter<1>(panel, rows.data(), numbers, terms, target, count);
      }
    }
}
#else
void Contraction::packAll(const uint8_t *, uint8_t *) const {}
void Contraction::packCodes(const uint8_t *, const int64_t *, int64_t, uint8_t *) const {}
void Contraction::runLifted(const uint8_t *x, int32_t *y) const { runPortable(x, y); }
void Contraction::runRows(const uint8_t *x, int32_t *y) const { runPortable(x, y); }
#endif
