// SPDX-License-Identifier: Apache-2.0
#include "Contraction.h"
#include "ContractionVectors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

using namespace asnet;

uint8_t *asnet::scratch(size_t size) {
  struct Free {
    void operator()(uint8_t *memory) const { ::operator delete[](memory, std::align_val_t(64)); }
  };
  thread_local std::unique_ptr<uint8_t[], Free> memory;
  thread_local size_t capacity = 0;
  if (capacity < size) {
    memory.reset(static_cast<uint8_t *>(::operator new[](size, std::align_val_t(64))));
    capacity = size;
  }
  return memory.get();
}

namespace {
/// Filters that a block computes at once: with AVX-512, whatever the pixels of a tile (with 4 pixels 24
/// sums), and with AVX2.
constexpr int64_t kMostFilters = 6, kMostPairFilters = 3;
/// Bytes of codes that are looked up once for all pixels: about the second-level cache.
constexpr int64_t kMostInPlace = 1 << 20;
/// What sums of words with an inverted sign lack, of low and of high bytes together.
constexpr uint32_t kSignOfSums = 32768 * kMostBytes;

/// The offsets of all iterations of some loops, outermost first, in each of three arrays.
void spread(
    const std::vector<int64_t> &ranges, const std::vector<size_t> &loops,
    std::initializer_list<std::pair<const std::vector<int64_t> *, std::vector<int64_t> *>> arrays) {
  for (auto [strides, offsets] : arrays) {
    offsets->assign(1, 0);
    for (size_t loop : loops) {
      std::vector<int64_t> next;
      next.reserve(offsets->size() * ranges[loop]);
      for (int64_t base : *offsets)
        for (int64_t i = 0; i < ranges[loop]; ++i)
          next.push_back(base + i * (*strides)[loop]);
      *offsets = std::move(next);
    }
  }
}

} // namespace

//===----------------------------------------------------------------------===//
// What is prepared of shape, weights and product
//===----------------------------------------------------------------------===//

Contraction::Contraction(const ContractionShape &shape, Vectors vectors)
    : lanes(shape.lanes), adds(shape.adds),
      vectors(supports(vectors, shape.lanes) ? vectors : Vectors::Portable) {
  std::vector<size_t> pixels, filters, groups, terms;
  for (size_t loop = 0; loop < shape.ranges.size(); ++loop) {
    if (shape.reduces[loop])
      terms.push_back(loop);
    else if (shape.w[loop] == 0)
      pixels.push_back(loop);
    else if (shape.x[loop] == 0)
      filters.push_back(loop);
    else
      groups.push_back(loop);
  }
  spread(shape.ranges, pixels, {{&shape.x, &pixelsX}, {&shape.y, &pixelsY}});
  spread(shape.ranges, filters, {{&shape.w, &filtersW}, {&shape.y, &filtersY}});
  spread(shape.ranges, groups, {{&shape.x, &groupsX}, {&shape.w, &groupsW}, {&shape.y, &groupsY}});
  spread(shape.ranges, terms, {{&shape.x, &termsX}, {&shape.w, &termsW}});
  for (int64_t &offset : groupsX)
    offset += shape.xOffset;
  for (int64_t &offset : groupsW)
    offset += shape.wOffset;
  for (int64_t &offset : groupsY)
    offset += shape.yOffset;
}

Contraction::Contraction(const ContractionShape &shape, const uint8_t *weights,
                         std::vector<LiftedPass> given, const std::array<int32_t, 256> &constants,
                         Vectors vectors)
    : Contraction(shape, vectors) {
  passes = std::move(given);
  std::stable_sort(passes.begin(), passes.end(),
                   [](const LiftedPass &a, const LiftedPass &b) { return a.shift > b.shift; });
  for (const LiftedPass &pass : passes) {
    int flip = pass.left[0];
    for (int code = 0; code < 256; ++code)
      if (pass.left[code] != (code ^ pass.left[0]))
        flip = -1;
    flips.push_back(flip);
  }
  addConstants(weights, constants);
  packLifted(weights);
}

