// SPDX-License-Identifier: Apache-2.0
// The board in Verilator behind a UART: what a host does to the line is read from standard input, and
// what the board answers is written to standard output. `Simulated` of host.py drives it.
//
//   0 BYTE   sends a byte
//   1 BYTE   sends a byte whose stop bit is 0
//   2 N      leaves the line alone for 16 N bits
//   3 0      waits for a byte of the board: writes 1 BYTE, or 0 0 where none comes in MAX_BITS
//   4 0      writes the cycles so far, 4 bytes, lower first
#include "Vboard.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <deque>

#ifndef CLOCKS_PER_BIT
#define CLOCKS_PER_BIT 4
#endif
#ifndef MAX_BITS
#define MAX_BITS 400000
#endif

namespace {
class Board {
public:
  Board() {
    top.rx_i = 1;
    top.rst_i = 1;
    cycles(8);
    top.rst_i = 0;
  }
  ~Board() { top.final(); }

  void send(uint8_t byte, bool stop) {
    const unsigned bits = unsigned(stop) << 9 | unsigned(byte) << 1;
    for (int i = 0; i < 10; ++i) {
      top.rx_i = bits >> i & 1;
      cycles(CLOCKS_PER_BIT);
    }
    top.rx_i = 1;
    if (!stop)
      cycles(CLOCKS_PER_BIT);
  }

  void cycles(uint64_t n) {
    while (n--) {
      top.clk_i = 0;
      top.eval();
      receive();
      top.clk_i = 1;
      top.eval();
      ++cycle;
    }
  }

  std::deque<uint8_t> received;
  uint32_t cycle = 0;

private:
  // A byte from the board's line, sampled in the middle of its bits.
  void receive() {
    if (count == 0) {
      if (!top.tx_o) {
        count = CLOCKS_PER_BIT / 2;
        bit = 0;
      }
      return;
    }
    if (--count)
      return;
    if (bit > 0 && bit < 9)
      byte = uint8_t(byte >> 1 | top.tx_o << 7);
    if (bit++ == 9)
      received.push_back(byte);
    else
      count = CLOCKS_PER_BIT;
  }

  VerilatedContext context;
  Vboard top{&context};
  int count = 0, bit = 0;
  uint8_t byte = 0;
};
} // namespace

int main() {
  Board board;
  for (int kind; (kind = std::getchar()) != EOF;) {
    const int value = std::getchar();
    if (value == EOF)
      break;
    if (kind < 2)
      board.send(uint8_t(value), kind == 0);
    else if (kind == 2)
      board.cycles(uint64_t(value) * 16 * CLOCKS_PER_BIT);
    else if (kind == 3) {
      for (uint64_t bits = 0; board.received.empty() && bits < MAX_BITS; ++bits)
        board.cycles(CLOCKS_PER_BIT);
      const bool came = !board.received.empty();
      std::putchar(came);
      std::putchar(came ? board.received.front() : 0);
      if (came)
        board.received.pop_front();
      std::fflush(stdout);
    } else {
      for (int i = 0; i < 4; ++i)
        std::putchar(board.cycle >> (8 * i) & 0xFF);
      std::fflush(stdout);
    }
  }
}
