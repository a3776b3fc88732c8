// Number format of fixed_mul: signed, FIXED_WIDTH bits, of which FIXED_FRACTION behind the point.
// Licence: Apache-2.0.
`ifndef FIXED_FORMAT_VH
`define FIXED_FORMAT_VH
`define FIXED_WIDTH 16
`define FIXED_FRACTION 8
`endif