Contraction::Contraction(const ContractionShape &shape, const uint8_t *weights,
                         const int32_t *product, Vectors vectors)
    : Contraction(shape, vectors) {
  isLifted = false;
  std::array<int32_t, 256> constants{};
  bool hasRows = this->vectors == Vectors::Avx512;
  if (!hasRows) {
    table.assign(product, product + 65536);
  } else {
    rows.resize(256 * 512);
    for (int64_t weight = 0; weight < 256; ++weight) {
      const int32_t *row = product + 256 * weight;
      int32_t base = *std::min_element(row, row + 256);
      constants[weight] = base;
      for (int64_t code = 0; code < 256; ++code) {
        auto word = static_cast<uint16_t>(row[code] - base);
        rows[512 * weight + code] = word & 0xff;
        rows[512 * weight + 256 + code] = word >> 8;
      }
    }
  }
  addConstants(weights, constants);
  if (hasRows) // what `addSums` takes away
    for (int32_t &sum : constantSums)
      sum = static_cast<int32_t>(static_cast<uint32_t>(sum) +
                                 kSignOfSums * roundUp(termsW.size(), kMostBytes) / kMostBytes);
  packRows(weights);
}

void Contraction::addConstants(const uint8_t *weights, const std::array<int32_t, 256> &constants) {
  for (int64_t group : groupsW)
    for (int64_t filter : filtersW) {
      uint32_t sum = 0;
      for (int64_t term : termsW)
        sum += static_cast<uint32_t>(constants[weights[group + filter + term]]);
      constantSums.push_back(static_cast<int32_t>(sum));
    }
}

void Contraction::packLifted(const uint8_t *weights) {
  auto terms = static_cast<int64_t>(termsW.size()), filters = static_cast<int64_t>(filtersW.size());
  if (vectors == Vectors::Portable) {
    for (int64_t group : groupsW)
      for (int64_t filter : filtersW)
        for (int64_t term : termsW)
          weightCodes.push_back(weights[group + filter + term]);
    return;
  }
  findExtent();
  bool hasQuads = vectors == Vectors::Avx512;
  if (hasQuads)
    chooseQuads();
  int64_t words = hasQuads ? static_cast<int64_t>(quadTerms.size()) : roundUp(terms, 2) / 2;
  for (size_t pass = 0; pass < passes.size(); ++pass) {
    bool isNew = segments.empty() || passes[pass].shift != passes[pass - 1].shift;
    if (isNew)
      segments.push_back({0, 0});
    segments.back().words += words;
    int next = pass + 1 < passes.size() ? passes[pass + 1].shift : 0;
    segments.back().shift = passes[pass].shift - next;
  }
  auto quadOf = [&](const uint8_t *filter, const LiftedPass &pass, int64_t quad) {
    uint32_t word = 0;
    for (int64_t i = 0; i < 4; ++i)
      if (int64_t term = quadTerms[quad][i]; term >= 0)
        word |= uint32_t(uint8_t(pass.right[filter[termsW[term]]])) << 8 * i;
    return word;
  };
  auto pairOf = [&](const uint8_t *filter, const LiftedPass &pass, int64_t pair) {
    uint32_t word = uint16_t(pass.right[filter[termsW[2 * pair]]]);
    if (2 * pair + 1 < terms)
      word |= uint32_t(uint16_t(pass.right[filter[termsW[2 * pair + 1]]])) << 16;
    return word;
  };
  // Blocks of nearly one size.
  int64_t most = hasQuads ? kMostFilters : kMostPairFilters;
  int64_t count = roundUp(filters, most) / most;
  for (int64_t block = 0; block <= count; ++block)
    blocks.push_back(block * filters / count);
  for (int64_t group : groupsW)
    for (int64_t block = 0; block < count; ++block)
      for (const LiftedPass &pass : passes)
        for (int64_t word = 0; word < words; ++word)
          for (int64_t filter = blocks[block]; filter < blocks[block + 1]; ++filter) {
            const uint8_t *from = weights + group + filtersW[filter];
            uint32_t packedWord = hasQuads ? quadOf(from, pass, word) : pairOf(from, pass, word);
            packed.push_back(static_cast<int32_t>(packedWord));
          }
}

