// SPDX-License-Identifier: Apache-2.0
// Sums of products of 8-bit codes, a sample in each lane: what `approx-call-contractions` calls.
//
// The product is any function of two codes.  It is computed as
//
//   lifted:  sum_r (left_r[x] * right_r[w]) 2^shift_r + constant[w], exact products of bytes, or as
//   rows:    table[w][x], where a vector of codes that share a weight looks up one row of the table.
//
// Both give the same bits: sums are modulo 2^32, in any order.

#ifndef ASNET_MLIR_LIBS_CONTRACTION_H
#define ASNET_MLIR_LIBS_CONTRACTION_H

#include <array>
#include <cstdint>
#include <vector>

namespace asnet {

/// Loops around the sum, and a stride for each of them in codes, weights and sums, in elements.
struct ContractionShape {
  std::vector<int64_t> ranges, reduces, x, w, y;
  int64_t xOffset = 0, wOffset = 0, yOffset = 0;
  int64_t lanes = 1;
  bool adds = false; // to what is there
};

/// One exact product of bytes in the place of the core's.
struct LiftedPass {
  std::array<uint8_t, 256> left; // of a code of the sample, as it lies in memory
  std::array<int8_t, 256> right; // of a weight
  int shift;
};

/// What instructions a contraction uses: any processor's, AVX2's, or AVX-512's with VNNI and VBMI.
enum class Vectors { Portable, Avx2, Avx512 };

class Contraction {
public:
  /// Lifted.  `weights` is the array that `shape` walks; `constants` are of each weight's code.
  Contraction(const ContractionShape &shape, const uint8_t *weights, std::vector<LiftedPass> passes,
              const std::array<int32_t, 256> &constants, Vectors vectors);
  /// By rows of `table`, [256 weights][256 codes].
  Contraction(const ContractionShape &shape, const uint8_t *weights, const int32_t *table,
              Vectors vectors);

  void run(const uint8_t *x, int32_t *y) const;

  /// Whether this processor has the instructions, and they hold so many lanes.
  static bool supports(Vectors vectors, int64_t lanes);

private:
  struct Segment {
    int64_t words; // of weights, quads or pairs, one pass after the other
    int shift; // of the sums behind it
  };

  Contraction(const ContractionShape &shape, Vectors vectors);
  void addConstants(const uint8_t *weights, const std::array<int32_t, 256> &constants);
  void packLifted(const uint8_t *weights);
  void packRows(const uint8_t *weights);

  void runLifted(const uint8_t *x, int32_t *y) const;
  void runPairs(const uint8_t *x, int32_t *y) const;
  void runGathers(const uint8_t *x, int32_t *y) const;
  template <typename Body>
  void forUnits(Body body) const;
  void runRows(const uint8_t *x, int32_t *y) const;
  void runPortable(const uint8_t *x, int32_t *y) const;
  void findExtent();
  void chooseQuads();
  void packAll(const uint8_t *x, uint8_t *place) const;
  void packCodes(const uint8_t *x, const int64_t *pixels, int64_t count, uint8_t *panel) const;
  void packPairs(const uint8_t *codes, const int64_t *units, int64_t count, uint8_t *panel) const;

  // Offsets in elements of the loops that only codes and sums (pixels), only weights and sums
  // (filters), all three (groups), codes and weights (terms) depend on.
  std::vector<int64_t> pixelsX, pixelsY, filtersW, filtersY, groupsX, groupsW, groupsY, termsX,
      termsW;
  int64_t lanes;
  bool adds, isLifted = true;
  Vectors vectors;

  std::vector<LiftedPass> passes; // greatest shift first
  std::vector<Segment> segments;
  std::vector<int> flips; // of passes: what their left bytes are codes with the bits of, or -1
  std::vector<std::array<int64_t, 4>> quadTerms; // -1 behind the last one
  std::vector<uint8_t> adjacent; // of each quad: its codes lie side by side
  // Quads are looked up for all pixels at once, one every so many codes; 0: for each tile of pixels.
  int64_t step = 0;
  int64_t firstPixel = 0, firstCode = 0, codes = 0; // that are read, all of them
  std::vector<int64_t> quadOffsets; // in place, of [pass][quad]: bytes from a pixel's first one
  std::vector<int64_t> blocks; // first filter of each block of filters, and their number
  // [group][block][pass][word][filter of the block]: quads of bytes, or pairs of 16 bits.
  std::vector<int32_t> packed;
  std::vector<int32_t> constantSums; // [group][filter]
  std::vector<uint8_t> rows; // [256 weights][2][256]: low and high bytes
  std::vector<uint16_t> rowNumbers; // [group][filter][term]
  std::vector<int32_t> table; // rows without AVX-512: [256 weights][256]
  std::vector<uint8_t> weightCodes; // with that table, and portable: [group][filter][term]
};

} // namespace asnet

extern "C" void asnet_contract(const asnet::Contraction *contraction, const uint8_t *x, int32_t *y);

#endif // ASNET_MLIR_LIBS_CONTRACTION_H
