// What the nibbles of IQ4 stand for: -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, here plus 128 as bytes of four words.
// Selected with arithmetic for four at a time: an array with a variable index would lie in memory on many devices.
fn levels_of(nibbles: vec4u) -> vec4f {
  let is_odd_word = (nibbles & vec4u(4u)) != vec4u();
  let low = select(vec4u(0x3f2d1801u), vec4u(0x766a5d4fu), is_odd_word);
  let high = select(vec4u(0xa6998d81u), vec4u(0xf1d9c5b5u), is_odd_word);
  let words = select(low, high, nibbles > vec4u(7u));
  return vec4f((words >> ((nibbles & vec4u(3u)) * 8u)) & vec4u(255u)) - 128.0;
}
