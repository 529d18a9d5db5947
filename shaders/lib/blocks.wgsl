// What readers of GGUF's blocks share. A plane bound as `weights: array<WeightWord>` has the weights' low bits first; from word scales_at
// on the scales (f32; of a block, or scale and minimum in turn), behind them the integers that scale parts of a block of 256, then the
// weights' high bits. Weight k of eight lies in the k-th bits from the lowest. How long each section is follows from the first.
alias WeightWord = u32;
struct Eight { lo: vec4f, hi: vec4f }

// Byte i, and 16-bit word i, of a section.
fn byte_at(section: u32, i: u32) -> u32 { return (weights[section + i / 4u] >> (i % 4u * 8u)) & 255u; }
fn half_at(section: u32, i: u32) -> u32 { return (weights[section + i / 2u] >> (i % 2u * 16u)) & 65535u; }
fn scale_at(i: u32) -> f32 { return bitcast<f32>(weights[i]); }

// Four numbers of 4 bits; of 2 bits, moved to where `mask` is; of one bit, moved likewise.
fn nibbles_of(word: u32) -> vec4u { return (vec4u(word) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u); }
fn pairs_of(word: u32, mask: u32) -> vec4u { return (vec4u(word) >> vec4u(0u, 2u, 4u, 6u)) & vec4u(mask); }
fn bits_of(word: u32, mask: u32) -> vec4u { return (vec4u(word) >> vec4u(0u, 1u, 2u, 3u)) & vec4u(mask); }