/// Finds the codes that are read: from `firstCode`, `codes` of them; `firstPixel` is their first one's.
void Contraction::findExtent() {
  auto [leastPixel, mostPixel] = std::minmax_element(pixelsX.begin(), pixelsX.end());
  auto [leastGroup, mostGroup] = std::minmax_element(groupsX.begin(), groupsX.end());
  auto [leastTerm, mostTerm] = std::minmax_element(termsX.begin(), termsX.end());
  firstPixel = *leastPixel + *leastGroup;
  firstCode = firstPixel + *leastTerm;
  codes = *mostPixel + *mostGroup + *mostTerm + 1 - firstCode;
}

/// Groups terms by four.  Where several pixels read the same codes these are looked up once, in place:
/// if terms are whole quads of codes that lie side by side and all begin at multiples of four, each quad
/// once; else, if runs of terms lie side by side, the quad at each code.
void Contraction::chooseQuads() {
  auto terms = static_cast<int64_t>(termsX.size());
  std::vector<std::array<int64_t, 4>> inOrder, byRuns;
  for (int64_t term = 0; term < terms; ++term) {
    if (term % 4 == 0)
      inOrder.push_back({-1, -1, -1, -1});
    inOrder.back()[term % 4] = term;
    bool goesOn = !byRuns.empty() && termsX[term] == termsX[term - 1] + 1;
    if (goesOn && byRuns.back()[3] < 0) {
      *std::find(byRuns.back().begin(), byRuns.back().end(), -1) = term;
      continue;
    }
    byRuns.push_back({term, -1, -1, -1});
  }
  int64_t leastTerm = firstCode - firstPixel;
  int64_t leastPixel = *std::min_element(pixelsX.begin(), pixelsX.end());
  int64_t leastGroup = *std::min_element(groupsX.begin(), groupsX.end());
  auto isWhole = [](int64_t offset) { return offset % 4 == 0; };
  bool areWhole = byRuns.size() == inOrder.size() && isWhole(terms) && isWhole(codes);
  for (const std::array<int64_t, 4> &quad : byRuns)
    areWhole = areWhole && quad[3] >= 0 && isWhole(termsX[quad[0]] - leastTerm);
  for (int64_t pixel : pixelsX)
    areWhole = areWhole && isWhole(pixel - leastPixel);
  for (int64_t group : groupsX)
    areWhole = areWhole && isWhole(group - leastGroup);
  step = areWhole ? 4 : 1;
  auto read = static_cast<int64_t>(pixelsX.size() * groupsX.size() * byRuns.size());
  auto count = static_cast<int64_t>(passes.size());
  // In products: what it costs to gather a quad of a tile, to look it up for a pass, or in place.
  constexpr int64_t kGather = 8, kLookUp = 4;
  auto filters = static_cast<int64_t>(filtersW.size());
  int64_t byTiles = read / byRuns.size() * inOrder.size() * (count * (filters + kLookUp) + kGather);
  int64_t atOnce = read * count * filters + codes / step * (count * kLookUp + 2);
  if (byTiles <= atOnce || codes * kRegister / step * count > kMostInPlace)
    step = 0;
  quadTerms = step ? byRuns : inOrder;
  for (const std::array<int64_t, 4> &quad : quadTerms) {
    bool side = quad[3] >= 0;
    for (int64_t i = 1; side && i < 4; ++i)
      side = termsX[quad[i]] == termsX[quad[0]] + i;
    adjacent.push_back(side);
  }
  for (int64_t pass = 0; step && pass < count; ++pass)
    for (const std::array<int64_t, 4> &quad : quadTerms)
      quadOffsets.push_back((pass * codes + termsX[quad[0]] - leastTerm) * kRegister / step);
}

void Contraction::packRows(const uint8_t *weights) {
  for (int64_t group : groupsW)
    for (int64_t filter : filtersW) {
      for (int64_t term : termsW)
        if (vectors != Vectors::Avx512)
          weightCodes.push_back(weights[group + filter + term]);
        else
          rowNumbers.push_back(weights[group + filter + term]);
    }
}

