// What a resident adapter does to one site of this layer; `descriptors: array<u32>` is the layer's `[slot][site]` table of
// 8 words. All zero (slot 0, or a site the adapter leaves alone) means no column: nothing to do. Rank 0 with columns: only a bias.
// `gain` (DoRA) and `bias` name vectors, one f32 for each column: see vector_at. What reads them binds `pool: array<PoolQuad>`.
// From outside: SITES_IN_MODEL; lib/pool-*.
struct Descriptor { a: u32, b: u32, rank: u32, scale: f32, out_start: u32, out_count: u32, gain: u32, bias: u32 }

fn descriptor_at(slot: u32, site: u32) -> Descriptor {
  let at = (slot * SITES_IN_MODEL + site) * 8u;
  return Descriptor(descriptors[at], descriptors[at + 1u], descriptors[at + 2u], bitcast<f32>(descriptors[at + 3u]),
    descriptors[at + 4u], descriptors[at + 5u], descriptors[at + 6u], descriptors[at + 7u]);
}

// Which quads of columns it changes.
struct SiteColumns { start: u32, end: u32 }

fn columns_at(slot: u32, site: u32) -> SiteColumns {
  let at = (slot * SITES_IN_MODEL + site) * 8u;
  let start = descriptors[at + 4u] / 4u;
  return SiteColumns(start, start + descriptors[at + 5u] / 4u);
}

// Four numbers of a vector: it is named by one more than the sixteens of bytes before it, 0 is none.
fn vector_at(vector: u32, n: u32) -> vec4f {
  let at = (vector - 1u + n) * word_quads();
  return unpack_words(pool[at], pool[at + word_quads() - 1u]);
}

// What a site of an adapter makes of quad n of its columns: (y + change) * gain + bias, y being what the base left.
fn changed(y: vec4f, change: vec4f, d: Descriptor, n: u32) -> vec4f {
  var result = y + change;
  if (d.gain != 0u) { result *= vector_at(d.gain, n); }
  if (d.bias != 0u) { result += vector_at(d.bias, n); }
  return result;
}
