// IEEE binary32 operations written as a textbook would, unlike the library's: what a user may bring.
// P = low fraction bits of both operands that are ignored. BUG rounds one sum or product wrongly.

// Swap, align with a sticky bit, add, normalise, round.
module textbook_add #(parameter P = 0, parameter BUG = 0) (
  input [31:0] x_i, input [31:0] y_i, output reg [31:0] z);
  wire [31:0] x = x_i >> P << P, y = y_i >> P << P;
  wire swap = y[30:0] > x[30:0];
  wire [31:0] h = swap ? y : x, l = swap ? x : y;
  wire sub = h[31] ^ l[31];
  wire [7:0] eh = h[30:23] == 0 ? 8'd1 : h[30:23], el = l[30:23] == 0 ? 8'd1 : l[30:23];
  wire [23:0] mh = {h[30:23] != 0, h[22:0]}, ml = {l[30:23] != 0, l[22:0]};
  wire [7:0] d = eh - el;
  wire [50:0] wl = {ml, 27'b0} >> (d > 27 ? 27 : d);
  wire [26:0] al = {wl[50:25], |wl[24:0]};
  wire [27:0] s = sub ? {1'b0, mh, 3'b0} - {1'b0, al} : {1'b0, mh, 3'b0} + {1'b0, al};
  reg [4:0] lz; integer k;
  always @* begin lz = 28; for (k = 0; k < 28; k = k + 1) if (s[k]) lz = 27 - k; end
  // exponent of s's bit 27 is eh + 1
  wire [8:0] room = {1'b0, eh};      // may shift left by eh at most (exponent 1, bit 26)
  wire [8:0] want = lz;
  wire [8:0] amt = want > room ? room : want;
  wire [27:0] n = s << amt;
  wire [9:0] e = {1'b0, room} + 10'd1 - amt;   // biased exponent of bit 27
  wire [23:0] m = n[27:4];
  wire g = n[3], st = |n[2:0] & !(BUG && s == 28'h800000a);
  wire [24:0] r = m + (g & (st | m[0]));
  wire [9:0] ef = r[24] ? e + 1 : r[23] ? e : 0;
  wire hn = &h[30:23] && h[22:0] != 0, ln = &l[30:23] && l[22:0] != 0;
  wire hi = &h[30:23] && h[22:0] == 0, li = &l[30:23] && l[22:0] == 0;
  always @*
    if (hn | ln | (hi & li & sub)) z = 32'h7fc00000;
    else if (hi) z = {h[31], 8'hff, 23'b0};
    else if (s == 0) z = {x[31] & y[31], 31'b0};
    else if (ef >= 255) z = {h[31], 8'hff, 23'b0};
    else z = {h[31], ef[7:0], r[24] ? r[23:1] : r[22:0]};
endmodule

// The product is normalised, then made subnormal where its exponent says so.
module textbook_mul #(parameter P = 0, parameter BUG = 0) (
  input [31:0] x_i, input [31:0] y_i, output reg [31:0] z);
  wire [31:0] x = x_i >> P << P, y = y_i >> P << P;
  wire sx = x[31], sy = y[31];
  wire [7:0] ex = x[30:23], ey = y[30:23];
  wire [22:0] fx = x[22:0], fy = y[22:0];
  wire xnan = ex == 255 && fx != 0, ynan = ey == 255 && fy != 0;
  wire xinf = ex == 255 && fx == 0, yinf = ey == 255 && fy == 0;
  wire xz = x[30:0] == 0, yz = y[30:0] == 0;
  wire [23:0] mx = {ex != 0, fx}, my = {ey != 0, fy};
  wire [47:0] p = mx * my;
  reg [5:0] lz; integer k;
  always @* begin lz = 48; for (k = 0; k < 48; k = k + 1) if (p[k]) lz = 47 - k; end
  wire [47:0] n = p << lz;
  wire signed [11:0] e = $signed({4'b0, ex}) + $signed({11'b0, ex == 0})
      + $signed({4'b0, ey}) + $signed({11'b0, ey == 0}) - 127 + 1 - $signed({6'b0, lz});
  // denormalise
  wire signed [11:0] sh = 12'sd1 - e;
  wire den = e < 1;
  wire [5:0] amt = !den ? 0 : sh > 50 ? 50 : sh[5:0];
  wire [98:0] wide = {n, 51'b0} >> amt;
  wire [23:0] m = wide[98:75];
  wire g = wide[74], st = |wide[73:0] & !(BUG && p == 48'h400900410000);
  wire [24:0] r = m + (g & (st | m[0]));
  wire [11:0] ef = den ? {11'b0, r[23]} : r[24] ? e + 1 : e;
  always @*
    if (xnan | ynan | (xinf & yz) | (yinf & xz)) z = 32'h7fc00000;
    else if (xinf | yinf) z = {sx ^ sy, 8'hff, 23'b0};
    else if (xz | yz) z = {sx ^ sy, 31'b0};
    else if (ef >= 255) z = {sx ^ sy, 8'hff, 23'b0};
    else z = {sx ^ sy, ef[7:0], r[24] ? 23'b0 : r[22:0]};
endmodule

// The factors are normalised before they are multiplied, the other way round.
module textbook_mul_normalised #(parameter P = 0, parameter BUG = 0) (
  input [31:0] x_i, input [31:0] y_i, output reg [31:0] z);
  wire [31:0] x = x_i >> P << P, y = y_i >> P << P;
  function [4:0] lead;
    input [23:0] v; integer i;
    begin lead = 24; for (i = 0; i < 24; i = i + 1) if (v[i]) lead = 23 - i; end
  endfunction
  wire sx = x[31], sy = y[31];
  wire [7:0] ex = x[30:23], ey = y[30:23];
  wire [22:0] fx = x[22:0], fy = y[22:0];
  wire xnan = ex == 255 && fx != 0, ynan = ey == 255 && fy != 0;
  wire xinf = ex == 255 && fx == 0, yinf = ey == 255 && fy == 0;
  wire xz = x[30:0] == 0, yz = y[30:0] == 0;
  wire [23:0] mx0 = {ex != 0, fx}, my0 = {ey != 0, fy};
  wire [4:0] lx = lead(mx0), ly = lead(my0);
  wire [23:0] mx = mx0 << lx, my = my0 << ly;
  wire [47:0] p = my * mx;
  wire signed [11:0] e0 = $signed({4'b0, ex}) + $signed({11'b0, ex == 0})
      + $signed({4'b0, ey}) + $signed({11'b0, ey == 0}) - 127 - $signed({7'b0, lx}) - $signed({7'b0, ly});
  wire [47:0] n = p[47] ? p : p << 1;
  wire signed [11:0] e = e0 + $signed({11'b0, p[47]});
  wire signed [11:0] sh = 12'sd1 - e;
  wire den = e < 1;
  wire [5:0] amt = !den ? 0 : sh > 50 ? 50 : sh[5:0];
  wire [98:0] wide = {n, 51'b0} >> amt;
  wire [23:0] m = wide[98:75];
  wire g = wide[74], st = |wide[73:0];
  wire [24:0] r = m + (g & (st | m[0]));
  wire [11:0] ef = den ? {11'b0, r[23]} : r[24] ? e + 1 : e;
  always @*
    if (xnan | ynan | (xinf & yz) | (yinf & xz)) z = 32'h7fc00000;
    else if (xinf | yinf) z = {sx ^ sy, 8'hff, 23'b0};
    else if (xz | yz) z = {sx ^ sy, 31'b0};
    else if (ef >= 255) z = {sx ^ sy, 8'hff, 23'b0};
    else z = {sx ^ sy, ef[7:0], r[24] ? 23'b0 : r[22:0]};
endmodule

// Ordered as two's complement integers.
module textbook_max(input [31:0] p, input [31:0] q, output [31:0] m);
  wire pn = p[30:0] > 31'h7f800000, qn = q[30:0] > 31'h7f800000;
  wire signed [31:0] ps = p[31] ? {1'b1, ~p[30:0]} : p, qs = q[31] ? {1'b1, ~q[30:0]} : q;
  assign m = pn | qn ? 32'h7fc00000 : ps > qs ? p : q;
endmodule