bool Contraction::supports(Vectors vectors, int64_t lanes) {
  if (vectors == Vectors::Portable)
    return true;
#if defined(__x86_64__)
  if (vectors == Vectors::Avx2)
    return lanes % kHalfLanes == 0 && __builtin_cpu_supports("avx2");
  return lanes == kVectorLanes && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512vbmi");
#else
  return false;
#endif
}

//===----------------------------------------------------------------------===//
// Any processor
//===----------------------------------------------------------------------===//

namespace {
/// Adds left * right to the sums of all lanes.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void addProducts(uint32_t *sums, const uint8_t *left, const int16_t *right, int64_t terms,
                 int64_t lanes) {
  for (int64_t term = 0; term < terms; ++term)
    for (int64_t lane = 0; lane < lanes; ++lane)
      sums[lane] +=
          static_cast<uint32_t>(static_cast<int32_t>(left[term * lanes + lane]) * right[term]);
}
} // namespace

void Contraction::runPortable(const uint8_t *x, int32_t *y) const {
  auto terms = static_cast<int64_t>(termsX.size()), filters = static_cast<int64_t>(filtersW.size());
  auto passCount = static_cast<int64_t>(passes.size());
  uint8_t *codes = scratch(terms * lanes * std::max<int64_t>(passCount, 1));
  std::vector<uint32_t> sums(lanes);
  std::vector<int16_t> rights(terms);
  for (size_t group = 0; group < groupsX.size(); ++group)
    for (size_t pixel = 0; pixel < pixelsX.size(); ++pixel) {
      for (int64_t term = 0; term < terms; ++term) {
        const uint8_t *from = x + (groupsX[group] + pixelsX[pixel] + termsX[term]) * lanes;
        for (int64_t lane = 0; lane < lanes; ++lane)
          if (isLifted)
            for (int64_t pass = 0; pass < passCount; ++pass)
              codes[(pass * terms + term) * lanes + lane] = passes[pass].left[from[lane]];
          else
            codes[term * lanes + lane] = from[lane];
      }
      for (int64_t filter = 0; filter < filters; ++filter) {
        std::fill(sums.begin(), sums.end(), 0);
        const uint8_t *weights = weightCodes.data() + (group * filters + filter) * terms;
        for (int64_t pass = 0; pass < passCount; ++pass) {
          for (int64_t term = 0; term < terms; ++term)
            rights[term] = passes[pass].right[weights[term]];
          addProducts(sums.data(), codes + pass * terms * lanes, rights.data(), terms, lanes);
          int next = pass + 1 < passCount ? passes[pass + 1].shift : 0;
          for (uint32_t &sum : sums)
            sum <<= passes[pass].shift - next;
        }
        if (!isLifted)
          for (int64_t term = 0; term < terms; ++term)
            for (int64_t lane = 0; lane < lanes; ++lane)
              sums[lane] += static_cast<uint32_t>(
                  table[256 * static_cast<int64_t>(weights[term]) + codes[term * lanes + lane]]);
        int32_t *place = y + (groupsY[group] + pixelsY[pixel] + filtersY[filter]) * lanes;
        auto constant = static_cast<uint32_t>(constantSums[group * filters + filter]);
        for (int64_t lane = 0; lane < lanes; ++lane)
          place[lane] = static_cast<int32_t>(sums[lane] + constant +
                                             (adds ? static_cast<uint32_t>(place[lane]) : 0U));
      }
    }
}

void Contraction::run(const uint8_t *x, int32_t *y) const {
  if (vectors == Vectors::Portable)
    runPortable(x, y);
  else if (vectors == Vectors::Avx2 && isLifted)
    runPairs(x, y);
  else if (vectors == Vectors::Avx2)
    runGathers(x, y);
  else if (isLifted)
    runLifted(x, y);
  else
    runRows(x, y);
}

extern "C" void asnet_contract(const Contraction *contraction, const uint8_t *x, int32_t *y) {
  contraction->run(x, y);
}
